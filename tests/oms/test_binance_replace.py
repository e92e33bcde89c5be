"""A stop that takes another's place in one request, and what is certain of both whatever happens on the way."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import replace
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from algo_py.errors import OutcomeUnknown, RateLimited, Refused, Rejected, RuleBroken, TooManyStops, VenueDown, WouldTrigger
from algo_py.oms.binance import BinanceOMS
from algo_py.orders.model import OrderRequest, OrderStatus, OrderType, Side
from tests.oms.binance_desk import REQUEST_S, Desk, desk_in
from tests.venues.binance import error
from tests.venues.binance_faults import is_replacement
from tests.venues.binance_signed import CANCEL_REPLACE
from tests.venues.server import Fault

S = OrderStatus


@pytest.fixture
def desk(tmp_path: Path) -> Iterator[Desk]:
    with desk_in(tmp_path) as desk:
        desk.server.deposit("BTC", "1")
        yield desk


def stop(desk: Desk, price: str = "90", **more: object) -> OrderRequest:
    given: dict[str, Any] = {"quantity": "1", "stop_price": Decimal(price), **more}
    return desk.order(side=Side.SELL, type=OrderType.STOP, reason="stop_loss", **given)


def both(desk: Desk, price: str = "95") -> tuple[BinanceOMS, OrderRequest, OrderRequest]:
    """Return an adapter, a stop that rests for all that is held, and one that is to take its place."""
    oms, old, new = desk.connected(), stop(desk), stop(desk, price)
    oms.submit(old)
    return oms, old, new


def statuses(desk: Desk, oms: BinanceOMS, *orders: OrderRequest) -> list[OrderStatus | None]:
    """Look orders up once everything is certain; None is for one that does not exist."""
    planned_at = desk.clock.now()
    desk.pass_time()
    reports = [oms.find(order, planned_at) for order in orders]
    return [None if report is None else report.status for report in reports]


def test_there_is_no_moment_without_a_stop(desk: Desk) -> None:
    oms, old, new = both(desk)
    assert oms.capabilities.replaces_stops
    report = oms.replace(old, new, desk.clock.now())
    assert (report.client_order_id, report.status) == (new.client_order_id, S.ACCEPTED)
    assert len(desk.server.asked(CANCEL_REPLACE)) == 1
    assert statuses(desk, oms, old, new) == [S.CANCELED, S.ACCEPTED]
    desk.server.set_price("BTC/USDT", "94")
    assert desk.found(oms, new).status is S.FILLED
    assert oms.positions() == []


def test_what_filters_refuse_leaves_the_old_stop(desk: Desk) -> None:
    oms, old, _ = both(desk)
    new = stop(desk, "95.001")
    with pytest.raises(RuleBroken, match="PRICE_FILTER"):
        oms.replace(old, new, desk.clock.now())
    desk.server.set_filter("BTC/USDT", stops_max=1)
    again = stop(desk, "95")
    with pytest.raises(TooManyStops):
        oms.replace(old, again, desk.clock.now())
    assert statuses(desk, oms, old, new, again) == [S.ACCEPTED, None, None]


def test_a_new_stop_that_would_act_at_once_costs_the_old_one(desk: Desk) -> None:
    """409 with -2021: the caller is told so, and finds the old one canceled."""
    oms, old, new = both(desk, "101")
    with pytest.raises(WouldTrigger, match="canceled the old one, and then refuses"):
        oms.replace(old, new, desk.clock.now())
    assert statuses(desk, oms, old, new) == [S.CANCELED, None]


def test_the_old_stop_has_fired_meanwhile(desk: Desk) -> None:
    oms, old, new = both(desk, "95")
    desk.server.fail(desk.server.moves_before("BTC/USDT", "85", applies=is_replacement))
    with pytest.raises(Rejected, match="could not cancel the old one"):
        oms.replace(old, new, desk.clock.now())
    assert statuses(desk, oms, old, new) == [S.FILLED, None]


@pytest.mark.parametrize("taken", [True, False])
@pytest.mark.parametrize("how", ["dropped", "503", "late", "nonsense"])
def test_nobody_answers(desk: Desk, how: str, taken: bool) -> None:
    oms, old, new = both(desk)
    server = desk.server
    fault = {
        "dropped": server.drop(taken=taken, applies=is_replacement),
        "503": server.server_error(taken=taken, applies=is_replacement),
        "late": server.answer_late(REQUEST_S * 1.5, is_replacement) if taken else server.lose(REQUEST_S * 1.5, is_replacement),
        "nonsense": server.nonsense(is_replacement) if taken else server.refuse(-1006, "Unknown.", applies=is_replacement),
    }[how]
    server.fail(fault)
    with pytest.raises(OutcomeUnknown):
        oms.replace(old, new, desk.clock.now())
    assert len(server.asked(CANCEL_REPLACE)) == 1
    if not taken:
        with pytest.raises(OutcomeUnknown):  # it may yet arrive
            oms.find(new, desk.clock.now())
    assert statuses(desk, oms, new, old) == ([S.ACCEPTED, S.CANCELED] if taken else [None, S.ACCEPTED])


def _parts(canceled: str, placed: str, answer: dict[str, Any] | None) -> bytes:
    data = {"cancelResult": canceled, "newOrderResult": placed, "cancelResponse": answer, "newOrderResponse": answer}
    return json.dumps({"code": -2021, "msg": "Order cancel-replace partially failed.", "data": data}).encode()


@pytest.mark.parametrize(
    "body",
    [
        _parts("SUCCESS", "FAILURE", {"code": -1006, "msg": "Execution status unknown."}),
        _parts("SUCCESS", "FAILURE", {"code": -2010, "msg": "Duplicate order sent."}),
        _parts("SUCCESS", "FAILURE", None),
        _parts("FAILURE", "SUCCESS", {}),
        b'{"code":-2021,"msg":"Order cancel-replace partially failed."}',
        b'{"code":-2022,"msg":"Order cancel-replace failed.","data":[]}',
    ],
)
def test_a_part_of_which_nobody_can_say_what_it_was(desk: Desk, body: bytes) -> None:
    oms, old, new = both(desk)
    desk.server.fail(Fault(applies=is_replacement, reply=replace(error(-2021, ""), status=409, body=body)))
    with pytest.raises(OutcomeUnknown):
        oms.replace(old, new, desk.clock.now())


def test_too_many_requests_and_no_connection(desk: Desk) -> None:
    oms, old, new = both(desk)
    desk.server.keeps_connections = False
    assert oms.last_prices(["BTC/USDT"])
    desk.server.stop_listening()
    with pytest.raises(VenueDown):
        oms.replace(old, new, desk.clock.now())


def test_a_429_leaves_the_old_stop(desk: Desk) -> None:
    oms, old, new = both(desk)
    desk.server.fail(desk.server.too_many(1, applies=is_replacement))
    with pytest.raises(RateLimited):
        oms.replace(old, new, desk.clock.now())
    assert [order.status for order in desk.server.matching.orders] == ["NEW"]


def test_what_it_does_not_replace(desk: Desk) -> None:
    oms, old, new = both(desk)
    pair = stop(desk, "90", target_price=Decimal(120))
    for one, other, words in (
        (old, pair, "a single stop by a single stop"),
        (pair, new, "a single stop by a single stop"),
        (old, desk.order(side=Side.SELL), "a single stop by a single stop"),
        (old, stop(desk, symbol="ETH/USDT"), "of the same symbol"),
        (old, stop(desk, client_order_id=old.client_order_id), "an id of its own"),
    ):
        with pytest.raises(Rejected, match=words):
            oms.replace(one, other, desk.clock.now())
    with pytest.raises(Refused, match="not connected"):
        desk.open().replace(old, new, desk.clock.now())
    assert not desk.server.asked(CANCEL_REPLACE)
