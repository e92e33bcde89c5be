"""A group that has become a supergroup: another id, messages that count anew, and not one order that is lost on the way."""

from __future__ import annotations

from collections.abc import Iterator
from decimal import Decimal
from pathlib import Path

import pytest

from algo_py.clock import FrozenClock
from algo_py.database import Database
from algo_py.errors import VenueDown
from algo_py.orders.model import OrderStatus
from tests.databases import with_tables
from tests.oms.test_telegram import NOW, Desk
from tests.venues.server import Fault, Reply
from tests.venues.telegram import CHAT, SUPERGROUP, TelegramServer, is_sending


@pytest.fixture
def desk(tmp_path: Path) -> Iterator[Desk]:
    database = Database(with_tables(tmp_path / "algo.db"))
    with TelegramServer() as server:
        yield Desk(server, database, tmp_path / "limits", FrozenClock(NOW))
    database.close()


def asked_of(desk: Desk, chat: str) -> int:
    return sum(request.values.get("chat_id") == chat for request in desk.server.requests)


@pytest.mark.parametrize("tells", [True, False])
def test_the_order_goes_to_where_the_chat_is_now_and_is_answered_there(desk: Desk, tells: bool) -> None:
    oms, order = desk.open(), desk.order()
    desk.server.upgrade(tells=tells)
    report = oms.submit(order)
    assert (report.status, report.reason) == (OrderStatus.ACCEPTED, "")
    [message] = desk.server.messages
    assert message.chat == SUPERGROUP
    desk.server.press(message, "Done at")
    assert desk.found(oms, order).status is OrderStatus.FILLED
    assert message.buttons == {}


def test_it_is_remembered_and_said(desk: Desk) -> None:
    desk.open().submit(desk.order(0))
    desk.server.upgrade(tells=False)
    desk.open().submit(desk.order(1))
    desk.server.forget()
    oms = desk.open()
    assert any(f"TELEGRAM_CHAT_ID={SUPERGROUP}" in warning for warning in oms.connect().warnings)
    oms.submit(desk.order(2))
    assert asked_of(desk, CHAT) == 0
    assert desk.open(chat=SUPERGROUP).connect().warnings == ()


def test_the_service_message_is_enough(desk: Desk) -> None:
    oms = desk.open()
    desk.server.upgrade()
    oms.fills_since(NOW)
    desk.server.forget()
    oms.submit(desk.order())
    assert asked_of(desk, CHAT) == 0


def test_it_may_move_more_than_once(desk: Desk) -> None:
    oms = desk.open()
    desk.server.upgrade("-1009000000001", tells=False)
    desk.server.upgrade("-1009000000002", tells=False)
    desk.sent(oms, desk.order())
    assert desk.server.messages[0].chat == "-1009000000002"


def test_a_press_on_a_message_of_the_old_chat_counts(desk: Desk) -> None:
    oms, order = desk.open(), desk.order()
    message = desk.sent(oms, order)
    desk.server.upgrade()
    desk.server.press(message, "Done at")
    assert desk.found(oms, order).status is OrderStatus.FILLED
    assert "done at 100.5" in desk.server.messages[-1].text  # the old message cannot be changed any more
    assert desk.server.messages[-1].chat == SUPERGROUP


def test_messages_of_the_two_chats_are_not_mixed_up(desk: Desk) -> None:
    oms, first, second = desk.open(), desk.order(0), desk.order(1)
    old = desk.sent(oms, first)
    desk.server.press(old, "Done at another")
    desk.found(oms, first)
    old_question = desk.server.messages[-1]
    desk.server.upgrade()
    for _ in range(old.id - 102):
        desk.server.write("small talk")
    new = desk.sent(oms, second)
    desk.server._counts[SUPERGROUP] = old_question.id - 1  # the next one has the old question's number
    desk.server.press(new, "Done at another")
    desk.found(oms, second)
    question = desk.server.messages[-1]
    assert (question.id, question.chat) == (old_question.id, SUPERGROUP)
    desk.server.write("101", to=question)
    assert desk.found(oms, second).fills[0].price == Decimal(101)
    assert desk.found(oms, first).status is OrderStatus.ACCEPTED
    oms.cancel(first, NOW)
    assert "canceled" not in next(one for one in desk.server.messages if one is new).text


@pytest.mark.parametrize("moved_to", ["-1001", "0x1", "true", "1e400"])
def test_a_chat_that_has_moved_nobody_knows_where_is_no_end(desk: Desk, moved_to: str) -> None:
    body = f'{{"ok": false, "error_code": 400, "description": "Bad Request", "parameters": {{"migrate_to_chat_id": {moved_to}}}}}'
    desk.server.fail(Fault(applies=is_sending, reply=Reply(status=400, body=body.encode())), times=9)
    oms, order = desk.open(), desk.order()
    with pytest.raises(Exception, match="Telegram") as error:
        oms.submit(order)
    desk.server.forget()
    if isinstance(error.value, VenueDown):  # certainly not sent, so it may be sent anew
        assert oms.submit(order).status is OrderStatus.ACCEPTED
