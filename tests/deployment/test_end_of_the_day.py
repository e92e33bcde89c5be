"""A live deployment at the local Kite across the end of a day, in both eras of the closing auction: what waits, goes, stays and
goes again."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from algo_py.clock import FrozenClock
from algo_py.deployment import DeploymentManager
from algo_py.deployment.protection_rows import ProtectedBy
from algo_py.orders.model import OrderStatus
from algo_py.settings import Workspace
from tests.deployment.conftest import Save
from tests.deployment.nse_story import IN, OUT, NseStory, at, kite
from tests.venues.kite_phases import PhasedKite

INFY, SMALLCO = "INFY", "SMALLCO"


@dataclass(frozen=True)
class Era:
    """A day, the day after, and the times of the closing auction on it."""

    day: str
    next_day: str
    last_bar: str
    closes: str
    entry: str
    limit_only: str
    matched: str


ERAS = {
    "first": Era("2026-08-10", "2026-08-11", "15:00", "15:15", "15:20", "15:26", "15:36"),
    "second": Era("2026-12-14", "2026-12-15", "15:15", "15:30", "15:31", "15:37", "15:46"),
    "the last day of the first": Era("2026-12-04", "2026-12-07", "15:00", "15:15", "15:20", "15:26", "15:36"),
}


@pytest.fixture(params=["first", "second"])
def era(request: pytest.FixtureRequest) -> Era:
    return ERAS[request.param]


@pytest.fixture
def clock(era: Era) -> FrozenClock:
    return FrozenClock(at(f"{era.day}T09:15:00"))


@pytest.fixture
def server(clock: FrozenClock) -> Iterator[PhasedKite]:
    with kite(clock) as server:
        yield server


@pytest.fixture
def story(
    workspace: Workspace,
    manager: DeploymentManager,
    save: Save,
    server: PhasedKite,
    clock: FrozenClock,
    tmp_path: Path,
    era: Era,
) -> NseStory:
    """A deployment that has bought at 09:45, and whose exit falls on the last bar of continuous trading."""
    plan = {INFY: {f"{era.day}T09:30": IN, f"{era.day}T{era.last_bar}": OUT}}
    story = NseStory(workspace, manager, save, server, clock, tmp_path, plan, stop_loss=0.05)
    story.run(f"{era.day}T09:45:01")
    story.follow(f"{era.day}T09:45:03")
    assert story.journal.held(INFY) == 40
    return story


def test_an_exit_waits_goes_into_the_auction_and_is_filled_at_the_next_open(
    story: NseStory, era: Era, server: PhasedKite
) -> None:
    server.auction_depth[INFY] = 15
    story.run(f"{era.day}T{era.closes}:01")
    [(type_, status, reason)] = story.exits()
    assert (type_, status, reason) == ("MARKET", OrderStatus.PLANNED, f"waits for {era.entry}, closing auction")
    assert story.protection().by is ProtectedBy.EXIT
    assert story.protection().reason == f"its exit waits for {era.entry}, closing auction"
    story.follow(f"{era.day}T{era.closes}:03", times=5)
    assert len(story.told("order.waits")) == 1
    assert story.told("order.stuck") == []
    assert not [order for order in server.orders.values() if order.side == "SELL"]

    story.follow(f"{era.day}T{era.entry}:00", times=3)
    [sold] = [order for order in server.orders.values() if order.side == "SELL"]
    assert (sold.type, sold.quantity, sold.status) == ("MARKET", 40, "OPEN")
    story.follow(f"{era.day}T{era.limit_only}:00", times=3)
    story.follow(f"{era.day}T{era.matched}:00", times=2)
    assert story.journal.held(INFY) == 25
    [left] = story.told("order.left_unfilled")
    assert left["quantity"] == "25"
    assert str(left["reason"]).endswith(f"it waits for {era.next_day} 09:15, continuous trading")
    assert story.pipeline.waits == [f"{INFY} waits for {era.next_day} 09:15, continuous trading"]

    story.night()
    story.follow(f"{era.next_day}T09:14:58")
    assert story.journal.held(INFY) == 25
    story.follow(f"{era.next_day}T09:15:00", times=2)
    assert story.journal.held(INFY) == 0
    assert [order.status for order in story.journal.orders() if order.status.is_open] == []
    assert server.refused == []


def test_it_waits_across_a_restart_and_is_told_once(story: NseStory, era: Era, server: PhasedKite) -> None:
    story.run(f"{era.day}T{era.closes}:01")
    before = story.exits()
    story.live()
    assert story.exits() == before
    assert story.told("order.waits") == []
    assert story.pipeline.waits
    story.follow(f"{era.day}T{era.limit_only}:00", times=2)
    assert [(order.type, int(order.price)) for order in server.orders.values() if order.side == "SELL"] == [("LIMIT", 990)]
    story.follow(f"{era.day}T{era.matched}:00")
    assert story.journal.held(INFY) == 0
    assert server.refused == []


def test_a_process_that_dies_as_it_sends_what_has_waited_sends_it_once(story: NseStory, era: Era, server: PhasedKite) -> None:
    server.auction_depth[INFY] = 0
    story.run(f"{era.day}T{era.closes}:01")
    story.follow(f"{era.day}T{era.matched}:00")
    story.night()
    story._go_to(f"{era.next_day}T09:15:00")
    [waiting] = [order for order in story.exit_orders() if order.status is OrderStatus.PLANNED]
    taken = story.pipeline._executor._as_taken(waiting.request)
    assert taken is not None
    story.journal.mark(taken.client_order_id, OrderStatus.SUBMITTING)  # and then the power fails
    story.live()
    story.follow(f"{era.next_day}T09:16:10", times=2)
    assert story.journal.held(INFY) == 0
    assert len([order for order in server.orders.values() if order.side == "SELL"]) == 1
    assert story.told("symbol.halted") == []


def test_closing_waits_too_and_what_is_held_is_named(story: NseStory, era: Era, server: PhasedKite) -> None:
    story._go_to(f"{era.day}T{era.closes}:30")
    left, is_under_way = story.pipeline.close_positions(story.clock.now())
    assert (left, is_under_way) == ([INFY], True)
    assert story.pipeline.waits == [f"{INFY} waits for {era.entry}, closing auction"]
    assert story.pipeline.open_orders == [f"MARKET SELL 40 INFY (PLANNED): waits for {era.entry}, closing auction"]
    story.follow(f"{era.day}T{era.entry}:01", times=2)
    story.follow(f"{era.day}T{era.matched}:00", times=2)
    assert story.journal.held(INFY) == 0


def test_a_passed_level_closes_in_the_auction_and_the_evening_is_no_alarm(story: NseStory, era: Era, server: PhasedKite) -> None:
    story.follow(f"{era.day}T{era.closes}:01")
    one = story.protection()
    assert (one.by, one.is_missing) == (ProtectedBy.WORKER, False)
    assert one.reason.endswith(f"; not protected until {era.next_day} 09:15: closing auction")
    server.prices[INFY] = server.prices[INFY] * 94 / 100  # the last trade, told late
    story.follow(f"{era.day}T{era.closes}:10", times=3)
    assert story.exits()[-1][2] == f"waits for {era.entry}, closing auction"
    story.follow(f"{era.day}T{era.entry}:01", times=40)
    assert len([order for order in server.orders.values() if order.side == "SELL"]) == 1, "it stands until the matching"
    story.follow(f"{era.day}T{era.matched}:00", times=2)
    assert story.journal.held(INFY) == 0
    assert story.told("position.unprotected") == []


def test_in_the_evening_and_in_the_night_a_position_is_said_to_be_unwatched(story: NseStory, era: Era) -> None:
    story.follow(f"{era.day}T20:00:00")
    assert story.protection().reason.endswith(f"not protected until {era.next_day} 09:15: the market is closed")
    assert story.told("position.unprotected") == []
    story.follow(f"{era.next_day}T09:15:01")
    assert "the price is looked at every" in story.protection().reason


def test_the_exchange_ends_the_entry_at_random_and_the_exit_goes_at_the_next_open(
    story: NseStory, era: Era, server: PhasedKite
) -> None:
    story.run(f"{era.day}T{era.closes}:01")
    second = {"first": 28, "second": 38}["second" if era.day == "2026-12-14" else "first"]
    for _ in range(200):  # a day on which it has ended half a minute before
        server.seed += 1
        if server._has_ended_at_random(INFY, at(f"{era.day}T15:{second}:40")):
            break
    story.follow(f"{era.day}T15:{second}:40", times=4)
    assert [refusal.at_random for refusal in server.refused] == [True]
    story.follow(f"{era.day}T{era.matched}:00", times=2)
    assert story.exits()[-1][2] == f"waits for {era.next_day} 09:15, continuous trading"
    story.night()
    story.follow(f"{era.next_day}T09:15:00", times=2)
    assert story.journal.held(INFY) == 0
    assert len(server.refused) == 1
