"""Orders of a pair that is not quoted in USDT: what a person reads, and what an adapter takes for cash."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from decimal import Decimal
from pathlib import Path

import pytest

from algo_py.market import get_market
from algo_py.oms.telegram.texts import order_text
from tests.oms.binance_desk import Desk, desk_in

PAIR = "ETH/BTC"


@pytest.fixture
def desk(tmp_path: Path) -> Iterator[Desk]:
    with desk_in(tmp_path) as desk:
        yield desk


def test_a_message_says_btc_with_its_digits(desk: Desk) -> None:
    order = replace(desk.order(PAIR, quantity="0.01"), reference_price=Decimal("0.012345"))
    text = order_text(order, deployment_name="pair", market=get_market("crypto_binance"))
    assert "Reference price: 0.012345 BTC" in text
    assert "Value: 0.00012345 BTC" in text
    assert "USDT" not in text


def test_cash_is_what_the_universe_is_paid_for_in(desk: Desk) -> None:
    desk.server.list_symbol(PAIR, "0.05")
    desk.server.deposit("BTC", "0.5")
    desk.server.deposit("ETH", "3")
    oms = desk.open(symbols=[PAIR])
    assert oms.connect().cash == oms.free_cash() == Decimal("0.5")
    held = {position.symbol: position.quantity for position in oms.positions() or ()}
    assert held == {PAIR: 3, "USDT/BTC": 10_000}
    assert list(oms.instruments([PAIR])) == [PAIR]
    assert oms.last_prices([PAIR]) == {PAIR: Decimal("0.05")}
    assert desk.connected().free_cash() == 10_000
