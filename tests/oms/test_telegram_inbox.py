"""No press is lost: not by an offset, not by a number that was seen before, not by whoever reads, or dies while it does."""

from __future__ import annotations

import json
import os
import signal
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest

from algo_py.clock import FrozenClock
from algo_py.database import Database
from algo_py.errors import VenueDown
from algo_py.oms.telegram import TelegramOMS
from algo_py.orders.journal import Journal
from algo_py.orders.model import OrderReport, OrderStatus
from tests.databases import with_tables
from tests.finstore.processes import forked
from tests.oms.test_telegram import NOW, Desk
from tests.venues.server import Fault, Request
from tests.venues.telegram import TelegramServer

DAY_S = 86_400.0


@pytest.fixture
def desk(tmp_path: Path) -> Iterator[Desk]:
    database = Database(with_tables(tmp_path / "algo.db"))
    with TelegramServer() as server:
        yield Desk(server, database, tmp_path / "limits", FrozenClock(NOW))
    database.close()


def is_editing(request: Request) -> bool:
    return request.path.endswith("/editMessageText")


def pass_days(desk: Desk, days: int) -> None:
    desk.clock.sleep(days * DAY_S)
    desk.server.clock_offset_s += days * DAY_S


# Numbers that begin anew.


@pytest.mark.parametrize("first", [50, 6_990, 6_997, 7_000, 9_000, 2_000_000_000])
def test_four_presses_after_a_quiet_week_are_four_answers(desk: Desk, first: int) -> None:
    oms = desk.open()
    before = [desk.order(number) for number in range(3)]
    for order in before:
        desk.server.press(desk.sent(oms, order), "Done at")
    assert all(desk.found(oms, order).status is OrderStatus.FILLED for order in before)
    pass_days(desk, 8)
    desk.server.begin_ids_anew(first)
    after = [desk.order(number) for number in range(3, 7)]
    for order in after:
        desk.server.press(desk.sent(oms, order), "Done at")
    assert [desk.found(oms, order).status for order in after] == [OrderStatus.FILLED] * 4
    assert desk.server.answers == ["Noted."] * 7
    assert desk.server.updates == []  # all of them are confirmed


def test_a_reading_begins_with_nothing_confirmed(desk: Desk) -> None:
    oms, order = desk.open(), desk.order()
    message = desk.sent(oms, order)
    for _ in range(2):
        desk.server.press(message, "Done at another")
        desk.found(oms, order)
    offsets = [request.values.get("offset") for request in desk.server.asked("getUpdates")]
    assert offsets == [None, "7001", None, "7002"]


def test_more_than_telegram_hands_out_at_once_is_read(desk: Desk) -> None:
    oms, order = desk.open(), desk.order()
    message = desk.sent(oms, order)
    for number in range(230):
        desk.server.write(f"small talk {number}")
    desk.server.press(message, "Done at")
    assert desk.found(oms, order).status is OrderStatus.FILLED


def test_what_nobody_reads_any_more_is_not_kept_for_ever(desk: Desk) -> None:
    oms = desk.open()
    for number in range(4):
        order = desk.order(number)
        desk.server.press(desk.sent(oms, order), "Done at")
        desk.found(oms, order)
        pass_days(desk, 3)
    with desk.database.read() as connection:
        kept = connection.exec_driver_sql("SELECT COUNT(*) FROM telegram_updates").scalar()
    assert kept == 3


# Whoever reads, and whoever dies.


@pytest.mark.parametrize("when", ["before it acts", "before it confirms"])
def test_killed_while_it_reads_nothing_is_lost_and_nothing_counts_twice(desk: Desk, when: str) -> None:
    order = desk.order()
    desk.server.press(desk.sent(desk.open(), order), "Done at")

    def die(*_: Any) -> list[Any]:
        os.kill(os.getpid(), signal.SIGKILL)
        return []

    def read() -> None:
        oms = desk.open()
        if when == "before it acts":
            oms._inbox._act = die  # type: ignore[assignment]
        else:
            real = oms._chat.updates
            oms._chat.updates = lambda offset: real(offset) if offset is None else die()  # type: ignore[method-assign]
        oms.find(order, NOW)

    desk.database.close()
    os.waitpid(forked(read), 0)
    oms = desk.open()
    report = desk.found(oms, order)
    assert (report.status, len(report.fills)) == (OrderStatus.FILLED, 1)
    assert oms.fills_since(NOW) == list(report.fills)
    assert desk.server.updates == []


def test_an_answer_that_another_deployment_reads_waits_for_its_own(desk: Desk) -> None:
    first, second = desk.order(0), desk.order(1)
    message = desk.sent(desk.open("d1"), first)
    desk.server.press(message, "Done at")
    other = desk.open("d2")
    desk.sent(other, second)
    assert desk.found(other, second).status is OrderStatus.ACCEPTED
    assert desk.server.answers == ["Noted."]
    assert message.buttons == {}
    assert desk.found(desk.open("d1"), first).status is OrderStatus.FILLED


