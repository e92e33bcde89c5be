"""Random acts against a workspace with all kinds of deployments, then peace, then the question whether all is as it should be.

A process of its own, since it needs a clock and a disk to spoil: `python -m tests.deployment.chaos FOLDER --seed 1`, with
tests/shifted on PYTHONPATH and TEST_CLOCK_SHIFT_FILE set. What it did is told on stderr; its last line on stdout is the outcome.
The acts depend on the seed alone; what they hit depends on the moment, too.
"""

from __future__ import annotations

import argparse
import json
import random
import shutil
import signal
import subprocess
import sys
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field
from decimal import Decimal
from pathlib import Path

from sqlalchemy.exc import SQLAlchemyError

from algo_py.clock import SystemClock, monotonic_s
from algo_py.deployment import Deployment
from algo_py.deployment.processes import is_locked
from algo_py.deployment.status import State, Wanted
from algo_py.deployment.supervisor import lock_path
from algo_py.errors import AlgoPyError
from algo_py.orders.model import OrderStatus
from algo_py.orders.risk import Limits
from algo_py.settings import Workspace
from tests.deployment import chaos_truth as truth
from tests.deployment.chaos_world import EARLIEST_S, SYMBOLS, Exchange, Member, Target, World, mount_disk
from tests.oms.binance_desk import KEY, SECRET
from tests.processes import stop_everything, supervisors
from tests.venues.binance import too_many_requests, unavailable
from tests.venues.binance_matching import Ticket
from tests.venues.server import Fault

_PAUSE_S = 0.35
_MINUTE_S, _HOUR_S = 60.0, 3600.0
_LATEST_S = -2 * _HOUR_S  # of all that is visited before the true time
_PEACE_S = 45.0
_NOBODY_GOES_ON_S = 9.0  # longer than the supervisor bears a process that somebody has stopped

Dice = random.Random
Act = Callable[[Dice], str]


@dataclass
class Outcome:
    """`problems` is what was not true in the end; `control` is what was found after it had been broken on purpose."""

    problems: list[str] = field(default_factory=list)
    control: list[str] = field(default_factory=list)
    figures: dict[str, object] = field(default_factory=dict)


