"""Random acts against a workspace with all kinds of deployments, then peace, then the question whether all is as it should be.

A process of its own, since it needs a clock and a disk to spoil: `python -m tests.deployment.chaos FOLDER --seed 1`, with
tests/shifted on PYTHONPATH and TEST_CLOCK_SHIFT_FILE set. What it did is told on stderr; its last line on stdout is the outcome.
"""

from __future__ import annotations

import argparse
import json
import shutil
import signal
import sys
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field
from pathlib import Path

from algo_py.clock import SystemClock, monotonic_s
from algo_py.deployment.processes import is_locked
from algo_py.deployment.status import Wanted
from algo_py.deployment.supervisor import lock_path
from algo_py.orders.model import OrderStatus
from algo_py.settings import Workspace
from tests.deployment import chaos_truth as truth
from tests.deployment.chaos_acts import MINUTE_S, Chaos, is_restartable
from tests.deployment.chaos_world import Exchange, Member, World, mount_disk
from tests.oms.binance_desk import KEY, SECRET
from tests.processes import stop_everything
from tests.venues.binance_books import Ticket

_PEACE_S = 45.0


@dataclass
class Outcome:
    """`problems` is what was not true in the end; `control` is what was found after it had been broken on purpose."""

    problems: list[str] = field(default_factory=list)
    control: list[str] = field(default_factory=list)
    figures: dict[str, object] = field(default_factory=dict)


def begin(world: World) -> list[str]:
    """Wait until all live, and trade at the exchange; return what does not."""
    found = truth.until_true(lambda: truth.lives(world), timeout_s=60.0)

    def trade() -> list[str]:
        world.clock.set(world.clock.shift_s + MINUTE_S, along=True)
        SystemClock().sleep(0.5)
        return [] if world.exchange.matching.orders else ["nobody trades at the exchange"]

    return found or truth.until_true(trade, timeout_s=20.0)


def make_peace(world: World) -> list[str]:
    """Take back what was done to machine and exchange, and see that everybody does what people want; return what is not so."""
    world.later.finish()
    world.exchange.forget()
    world.clock.set(-MINUTE_S, along=True)
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
    found = found or truth.until_true(lambda: truth.lives(world), timeout_s=_PEACE_S)
    return found or truth.until_true(lambda: truth.protected(world), timeout_s=_PEACE_S)


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
    found += truth.until_true(lambda: truth.protected(world), timeout_s=_PEACE_S)
    found += truth.until_true(lambda: truth.books(world), timeout_s=5.0)
    return found + truth.told(world)


def _let_go_on(world: World, member: Member) -> None:
    shown = world.shown(member)
    if shown.row.wanted is Wanted.PAUSED:
        world.manager.resume(member.id)
    elif is_restartable(shown):
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
