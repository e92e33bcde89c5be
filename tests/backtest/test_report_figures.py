"""The figures of the report are the metrics, seen over time; each is a pure function of data."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from itertools import pairwise
from typing import Any
from zoneinfo import ZoneInfo

import numpy as np
import pandas as pd
import pytest

from algo_py.backtest import BacktestConfig
from algo_py.backtest.curves import Curves
from algo_py.backtest.report import (
    costs_of,
    drawdown,
    drawdown_episodes,
    duration_histogram,
    exposure_of,
    monthly_returns,
    return_histogram,
    rolling_sharpe,
    rolling_window,
    trade_groups,
    trade_statistics,
)
from algo_py.backtest.report.scales import Scale, time_ticks, value_scale
from algo_py.backtest.report.thinning import rows_to_draw
from algo_py.engine import Portfolio, PortfolioConfig, simulate
from algo_py.strategy import Bars, Signals

CASH = 10_000.0
A_YEAR = 8760.0


def walk(seed: int, rows: int = 4_000) -> tuple[Bars, Portfolio]:
    """Return a random walk of hours, traded at random, long and short."""
    random = np.random.default_rng(seed)
    close = 100.0 * np.exp(np.cumsum(random.normal(0.0, 0.01, rows)))
    opens = np.concatenate(([100.0], close[:-1]))
    index = pd.date_range("2024-11-20 07:00", periods=rows, freq="h", tz="UTC", unit="us")
    frame = pd.DataFrame(
        {"open": opens, "high": np.maximum(opens, close), "low": np.minimum(opens, close), "close": close}, index
    )
    own = Bars.from_frames({"AA/BB": frame.assign(volume=1.0)})
    flags = [pd.DataFrame(random.random((rows, 1)) < 0.05, index=own.index, columns=["AA/BB"]) for _ in range(4)]
    signals = Signals(entries=flags[0], exits=flags[1], short_entries=flags[2], short_exits=flags[3])
    return own, simulate(own, signals, PortfolioConfig(**ENGINE))


ENGINE: dict[str, Any] = {
    "fees": 0.001,
    "slippage": 0.0005,
    "direction": "both",
    "size": 0.5,
    "periods_per_year": A_YEAR,
    "borrow_rate_annual": 0.2,
    "stop_loss": 0.05,
}
CONFIG = BacktestConfig(
    **{name: value for name, value in ENGINE.items() if name != "periods_per_year"},
    strategy="random",
    market="crypto_binance",
    timeframe="1h",
    symbols=("AA/BB",),
)
SEEDS = range(3)


@pytest.fixture(scope="module", params=SEEDS)
def case(request: pytest.FixtureRequest) -> tuple[Bars, Portfolio]:
    return walk(request.param)


def test_the_deepest_drawdown_is_the_metric(case: tuple[Bars, Portfolio]) -> None:
    _, portfolio = case
    equity, metrics = portfolio.equity, portfolio.metrics
    assert drawdown(equity, CASH).min() == metrics["max_drawdown_fraction"]
    episodes = drawdown_episodes(equity, CASH)
    assert episodes[0].depth_fraction == metrics["max_drawdown_fraction"]
    assert episodes[0].duration_s == metrics["max_drawdown_duration_s"]
    depths = [one.depth_fraction for one in episodes]
    assert depths == sorted(depths)
    for one in episodes:
        assert one.peak_at < one.trough_at <= (one.recovered_at or one.trough_at)
        assert equity[one.trough_at] / max(equity[: one.peak_at].max(), CASH) - 1 == one.depth_fraction


def test_a_drawdown_from_the_initial_cash_begins_at_the_first_bar() -> None:
    index = pd.date_range("2025-01-01", periods=5, freq="D", tz="UTC")
    (one,) = drawdown_episodes(pd.Series([90.0, 95.0, 80.0, 99.0, 100.0], index), 100.0)
    assert (one.peak_at, one.trough_at, one.recovered_at) == (index[0], index[2], index[4])
    assert one.depth_fraction == pytest.approx(-0.2)
    assert one.duration_s == 4 * 86_400
    assert drawdown_episodes(pd.Series([100.0, 101.0], index[:2]), 100.0) == []
    (open_one,) = drawdown_episodes(pd.Series([100.0, 50.0], index[:2]), 100.0)
    assert (open_one.recovered_at, open_one.duration_s) == (None, 86_400)


@pytest.mark.parametrize("zone", ["UTC", "Asia/Kolkata"])
def test_months_multiply_to_the_total_return(case: tuple[Bars, Portfolio], zone: str) -> None:
    _, portfolio = case
    table = monthly_returns(portfolio.equity, CASH, zone=ZoneInfo(zone))
    months = table[[*range(1, 13)]].to_numpy().ravel()
    total = portfolio.metrics["total_return_fraction"]
    assert np.prod(1.0 + months[~np.isnan(months)]) - 1 == pytest.approx(total, rel=1e-9)
    assert np.prod(1.0 + table["year"]) - 1 == pytest.approx(total, rel=1e-9)
    assert np.isnan(cells(table, 2024, 10)).all()
    assert not np.isnan(cells(table, 2024, 11)).any()


def cells(table: pd.DataFrame, year: int, *columns: int | str) -> list[float]:
    return [float(table[column].to_dict()[year]) for column in columns]


def test_a_bar_belongs_to_the_month_in_which_it_opens_on_its_market() -> None:
    index = pd.DatetimeIndex(["2025-01-30T18:30Z", "2025-01-31T18:30Z", "2025-02-02T18:30Z"])
    equity = pd.Series([110.0, 121.0, 121.0], index)
    there = monthly_returns(equity, 100.0, zone=ZoneInfo("Asia/Kolkata"))
    assert cells(there, 2025, 1, 2) == pytest.approx([0.1, 0.1])
    assert cells(monthly_returns(equity, 100.0, zone=ZoneInfo("UTC")), 2025, 1, 2) == pytest.approx([0.21, 0.0])


def test_after_ruin_returns_mean_nothing() -> None:
    index = pd.date_range("2025-01-01", periods=4, freq="31D", tz="UTC")
    table = monthly_returns(pd.Series([50.0, -10.0, 5.0, 10.0], index), 100.0, zone=ZoneInfo("UTC"))
    assert cells(table, 2025, 1, 2) == [-0.5, -1.2]
    assert np.isnan(cells(table, 2025, 3, 4, "year")).all()
    assert rolling_sharpe(pd.Series([50.0, -10.0, 5.0, 10.0], index), 100.0, window=2, periods_per_year=12)[2:].isna().all()


def test_rolling_over_everything_is_the_metric(case: tuple[Bars, Portfolio]) -> None:
    _, portfolio = case
    equity = portfolio.equity
    rolled = rolling_sharpe(equity, CASH, window=len(equity), periods_per_year=A_YEAR)
    assert rolled.isna().sum() == len(equity) - 1
    assert rolled.iloc[-1] == pytest.approx(portfolio.metrics["sharpe_ratio"], rel=1e-9)
    short = rolling_sharpe(equity, CASH, window=100, periods_per_year=A_YEAR)
    change = equity.pct_change().iloc[900:1000]
    assert short.iloc[999] == pytest.approx(change.mean() / change.std() * np.sqrt(A_YEAR), rel=1e-6)


def test_a_window_without_any_movement_has_no_ratio() -> None:
    index = pd.date_range("2025-01-01", periods=60, freq="D", tz="UTC")
    equity = pd.Series([100.0] * 10 + [120.0] * 50, index)
    rolled = rolling_sharpe(equity, 100.0, window=20, periods_per_year=365)
    assert rolled.iloc[19:29].notna().all()
    assert rolled.iloc[30:].isna().all()


@pytest.mark.parametrize(
    ("rows", "a_year", "expected"),
    [(17_520, 8760.0, (4380, 6)), (8_760, 8760.0, (2190, 3)), (40_000, 8760.0, (8760, 12)), (1_500, 8760.0, (730, 1))],
)
def test_the_window_fits_the_period(rows: int, a_year: float, expected: tuple[int, int]) -> None:
    window = rolling_window(rows, a_year)
    assert window is not None
    assert (window.bars, window.months) == expected
    assert rolling_window(300, 8760.0) is None
    assert rolling_window(60, 248.0) is not None
    assert rolling_window(30, 52.0) is None


def test_exposure_is_what_positions_were_worth(case: tuple[Bars, Portfolio]) -> None:
    own, portfolio = case
    curves = Curves.of_portfolio(own, portfolio)
    exposure = exposure_of(curves)
    assert exposure is not None
    assert exposure.has_shorts
    assert curves.long_value is not None
    np.testing.assert_array_equal(exposure.long, curves.long_value / curves.equity)
    # A bar at whose close a position was open is one in which it was open; a bar may have closed one.
    at_close = float(((exposure.long > 0) | (exposure.short > 0)).mean())
    assert 0 < at_close <= portfolio.metrics["exposure_fraction"]  # type: ignore[operator]
    assert exposure_of(Curves(equity=curves.equity, benchmark=None, long_value=None, short_value=None)) is None


def test_costs_lead_from_the_gross_to_the_net_profit(case: tuple[Bars, Portfolio]) -> None:
    own, portfolio = case
    costs = costs_of(portfolio.orders, CONFIG, portfolio.metrics)
    metrics = portfolio.metrics
    assert costs.net_profit == metrics["final_equity"] - CASH  # type: ignore[operator]
    assert costs.fees + costs.borrowing == pytest.approx(metrics["fees_paid"], rel=1e-12)
    assert costs.borrowing > 0
    assert costs.total == pytest.approx(costs.gross_profit - costs.net_profit, rel=1e-9)
    filled = portfolio.orders[(portfolio.orders["status"] == "FILLED") & portfolio.orders["reason"].isin(["entry", "exit"])]
    raw = own["AA/BB"]["open"].reindex(filled["time"]).to_numpy()
    lost = (filled["quantity"] * (filled["price"] - raw).abs()).sum()
    stopped = portfolio.orders[portfolio.orders["reason"] == "stop_loss"]
    rate = np.where(stopped["side"] == "SELL", 0.0005 / 0.9995, 0.0005 / 1.0005)
    assert costs.slippage == pytest.approx(lost + (stopped["quantity"] * stopped["price"] * rate).sum(), rel=1e-9)
    assert costs.fills + costs.denied == len(portfolio.orders)


def test_the_trades_say_what_the_metrics_say(case: tuple[Bars, Portfolio]) -> None:
    _, portfolio = case
    trades, metrics = portfolio.trades, portfolio.metrics
    for by in ("symbol", "direction", "exit_reason"):
        groups = trade_groups(trades, by)
        assert sum(group.trades for group in groups) == metrics["trades"]
        won = sum(group.win_rate_fraction * group.trades for group in groups)
        assert won / len(trades) == pytest.approx(metrics["win_rate_fraction"])
        assert sum(group.profit for group in groups) / len(trades) == pytest.approx(metrics["expectancy"])
        assert [group.profit for group in groups] == sorted((group.profit for group in groups), reverse=True)
    found = trade_statistics(trades)
    assert found.best_fraction == trades["return_fraction"].max()
    assert found.worst_fraction == trades["return_fraction"].min()
    assert found.average_win_fraction == pytest.approx(trades.loc[trades["profit"] > 0, "return_fraction"].mean())
    losses = "".join("x" if loss else " " for loss in trades["profit"] <= 0)
    assert found.longest_losing_run == max(map(len, losses.split()))


def test_histograms_count_every_trade_once(case: tuple[Bars, Portfolio]) -> None:
    trades = case[1].trades
    for bins, values in (
        (return_histogram(trades), trades["return_fraction"]),
        (duration_histogram(trades), trades["bars_held"]),
    ):
        assert sum(one.count for one in bins) == len(trades)
        assert 5 < len(bins) < 45
        assert bins[0].low <= values.min()
        assert values.max() <= bins[-1].high
        for one, following in pairwise(bins):
            assert one.high == following.low
            assert one.count == ((values >= one.low) & (values < one.high)).sum()
    assert any(one.low == 0.0 or one.high == 0.0 for one in return_histogram(trades))
    assert all(one.low == int(one.low) for one in duration_histogram(trades))


@pytest.mark.parametrize("value", [0.02, -0.3, 0.0])
def test_trades_that_are_all_alike_are_one_bar(value: float) -> None:
    trades = pd.DataFrame({"return_fraction": [value] * 3, "bars_held": [4] * 3, "profit": [value] * 3})
    (one,) = return_histogram(trades)
    assert (one.low <= value <= one.high, one.count) == (True, 3)
    assert [(b.low, b.high, b.count) for b in duration_histogram(trades)] == [(4, 5, 3)]


def test_without_trades_nothing_is_known() -> None:
    none = walk(0, 100)[1].trades.iloc[:0]
    assert return_histogram(none) == duration_histogram(none) == []
    assert trade_groups(none, "symbol") == []
    found = trade_statistics(none)
    assert (found.average_win_fraction, found.best_fraction, found.median_bars_held, found.longest_losing_run) == (*[None] * 3, 0)


def test_thinning_keeps_every_stretchs_extremes() -> None:
    random = np.random.default_rng(5)
    first, second = random.normal(size=100_000).cumsum(), random.normal(size=100_000)
    second[:3] = np.nan
    rows = rows_to_draw([first, second], stretches=100)
    assert len(rows) <= 402
    assert (rows[0], rows[-1]) == (0, 99_999)
    assert (np.diff(rows) > 0).all()
    for curve in (first, second):
        assert np.nanmin(curve[rows]) == np.nanmin(curve)
        assert np.nanmax(curve[rows]) == np.nanmax(curve)
    assert rows_to_draw([first[:700], second[:700]]).tolist() == list(range(700))


@pytest.mark.parametrize("hours", [0.2, 5, 30, 100, 400, 1_500, 4_000, 12_000, 30_000, 60_000, 300_000])
def test_moments_on_an_axis_are_few_and_round(hours: float) -> None:
    first = datetime(2023, 12, 30, 7, 45, tzinfo=UTC)
    ticks = time_ticks(first, first + timedelta(hours=hours), ZoneInfo("Asia/Kolkata"))
    assert len(ticks) <= 10
    assert len(ticks) >= (2 if hours > 2 else 0)
    assert all(0.0 <= tick.place <= 1.0 for tick in ticks)
    places = [tick.place for tick in ticks]
    assert places == sorted(places)
    (one,) = time_ticks(first, first, ZoneInfo("UTC"))
    assert one.label == "30 Dec 2023"


def test_axes_hold_all_values_and_round_ones() -> None:
    scale = value_scale(np.array([9_100.0, np.nan, 14_200.0]), include=10_000.0)
    assert scale.values() == [10_000.0, 12_000.0, 14_000.0]
    assert 0.0 < scale.place(9_100.0) < scale.place(14_200.0) < 1.0
    assert value_scale(np.array([-0.3, 0.0]), include=0.0).high == 0.0
    grown = value_scale(np.array([100.0, 12_345.0]), may_be_log=True)
    assert grown.is_log
    assert grown.values() == [100.0, 200.0, 500.0, 1_000.0, 2_000.0, 5_000.0, 10_000.0]
    assert not value_scale(np.array([-5.0, 12_345.0]), may_be_log=True).is_log
    for flat in (value_scale(np.array([5.0])), value_scale(np.array([0.0]), include=0.0), value_scale(np.array([np.nan]))):
        assert flat.low < flat.high
        assert len(flat.values()) > 1
    assert Scale(1e-9, 1e9, is_log=True).values(5)
