"""Exactly once: what happens between the decision and the recorded fill, whatever goes wrong on the way."""

from __future__ import annotations

from datetime import datetime, timedelta
from decimal import Decimal

import pytest

from algo_py.clock import FrozenClock
from algo_py.database import Database
from algo_py.errors import AuthFailed, Rejected
from algo_py.orders.execution import Executor
from algo_py.orders.guard import Guard
from algo_py.orders.journal import Journal
from algo_py.orders.model import Leg, OrderRequest, OrderStatus, Side
from algo_py.orders.risk import Limits
from tests.orders.making import BAR, Notebook, Venue, filled, request, time_out

CLOCK = FrozenClock(BAR)


class Desk:
    """An executor with everything around it."""

    def __init__(self, database: Database, journal: Journal, venue: Venue, limits: Limits | None = None) -> None:
        self.database, self.journal, self.venue = database, journal, venue
        self.log = Notebook()
        guard = Guard(journal=journal, clock=CLOCK, limits=limits or Limits())
        self.executor = Executor(journal, venue, guard, self.log, deployment_id="d1", clock=CLOCK)

    def plan(self, *orders: OrderRequest) -> list[OrderRequest]:
        with self.database.write() as connection:
            return self.journal.plan(connection, orders)

    def hold(self, symbol: str = "BTC/USDT") -> None:
        """Hold half a unit, bought on an earlier bar."""
        entry = request(symbol=symbol, bar_time=BAR - timedelta(days=1))
        self.plan(entry)
        self.journal.mark(entry.client_order_id, OrderStatus.SUBMITTING)
        self.journal.record(filled(entry, trade_id=f"held-{symbol}"))

    def statuses(self) -> list[OrderStatus]:
        return [order.status for order in self.journal.orders()]


def never_stale(_bar_time: datetime) -> bool:
    return False


def always_stale(_bar_time: datetime) -> bool:
    return True


@pytest.fixture
def desk(database: Database, journal: Journal) -> Desk:
    return Desk(database, journal, Venue())


def test_an_order_is_sent_and_followed_to_its_fill(desk: Desk) -> None:
    desk.executor.place(desk.plan(request()))
    assert desk.statuses() == [OrderStatus.ACCEPTED]
    assert len(desk.executor.follow()) == 1
    assert desk.statuses() == [OrderStatus.FILLED]
    assert desk.executor.follow() == []


def test_an_order_is_durably_marked_before_it_is_sent(desk: Desk) -> None:
    seen: list[OrderStatus] = []
    desk.venue.answer = lambda order: seen.extend(desk.statuses())
    desk.executor.place(desk.plan(request()))
    assert seen == [OrderStatus.SUBMITTING]


def test_a_time_out_leaves_the_outcome_open_and_is_not_resent(desk: Desk) -> None:
    desk.venue.answer = time_out
    desk.executor.place(desk.plan(request()))
    assert desk.statuses() == [OrderStatus.UNKNOWN]
    desk.executor.follow()
    assert len(desk.venue.taken) == 1


def test_recovery_finds_an_order_that_had_arrived(desk: Desk) -> None:
    desk.venue.answer = time_out
    desk.executor.place(desk.plan(request()))
    desk.executor.recover(never_stale)
    assert desk.statuses() == [OrderStatus.FILLED]
    assert len(desk.venue.taken) == 1


def test_recovery_sends_an_order_that_never_arrived(desk: Desk) -> None:
    [order] = desk.plan(request())
    desk.journal.mark(order.client_order_id, OrderStatus.SUBMITTING)  # the process died here, before the venue heard of it
    desk.executor.recover(never_stale)
    assert desk.statuses() == [OrderStatus.ACCEPTED]
    assert len(desk.venue.taken) == 1


def test_recovery_sends_what_was_only_planned(desk: Desk) -> None:
    desk.plan(request())
    desk.executor.recover(never_stale)
    assert desk.statuses() == [OrderStatus.ACCEPTED]


def test_without_the_look_up_an_order_would_be_doubled(desk: Desk) -> None:
    """The negative control: a venue that cannot be asked gets the order twice, so it is the look-up that prevents it."""
    desk.venue.is_blind = True
    desk.venue.answer = time_out
    desk.executor.place(desk.plan(request()))
    desk.executor.recover(never_stale)
    assert len(desk.venue.taken) == 2


