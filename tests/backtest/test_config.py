"""The configuration of a backtest: defaults, bounds, and that it survives JSON."""

from __future__ import annotations

from datetime import UTC, datetime, time
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


def test_the_engine_gets_every_option_that_it_has() -> None:
    from algo_py.engine import PortfolioConfig

    own = {"instruments", "periods_per_year"}  # the market's
    assert PortfolioConfig.model_fields.keys() - BacktestConfig.model_fields.keys() == own
    values = {
        "maker_fees": 0.0002,
        "fixed_fees": 1.5,
        "execution": "close",
        "cash_sharing": False,
        "allow_partial": False,
        "direction": "both",
        "stop_loss": 0.05,
        "take_profit": 0.2,
        "trailing_stop": 0.1,
        "max_hold_bars": 12,
        "auction_fills": True,
        "no_entry_before": time(9, 30),
        "no_entry_after": time(14, 45),
        "square_off_at": time(15, 10),
        "borrow_rate_annual": 0.08,
        "size": 3.0,
        "size_type": "amount",
        "fees": 0.002,
        "slippage": 0.0,
        "initial_cash": 5.0,
    }
    given = config(**values)
    engine = given.portfolio_config()
    assert {name: getattr(engine, name) for name in values} == values
    assert engine.cost_schedule is None
    assert BacktestConfig.model_validate_json(given.model_dump_json()) == given


def test_defaults_are_the_engines() -> None:
    from algo_py.engine import PortfolioConfig

    found, engine = config(), PortfolioConfig()
    different = {name for name in engine.__class__.model_fields if name in BacktestConfig.model_fields} - {"fees", "slippage"}
    assert {name: getattr(found, name) for name in different} == {name: getattr(engine, name) for name in different}


def test_a_cost_schedule_takes_the_place_of_the_markets_fees() -> None:
    nse = {"market": "indian_equity", "timeframe": "1d", "symbols": ["RELIANCE"], "cost_schedule": "nse_delivery"}
    given = config(**nse, fixed_fees=20)
    assert (given.fees, given.slippage, given.fixed_fees) == (0.0, 0.0005, 20.0)
    assert given.portfolio_config().cost_schedule == "nse_delivery"
    assert BacktestConfig.model_validate_json(given.model_dump_json()) == given


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
        ({"stop_loss": 0}, InvalidInput, "stop_loss must be greater than 0 (was 0.0)"),
        ({"stop_loss": 5}, InvalidInput, "stop_loss must be less than 1 (was 5.0)"),
        ({"trailing_stop": 1}, InvalidInput, "trailing_stop must be less than 1 (was 1.0)"),
        ({"take_profit": -0.1}, InvalidInput, "take_profit must be greater than 0 (was -0.1)"),
        (
            {"take_profit": 2, "direction": "both"},
            InvalidInput,
            "take_profit must be below 1 where shorts are allowed (was 2.0).",
        ),
        ({"max_hold_bars": 0}, InvalidInput, "max_hold_bars must be greater than or equal to 1 (was 0)"),
        ({"max_hold_bars": 1.5}, InvalidInput, "max_hold_bars must be a valid integer"),
        ({"borrow_rate_annual": -1}, InvalidInput, "borrow_rate_annual must be greater than or equal to 0 (was -1.0)"),
        ({"maker_fees": 1}, InvalidInput, "maker_fees must be less than 1 (was 1.0)"),
        ({"fixed_fees": -1}, InvalidInput, "fixed_fees must be greater than or equal to 0 (was -1.0)"),
        ({"cost_schedule": "free"}, InvalidInput, "cost_schedule must be 'nse_delivery' or 'nse_intraday' (was 'free')"),
        (
            {"cost_schedule": "nse_delivery"},
            InvalidInput,
            "cost_schedule nse_delivery is for indian_equity (market was crypto_binance). Give fees instead.",
        ),
        (
            {"market": "indian_equity", "symbols": ["ITC"], "cost_schedule": "nse_delivery", "fees": 0.001},
            InvalidInput,
            "fees must be 0 with cost_schedule nse_delivery (was 0.001). Leave it out.",
        ),
        ({"execution": "open"}, InvalidInput, "execution must be 'next_open' or 'close' (was 'open')"),
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
