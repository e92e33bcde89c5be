"""What the account holds at Zerodha: holdings and positions, over the days of a settlement."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from algo_py.clock import FrozenClock
from algo_py.errors import VenueDown
from algo_py.market import get_market
from algo_py.oms.zerodha.portfolio import held
from algo_py.orders.model import Side
from tests.oms.zerodha_desk import API_KEY, API_SECRET, INFY, NOON, SBIN, TOKEN, Desk
from tests.venues.kite_books import Holding
from tests.venues.kite_trading import KiteTradingServer
from tests.venues.server import Fault, Reply


@pytest.fixture(params=[False, True], ids=["quantity falls when sold", "quantity stays when sold"])
def desk(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Desk]:
    clock = FrozenClock(NOON)
    with KiteTradingServer(clock, api_key=API_KEY, api_secret=API_SECRET, access_token=TOKEN) as server:
        server.shows_sold_as_held = request.param
        yield Desk(server, clock, tmp_path)


def test_bought_today_and_on_the_days_after(desk: Desk) -> None:
    assert desk.held() == {}
    desk.deal(INFY, Side.BUY, 10)
    assert desk.held() == {INFY: 10}
    desk.next_day()  # among the holdings now, not delivered yet
    assert desk.server.holdings[INFY].t1 == 10
    assert desk.held() == {INFY: 10}
    desk.next_day()
    assert desk.server.holdings[INFY].settled == 10
    assert desk.held() == {INFY: 10}


def test_bought_and_sold_on_one_day(desk: Desk) -> None:
    desk.deal(INFY, Side.BUY, 10)
    desk.deal(INFY, Side.SELL, 4)
    assert desk.held() == {INFY: 6}
    desk.deal(INFY, Side.SELL, 6)
    assert desk.held() == {}


@pytest.mark.parametrize("holding", [Holding(settled=10), Holding(t1=10), Holding(settled=6, t1=4)])
def test_sold_from_what_was_held(desk: Desk, holding: Holding) -> None:
    desk.server.holdings[INFY] = replace(holding)
    assert desk.held() == {INFY: 10}
    desk.deal(INFY, Side.SELL, 3)
    assert desk.held() == {INFY: 7}
    desk.deal(INFY, Side.BUY, 5)
    assert desk.held() == {INFY: 12}
    desk.deal(INFY, Side.SELL, 12)
    assert desk.held() == {}
    desk.next_day()
    assert desk.held() == {}


def test_a_week_of_dealings_agrees_with_their_sum(desk: Desk) -> None:
    """Whatever the day, the account holds what was bought less what was sold."""
    expected = 0
    for day, dealings in enumerate(((10,), (-4, 6), (-12,), (5, -5, 3), (-3,))):
        for quantity in dealings:
            desk.deal(INFY, Side.BUY if quantity > 0 else Side.SELL, abs(quantity))
            expected += quantity
            assert desk.held().get(INFY, 0) == expected, day
        desk.next_day()
        assert desk.held().get(INFY, 0) == expected, day


def test_pledged_shares_are_left_out(desk: Desk) -> None:
    desk.server.holdings[INFY] = Holding(settled=10, pledged=50)
    desk.server.holdings[SBIN] = Holding(pledged=7)
    assert desk.held() == {INFY: 10}
    desk.deal(INFY, Side.SELL, 3)
    assert desk.held() == {INFY: 7}


def test_pledged_shares_that_the_opening_counts() -> None:
    row = holding_row(quantity=7, used_quantity=3, opening_quantity=60, collateral_quantity=50)
    assert quantities([row], {"net": [position_row(sold=3)]}) == {INFY: 7}


def test_a_holding_that_kite_lists_under_bse(desk: Desk) -> None:
    desk.server.holdings[SBIN] = Holding(settled=16, exchange="BSE")
    assert desk.held() == {SBIN: 16}
    desk.deal(SBIN, Side.SELL, 6)
    assert desk.held() == {SBIN: 10}


def test_products_are_apart(desk: Desk) -> None:
    desk.server.holdings[INFY] = Holding(settled=10)
    day_trader = desk.open(product="MIS")
    day_trader.submit(desk.order(SBIN, quantity="5"))
    desk.deal(INFY, Side.BUY, 1)
    assert {one.symbol: int(one.quantity) for one in day_trader.positions()} == {SBIN: 5}
    assert desk.held() == {INFY: 11}


def test_what_is_not_of_this_market_is_left_out() -> None:
    rows = [
        holding_row(tradingsymbol="SGBMAY29 I", quantity=2, opening_quantity=2),
        holding_row(tradingsymbol="GOLD", exchange="MCX", quantity=2, opening_quantity=2),
        holding_row(tradingsymbol="M&M", quantity=2, opening_quantity=2),
    ]
    assert quantities(rows, {"net": []}) == {"M&M": 2}


@pytest.mark.parametrize("path", ["/portfolio/holdings", "/portfolio/positions"])
@pytest.mark.parametrize(
    "body", [b'{"status":"success","data":null}', b'{"status":"success","data":[{"exchange":"NSE","product":"CNC"}]}', b"[]"]
)
def test_rows_that_make_no_sense_are_no_positions(desk: Desk, path: str, body: bytes) -> None:
    desk.server.fail(Fault(applies=lambda request: request.path == path, reply=Reply(body=body)))
    with pytest.raises(VenueDown):
        desk.oms.positions()


def quantities(holdings: list[dict[str, Any]], positions: dict[str, Any]) -> dict[str, int]:
    found = held(holdings, positions, product="CNC", market=get_market("indian_equity"))
    return {one.symbol: int(one.quantity) for one in found}


def holding_row(**values: object) -> dict[str, Any]:
    return {"tradingsymbol": INFY, "exchange": "NSE", "product": "CNC", "t1_quantity": 0, "used_quantity": 0} | values


def position_row(*, sold: int) -> dict[str, Any]:
    return {"tradingsymbol": INFY, "exchange": "NSE", "product": "CNC", "day_buy_quantity": 0, "day_sell_quantity": sold}