def test_a_venue_that_cannot_be_asked_keeps_the_outcome_open(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    desk.venue.answer = time_out
    desk.executor.place(desk.plan(request()))
    monkeypatch.setattr(desk.venue, "find", time_out)
    desk.executor.recover(never_stale)
    assert desk.statuses() == [OrderStatus.UNKNOWN]
    assert len(desk.venue.taken) == 1


def test_a_late_entry_is_dropped_and_a_late_exit_is_sent(desk: Desk) -> None:
    desk.hold()
    desk.plan(request(side=Side.SELL, leg=Leg.EXIT), request())
    desk.executor.recover(always_stale)
    assert desk.statuses() == [OrderStatus.FILLED, OrderStatus.ACCEPTED, OrderStatus.EXPIRED]
    assert [order.leg for order in desk.venue.taken] == [Leg.EXIT]


def test_a_refusal_by_the_venue_is_recorded_and_final(desk: Desk) -> None:
    def refuse(_order: OrderRequest) -> None:
        raise Rejected("insufficient balance")

    desk.venue.answer = refuse
    desk.executor.place(desk.plan(request()))
    [order] = desk.journal.orders()
    assert (order.status, order.reason) == (OrderStatus.REJECTED, "insufficient balance")
    desk.executor.recover(never_stale)
    assert len(desk.venue.taken) == 1


def test_wrong_credentials_reach_the_caller_and_leave_the_outcome_open(desk: Desk) -> None:
    def refuse(_order: OrderRequest) -> None:
        raise AuthFailed("the key is not valid")

    desk.venue.answer = refuse
    with pytest.raises(AuthFailed):
        desk.executor.place(desk.plan(request()))
    assert desk.statuses() == [OrderStatus.SUBMITTING]


def test_an_entry_above_the_limit_is_denied_with_rule_value_and_bound(database: Database, journal: Journal) -> None:
    desk = Desk(database, journal, Venue(), Limits(max_order_notional=Decimal(49)))
    desk.executor.place(desk.plan(request(quantity="0.5")))
    [order] = desk.journal.orders()
    assert order.status is OrderStatus.DENIED
    assert order.reason == "max_order_notional: 50 breaks the bound 49"
    assert desk.venue.taken == []


def test_an_exit_is_never_held_back_by_the_limit(database: Database, journal: Journal) -> None:
    desk = Desk(database, journal, Venue(), Limits(max_order_notional=Decimal(1)))
    desk.hold()
    desk.executor.place(desk.plan(request(side=Side.SELL, leg=Leg.EXIT)))
    assert len(desk.venue.taken) == 1


def test_an_empty_order_is_denied(desk: Desk) -> None:
    desk.executor.place(desk.plan(request(quantity="0")))
    assert desk.statuses() == [OrderStatus.DENIED]
    assert desk.venue.taken == []


def test_open_orders_are_canceled_at_the_end_and_a_crossing_fill_is_kept(desk: Desk) -> None:
    desk.executor.place(desk.plan(request()))
    desk.executor.cancel_open("the end")
    assert len(desk.venue.canceled) == 1
    assert desk.statuses() == [OrderStatus.FILLED]


def test_an_exit_cancels_what_is_still_to_be_bought(database: Database, journal: Journal) -> None:
    """Else it would be held afterwards; the entry of a reversal, planned beside the exit, stays."""
    desk = Desk(database, journal, Venue())
    desk.hold()
    waiting, turning = request(bar_time=BAR - timedelta(hours=1)), request(side=Side.BUY)
    desk.plan(waiting)
    journal.mark(waiting.client_order_id, OrderStatus.SUBMITTING)
    journal.mark(waiting.client_order_id, OrderStatus.UNKNOWN, reason="no answer")
    leaving = request(side=Side.SELL, leg=Leg.EXIT)
    desk.plan(leaving, turning)
    desk.executor.place([leaving])
    assert desk.venue.canceled == [waiting.client_order_id]
    assert [order.client_order_id for order in desk.venue.taken] == [leaving.client_order_id]
    planned = journal.order(turning.client_order_id)
    assert planned is not None
    assert planned.status is OrderStatus.PLANNED
