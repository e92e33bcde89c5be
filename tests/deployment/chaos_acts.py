"""What happens in chaos: deaths, suspended processes, a clock that is set, an exchange with faults, a full disk, and people.

The acts depend on the seed alone; what they hit depends on the moment, too.
"""

from __future__ import annotations

import random
import signal
import subprocess
import sys
from collections import Counter
from collections.abc import Callable
from decimal import Decimal

from sqlalchemy.exc import SQLAlchemyError

from algo_py.clock import SystemClock, monotonic_s
from algo_py.deployment import Deployment
from algo_py.deployment.status import State, Wanted
from algo_py.errors import AlgoPyError
from algo_py.orders.risk import Limits
from tests.deployment.chaos_world import EARLIEST_S, SYMBOLS, Member, Target, World
from tests.processes import processes_of
from tests.venues.binance import too_many_requests, unavailable
from tests.venues.server import Fault

_PAUSE_S = 0.35
MINUTE_S, _HOUR_S = 60.0, 3600.0
_LATEST_S = -2 * _HOUR_S  # of all that is visited before the true time
_ENDS = (signal.SIGTERM, signal.SIGINT, signal.SIGKILL)
_NOBODY_GOES_ON_S = 9.0  # longer than the supervisor bears a process that somebody has stopped

Dice = random.Random
Act = Callable[[Dice], str]


class Chaos:
    """The acts. Each takes its own dice and says in words what it did."""

    def __init__(self, world: World, seed: int) -> None:
        self._world = world
        self._chance = random.Random(seed)
        self._began_s = monotonic_s()
        self.done: Counter[str] = Counter()
        self._acts: dict[str, tuple[float, Act]] = {
            "kill a worker": (5, self._kill_worker),
            "end the supervisor": (2.5, self._end_supervisor),
            "end the fork server": (2, self._end_fork_server),
            "kill all": (1, self._kill_all),
            "freeze a worker": (3, self._freeze_worker),
            "freeze the supervisor": (1, self._freeze_supervisor),
            "freeze the fork server": (0.7, self._freeze_fork_server),
            "type a command": (4, self._type),
            "others open and close the database": (3, self._look_from_outside),
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

    def _end_supervisor(self, dice: Dice) -> str:
        number = dice.choice(_ENDS)
        told = self._end(self._world.supervisor(), number)
        if dice.random() < 0.5:  # before the next one comes
            told += f", {self._look_from_outside(dice)}"
        return told

    def _end_fork_server(self, dice: Dice) -> str:
        return self._end(self._world.fork_server(), dice.choice(_ENDS))

    def _end(self, target: Target | None, number: signal.Signals) -> str:
        return number.name if target is not None and target.send(number) else "there is none"

    def _look_from_outside(self, dice: Dice) -> str:
        """Do to the database what `algo-py ps` does; when this process does not keep it open, perhaps as the last one."""
        closes = dice.random() < 0.7
        if closes:
            self._world.close_own()
        return f"{len(self._world.orders_from_outside())} orders seen from outside{' by the last one' if closes else ''}"

    def _kill_all(self, _: Dice) -> str:
        targets = [Target.of(process.pid) for process in processes_of(self._world.workspace)]
        return f"{sum(target is not None and target.send(signal.SIGKILL) for target in targets)} processes"

    def _freeze_worker(self, dice: Dice) -> str:
        member = dice.choice(self._world.members)
        pause_s = _NOBODY_GOES_ON_S if dice.random() < 0.3 else dice.uniform(0.3, 3)
        return f"{member.name}, {self._freeze(self._world.worker(member), pause_s)}"

    def _freeze_supervisor(self, dice: Dice) -> str:
        return self._freeze(self._world.supervisor(), dice.uniform(0.3, 3))

    def _freeze_fork_server(self, dice: Dice) -> str:
        return self._freeze(self._world.fork_server(), dice.uniform(0.3, 8))

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
        return self._set_clock(dice.choice((1, 1, 1, 2)) * MINUTE_S, along=True)

    def _jump(self, dice: Dice) -> str:
        return self._set_clock(dice.uniform(5 * MINUTE_S, 2 * _HOUR_S), along=dice.random() < 0.6)

    def _go_back(self, dice: Dice) -> str:
        return self._set_clock(-dice.uniform(2 * MINUTE_S, 2 * _HOUR_S), along=dice.random() < 0.5)

    def _set_clock(self, by_s: float, *, along: bool) -> str:
        clock = self._world.clock
        clock.set(min(max(clock.shift_s + by_s, EARLIEST_S), _LATEST_S), along=along)
        if not along:
            self._world.later.add(3.0, clock.let_exchange_follow)
        return f"{by_s / MINUTE_S:+.1f} min{'' if along else ', the exchange only 3 s later'}"

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
        ended = [member for member in self._world.members if is_restartable(self._world.shown(member))]
        if not ended:
            return "all go on"
        member = dice.choice(ended)
        return self._ask(member, Wanted.RUNNING, lambda: self._world.manager.restart(member.id), is_fit=is_restartable)

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


def is_restartable(deployment: Deployment) -> bool:
    return deployment.status.has_ended and deployment.row.state is not State.FINISHED
