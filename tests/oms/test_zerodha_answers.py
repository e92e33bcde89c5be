"""Answers of Kite that make no sense: each ends in an error that says what to do, and nothing of it is booked."""

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

from algo_py.clock import FrozenClock
from algo_py.errors import OutcomeUnknown, RateLimited, VenueDown
from algo_py.orders.model import OrderStatus, Side
from tests.limits import aged
from tests.oms.zerodha_desk import API_KEY, API_SECRET, INFY, NOON, TOKEN, Desk
from tests.venues.kite_trading import KiteTradingServer, placing
from tests.venues.server import Fault, Reply, Request

MISSING: Any = object()
SENSELESS = ["NaN", -1, "1e400", 1e30, "", None, [], {}, True, "0x1", "１", float("inf"), float("nan"), 10**400, MISSING]


@pytest.fixture
def desk(tmp_path: Path) -> Iterator[Desk]:
    clock = FrozenClock(NOON)
    with KiteTradingServer(clock, api_key=API_KEY, api_secret=API_SECRET, access_token=TOKEN) as server:
        yield Desk(server, clock, tmp_path)


def asks(end: str) -> Callable[[Request], bool]:
    return lambda request: request.method == "GET" and request.path.endswith(end)


def changed(end: str, *path: str | int, value: Any) -> Fault:
    """Have an answer say something else at one place of its data, or leave it out."""

    def change(reply: Reply) -> Reply:
        content = json.loads(reply.body)
        inner = content["data"]
        for step in path[:-1]:
            inner = inner[step]
        if value is MISSING:
            del inner[path[-1]]
        else:
            inner[path[-1]] = value
        return replace(reply, body=json.dumps(content).replace("Infinity", "1e400").encode())

    return Fault(applies=asks(end), change=change)


@pytest.mark.parametrize("value", [*SENSELESS, 1.5], ids=lambda value: repr(value)[:12])
@pytest.mark.parametrize(
    ("end", "name"),
    [("/orders", "quantity"), ("/orders", "filled_quantity"), ("/trades", "quantity"), ("/trades", "average_price")],
)
def test_a_number_that_cannot_be_booked_is_an_unknown_outcome_that_names_it(desk: Desk, end: str, name: str, value: Any) -> None:
    order = desk.order()
    desk.oms.submit(order)
    desk.server.fail(changed(end, 0, name, value=value))
    if (name, value) != ("average_price", 1.5):
        with pytest.raises((OutcomeUnknown, VenueDown), match=None if value is MISSING else f"{name} of order"):
            desk.oms.find(order, desk.clock.now())
    assert desk.find(order).status is OrderStatus.FILLED


@pytest.mark.parametrize("value", SENSELESS, ids=lambda value: repr(value)[:12])
def test_cash_shares_and_prices_that_are_no_amounts_are_not_believed(desk: Desk, value: Any) -> None:
    desk.deal(INFY, Side.BUY, 10)
    looks: dict[tuple[str, ...], Callable[[], object]] = {
        ("/margins/equity", "available", "live_balance"): desk.oms.connect,
    }
    for (end, *path), look in looks.items():
        if value == -1 and "live_balance" in path:
            continue  # cash may be below 0
        desk.server.fail(changed(end, *path, value=value))
        with pytest.raises(VenueDown):
            look()
    desk.server.fail(changed("/quote/ltp", f"NSE:{INFY}", "last_price", value=value))
    with suppress(VenueDown):
        assert desk.oms.last_prices([INFY]) == {}, "it is left out, or the answer is refused"
    if value != -1:
        desk.server.fail(changed("/portfolio/positions", "net", 0, "day_buy_quantity", value=value))
        with pytest.raises(VenueDown):
            desk.oms.positions()


ODD = st.one_of(
    st.none(), st.booleans(), st.integers(), st.floats(), st.text(max_size=8), st.just(10**400), st.just("9" * 400),
    st.lists(st.integers(), max_size=2), st.dictionaries(st.text(max_size=3), st.integers(), max_size=2), st.just(MISSING),
)  # fmt: skip
OF_ORDER = ("order_id", "status", "status_message", "tag", "tags", "quantity", "filled_quantity")
OF_TRADE = ("order_id", "trade_id", "transaction_type", "tradingsymbol", "fill_timestamp")
PLACES: list[tuple[str, tuple[str | int, ...]]] = [
    *(("/orders", (0, name)) for name in OF_ORDER),
    *(("/trades", (0, name)) for name in OF_TRADE),
    ("/orders", (0,)),
    ("/trades", (0,)),
]


@settings(max_examples=80, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(place=st.sampled_from(PLACES), value=ODD)
def test_whatever_an_answer_holds_a_look_up_ends_in_a_report_or_a_named_error(desk: Desk, place: Any, value: Any) -> None:
    order = desk.order(quantity="1")
    if not desk.server.asked("/orders/regular"):
        desk.oms.submit(order)
    desk.server.fail(changed(place[0], *place[1], value=value))
    try:
        report = desk.oms.find(order, desk.clock.now())
    except (OutcomeUnknown, VenueDown):
        return
    finally:
        desk.server._faults.clear()
    assert report is not None
    assert all(fill.quantity > 0 and fill.price > 0 for fill in report.fills)


@pytest.mark.parametrize("data", ["[]", "{}", "null", "7", '"x"', "[7]", '{"net": null}', "[" * 100_000])
def test_no_answer_of_another_shape_goes_beyond_the_adapter(desk: Desk, data: str) -> None:
    order = desk.order()
    desk.oms.submit(order)
    body = f'{{"status": "success", "data": {data}}}'.encode()
    looks: dict[str, Callable[[], object]] = {
        "/orders": lambda: desk.oms.find(order, desk.clock.now()),
        "/trades": lambda: desk.oms.fills_since(NOON),
        "/portfolio/holdings": desk.oms.positions,
        "/portfolio/positions": desk.oms.positions,
        "/user/profile": desk.oms.connect,
        "/margins/equity": desk.oms.connect,
        "/quote/ltp": lambda: desk.oms.last_prices([INFY]),
    }
    for end, look in looks.items():
        desk.server.fail(Fault(applies=asks(end), reply=Reply(body=body)))
        try:
            look()
        except (OutcomeUnknown, VenueDown):
            continue


# Silence that Kite asks for.


def test_a_silence_without_end_keeps_nobody_from_what_makes_a_position_safe(desk: Desk) -> None:
    desk.deal(INFY, Side.BUY, 10)
    resting = desk.order(limit="1000", number=1)
    desk.oms.submit(resting)
    asked_to_wait = Reply(status=429, headers={"Retry-After": "99999999"}, body=b"{}")
    for applies in (placing, asks("/orders")):
        desk.server.fail(Fault(applies=applies, reply=asked_to_wait))
    with pytest.raises(RateLimited):
        desk.oms.submit(desk.order(number=2))
    with pytest.raises(RateLimited):
        desk.oms.find(resting, desk.clock.now())
    aged(desk.folder / "limits", 30)
    with pytest.raises(RateLimited):
        desk.oms.submit(desk.order(number=3))
    desk.deal(INFY, Side.SELL, 10)
    desk.oms.cancel(resting, desk.clock.now())
    assert desk.find(resting).status is OrderStatus.CANCELED
    assert desk.held() == {}
    desk.open().connect()
