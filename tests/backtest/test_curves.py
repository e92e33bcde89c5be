"""The curves of a backtest: they add up bar by bar, whatever was traded."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
import pytest

from algo_py.backtest.curves import Curves
from algo_py.engine import Portfolio, PortfolioConfig, simulate
from algo_py.strategy import Bars, Signals

from .conftest import FIRST, bars

OWN = Bars.from_frames(
    {
        "A": bars(200),
        "B": bars(150, first=FIRST + pd.Timedelta(hours=30), level=10.0).drop(FIRST + pd.Timedelta(hours=70)),
        "C": bars(120, level=1_000.0),
    }
)


def traded(seed: int = 1, **changes: Any) -> Portfolio:
    """Return a portfolio of random signals."""
    random = np.random.default_rng(seed)
    shape = (len(OWN.index), len(OWN.symbols))
    frames = [pd.DataFrame(random.random(shape) < 0.1, index=OWN.index, columns=list(OWN.symbols)) for _ in range(4)]
    values: dict[str, Any] = {"size": 0.3, "fees": 0.001, "slippage": 0.0005, "periods_per_year": 8760.0}
    signals = Signals(entries=frames[0], exits=frames[1], short_entries=frames[2], short_exits=frames[3])
    return simulate(OWN, signals, PortfolioConfig(**(values | changes)))


@pytest.mark.parametrize(
    "changes",
    [
        {},
        {"direction": "both"},
        {"direction": "short", "cash_sharing": False},
        {"execution": "close", "direction": "both", "stop_loss": 0.02},
        {"stop_loss": 0.01, "take_profit": 0.02, "trailing_stop": 0.015, "direction": "both"},
        {"size_type": "amount", "size": 3.0, "max_hold_bars": 2},
    ],
)
def test_equity_is_cash_and_positions_at_every_bar(changes: dict[str, Any]) -> None:
    portfolio = traded(**changes)
    curves = Curves.of_portfolio(OWN, portfolio)
    assert curves.long_value is not None
    assert curves.short_value is not None
    orders = portfolio.orders[portfolio.orders["status"] == "FILLED"]
    assert len(orders) > 20
    sign = np.where(orders["side"] == "BUY", -1.0, 1.0)
    paid = (sign * orders["quantity"] * orders["price"] - orders["fee"]).groupby(
        orders["bar_time" if portfolio.config.execution == "close" else "time"]
    )
    cash = 10_000.0 + paid.sum().reindex(OWN.index, fill_value=0.0).cumsum()
    np.testing.assert_allclose(cash + curves.long_value - curves.short_value, curves.equity, rtol=1e-10)
    assert (curves.long_value.to_numpy() >= 0.0).all()
    assert (curves.short_value.max() > 0.0) == (changes.get("direction", "long") != "long")


def test_what_is_open_at_the_end_is_the_last_value() -> None:
    portfolio = traded(direction="both")
    curves, positions = Curves.of_portfolio(OWN, portfolio), portfolio.open_positions
    value = positions["quantity"] * positions["last_price"]
    assert curves.long_value is not None
    assert curves.short_value is not None
    assert len(positions) > 1
    assert curves.long_value.iloc[-1] == pytest.approx(value[positions["direction"] == "long"].sum(), rel=1e-12)
    assert curves.short_value.iloc[-1] == pytest.approx(value[positions["direction"] == "short"].sum(), rel=1e-12)


def test_the_benchmark_ends_where_its_metric_says() -> None:
    portfolio = traded()
    benchmark = Curves.of_portfolio(OWN, portfolio).benchmark
    assert benchmark is not None
    assert benchmark.iloc[0] == pytest.approx(10_000.0, rel=1e-12)
    assert benchmark.iloc[-1] / 10_000 - 1 == pytest.approx(portfolio.metrics["benchmark_return_fraction"], rel=1e-12)
    # On the first bars only A and C move: B is still cash.
    close = OWN.close
    expected = (close["A"].iloc[5] / close["A"].iloc[0] + 1.0 + close["C"].iloc[5] / close["C"].iloc[0]) / 3 * 10_000
    assert benchmark.iloc[5] == pytest.approx(expected, rel=1e-12)


def test_nothing_traded_is_nothing_held() -> None:
    none = pd.DataFrame(False, index=OWN.index, columns=list(OWN.symbols))
    curves = Curves.of_portfolio(OWN, simulate(OWN, Signals(entries=none, exits=none)))
    assert curves.long_value is not None
    assert not curves.long_value.any()
    assert (curves.equity == 10_000.0).all()


def test_curves_survive_as_a_frame_whole_or_in_part() -> None:
    curves = Curves.of_portfolio(OWN, traded())
    frame = curves.to_frame()
    assert list(frame) == ["equity", "benchmark", "long_value", "short_value"]
    pd.testing.assert_frame_equal(Curves.from_frame(frame).to_frame(), frame)
    part = Curves.from_frame(frame[["equity"]])
    assert (part.benchmark, part.long_value, part.short_value) == (None, None, None)
    assert list(part.to_frame()) == ["equity"]
