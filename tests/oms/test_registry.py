"""The OMS by name: which markets, which keys, and what is refused before anything is asked."""

from __future__ import annotations

import pytest

from algo_py.credentials import Credentials
from algo_py.errors import InvalidInput, NotFound, Refused
from algo_py.market import get_market
from algo_py.oms import check_oms, oms_choice, oms_names


def test_the_state_of_credentials_names_keys_and_never_values() -> None:
    given = Credentials({"BINANCE_API_KEY": "hush", "TELEGRAM_BOT_TOKEN": "hush", "TELEGRAM_CHAT_ID": "hush"})
    states = {name: oms_choice(name).state(given) for name in oms_names()}
    assert states == {
        "paper": "needs no credentials",
        "telegram": "configured",
        "zerodha": "missing: ZERODHA_API_KEY, ZERODHA_API_SECRET in config/.env",
        "binance": "missing: BINANCE_API_SECRET in config/.env",
    }


def test_an_oms_trades_its_own_markets() -> None:
    check_oms("paper", get_market("indian_equity"))
    with pytest.raises(InvalidInput, match=r"Binance does not trade indian_equity\. Use one of paper, telegram, zerodha\."):
        check_oms("binance", get_market("indian_equity"))
    with pytest.raises(InvalidInput, match="Zerodha does not trade crypto_binance"):
        check_oms("zerodha", get_market("crypto_binance"))
    with pytest.raises(NotFound, match="there is no OMS 'robinhood'"):
        check_oms("robinhood", get_market("crypto_binance"))


def test_another_exchange_needs_a_certain_look_up() -> None:
    assert oms_choice("ccxt:binanceus").keys == ("BINANCEUS_API_KEY", "BINANCEUS_API_SECRET")
    with pytest.raises(Refused, match="orders cannot go to kraken"):
        oms_choice("ccxt:kraken")
