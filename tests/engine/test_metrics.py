"""Rule 10: metrics against empyrical, against plain definitions, and where they are not defined."""

from __future__ import annotations

import json
from typing import Any

import numpy as np
import pandas as pd
import pytest
from empyrical import stats

from algo_py.engine import PortfolioConfig, simulate
from algo_py.engine.statistics import curve_sums

from .markets import Walk, random_signals
from .tables import trade

NAMES = [
    "initial_equity", "final_equity", "total_return_fraction", "cagr_fraction", "volatility_fraction", "sharpe_ratio",
    "sortino_ratio", "calmar_ratio", "max_drawdown_fraction", "max_drawdown_duration_s", "trades", "win_rate_fraction",
    "profit_factor", "expectancy", "fees_paid", "exposure_fraction", "benchmark_return_fraction",
]  # fmt: skip


@pytest.mark.parametrize("seed", range(8))
@pytest.mark.parametrize("rows", [60, 700, 5000])
def test_they_equal_empyricals(seed: int, rows: int) -> None:
    bars = Walk(seed=seed, rows=rows, symbols=2).bars()
    portfolio = simulate(bars, random_signals(bars, seed=seed, share=0.05), PortfolioConfig(fees=0.001, size=0.5))
    metrics, year = portfolio.metrics, 365 * 24
    assert list(metrics) == NAMES
    equity = np.append(10_000.0, portfolio.equity)
    returns = pd.Series(equity[1:] / equity[:-1] - 1, index=portfolio.equity.index)
    empyrical: Any = stats  # untyped
    expected = {
        "total_return_fraction": empyrical.cum_returns_final(returns),
        "cagr_fraction": empyrical.cagr(returns, annualization=year),
        "volatility_fraction": empyrical.annual_volatility(returns, annualization=year),
        "sharpe_ratio": empyrical.sharpe_ratio(returns, annualization=year),
        "sortino_ratio": empyrical.sortino_ratio(returns, annualization=year),
        "calmar_ratio": empyrical.calmar_ratio(returns, annualization=year),
        "max_drawdown_fraction": empyrical.max_drawdown(returns),
    }
    for name, value in expected.items():
        assert metrics[name] == pytest.approx(value, rel=1e-9), name


@pytest.mark.parametrize("seed", range(8))
def test_trades_and_drawdown_by_their_plain_definitions(seed: int) -> None:
    bars = Walk(seed=seed, rows=1500, symbols=3, missing=0.1).bars()
    config = PortfolioConfig(fees=0.001, size=0.4, direction="both", cash_sharing=seed % 2 == 0)
    portfolio = simulate(bars, random_signals(bars, seed=seed, share=0.05, short=True), config)
    metrics, trades = portfolio.metrics, portfolio.trades
    assert metrics["trades"] == len(trades)
    assert metrics["win_rate_fraction"] == (trades["profit"] > 0).mean()
    gains, losses = trades["profit"].clip(lower=0).sum(), trades["profit"].clip(upper=0).sum()
    assert metrics["profit_factor"] == pytest.approx(gains / -losses, rel=1e-9)
    assert metrics["expectancy"] == pytest.approx(trades["profit"].mean(), rel=1e-9)
    assert metrics["fees_paid"] == pytest.approx(portfolio.orders["fee"].sum(), rel=1e-9)
    closes = bars.close
    first = closes.bfill().iloc[0]
    assert metrics["benchmark_return_fraction"] == pytest.approx((closes.ffill().iloc[-1] / first).mean() - 1, rel=1e-9)
    equity = np.append(10_000.0, portfolio.equity)
    peaks = np.maximum.accumulate(equity)
    trough = int(np.argmin(equity / peaks))
    peak = int(np.flatnonzero(equity[: trough + 1] == peaks[trough])[-1])
    back = np.flatnonzero(equity[trough:] >= peaks[trough])
    end = trough + int(back[0]) if len(back) else len(equity) - 1
    lasted = bars.index[end - 1] - bars.index[max(peak - 1, 0)]
    assert metrics["max_drawdown_duration_s"] == lasted.total_seconds()


@pytest.mark.parametrize("size", [1, 2, 3, 511, 512, 513, 1024, 1300, 5000])
@pytest.mark.parametrize("drift", [-1e-3, 0.0, 1e-3])
def test_the_folded_sums_equal_two_passes(size: int, drift: float) -> None:
    generator = np.random.default_rng(size)
    equity = 1000 * np.exp(np.cumsum(generator.normal(drift, 0.01, size)))
    sums = curve_sums(equity, 1000.0)
    returns = equity / np.append(1000.0, equity[:-1]) - 1
    assert sums.mean_return == pytest.approx(returns.mean(), rel=1e-10)
    assert sums.squares == pytest.approx(((returns - returns.mean()) ** 2).sum(), rel=1e-10, abs=1e-18)
    assert sums.downside_squares == pytest.approx((np.minimum(returns, 0) ** 2).sum(), rel=1e-10)
    full = np.append(1000.0, equity)
    assert sums.max_drawdown == pytest.approx((full / np.maximum.accumulate(full)).min() - 1, rel=1e-12, abs=1e-15)


