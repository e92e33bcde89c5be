"""Prices that a person types: one that is off by a digit is asked again, and nothing is booked before it is confirmed."""

from __future__ import annotations

from collections.abc import Iterator
from decimal import Decimal
from pathlib import Path

import pytest

from algo_py.clock import FrozenClock
from algo_py.database import Database
from algo_py.orders.model import OrderRequest, OrderStatus
from tests.databases import with_tables
from tests.oms.test_telegram import NOW, Desk
from tests.venues.telegram import Message, TelegramServer

REFERENCE = Decimal(1234)


@pytest.fixture
def desk(tmp_path: Path) -> Iterator[Desk]:
    database = Database(with_tables(tmp_path / "algo.db"))
    with TelegramServer() as server:
        yield Desk(server, database, tmp_path / "limits", FrozenClock(NOW))
    database.close()


def asked(desk: Desk) -> tuple[OrderRequest, Message]:
    """Send an order at 1234 and have its price asked for; return the order and the question."""
    oms, order = desk.open(), desk.order(reference_price=REFERENCE)
    message = desk.sent(oms, order)
    desk.server.press(message, "Done at another")
    assert desk.found(oms, order).status is OrderStatus.ACCEPTED
    return order, desk.server.messages[-1]


def answered(desk: Desk, order: OrderRequest, given: str) -> tuple[OrderStatus, list[Decimal]]:
    """Answer the newest question; return how the order then stands, and at which prices it was filled."""
    question = next(one for one in reversed(desk.server.messages) if one.wants_reply)
    desk.server.write(given, to=question)
    report = desk.found(desk.open(), order)
    return report.status, [fill.price for fill in report.fills]


OPEN: tuple[OrderStatus, list[Decimal]] = (OrderStatus.ACCEPTED, [])


@pytest.mark.parametrize(
    ("given", "far"),
    [("65", "65 is 95 % below the reference 1234"), ("1,00,000", "100000 is 81 times the reference 1234"), ("986", "20 % below")],
)
def test_a_price_far_from_the_reference_is_booked_once_it_was_typed_twice(desk: Desk, given: str, far: str) -> None:
    order, _ = asked(desk)
    assert answered(desk, order, given) == OPEN
    assert far in desk.server.messages[-1].text
    assert "again with the same number to confirm" in desk.server.messages[-1].text
    assert answered(desk, order, given) == (OrderStatus.FILLED, [Decimal(given.replace(",", ""))])


@pytest.mark.parametrize("given", ["988", "1,480.5"])
def test_a_price_near_the_reference_is_booked_at_once(desk: Desk, given: str) -> None:
    order, _ = asked(desk)
    assert answered(desk, order, given) == (OrderStatus.FILLED, [Decimal(given.replace(",", ""))])


def test_another_number_confirms_nothing(desk: Desk) -> None:
    order, first = asked(desk)
    assert answered(desk, order, "65") == OPEN
    assert answered(desk, order, "66") == OPEN
    assert answered(desk, order, "66,5") == OPEN
    assert answered(desk, order, "66") == OPEN  # what stood between has ended the confirmation
    desk.server.write("66", to=first)  # and the first question is not listened to any more
    assert desk.found(desk.open(), order).status is OrderStatus.ACCEPTED
    assert answered(desk, order, "1230") == (OrderStatus.FILLED, [Decimal(1230)])


def test_it_is_not_asked_for_ever(desk: Desk) -> None:
    order, _ = asked(desk)
    for number in range(12):
        assert answered(desk, order, str(10 + number)) == OPEN
    assert "asked too often, so nothing is booked" in desk.server.messages[-1].text
    assert len([one for one in desk.server.messages if one.wants_reply]) == 10
    desk.server.press(desk.server.messages[0], "Done at")
    assert desk.found(desk.open(), order).fills[0].price == REFERENCE


def test_an_answer_that_comes_too_late_is_told(desk: Desk) -> None:
    order, question = asked(desk)
    desk.open().cancel(order, NOW)
    desk.server.write("1230", to=question)
    assert desk.found(desk.open(), order).status is OrderStatus.CANCELED
    assert "It is settled already: canceled on request" in desk.server.messages[-1].text
