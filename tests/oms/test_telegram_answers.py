"""Answers of Telegram that make no sense, and waits that it dictates."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from algo_py.clock import FrozenClock
from algo_py.database import Database
from algo_py.errors import AuthFailed, OutcomeUnknown, RateLimited, Rejected, VenueDown
from algo_py.orders.model import Leg, OrderStatus, Side
from tests.databases import with_tables
from tests.limits import aged
from tests.oms.test_telegram import NOW, Desk
from tests.venues.server import Fault, Reply, Request
from tests.venues.telegram import TelegramServer, is_sending, too_many


@pytest.fixture
def desk(tmp_path: Path) -> Iterator[Desk]:
    database = Database(with_tables(tmp_path / "algo.db"))
    with TelegramServer() as server:
        yield Desk(server, database, tmp_path / "limits", FrozenClock(NOW))
    database.close()


def is_reading(request: Request) -> bool:
    return request.path.endswith("/getUpdates")


ODD: dict[str, str] = {
    "nothing": "",
    "a page": "<html>",
    "null": "null",
    "a list": "[]",
    "a number": "7",
    "without a result": '{"ok": true}',
    "a null result": '{"ok": true, "result": null}',
    "a list for a message": '{"ok": true, "result": []}',
    "a message without a number": '{"ok": true, "result": {"date": 0, "chat": {"id": -1001, "type": "group"}}}',
    "a number that is none": '{"ok": true, "result": {"message_id": [], "date": 0, "chat": {"id": -1001, "type": "group"}}}',
    "an endless number": '{"ok": true, "result": {"message_id": 1e400, "date": 0, "chat": {"id": -1001, "type": "group"}}}',
    "an endless date": '{"ok": true, "result": {"message_id": 5, "date": 1e400, "chat": {"id": -1001, "type": "group"}}}',
    "a word for a chat": '{"ok": true, "result": {"message_id": 5, "date": 0, "chat": "here"}}',
    "very deep": "[" * 100_000,
}


@pytest.mark.parametrize("body", ODD.values(), ids=ODD.keys())
def test_an_answer_of_another_shape_may_mean_that_the_message_was_sent(desk: Desk, body: str) -> None:
    oms, order = desk.open(), desk.order()
    desk.server.fail(Fault(applies=is_sending, reply=Reply(body=body.encode()), late=True))
    with pytest.raises(OutcomeUnknown):
        oms.submit(order)
    desk.server.press(desk.server.messages[0], "Done at")
    desk.server.fail(Fault(applies=is_reading, reply=Reply(body=body.encode())))
    try:
        oms.find(order, NOW)
    except VenueDown:
        assert desk.server.answers == []
    assert desk.found(oms, order).status is OrderStatus.FILLED


PARAMETERS: list[Any] = [{"retry_after": "soon"}, {"retry_after": []}, {"retry_after": 1e400}, {"retry_after": -5}, [], 7, "x"]


@pytest.mark.parametrize("parameters", PARAMETERS, ids=str)
def test_a_refusal_of_another_shape_ends_in_a_named_error(desk: Desk, parameters: Any) -> None:
    content = {"ok": False, "error_code": 429, "description": "Too Many Requests", "parameters": parameters}
    body = json.dumps(content).replace("Infinity", "1e400").encode()
    oms, order = desk.open(), desk.order()
    desk.server.fail(Fault(applies=is_sending, reply=Reply(status=429, body=body)))
    with pytest.raises((OutcomeUnknown, RateLimited, VenueDown)):
        oms.submit(order)


SCALARS = st.one_of(st.none(), st.booleans(), st.integers(), st.floats(), st.text(max_size=5))
JSON = st.recursive(
    SCALARS, lambda inner: st.lists(inner, max_size=2) | st.dictionaries(st.text(max_size=5), inner, max_size=2), max_leaves=4
)


@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(result=JSON, status=st.sampled_from([200, 400, 403, 429, 500]))
def test_whatever_telegram_answers_a_read_ends_in_a_named_error_or_nothing(desk: Desk, result: Any, status: int) -> None:
    oms = desk.open()
    desk.server.forget()
    body = json.dumps({"ok": status == 200, "result": result, "parameters": result}).encode()
    desk.server.fail(Fault(applies=is_reading, reply=Reply(status=status, body=body)))
    with suppress(VenueDown, RateLimited, Rejected, AuthFailed):
        oms.fills_since(NOW)


def test_a_silence_without_end_keeps_nobody_from_what_makes_a_position_safe(desk: Desk) -> None:
    oms, waiting = desk.open(), desk.order(0)
    message = desk.sent(oms, waiting)
    desk.server.fail(Fault(applies=is_sending, reply=too_many(99_999_999)))
    with pytest.raises(RateLimited):
        oms.submit(desk.order(1))
    sale = desk.order(2, side=Side.SELL, leg=Leg.EXIT, client_order_id="thesaleofwhatisheld0")
    with pytest.raises(RateLimited):
        oms.submit(sale)
    desk.server.press(message, "Done at")
    aged(desk.folder, 30)
    with pytest.raises(RateLimited):
        oms.submit(desk.order(3))
    assert oms.submit(sale).status is OrderStatus.ACCEPTED
    assert desk.found(oms, waiting).status is OrderStatus.FILLED
    oms.cancel(sale, NOW)
    assert desk.server.messages[-1].buttons == {}
    aged(desk.folder, 270)
    assert oms.submit(desk.order(4)).status is OrderStatus.ACCEPTED