def test_whoever_connects_reads_what_waited(desk: Desk) -> None:
    order = desk.order()
    message = desk.sent(desk.open("d1"), order)
    desk.server.press(message, "Skipped")
    desk.open("d2").connect()
    assert desk.server.answers == ["Noted."]
    assert "skipped by hand" in message.text


# After the order has ended.


def test_what_was_canceled_has_no_buttons_even_if_the_chat_could_not_be_told_at_first(desk: Desk) -> None:
    oms, order = desk.open(), desk.order()
    message = desk.sent(oms, order)
    desk.server.fail(Fault(applies=is_editing, drop=True))
    oms.cancel(order, NOW)
    assert message.buttons
    desk.open("d2").connect()  # any process of the bot does
    assert message.buttons == {}
    assert message.text.endswith("<b>canceled on request</b>")
    desk.open("d2").connect()
    assert len(desk.server.asked("editMessageText")) == 2


def test_a_message_that_nobody_can_change_is_not_tried_for_ever(desk: Desk) -> None:
    oms, order = desk.open(), desk.order()
    desk.sent(oms, order)
    desk.server.messages.clear()
    oms.cancel(order, NOW)
    for _ in range(3):
        desk.open().connect()
    assert len(desk.server.asked("editMessageText")) == 1


def test_a_press_on_what_was_canceled_is_refused_and_takes_the_buttons_away(desk: Desk) -> None:
    oms, order = desk.open(), desk.order()
    desk.server.lose_answer()
    with pytest.raises(Exception, match="did not say whether"):
        oms.submit(order)
    oms.cancel(order, NOW)  # where its message stands is not known
    [message] = desk.server.messages
    desk.server.press(message, "Done at")
    assert desk.found(oms, order).status is OrderStatus.CANCELED
    assert desk.server.answers == ["It is settled already: canceled on request."]
    assert message.buttons == {}


def test_a_press_that_came_before_the_cancel_counts(desk: Desk) -> None:
    oms, order = desk.open(), desk.order()
    desk.server.press(desk.sent(oms, order), "Done at")
    oms.cancel(order, NOW)
    assert desk.found(oms, order).status is OrderStatus.FILLED


def test_a_press_on_what_a_person_has_settled_elsewhere_is_refused(desk: Desk) -> None:
    oms, order = desk.open(), desk.order()
    journal = Journal(desk.database, desk.clock, deployment_id="d1", venue="telegram", account="@algo_bot/d1")
    journal.plan_now(order)
    journal.mark(order.client_order_id, OrderStatus.SUBMITTING)
    message = desk.sent(oms, order)
    journal.record(
        OrderReport(client_order_id=order.client_order_id, venue_order_id="", status=OrderStatus.CANCELED, reason="by hand")
    )
    desk.server.press(message, "Done at")
    desk.open("d2").connect()
    assert desk.server.answers == ["It is settled already: canceled, and not in this chat."]
    assert message.buttons == {}
    assert desk.open().fills_since(NOW) == []


def test_what_is_settled_is_told_though_telegram_cannot_be_reached(desk: Desk) -> None:
    oms, first, second = desk.open(), desk.order(0), desk.order(1)
    for order in (first, second):
        desk.sent(oms, order)
    desk.server.stop_listening()
    oms.cancel(first, NOW)
    assert desk.found(oms, first).status is OrderStatus.CANCELED
    with pytest.raises(VenueDown):
        oms.find(second, NOW)


# Updates that are no answer.

ODD: Mapping[str, dict[str, Any]] = {
    "no chat": {"callback_query": {"id": "q1", "message": {"message_id": 100}, "data": "d:x"}},
    "no message": {"callback_query": {"id": "q1", "data": "d:x"}},
    "a list": {"callback_query": [1, 2]},
    "null": {"message": None},
    "a word for a number": {"message": {"message_id": "x", "chat": {"id": -1001}, "reply_to_message": {"message_id": "x"}}},
    "a list for a chat": {"message": {"message_id": 1, "chat": [], "reply_to_message": {"message_id": 100}}},
    "moved to nowhere": {"message": {"message_id": 1, "chat": {"id": -1001}, "migrate_to_chat_id": "elsewhere"}},
    "moved to itself": {"message": {"message_id": 1, "chat": {"id": -1001}, "migrate_to_chat_id": -1001}},
    "nothing": {},
}


@pytest.mark.parametrize("content", ODD.values(), ids=ODD.keys())
def test_an_update_of_another_shape_stands_in_nobodys_way(desk: Desk, content: dict[str, Any]) -> None:
    class Odd:
        update_id = 6_999

        def to_json(self) -> str:
            return json.dumps(content)

    oms, order = desk.open(), desk.order()
    desk.server.press(desk.sent(oms, order), "Done at")
    oms._inbox._store([Odd()])
    assert desk.found(oms, order).status is OrderStatus.FILLED
    assert isinstance(oms, TelegramOMS)
    assert oms._chat.ids == ["-1001"]
