from __future__ import annotations

import contextlib
from dataclasses import replace
from decimal import Decimal

import pytest

from algo_py.database import Database
from algo_py.errors import Conflict, NotFound
from algo_py.orders.journal import Journal
from algo_py.orders.model import OrderReport, OrderStatus
from tests.orders.making import fill_of, filled, request


def plan(database: Database, journal: Journal, *orders: object) -> int:
    with database.write() as connection:
        return len(journal.plan(connection, orders))  # type: ignore[arg-type]


def test_an_intent_is_journaled_once_however_often_it_is_decided(database: Database, journal: Journal) -> None:
    assert plan(database, journal, request()) == 1
    assert plan(database, journal, request()) == 0
    assert [order.status for order in journal.orders()] == [OrderStatus.PLANNED]


def test_orders_keep_the_order_of_their_decisions(database: Database, journal: Journal) -> None:
    wanted = [request(symbol=symbol) for symbol in ("Z", "A", "M")]
    plan(database, journal, *wanted)
    assert [order.request.symbol for order in journal.orders()] == ["Z", "A", "M"]


def test_an_error_inside_the_transaction_leaves_nothing_behind(database: Database, journal: Journal) -> None:
    with contextlib.suppress(ZeroDivisionError), database.write() as connection:
        journal.plan(connection, [request()])
        raise ZeroDivisionError
    assert journal.orders() == []


def test_an_illegal_transition_is_refused(database: Database, journal: Journal) -> None:
    order = request()
    plan(database, journal, order)
    with pytest.raises(Conflict, match="PLANNED and cannot become FILLED"):
        journal.mark(order.client_order_id, OrderStatus.FILLED)
    assert journal.orders()[0].status is OrderStatus.PLANNED


def test_an_unknown_order_is_refused(journal: Journal) -> None:
    with pytest.raises(NotFound):
        journal.mark("nobody", OrderStatus.SUBMITTING)


def test_a_fill_counts_once_however_often_it_is_reported(database: Database, journal: Journal) -> None:
    order = request()
    plan(database, journal, order)
    journal.mark(order.client_order_id, OrderStatus.SUBMITTING)
    assert len(journal.record(filled(order))) == 1
    assert journal.record(filled(order)) == []
    [stored] = journal.orders()
    assert stored.status is OrderStatus.FILLED
    assert stored.filled_quantity == Decimal("0.5")
    assert stored.average_fill_price == Decimal(101)
    assert stored.fee == Decimal("0.1")


def test_a_late_answer_does_not_take_an_order_back(database: Database, journal: Journal) -> None:
    order = request()
    plan(database, journal, order)
    journal.mark(order.client_order_id, OrderStatus.SUBMITTING)
    journal.record(filled(order))
    journal.record(OrderReport(client_order_id=order.client_order_id, venue_order_id="v1", status=OrderStatus.ACCEPTED))
    assert journal.orders()[0].status is OrderStatus.FILLED


def test_a_fill_after_a_cancel_is_kept(database: Database, journal: Journal) -> None:
    order = request()
    plan(database, journal, order)
    journal.mark(order.client_order_id, OrderStatus.SUBMITTING)
    journal.record(OrderReport(client_order_id=order.client_order_id, venue_order_id="v1", status=OrderStatus.CANCELED))
    journal.record(filled(order))
    assert journal.orders()[0].status is OrderStatus.FILLED
    assert len(journal.fills()) == 1


def test_partial_fills_add_up(database: Database, journal: Journal) -> None:
    order = request(quantity="1")
    plan(database, journal, order)
    journal.mark(order.client_order_id, OrderStatus.SUBMITTING)
    half = replace(fill_of(order), quantity=Decimal("0.5"))
    both = (half, replace(half, trade_id="t2", price=Decimal(103)))
    for status, fills in ((OrderStatus.PARTIALLY_FILLED, both[:1]), (OrderStatus.FILLED, both)):
        journal.record(OrderReport(client_order_id=order.client_order_id, venue_order_id="v1", status=status, fills=tuple(fills)))
    [stored] = journal.orders()
    assert stored.filled_quantity == Decimal(1)
    assert stored.average_fill_price == Decimal(102)


def test_amounts_keep_every_digit(database: Database, journal: Journal) -> None:
    digits = "0.1000000000000000055511151231257827"
    plan(database, journal, request(quantity=digits))
    assert str(journal.orders()[0].request.quantity) == digits
