"""Figures are functions of data: what is in them is looked at here, without a page."""

from __future__ import annotations

from zoneinfo import ZoneInfo

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from algo_py.backtest.report import monthly_returns
from algo_py.dashboard.figures import MOST_CANDLES, account_figure, equity_figure, months_figure, price_figure, thin


def _series(values: list[float]) -> pd.Series:
    return pd.Series(values, index=pd.date_range("2025-01-01", periods=len(values), freq="h", tz="UTC"), dtype="float64")


def _bars(count: int) -> pd.DataFrame:
    close = _series([100.0 + place for place in range(count)])
    return pd.DataFrame({"open": close - 1, "high": close + 2, "low": close - 2, "close": close, "volume": close})


def _orders(bars: pd.DataFrame) -> pd.DataFrame:
    rows = [
        (bars.index[1], "BTC/USDT", "BUY", 2.0, 101.0, "FILLED", "entry"),
        (bars.index[2], "BTC/USDT", "SELL", 2.0, 99.0, "FILLED", "stop_loss"),
        (bars.index[3], "BTC/USDT", "BUY", 2.0, 103.0, "DENIED", "insufficient_cash"),
        (bars.index[3], "ETH/USDT", "BUY", 1.0, 10.0, "FILLED", "entry"),
    ]
    return pd.DataFrame(rows, columns=["time", "symbol", "side", "quantity", "price", "status", "reason"])


@given(st.lists(st.floats(-1e9, 1e9), min_size=1, max_size=400), st.integers(2, 60))
def test_thinning_keeps_the_ends_the_extremes_and_the_order(values: list[float], most: int) -> None:
    whole = _series(values)
    kept = thin(whole, most)
    assert len(kept) <= most + 2
    assert kept.index.is_monotonic_increasing
    assert (kept.iloc[0], kept.iloc[-1]) == (whole.iloc[0], whole.iloc[-1])
    assert (kept.min(), kept.max()) == (whole.min(), whole.max())
    assert whole.loc[kept.index].equals(kept)


def test_thinning_passes_over_stretches_without_values() -> None:
    kept = thin(_series([1.0] + [float("nan")] * 50 + [5.0, 2.0]), 6)
    assert kept.dropna().tolist() == [1.0, 5.0, 2.0]


def test_the_equity_figure_shows_equity_drawdown_and_where_it_began() -> None:
    figure = equity_figure(_series([100.0, 80.0, 110.0]), initial=100.0, currency="USDT")
    equity, below = figure.data
    assert equity.y.tolist() == [100.0, 80.0, 110.0]
    assert below.y.tolist() == pytest.approx([0.0, -0.2, 0.0])
    assert (equity.yaxis, below.yaxis) == (None, "y2")
    assert figure.layout.shapes[0].y0 == 100.0
    assert figure.layout.yaxis.title.text == "Equity, USDT"


def test_the_benchmark_is_a_second_line() -> None:
    figure = equity_figure(_series([100.0, 80.0]), initial=100.0, currency="USDT", benchmark=_series([100.0, 120.0]))
    assert [trace.name for trace in figure.data] == ["Equity", "Buy and hold", "Drawdown"]
    assert figure.data[1].y.tolist() == [100.0, 120.0]
    assert figure.layout.showlegend


def test_months_are_shown_in_percent_with_the_benchmark_by_year() -> None:
    equity = pd.Series([110.0, 99.0, 99.0], index=pd.to_datetime(["2024-12-31", "2025-01-31", "2025-03-31"], utc=True))
    months = monthly_returns(equity, 100.0, zone=ZoneInfo("UTC"))
    (field,) = months_figure(months, months["year"]).data
    assert list(field.y) == ["2024", "2025"]
    assert (field.x[0], field.x[-3:]) == ("Jan", ("Dec", "Year", "Held"))
    assert field.z[1].tolist() == pytest.approx([-10.0, np.nan, 0.0, *[np.nan] * 9, -10.0, -10.0], nan_ok=True)
    assert (field.zmin, field.zmax) == pytest.approx((-10.0, 10.0))


def test_the_price_figure_points_at_the_fills_of_its_symbol_only() -> None:
    bars = _bars(10)
    figure = price_figure(bars, _orders(bars), symbol="BTC/USDT", currency="USDT")
    price, entries, exits = figure.data
    assert price.type == "candlestick"
    assert (entries.y.tolist(), entries.marker.symbol) == ([101.0], "triangle-up")
    assert (exits.y.tolist(), exits.marker.symbol) == ([99.0], "triangle-down")
    assert exits.customdata.tolist() == [["SELL", 2.0, "stop_loss"]]
    assert pd.DatetimeIndex(entries.x, tz="UTC")[0] == bars.index[1]


def test_the_price_of_many_bars_is_a_line_and_of_no_orders_has_no_markers() -> None:
    bars = _bars(MOST_CANDLES + 1)
    figure = price_figure(bars, _orders(bars).head(0), symbol="BTC/USDT", currency="USDT")
    price, entries, exits = figure.data
    assert (price.type, price.mode) == ("scatter", "lines")
    np.testing.assert_array_equal(price.y, bars["close"].to_numpy())
    assert (len(entries.x), len(exits.x)) == (0, 0)


def test_the_account_figure_keeps_a_persons_zoom() -> None:
    figure = account_figure(_series([1_000.0, 1_010.0]), initial=1_000.0, currency="INR", height=300)
    assert figure.data[0].y.tolist() == [1_000.0, 1_010.0]
    assert (figure.layout.uirevision, figure.layout.height) == ("kept", 300)