class Chaos:
    """The acts. Each takes its own dice and says in words what it did."""

    def __init__(self, world: World, seed: int) -> None:
        self._world = world
        self._chance = random.Random(seed)
        self._began_s = monotonic_s()
        self.done: Counter[str] = Counter()
        self._acts: dict[str, tuple[float, Act]] = {
            "kill a worker": (5, self._kill_worker),
            "kill the supervisor": (2, self._kill_supervisor),
            "kill all": (1, self._kill_all),
            "freeze a worker": (3, self._freeze_worker),
            "freeze the supervisor": (1, self._freeze_supervisor),
            "type a command": (4, self._type),
            "a minute passes": (12, self._pass_minute),
            "the clock jumps": (2, self._jump),
            "the clock goes back": (1.5, self._go_back),
            "a fault at the exchange": (6, self._fault),
            "the market moves": (4, self._move),
            "the disk is full": (0.7, self._fill_disk),
            "the dashboard": (0.0 if world.dashboard is None else 0.5, self._dashboard),
            "stop": (2, self._stop),
            "stop and close": (1.5, self._close),
            "restart": (5, self._restart),
            "pause": (1, self._pause),
            "resume": (3, self._resume),
            "halt": (1, self._halt),
            "limits": (1, self._limit),
        }

    def rage(self, seconds: float) -> None:
        """Do acts for so long, in a random order and at random moments."""
        self._began_s, at_s = monotonic_s(), 0.0
        weights = [weight for weight, _ in self._acts.values()]
        while (at_s := at_s + self._chance.expovariate(1 / _PAUSE_S)) < seconds and monotonic_s() - self._began_s < seconds:
            [name] = self._chance.choices(list(self._acts), weights)
            dice = Dice(self._chance.random())
            SystemClock().sleep(self._began_s + at_s - monotonic_s())
            try:
                told = self._acts[name][1](dice)
            except (AlgoPyError, SQLAlchemyError, OSError, subprocess.CalledProcessError) as error:
                told = f"not done: {type(error).__name__}: {error}"
            self.done[name] += 1
            self._tell(f"{name}: {told}")

    def _tell(self, text: str) -> None:
        print(f"{monotonic_s() - self._began_s:7.2f} {text}", file=sys.stderr, flush=True)  # noqa: T201  the story of this process

    # Processes

    def _kill_worker(self, dice: Dice) -> str:
        member = dice.choice(self._world.members)
        target = self._world.worker(member)
        return member.name if target is not None and target.send(signal.SIGKILL) else f"{member.name} does not live"

    def _kill_supervisor(self, _: Dice) -> str:
        target = self._world.supervisor()
        return "done" if target is not None and target.send(signal.SIGKILL) else "there is none"

    def _kill_all(self, _: Dice) -> str:
        targets = [Target.of(process.pid) for process in supervisors(self._world.workspace)]
        return f"{sum(target is not None and target.send(signal.SIGKILL) for target in targets)} processes"

    def _freeze_worker(self, dice: Dice) -> str:
        member = dice.choice(self._world.members)
        pause_s = _NOBODY_GOES_ON_S if dice.random() < 0.3 else dice.uniform(0.3, 3)
        return f"{member.name}, {self._freeze(self._world.worker(member), pause_s)}"

    def _freeze_supervisor(self, dice: Dice) -> str:
        return self._freeze(self._world.supervisor(), dice.uniform(0.3, 3))

    def _freeze(self, target: Target | None, pause_s: float) -> str:
        if target is None or not target.send(signal.SIGSTOP):
            return "does not live"
        self._world.later.add(pause_s, lambda: target.send(signal.SIGCONT))
        return f"for {pause_s:.1f} s"

    def _type(self, _: Dice) -> str:
        self._world.manager.ensure_supervisor()
        return "the supervisor is started unless it lives"

    def _dashboard(self, _: Dice) -> str:
        if self._world.dashboard is None:
            return "there is none"
        self._world.dashboard.kill()
        self._world.dashboard.start()
        return "killed and started"

    # The clock, the exchange, the disk

    def _pass_minute(self, dice: Dice) -> str:
        return self._set_clock(dice.choice((1, 1, 1, 2)) * _MINUTE_S, along=True)

    def _jump(self, dice: Dice) -> str:
        return self._set_clock(dice.uniform(5 * _MINUTE_S, 2 * _HOUR_S), along=dice.random() < 0.6)

    def _go_back(self, dice: Dice) -> str:
        return self._set_clock(-dice.uniform(2 * _MINUTE_S, 2 * _HOUR_S), along=dice.random() < 0.5)

    def _set_clock(self, by_s: float, *, along: bool) -> str:
        clock = self._world.clock
        clock.set(min(max(clock.shift_s + by_s, EARLIEST_S), _LATEST_S), along=along)
        if not along:
            self._world.later.add(3.0, clock.let_exchange_follow)
        return f"{by_s / _MINUTE_S:+.1f} min{'' if along else ', the exchange only 3 s later'}"

    def _fault(self, dice: Dice) -> str:
        exchange, times = self._world.exchange, dice.randint(1, 4)
        faults: dict[str, Fault] = {
            "drop": Fault(drop=True),
            "drop after the work": Fault(drop=True, late=True),
            "an order is dropped once taken": exchange.drop(taken=True),
            "an order is dropped": exchange.drop(taken=False),
            "slow": Fault(delay_s=dice.uniform(0.5, 3)),
            "an order is answered with 503 once taken": exchange.server_error(taken=True),
            "503": Fault(reply=unavailable()),
            "429": Fault(reply=too_many_requests(1)),
            "nonsense": exchange.nonsense(),
        }
        name = dice.choice(list(faults))
        exchange.fail(faults[name], times=times)
        return f"{name}, {times} times"

    def _move(self, dice: Dice) -> str:
        symbol = dice.choice(SYMBOLS)
        price = self._world.exchange.move(symbol, Decimal(str(round(dice.choice((0.985, 0.995, 1, 1.005, 1.015)), 3))))
        back_to_100 = Decimal(100) / price
        if abs(back_to_100 - 1) > Decimal("0.04"):
            price = self._world.exchange.move(symbol, back_to_100)
        return f"{symbol} at {price}"

    def _fill_disk(self, dice: Dice) -> str:
        world = self._world
        if not world.has_small_disk:
            return "it is not a small one here"
        world.was_full = True
        try:
            with world.ballast.open("wb", buffering=0) as file:
                while file.write(bytes(1024 * 1024)):
                    pass
        except OSError:
            pass_s = dice.uniform(0.5, 3)
        world.later.add(pass_s, lambda: world.ballast.unlink(missing_ok=True))
        return f"for {pass_s:.1f} s"

    # People

    def _stop(self, dice: Dice) -> str:
        member = dice.choice(self._world.members)
        return self._ask(
            member, Wanted.STOPPED, lambda: self._world.manager.stop(member.id, close_positions=False), is_fit=_is_going_on
        )

    def _close(self, dice: Dice) -> str:
        member = self._changeable(dice)
        return self._ask(
            member, Wanted.CLOSED, lambda: self._world.manager.stop(member.id, close_positions=True), is_fit=_is_going_on
        )

    def _restart(self, dice: Dice) -> str:
        ended = [member for member in self._world.members if _is_restartable(self._world.shown(member))]
        if not ended:
            return "all go on"
        member = dice.choice(ended)
        return self._ask(member, Wanted.RUNNING, lambda: self._world.manager.restart(member.id), is_fit=_is_restartable)

    def _pause(self, dice: Dice) -> str:
        member = dice.choice([member for member in self._world.members if member.is_replay])
        return self._ask(member, Wanted.PAUSED, lambda: self._world.manager.pause(member.id), is_fit=_is_going_on)

    def _resume(self, dice: Dice) -> str:
        chosen = [m for m in self._world.members if True in m.halted or Wanted.PAUSED in m.wanted]
        if not chosen:
            return "nothing rests"
        member = dice.choice(chosen)
        before, member.halted = Wanted.PAUSED in member.wanted, member.halted | {False}
        member.wanted |= {Wanted.RUNNING} if before else set()
        self._world.manager.resume(member.id)
        member.halted, member.wanted = {False}, {self._world.shown(member).row.wanted} if before else member.wanted
        return member.name

    def _ask(self, member: Member, wanted: Wanted, ask: Callable[[], Deployment], *, is_fit: Callable[[Deployment], bool]) -> str:
        """Ask for something where it may be asked. Until the answer comes nobody knows whether it was heard."""
        if not is_fit(self._world.shown(member)):
            return f"{member.name} does not fit"
        member.wanted = member.wanted | {wanted}
        member.wanted = {ask().row.wanted}
        return member.name

    def _halt(self, dice: Dice) -> str:
        member = self._changeable(dice)
        member.halted = member.halted | {True}
        self._world.manager.halt(member.id, reason="chaos")
        member.halted = {True}
        return member.name

    def _limit(self, dice: Dice) -> str:
        member = self._changeable(dice)
        limits = Limits(max_order_notional=Decimal(dice.choice((500, 3_000, 100_000))))
        member.limits = [*member.limits, limits]
        self._world.manager.set_limits(member.id, limits)
        member.limits = [limits]
        return f"{member.name}, {limits.max_order_notional}"

    def _changeable(self, dice: Dice) -> Member:
        return dice.choice([member for member in self._world.members if not member.is_pure])


