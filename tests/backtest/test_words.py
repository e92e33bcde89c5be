"""What people read: units, signs, digits; and what is not known."""

from __future__ import annotations

from typing import Any

import pytest

from algo_py.backtest import words

from .conftest import config


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        (words.number(None), "–"),
        (words.number(-1234.567), "−1,234.57"),
        (words.number(-0.001), "0.00"),
        (words.signed(0.0), "0.00"),
        (words.signed(0.004), "0.00"),
        (words.signed(12.0), "+12.00"),
        (words.signed(-12.0), "−12.00"),
        (words.signed(None), "–"),
        (words.percent(0.1234), "12.34 %"),
        (words.signed_percent(0.1234, 1), "+12.3 %"),
        (words.signed_percent(None), "–"),
        (words.rate(0.001), "0.10 %"),
        (words.rate(0.00075), "0.075 %"),
        (words.rate(0.0000307), "0.00307 %"),
        (words.rate(1.0), "100.00 %"),
        (words.price(104_250.123456), "104,250.12"),
        (words.price(0.000012345678), "0.000012345678"),
        (words.price(1e9), "1,000,000,000"),
        (words.price(None), "–"),
        (words.short_number(950.0, 1_000.0), "950"),
        (words.short_number(0.5, 2.0), "0.50"),
        (words.short_number(0.00125, 0.002), "0.00125"),
        (words.short_number(12_500.0, 50_000.0), "12,500"),
        (words.short_number(125_000.0, 200_000.0), "125 k"),
        (words.short_number(-250_000.0, 2_500_000.0), "−0.25 M"),
        (words.length_of_time(None), "–"),
        (words.length_of_time(90 * 86_400), "90 d"),
        (words.length_of_time(5_400), "1 h 30 min"),
        (words.length_of_time(0), "0 min"),
        (words.counted(1, "bar"), "1 bar"),
        (words.counted(1_200, "bar"), "1,200 bars"),
        (words.listed(["A", "B"]), "A, B"),
        (words.listed([*"ABCDEF"]), "A, B, C, D and 2 more"),
        (words.metric("trades", 3, "USDT"), "3"),
        (words.metric("max_drawdown_duration_s", 86_400, "USDT"), "1 d"),
        (words.metric("sharpe_ratio", None, "USDT"), "–"),
    ],
)
def test_values_as_people_read_them(text: str, expected: str) -> None:
    assert text == expected


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        ({}, {"cash": "10,000.00 USDT, one symbol", "size": "100.00 % of equity an entry, shrunk where cash is short"}),
        ({"size": 250.0, "size_type": "value"}, {"size": "250.00 USDT an entry, shrunk where cash is short"}),
        (
            {"size": 0.5, "size_type": "amount", "allow_partial": False},
            {"size": "0.5 units an entry, denied where cash is short"},
        ),
        ({"direction": "both", "execution": "close"}, {"orders": "long and short, filled at the close that decided them"}),
        ({"maker_fees": 0.0}, {"costs": "fees 0.10 %, maker fees 0.00 %, slippage 0.05 %"}),
        ({"max_hold_bars": 1}, {"exits": "after 1 bar at the latest"}),
        (
            {"no_entry_before": "09:30", "no_entry_after": "14:45"},
            {"entries": "from 09:30 to 14:45 UTC", "orders": "long only, filled at the next bar's open"},
        ),
        ({"no_entry_before": "09:30"}, {"entries": "from 09:30 UTC on"}),
        (
            {"no_entry_after": "14:45", "auction_fills": True},
            {"entries": "until 14:45 UTC", "orders": "long only, filled at the next bar's open, also in closing auctions"},
        ),
        (
            {"max_hold_bars": 2, "square_off_at": "15:10"},
            {"exits": "after 2 bars at the latest, squared off at 15:10 UTC"},
        ),
        ({"symbols": ("A1/USDT", "A2/USDT"), "cash_sharing": False}, {"cash": "10,000.00 USDT, an equal part for each symbol"}),
        (
            {"symbols": ("ETH/BTC",), "initial_cash": 0.0123, "fixed_fees": 0.00001},
            {"cash": "0.0123 BTC, one symbol", "costs": "fees 0.10 %, 0.00001 BTC a fill, slippage 0.05 %"},
        ),
        ({"symbols": ("ETH/BTC", "BTC/USDT")}, {"cash": "1.00 BTC and USDT, one pool for all symbols"}),
    ],
)
def test_terms_in_words(changes: dict[str, Any], expected: dict[str, str]) -> None:
    found = dict(words.terms(config(**changes)))
    assert {name: found[name] for name in expected} == expected
    assert ("exits" in found) == ("max_hold_bars" in changes)
