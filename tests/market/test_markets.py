"""The registry of markets, and the rules of instruments."""

from __future__ import annotations

import subprocess
import sys
from decimal import Decimal

import pytest

from algo_py.errors import InvalidInput, NotFound
from algo_py.market import Instrument, get_market, market_names
from algo_py.market.quotes import usual_cash


def test_the_two_markets() -> None:
    assert market_names() == ("crypto_binance", "indian_equity")
    assert [get_market(name).quote_currency for name in market_names()] == ["USDT", "INR"]
    assert [get_market(name).time_zone.key for name in market_names()] == ["UTC", "Asia/Kolkata"]
    for name in market_names():
        market = get_market(name)
        assert market.name == name
        assert 0 < market.fees < 0.01
        assert 0 < market.slippage < 0.01
        assert market.check_symbol(market.symbol_example) == market.symbol_example


def test_an_unknown_market_is_answered_with_the_known_ones() -> None:
    with pytest.raises(NotFound, match=r"no market 'nasdaq'\. Use one of crypto_binance, indian_equity\."):
        get_market("nasdaq")


@pytest.mark.parametrize(
    ("market", "symbol"),
    [
        ("crypto_binance", "BTC/USDT"),
        ("crypto_binance", "1000SATS/USDT"),
        ("crypto_binance", "ETH/BTC"),
        ("indian_equity", "TCS"),
        ("indian_equity", "M&M"),
        ("indian_equity", "BAJAJ-AUTO"),
        ("indian_equity", "360ONE"),
    ],
)
def test_symbols_as_the_market_spells_them(market: str, symbol: str) -> None:
    assert get_market(market).check_symbol(symbol) == symbol


@pytest.mark.parametrize(
    ("market", "symbol"),
    [
        ("crypto_binance", "BTCUSDT"),
        ("crypto_binance", "btc/usdt"),
        ("crypto_binance", "BTC/USDT "),
        ("crypto_binance", "../etc/passwd"),
        ("crypto_binance", ""),
        ("indian_equity", "TCS/INR"),
        ("indian_equity", "tcs"),
        ("indian_equity", "&M"),
        ("indian_equity", "A" * 21),
        ("indian_equity", "TCS\n"),
    ],
)
def test_other_spellings_are_refused(market: str, symbol: str) -> None:
    with pytest.raises(
        InvalidInput, match=f"not spelled like a symbol of {market}.* Write it like {get_market(market).symbol_example}"
    ):
        get_market(market).check_symbol(symbol)


def test_rules_to_assume_for_an_unknown_instrument() -> None:
    crypto = get_market("crypto_binance").instrument("BTC/USDT")
    assert (crypto.symbol, crypto.lot_size, crypto.notional_min) == ("BTC/USDT", Decimal("0.00001"), Decimal(5))
    share = get_market("indian_equity").instrument("TCS")
    assert (share.lot_size, share.tick_size, share.quantity_min) == (Decimal(1), Decimal("0.05"), Decimal(1))
    with pytest.raises(InvalidInput):
        get_market("indian_equity").instrument("BTC/USDT")


@pytest.mark.parametrize("name", ["tick_size", "lot_size", "quantity_min", "notional_min"])
@pytest.mark.parametrize("value", ["-1", "NaN", "Infinity"])
def test_a_rule_is_a_number_of_0_or_more(name: str, value: str) -> None:
    with pytest.raises(InvalidInput, match=rf"{name} of X must be 0 or more \(was {value}\)"):
        Instrument(symbol="X", **{name: Decimal(value)})


def test_the_market_room_needs_only_the_standard_library() -> None:
    """NSE's calendar loads its library when it is asked for, not before."""
    code = "import algo_py.market, sys; print(*sorted({'numpy', 'pandas', 'exchange_calendars'} & set(sys.modules)))"
    answer = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, timeout=60)
    assert answer.stdout.strip() == ""


def test_a_symbol_says_what_is_held_and_what_it_is_paid_for_in() -> None:
    crypto, shares = get_market("crypto_binance"), get_market("indian_equity")
    assert (crypto.asset_of("ETH/BTC"), crypto.quote_of("ETH/BTC")) == ("ETH", "BTC")
    assert (shares.asset_of("M&M"), shares.quote_of("M&M")) == ("M&M", "INR")
    assert crypto.quote_over(("ETH/BTC", "BNB/BTC")) == "BTC"
    assert (crypto.quote_over(()), shares.quote_over(())) == ("USDT", "INR")


def test_symbols_of_several_quote_currencies_are_no_universe() -> None:
    crypto = get_market("crypto_binance")
    with pytest.raises(InvalidInput) as refused:
        crypto.quote_over(("BTC/USDT", "ETH/BTC"))
    assert str(refused.value).startswith("BTC/USDT is quoted in USDT, ETH/BTC in BTC: a universe has one quote currency")
    many = [f"A{number}/USDT" for number in range(10)]
    with pytest.raises(InvalidInput, match=r"^A0/USDT is quoted in USDT, ETH/BTC in BTC, A1/USDT in USDT.* and 5 more: a uni"):
        crypto.quote_over([*many, "ETH/BTC"])


def test_a_least_value_in_usdt_is_none_in_another_currency() -> None:
    crypto = get_market("crypto_binance")
    assert crypto.instrument("BTC/USDT").notional_min == 5
    assert crypto.instrument("ETH/BTC").notional_min == 0
    assert crypto.instrument("ETH/BTC").lot_size == Decimal("0.00001")
    assert get_market("indian_equity").instrument("TCS").tick_size == Decimal("0.05")


def test_the_usual_cash_is_no_fortune_in_coins() -> None:
    assert [usual_cash(currency) for currency in ("USDT", "INR", "BTC")] == [10_000, 10_000, 1]