def _is_going_on(deployment: Deployment) -> bool:
    return not deployment.status.has_ended and not deployment.row.wanted.is_an_end


def _is_restartable(deployment: Deployment) -> bool:
    return deployment.status.has_ended and deployment.row.state is not State.FINISHED


def begin(world: World) -> list[str]:
    """Wait until all live, and trade at the exchange; return what does not."""
    found = truth.until_true(lambda: truth.lives(world), timeout_s=60.0)

    def trade() -> list[str]:
        world.clock.set(world.clock.shift_s + _MINUTE_S, along=True)
        SystemClock().sleep(0.5)
        return [] if world.exchange.matching.orders else ["nobody trades at the exchange"]

    return found or truth.until_true(trade, timeout_s=20.0)


def make_peace(world: World) -> list[str]:
    """Take back what was done to machine and exchange, and see that everybody does what people want; return what is not so."""
    world.later.finish()
    world.exchange.forget()
    world.clock.set(-_MINUTE_S, along=True)
    if world.dashboard is None:
        world.manager.ensure_supervisor()
    else:
        world.dashboard.kill()
        world.dashboard.start()  # what a person types after a disaster
    found = truth.until_true(lambda: truth.lives(world), timeout_s=_PEACE_S)
    dashboard = world.dashboard
    if dashboard is not None:
        silent = ["the dashboard does not answer"]
        found += truth.until_true(lambda: [] if dashboard.answers() else silent, timeout_s=_PEACE_S)
    world.clock.set(0.0, along=True)  # later than whatever the exchange may still have had to say
    return found or truth.until_true(lambda: truth.lives(world), timeout_s=_PEACE_S)


