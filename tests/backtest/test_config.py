"""The configuration of a backtest: defaults, bounds, and that it survives JSON."""

from __future__ import annotations

from datetime import UTC, datetime
from decimal import Decimal
from typing import Any

import pytest
from pydantic import ValidationError

from algo_py.backtest import BacktestConfig
from algo_py.errors import AlgoPyError, InvalidInput, NotFound
from algo_py.market import Timeframe

from .conftest import config


def test_costs_that_are_not_given_are_those_of_the_market() -> None:
    assert (config().fees, config().slippage) == (0.001, 0.0005)
    assert config(fees=None, slippage=0.0).slippage == 0.0
    assert config(market="indian_equity", timeframe="1d", symbols=["RELIANCE"]).fees == 0.0012


def test_times_are_utc_and_may_be_text() -> None:
    given = config(start="2025-01-02", end="2025-01-03T05:30:00+05:30", timeframe="1h")
    assert (given.start, given.end) == (datetime(2025, 1, 2, tzinfo=UTC), datetime(2025, 1, 3, tzinfo=UTC))
    assert given.end.utcoffset() == datetime(2025, 1, 1, tzinfo=UTC).utcoffset()
    assert given.timeframe is Timeframe.H1


def test_it_survives_json_unchanged() -> None:
    given = config(params={"fast": 3, "ratio": 0.5, "on": True, "mode": "x"}, start="2025-01-02", end="2025-02-02", fees=0.0)
    text = given.model_dump_json()
    assert BacktestConfig.model_validate_json(text) == given
    assert '"start":"2025-01-02T00:00:00Z"' in text
    assert type(BacktestConfig.model_validate_json(text).params["fast"]) is int


def test_the_engine_gets_the_markets_rules() -> None:
    engine = config(symbols=("BTC/USDT", "ETH/USDT"), size=500.0, size_type="value").portfolio_config()
    assert isinstance(engine.instruments, dict)
    assert engine.instruments["ETH/USDT"].notional_min == Decimal(5)
    assert (engine.periods_per_year, engine.size, engine.fees, engine.size_type) == (8760.0, 500.0, 0.001, "value")


def test_it_cannot_be_changed() -> None:
    with pytest.raises(ValidationError, match="frozen"):
        config().initial_cash = 5.0  # type: ignore[misc]


@pytest.mark.parametrize(
    ("changes", "error", "message"),
    [
        ({"initial_cash": -5}, InvalidInput, "initial_cash must be greater than 0 (was -5.0)"),
        ({"initial_cash": float("nan")}, InvalidInput, "initial_cash must be a finite number (was nan)"),
        ({"symbols": ()}, InvalidInput, "symbols must name at least one symbol (was empty)"),
        ({"symbols": ("BTC/USDT", "BTC/USDT")}, InvalidInput, "symbols must name each symbol once (has BTC/USDT twice)"),
        ({"symbols": ("btc",)}, InvalidInput, "'btc' is not spelled like a symbol of crypto_binance. Write it like BTC/USDT."),
        ({"size": 0}, InvalidInput, "size must be greater than 0 (was 0.0)"),
        ({"size": 50}, InvalidInput, "size must be at most 1 where size_type is percent (was 50.0). 1.0 is all-in."),
        ({"size_type": "lots"}, InvalidInput, "size_type must be 'percent', 'value' or 'amount' (was 'lots')"),
        ({"fees": 1.5}, InvalidInput, "fees must be less than 1 (was 1.5)"),
        (
            {"start": "2025-02-01", "end": "2025-01-01"},
            InvalidInput,
            "end must be after start 2025-02-01T00:00:00Z (was 2025-01-01T00:00:00Z)",
        ),
        ({"start": "2025-02-01", "end": "2025-02-01"}, InvalidInput, "end must be after start"),
        ({"start": "yesterday"}, InvalidInput, "'yesterday' is not a time"),
        ({"start": datetime(2025, 1, 1)}, InvalidInput, "the time 2025-01-01T00:00:00 has no offset"),  # noqa: DTZ001
        ({"market": "moon"}, NotFound, "there is no market 'moon'. Use one of crypto_binance, indian_equity."),
        ({"timeframe": "7h"}, InvalidInput, "there is no timeframe '7h'"),
        ({"fee": 0.1}, InvalidInput, "there is no parameter 'fee'"),
        ({"strategy": None}, InvalidInput, "strategy is missing"),
        ({"direction": "up"}, InvalidInput, "direction must be 'long', 'short' or 'both' (was 'up')"),
    ],
)
def test_what_cannot_be_used_is_refused_in_one_line(changes: dict[str, Any], error: type[AlgoPyError], message: str) -> None:
    with pytest.raises(error) as caught:
        config(**changes)
    assert str(caught.value).startswith(message)
    assert "\n" not in str(caught.value)
    with pytest.raises(error):
        BacktestConfig.model_validate(
            {"strategy": "a", "market": "crypto_binance", "timeframe": "1h", "symbols": ["A/B"]} | changes
        )
