"""Answers of Binance that make no sense: each ends in an error that says what to do, and nothing of it is booked."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from algo_py.errors import OutcomeUnknown, VenueDown
from algo_py.orders.model import OrderStatus
from tests.oms.binance_desk import Desk, desk_in
from tests.venues.binance_trading import is_order
from tests.venues.server import Fault, Reply, Request

TRADES, ORDER, ACCOUNT, TIME = "/api/v3/myTrades", "/api/v3/order", "/api/v3/account", "/api/v3/time"
MISSING: Any = object()
ENDLESS = 1e400  # the client does not take that for JSON
# As they may stand in JSON: Python reads 1e400 as infinity.
SENSELESS = ["NaN", "-1", "1e400", "1e30", "", None, [], {}, True, "0x1", "１", ENDLESS, MISSING]


@pytest.fixture
def desk(tmp_path: Path) -> Iterator[Desk]:
    with desk_in(tmp_path) as desk:
        yield desk


def asks(path: str, method: str = "GET") -> Callable[[Request], bool]:
    return lambda request: request.path == path and request.method == method


def put(content: Any, path: tuple[str | int, ...], value: Any) -> Any:
    """Return the content with another value at a place, or without that place."""
    copy = json.loads(json.dumps(content))
    inner = copy
    for step in path[:-1]:
        inner = inner[step]
    if value is MISSING:
        del inner[path[-1]]
    else:
        inner[path[-1]] = value
    return copy


def changed(applies: Callable[[Request], bool], *path: str | int, value: Any) -> Fault:
    """Have an answer say something else at one place."""

    def change(reply: Reply) -> Reply:
        text = json.dumps(put(json.loads(reply.body), path, value)).replace("Infinity", "1e400")
        return replace(reply, body=text.encode())

    return Fault(applies=applies, change=change)


@pytest.mark.parametrize("value", SENSELESS, ids=lambda value: repr(value)[:12])
@pytest.mark.parametrize("name", ["price", "qty", "commission"])
def test_a_trade_that_cannot_be_booked_is_an_unknown_outcome_that_names_it(desk: Desk, name: str, value: Any) -> None:
    oms = desk.connected()
    order = desk.order()
    desk.server.fail(changed(is_order, "fills", 1, name, value=value))
    with pytest.raises(OutcomeUnknown, match=None if value in (MISSING, ENDLESS) else f"{name} of trade"):
        oms.submit(order)
    desk.server.fail(changed(asks(TRADES), 1, name, value=value))
    with pytest.raises((OutcomeUnknown, VenueDown), match=None if value in (MISSING, ENDLESS) else f"{name} of trade"):
        oms.find(order, desk.clock.now())
    assert desk.found(oms, order).status is OrderStatus.FILLED


@pytest.mark.parametrize(
    ("asset", "commission"), [("USDT", "20.1"), ("BTC", "0.2"), ("", "0.01"), ("a very long name of it", "0.01"), (7, "0.01")]
)
def test_a_commission_beyond_the_trade_is_not_booked(desk: Desk, asset: Any, commission: str) -> None:
    oms = desk.connected()
    order = desk.order(quantity="0.6")
    desk.server.matching.fee_asset = "USDT"

    def change(reply: Reply) -> Reply:
        content = put(json.loads(reply.body), ("fills", 0, "commissionAsset"), asset)
        return replace(reply, body=json.dumps(put(content, ("fills", 0, "commission"), commission)).encode())

    desk.server.fail(Fault(applies=is_order, change=change))
    with pytest.raises(OutcomeUnknown, match="commission"):
        oms.submit(order)


PLACES: dict[str, tuple[str | int, ...]] = {
    "orderId": ("orderId",),
    "orderListId": ("orderListId",),
    "side": ("side",),
    "type": ("type",),
    "status": ("status",),
    "origQty": ("origQty",),
    "executedQty": ("executedQty",),
    "transactTime": ("transactTime",),
    "fills": ("fills",),
    "fill": ("fills", 0),
    "tradeId": ("fills", 0, "tradeId"),
    "asset": ("fills", 0, "commissionAsset"),
}
ODD = st.one_of(
    st.none(), st.booleans(), st.integers(), st.floats(), st.text(max_size=8), st.just(10**400), st.just("9" * 400),
    st.lists(st.integers(), max_size=2), st.dictionaries(st.text(max_size=3), st.integers(), max_size=2), st.just(MISSING),
)  # fmt: skip


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(place=st.sampled_from(sorted(PLACES)), value=ODD)
def test_whatever_an_answer_holds_an_order_ends_in_a_report_or_an_unknown_outcome(desk: Desk, place: str, value: Any) -> None:
    oms = desk.connected()
    desk.server.deposit("USDT", "100")
    order = desk.order(quantity="0.1")
    desk.server.forget()
    desk.server.fail(changed(is_order, *PLACES[place], value=value))
    try:
        report = oms.submit(order)
    except OutcomeUnknown:
        report = desk.found(oms, order)
    assert report.client_order_id == order.client_order_id
    desk.server.fail(
        changed(asks(ORDER), *PLACES[place][:1], value=value) if place in LOOKED_UP else Fault(applies=asks("never"))
    )
    try:
        report = desk.found(oms, order)
    except (OutcomeUnknown, VenueDown):
        return
    assert all(fill.quantity > 0 and fill.price > 0 and fill.fee >= 0 for fill in report.fills)


LOOKED_UP = {"orderId", "orderListId", "side", "type", "status", "origQty", "executedQty"}


@pytest.mark.parametrize(
    "body", ["[]", "{}", "null", "7", '"x"', "[" * 100_000, '{"serverTime": 1e400}', '{"serverTime": "9e9"}']
)
def test_no_answer_of_another_shape_goes_beyond_the_adapter(desk: Desk, body: str) -> None:
    oms = desk.connected()
    order = desk.order()
    oms.submit(order)
    for path in (ORDER, TRADES, ACCOUNT):
        desk.server.fail(Fault(applies=asks(path), reply=Reply(body=body.encode())))
        try:
            oms.positions() if path == ACCOUNT else oms.find(order, desk.clock.now())
        except (OutcomeUnknown, VenueDown):
            continue
    desk.server.forget()
    desk.server.fail(Fault(applies=asks(TIME), reply=Reply(body=body.encode())))
    with pytest.raises(VenueDown):
        desk.open().connect()


@pytest.mark.parametrize("value", SENSELESS, ids=lambda value: repr(value)[:12])
def test_a_balance_that_is_no_amount_is_not_believed(desk: Desk, value: Any) -> None:
    oms = desk.connected()
    oms.submit(desk.order())
    desk.server.fail(changed(asks(ACCOUNT), "balances", 0, "free", value=value), times=2)
    for ask in (oms.positions, oms.connect):
        with pytest.raises(VenueDown):
            ask()
    desk.server.forget()
    desk.server.fail(changed(asks("/api/v3/ticker/price"), "price", value=value))
    with suppress(VenueDown):
        assert oms.last_prices(["BTC/USDT"]) == {}, "it is left out, or the answer is refused"