def judge(world: World, *, replays_s: float) -> list[str]:
    """Let the replays come to their end, for so long, then nobody trade any more; return what is not true."""
    for member in world.members:
        if member.is_pure:
            _let_go_on(world, member)
    found = truth.until_true(lambda: truth.replays(world), timeout_s=replays_s)
    world.manager.halt(None, reason="the books are looked at")
    for member in world.members:
        _let_go_on(world, member)  # what has stopped in the midst of an order settles it when it starts
    found += truth.until_true(lambda: truth.settled(world), timeout_s=_PEACE_S)
    found += truth.until_true(lambda: truth.books(world), timeout_s=5.0)
    return found + truth.told(world)


def _let_go_on(world: World, member: Member) -> None:
    shown = world.shown(member)
    if shown.row.wanted is Wanted.PAUSED:
        world.manager.resume(member.id)
    elif _is_restartable(shown):
        world.manager.restart(member.id)


def break_on_purpose(world: World) -> list[str]:
    """Send an order twice, and have a deployment live twice; return what the checks say to that."""
    with world.exchange.keeps_still():
        matching = world.exchange.matching
        once = next(order for order in matching.orders if order.side == "BUY")
        matching.place(Ticket(symbol=once.symbol, client_id=once.client_id, side="BUY", type="MARKET", quantity=once.quantity))
    supervisor, member = world.supervisor(), next(member for member in world.members if member.name == "paper")
    assert supervisor is not None
    supervisor.send(signal.SIGKILL)
    (world.workspace.deployments / member.id / "lock").unlink()
    truth.until_true(lambda: ["held"] if is_locked(lock_path(world.workspace)) else [], timeout_s=10.0)
    world.manager.ensure_supervisor()  # it finds a deployment that nobody seems to live
    truth.until_true(lambda: [] if len(world.users().get(member.id, ())) > 1 else [member.name], timeout_s=30.0)
    return truth.lives(world) + truth.books(world)


def run(folder: Path, *, seed: int, seconds: float, is_broken: bool) -> Outcome:
    """Live through all of it; every process that it started has ended afterwards."""
    workspace, outcome, began_s = Workspace(folder / "workspace"), Outcome(), monotonic_s()
    has_small_disk = mount_disk(workspace)
    with Exchange(key=KEY, secret=SECRET) as exchange, _ended(workspace):
        world = World(workspace, exchange, seconds=seconds, has_small_disk=has_small_disk)
        outcome.problems = begin(world)
        ready_s = monotonic_s()
        chaos = Chaos(world, seed)
        if not outcome.problems:
            chaos.rage(seconds)
            raged_s = monotonic_s()
            outcome.problems = make_peace(world)
            peace_s = monotonic_s()
            outcome.problems += judge(world, replays_s=_PEACE_S + seconds)
            outcome.figures = {
                "seconds": {
                    "begin": round(ready_s - began_s, 1),
                    "chaos": round(raged_s - ready_s, 1),
                    "peace": round(peace_s - raged_s, 1),
                    "judgement": round(monotonic_s() - peace_s, 1),
                },
                "acts": dict(chaos.done),
                **_figures(world),
            }
        if is_broken and not outcome.problems:
            outcome.control = break_on_purpose(world)
        if world.dashboard is not None:
            world.dashboard.kill()
    if outcome.problems:
        shutil.copytree(workspace.root / "database", folder / "left", ignore=shutil.ignore_patterns("finstore", "ballast"))
    return outcome


def _figures(world: World) -> dict[str, object]:
    orders = {member.name: world.manager.orders(member.id) for member in world.members}
    return {
        "orders": {name: len(known) for name, known in orders.items()},
        "statuses": dict(Counter(str(order.status) for known in orders.values() for order in known)),
        "taken by the exchange": len(world.exchange.matching.orders),
        "filled at the exchange": sum(
            order.status is OrderStatus.FILLED for m in world.members if m.oms != "paper" for order in orders[m.name]
        ),
        "the disk was full": world.was_full,
    }


@contextmanager
def _ended(workspace: Workspace) -> Iterator[None]:
    try:
        yield
    finally:
        stop_everything(workspace)


def main() -> int:
    """Run it with the arguments of the command line."""
    parser = argparse.ArgumentParser()
    parser.add_argument("folder", type=Path)
    parser.add_argument("--seed", type=int, required=True)
    parser.add_argument("--seconds", type=float, default=20.0)
    parser.add_argument("--break", dest="is_broken", action="store_true", help="break something on purpose in the end")
    given = parser.parse_args()
    outcome = run(given.folder, seed=given.seed, seconds=given.seconds, is_broken=given.is_broken)
    print(json.dumps(asdict(outcome)), flush=True)  # noqa: T201  what the test reads
    return 0


if __name__ == "__main__":
    sys.exit(main())