def test_without_trades_nothing_but_the_money_is_defined() -> None:
    metrics = trade("100\n110\n90").metrics
    expected = {
        "final_equity": 10_000, "total_return_fraction": 0, "cagr_fraction": 0, "volatility_fraction": 0, "trades": 0,
        "max_drawdown_fraction": 0, "max_drawdown_duration_s": 0, "fees_paid": 0, "exposure_fraction": 0,
    }  # fmt: skip
    assert {name: metrics[name] for name in expected} == expected
    for name in ("sharpe_ratio", "sortino_ratio", "calmar_ratio", "win_rate_fraction", "profit_factor", "expectancy"):
        assert metrics[name] is None


def test_growth_of_one_rate_has_no_ratios() -> None:
    table = "100 E\n" + "\n".join(f"{100 * 1.01**line!r}" for line in range(1, 1200))
    assert trade(table).metrics["sortino_ratio"] is None
    equity = 1000 * 1.01 ** np.arange(1, 3000)
    sums = curve_sums(equity, 1000.0)
    assert np.sqrt(sums.squares / len(equity)) < 1e-12 * sums.mean_return


def test_a_single_bar_has_no_annual_figures() -> None:
    metrics = trade("100").metrics
    assert metrics["cagr_fraction"] is None
    assert metrics["volatility_fraction"] is None


def test_growth_too_large_for_a_float_is_not_infinite() -> None:
    assert trade("1 E\n1\n90", periods_per_year=1e6).metrics["cagr_fraction"] is None


def test_a_drawdown_lasts_from_the_last_bar_at_its_peak_to_recovery() -> None:
    metrics = trade("100 E\n100 100 50 50\n50\n100\n100", periods_per_year=365).metrics
    assert metrics["max_drawdown_fraction"] == -0.5
    assert metrics["max_drawdown_duration_s"] == 3 * 86_400  # from line 0, the last one at the peak, to line 3


@pytest.mark.parametrize(
    ("known", "year"),
    [
        ({"market": "crypto_binance", "timeframe": "1h"}, 365 * 24),
        ({"market": "indian_equity", "timeframe": "1d"}, 248),
        ({}, 365 * 24),
    ],
)
def test_the_year_comes_from_the_calendar_or_from_the_spacing(known: dict[str, str], year: float) -> None:
    walk = Walk(seed=1, rows=300).bars()
    bars = type(walk).from_frames({"A": walk["S0"]}, **known)
    signals = random_signals(bars, seed=1, share=0.1)
    metrics = simulate(bars, signals).metrics
    fixed = simulate(bars, signals, PortfolioConfig(periods_per_year=float(year))).metrics
    assert metrics == fixed
    other = simulate(bars, signals, PortfolioConfig(periods_per_year=100.0)).metrics
    assert metrics["volatility_fraction"] == pytest.approx(other["volatility_fraction"] * np.sqrt(year / 100))


def test_irregular_bars_use_the_median_spacing() -> None:
    generator = np.random.default_rng(5)
    for _ in range(20):
        gaps = generator.choice([60, 60, 300, 3600], size=51)
        index = (pd.Timestamp("2024-01-01", tz="UTC") + pd.to_timedelta(np.cumsum(gaps), unit="s")).as_unit("us")
        frame = pd.DataFrame(1.0, index=index, columns=["open", "high", "low", "close", "volume"])
        from algo_py.engine.periods import periods_per_year
        from algo_py.strategy import Bars

        found = periods_per_year(Bars.from_frames({"A": frame}), PortfolioConfig())
        assert found == 365 * 86_400 / np.median(gaps[1:])


def test_they_are_plain_numbers() -> None:
    metrics: dict[str, Any] = trade("100 E\n110\n90 X\n95").metrics
    assert json.loads(json.dumps(metrics)) == metrics


@pytest.mark.parametrize("sharing", [True, False])
@pytest.mark.parametrize(
    "options", [{}, {"stop_loss": 0.03}, {"max_hold_bars": 6}, {"execution": "close", "trailing_stop": 0.05}]
)
def test_trades_count_the_symbols_own_bars(sharing: bool, options: dict[str, Any]) -> None:
    bars = Walk(seed=4, rows=600, symbols=3, missing=0.15).bars()
    config = PortfolioConfig(size=0.3, cash_sharing=sharing, direction="both", **options)
    portfolio = simulate(bars, random_signals(bars, seed=4, share=0.04, short=True), config)
    close = config.execution == "close"
    assert len(portfolio.trades) > 30
    for done in portfolio.trades.itertuples():
        own = bars[str(done.symbol)].index
        is_stop = done.exit_reason in ("stop_loss", "trailing_stop")
        entered, left = pd.Timestamp(str(done.entry_time)), pd.Timestamp(str(done.exit_time))
        if close:  # a close fill's time is its bar's close, which here is the next bar's open or an hour on
            entered = bars.index[bars.index < entered][-1]
            left = left if is_stop else bars.index[bars.index < left][-1]
        counts_exit = is_stop or close
        held = ((own >= entered) & ((own <= left) if counts_exit else (own < left))).sum()
        assert done.bars_held == held
