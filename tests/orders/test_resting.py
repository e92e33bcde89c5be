"""Orders that rest: limits that run out of time, stops that stand in an exit's way, halts, and what is too little to sell."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from decimal import Decimal
from typing import Literal

import pytest

from algo_py.clock import FrozenClock
from algo_py.database import Database
from algo_py.errors import VenueDown
from algo_py.orders.entries import EntryKind, LedgerEntry
from algo_py.orders.execution import Executor, LimitPolicy
from algo_py.orders.guard import Guard
from algo_py.orders.halts import ALL, halt, halt_of, resume
from algo_py.orders.journal import Journal
from algo_py.orders.ledger import fold
from algo_py.orders.model import Fill, Leg, OrderReport, OrderRequest, OrderStatus, OrderType, Side, client_order_id
from algo_py.orders.records import events_of
from tests.orders.making import BAR, Notebook, request


@dataclass
class Book:
    """A venue whose orders rest until a test fills them; market orders fill at once."""

    orders: dict[str, OrderRequest] = field(default_factory=dict)
    filled: dict[str, Decimal] = field(default_factory=dict)
    canceled: set[str] = field(default_factory=set)
    is_deaf: bool = False

    def submit(self, order: OrderRequest) -> OrderReport:
        self.orders[order.client_order_id] = order
        self.filled[order.client_order_id] = order.quantity if order.type is OrderType.MARKET else Decimal(0)
        return self._report(order)

    def find(self, order: OrderRequest, planned_at: datetime) -> OrderReport | None:
        if self.is_deaf:
            raise VenueDown("nobody answers")
        return self._report(order) if order.client_order_id in self.orders else None

    def cancel(self, order: OrderRequest, planned_at: datetime) -> None:
        if self.is_deaf:
            raise VenueDown("nobody answers")
        if self.filled[order.client_order_id] < order.quantity:
            self.canceled.add(order.client_order_id)

    def _report(self, order: OrderRequest) -> OrderReport:
        done = self.filled[order.client_order_id]
        status = OrderStatus.PARTIALLY_FILLED if done else OrderStatus.ACCEPTED
        if done == order.quantity:
            status = OrderStatus.FILLED
        elif order.client_order_id in self.canceled:
            status = OrderStatus.CANCELED
        fill = Fill(
            trade_id=f"{order.client_order_id}-{done}",
            client_order_id=order.client_order_id,
            symbol=order.symbol,
            side=order.side,
            quantity=done,
            price=order.limit_price or Decimal(100),
            fee=Decimal(0),
            time=BAR,
        )
        return OrderReport(
            client_order_id=order.client_order_id, venue_order_id="v", status=status, fills=(fill,) if done else ()
        )


class Desk:
    def __init__(self, database: Database, journal: Journal, then: Literal["cancel", "market"] = "cancel") -> None:
        self.database, self.journal, self.book, self.log = database, journal, Book(), Notebook()
        self.clock = FrozenClock(BAR)
        guard = Guard(journal=journal, clock=self.clock, halted=lambda symbol: halt_of(database, "d1", symbol))
        policy = LimitPolicy(timeout=timedelta(seconds=60), then=then)
        self.executor = Executor(journal, self.book, guard, self.log, deployment_id="d1", clock=self.clock, limit_policy=policy)

    def send(self, order: OrderRequest) -> None:
        with self.database.write() as connection:
            planned = self.journal.plan(connection, [order])
        self.executor.place(planned)

    def told(self) -> list[tuple[str, str, str]]:
        return [(order.request.type, order.request.side, order.status) for order in self.journal.orders()]


def limit_order() -> OrderRequest:
    return replace(request(), type=OrderType.LIMIT, limit_price=Decimal(99))


def stop_order() -> OrderRequest:
    own_id = client_order_id("d1", BAR, "BTC/USDT", Side.SELL, Leg.EXIT, kind="stop")
    order = request(side=Side.SELL, leg=Leg.EXIT)
    return replace(order, client_order_id=own_id, type=OrderType.STOP, stop_price=Decimal(90), reason="stop_loss")


@pytest.mark.parametrize(
    ("then", "sold"),
    [("cancel", [("LIMIT", "BUY", "CANCELED")]), ("market", [("LIMIT", "BUY", "CANCELED"), ("MARKET", "BUY", "FILLED")])],
)
def test_a_limit_order_whose_time_is_over_goes_as_the_policy_says(
    database: Database, journal: Journal, then: Literal["cancel", "market"], sold: list[tuple[str, str, str]]
) -> None:
    desk = Desk(database, journal, then)
    order = limit_order()
    desk.send(order)
    desk.book.filled[order.client_order_id] = Decimal("0.2")
    desk.clock.sleep(61)
    journal_clock_is_frozen = journal.orders()[0].planned_at == BAR
    assert journal_clock_is_frozen
    desk.executor.follow()
    assert desk.told() == sold
    held = journal.held("BTC/USDT")
    assert held == (Decimal("0.2") if then == "cancel" else Decimal("0.5"))
    desk.executor.follow()
    assert desk.told() == sold


def test_a_limit_order_in_time_is_left_alone(database: Database, journal: Journal) -> None:
    desk = Desk(database, journal)
    desk.send(limit_order())
    desk.clock.sleep(59)
    desk.executor.follow()
    assert desk.told() == [("LIMIT", "BUY", "ACCEPTED")]


def test_an_exit_takes_the_resting_stop_out_of_its_way(database: Database, journal: Journal) -> None:
    desk = Desk(database, journal)
    desk.send(request())
    desk.send(stop_order())
    desk.send(request(side=Side.SELL, leg=Leg.EXIT))
    assert desk.told() == [("MARKET", "BUY", "FILLED"), ("STOP", "SELL", "CANCELED"), ("MARKET", "SELL", "FILLED")]
    assert journal.held("BTC/USDT") == 0


def test_an_exit_whose_stop_fired_first_sells_nothing_more(database: Database, journal: Journal) -> None:
    desk = Desk(database, journal)
    desk.send(request())
    stop = stop_order()
    desk.send(stop)
    desk.book.filled[stop.client_order_id] = stop.quantity
    desk.send(request(side=Side.SELL, leg=Leg.EXIT))
    assert desk.told() == [("MARKET", "BUY", "FILLED"), ("STOP", "SELL", "FILLED"), ("MARKET", "SELL", "DENIED")]
    assert "no position" in journal.orders()[-1].reason


def test_an_exit_whose_stop_sold_a_part_sells_the_rest(database: Database, journal: Journal) -> None:
    desk = Desk(database, journal)
    desk.send(request())
    stop = stop_order()
    desk.send(stop)
    desk.book.filled[stop.client_order_id] = Decimal("0.3")
    desk.send(request(side=Side.SELL, leg=Leg.EXIT))
    assert [order.request.quantity for order in journal.orders()][-1] == Decimal("0.2")
    assert journal.held("BTC/USDT") == 0


def test_an_exit_waits_until_the_venue_has_said_what_became_of_the_stop(database: Database, journal: Journal) -> None:
    desk = Desk(database, journal)
    desk.send(request())
    desk.send(stop_order())
    desk.book.is_deaf = True
    desk.send(request(side=Side.SELL, leg=Leg.EXIT))
    assert desk.told()[1:] == [("STOP", "SELL", "ACCEPTED"), ("MARKET", "SELL", "PLANNED")]
    desk.book.is_deaf = False
    desk.executor.recover(lambda _bar_time: True)
    assert desk.told()[1:] == [("STOP", "SELL", "CANCELED"), ("MARKET", "SELL", "FILLED")]


def test_halted_nothing_is_sent_until_it_is_resumed(database: Database, journal: Journal) -> None:
    desk = Desk(database, journal)
    halt(database, ALL, reason="the news", by="a person", at=BAR)
    halt(database, ALL, reason="again", by="a person", at=BAR)
    desk.send(request())
    assert journal.orders()[0].reason == "halted: the news"
    assert not resume(database, "d1")
    assert resume(database, ALL)
    desk.send(request(symbol="ETH/USDT"))
    assert desk.told()[-1] == ("MARKET", "BUY", "FILLED")


def test_dust_is_written_off_once_and_keeps_the_cash(database: Database, journal: Journal) -> None:
    desk = Desk(database, journal)
    desk.send(request())
    cash = journal.ledger.cash
    dust = LedgerEntry(
        entry_id="dust-1",
        symbol="BTC/USDT",
        kind=EntryKind.WRITE_OFF,
        quantity=Decimal("-0.5"),
        price=Decimal(100),
        note="dust: notional_min: 1 breaks the bound 5",
        by="dust",
        time=BAR,
    )
    assert journal.book(dust)
    assert not journal.book(dust)
    assert (journal.positions(), journal.ledger.cash) == ({}, cash)
    assert journal.ledger.written_off() == {"BTC/USDT": Decimal("0.5")}
    back = replace(dust, entry_id="dust-2", quantity=Decimal("0.5"))
    assert journal.book(back)
    assert (journal.held("BTC/USDT"), journal.ledger.written_off(), journal.ledger.cash) == (Decimal("0.5"), {}, cash)
    assert fold(Decimal(0), events_of(database, "d1")).positions == journal.positions()
