"""The engine beside vectorbt: a simulation with all metrics, on the same bars and signals, in the same run."""

from __future__ import annotations

import importlib.util
import subprocess
import sys
import time
from collections.abc import Callable
from typing import Any

import numpy as np
import pandas as pd
import vectorbt

from algo_py.engine import PortfolioConfig, simulate
from algo_py.strategy import Bars, Signals
from algo_py.strategy.library.ema_cross import EmaCross

_FEES, _SLIPPAGE = 0.001, 0.0005
_TARGET = 15.0
_ROUNDS = 12


def main() -> None:
    """Print each row of the budget as a ratio to vectorbt's engines."""
    bars = random_bars(symbols=1, rows=1_000_000)
    _compare("1 symbol x 1,000,000 bars", bars, PortfolioConfig(fees=_FEES, slippage=_SLIPPAGE))
    bars = random_bars(symbols=100, rows=10_000)
    shared = PortfolioConfig(fees=_FEES, slippage=_SLIPPAGE, size_type="value", size=500)
    _compare("100 symbols x 10,000 bars, shared cash", bars, shared)
    split = PortfolioConfig(fees=_FEES, slippage=_SLIPPAGE, cash_sharing=False)
    _compare("100 symbols x 10,000 bars, split cash", bars, split)
    _first_run()


def random_bars(*, symbols: int, rows: int) -> Bars:
    """Draw hourly random walks with a spread that EMA crosses survive."""
    generator = np.random.default_rng(1)
    index = pd.date_range("1990-01-01", periods=rows, freq="h", tz="UTC", unit="us")
    frames = {}
    for place in range(symbols):
        close = 100 * np.exp(np.cumsum(generator.normal(0, 0.005, rows)))
        opens = np.append(close[0], close[:-1])
        high, low = np.maximum(opens, close) * 1.001, np.minimum(opens, close) * 0.999
        frames[f"S{place}"] = pd.DataFrame({"open": opens, "high": high, "low": low, "close": close, "volume": 1.0}, index=index)
    return Bars.from_frames(frames, market="crypto_binance", timeframe="1h")


def _compare(title: str, bars: Bars, config: PortfolioConfig) -> None:
    signals = EmaCross().run(bars)
    engines = {name: _reference(bars, signals, config, name) for name in ("numba", "rust") if _is_available(name)}
    works: dict[str, Callable[[], Any]] = {"ours": lambda: simulate(bars, signals, config).metrics, **engines}
    for work in works.values():  # compile, fill caches
        work()
    best = dict.fromkeys(works, float("inf"))
    for _ in range(_ROUNDS):  # in turns, so that all meet the same disturbances
        for name, work in works.items():
            start = time.perf_counter()
            work()
            best[name] = min(best[name], time.perf_counter() - start)
    ours = best.pop("ours")
    cells = len(bars.index) * len(bars.symbols)
    ratios = ", ".join(f"vectorbt {name} {taken * 1e3:.1f} ms = {taken / ours:.1f} x" for name, taken in best.items())
    met = "met" if min(best.values()) / ours >= _TARGET else "MISSED"
    print(f"{title}: {ours * 1e3:.2f} ms, {ours / cells * 1e9:.1f} ns a bar; {ratios}; target {_TARGET:.0f} x: {met}")


def _is_available(engine: str) -> bool:
    if engine == "rust" and importlib.util.find_spec("vectorbt_rust") is None:
        print("(vectorbt's rust engine is not installed: pip install vectorbt-rust)")
        return False
    return True


def _reference(bars: Bars, signals: Signals, config: PortfolioConfig, engine: str) -> Callable[[], Any]:
    """Return vectorbt's simulation with the same metrics.

    It gets plain arrays: with a time zone its index checks alone would take longer than all of this.
    """
    close = pd.DataFrame(np.ascontiguousarray(bars.array("close")))
    entries = np.ascontiguousarray(signals.entries.to_numpy())
    exits = np.ascontiguousarray(signals.exits.to_numpy())
    sharing = config.cash_sharing and len(bars.symbols) > 1

    def work() -> list[Any]:
        portfolio: Any = vectorbt.Portfolio.from_signals(
            close, entries, exits,
            size=config.size if config.size_type == "value" else np.inf,
            size_type="value" if config.size_type == "value" else "amount",
            fees=config.fees, slippage=config.slippage,
            init_cash=config.initial_cash if config.cash_sharing else config.initial_cash / len(bars.symbols),
            group_by=True if len(bars.symbols) > 1 else None, cash_sharing=sharing, freq="1h", engine=engine,
        )  # fmt: skip
        trades = portfolio.trades
        return [
            portfolio.final_value(), portfolio.total_return(), portfolio.annualized_return(), portfolio.annualized_volatility(),
            portfolio.sharpe_ratio(), portfolio.sortino_ratio(), portfolio.calmar_ratio(), portfolio.max_drawdown(),
            portfolio.drawdowns.max_duration(), trades.count(), trades.win_rate(), trades.profit_factor(), trades.expectancy(),
            portfolio.orders.fees.sum(), portfolio.position_coverage(), portfolio.total_benchmark_return(),
        ]  # fmt: skip

    return work


def _first_run() -> None:
    code = """
import numpy as np, pandas as pd
from algo_py.engine import simulate
from algo_py.strategy import Bars
from algo_py.strategy.library.ema_cross import EmaCross
index = pd.date_range("2024-01-01", periods=10_000, freq="h", tz="UTC", unit="us")
close = 100 * np.exp(np.cumsum(np.random.default_rng(1).normal(0, 0.005, 10_000)))
frame = pd.DataFrame({name: close for name in ("open", "high", "low", "close", "volume")}, index=index)
bars = Bars.from_frames({"A": frame})
print(simulate(bars, EmaCross().run(bars)).metrics["trades"])
"""
    times = []
    for _ in range(3):
        start = time.perf_counter()
        subprocess.run([sys.executable, "-c", code], check=True, capture_output=True)
        times.append(time.perf_counter() - start)
    print(f"a whole process with its first simulation of 10,000 bars, compile cache warm: {min(times):.2f} s")
