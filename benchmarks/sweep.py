"""Sweeps: 1,000 parameter sets over 10,000 bars through EmaCross.run, beside vectorbt vectorised by hand.

Each side is a process of its own. Memory is the proportional set size of that process and its workers, looked at while it runs.
Both fill at the close that decides, so that both must come to the same returns.
"""

from __future__ import annotations

import gc
import json
import math
import select
import subprocess
import sys
import time
from contextlib import ExitStack
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
import psutil

FAST, SLOW = range(5, 30), range(30, 110, 2)
_ROWS = 10_000
_FEES, _SLIPPAGE = 0.001, 0.0005
_RUNS = 3
_LOOK_S = 0.01
_SIDES = {
    "algo_py": "algo_py, all metrics",
    "vectorbt": "vectorbt, the same metrics",
    "vectorbt_sharpe": "vectorbt, Sharpe ratio alone",
}
_MIB = 1024 * 1024


@dataclass(slots=True)
class Side:
    """One side: its process, and what it came to."""

    words: str
    process: subprocess.Popen[str]
    seconds: float = math.inf
    imports_mib: float = 0.0
    peak_mib: float = 0.0
    returns: np.ndarray | None = None

    @property
    def growth_mib(self) -> float:
        return self.peak_mib - self.imports_mib

    def ask(self) -> None:
        """Let the process run its sweep once."""
        assert self.process.stdin is not None
        self.process.stdin.write("go\n")
        self.process.stdin.flush()

    def answer(self) -> str:
        """Wait for the process's next line."""
        assert self.process.stdout is not None
        line = self.process.stdout.readline()
        if not line:
            raise SystemExit("the benchmark's process has failed; its error stands above")
        return line

    def has_answered(self) -> bool:
        assert self.process.stdout is not None
        return bool(select.select([self.process.stdout], [], [], _LOOK_S)[0])


def main() -> None:
    """Print both sides and their ratios beside the budget."""
    with ExitStack() as stack:
        sides = {name: Side(words, stack.enter_context(_process(name))) for name, words in _SIDES.items()}
        for side in sides.values():
            side.answer()
            side.imports_mib = _memory_mib(side.process.pid)
        for _ in range(_RUNS):  # in turn, so that a busy machine is busy for both
            for side in sides.values():
                _time(side)
        for side in sides.values():
            _watch_memory(side)
            side.process.communicate("")
    _report(sides)


def _report(sides: dict[str, Side]) -> None:
    print(f"{len(FAST) * len(SLOW):,} parameter sets x {_ROWS:,} bars, best of {_RUNS}\n")
    for side in sides.values():
        print(
            f"{side.words:30s} {side.seconds * 1000:7.0f} ms   peak {side.peak_mib:6.0f} MiB, "
            f"of it {side.growth_mib:6.0f} MiB above its imports"
        )
    ours, *others = sides.values()
    for theirs in others:
        print(
            f"\nagainst {theirs.words}: {theirs.seconds / ours.seconds:.1f} times faster   budget 10\n"
            f"    memory above imports {ours.growth_mib / theirs.growth_mib:.1%}   budget 5 %   "
            f"(imports included {ours.peak_mib / theirs.peak_mib:.1%})"
        )
        assert ours.returns is not None
        assert theirs.returns is not None
        if theirs is others[0]:
            print(f"    largest difference of a set's total return {np.abs(ours.returns - theirs.returns).max():.1e}")


def _process(name: str) -> subprocess.Popen[str]:
    command = [sys.executable, "-m", "benchmarks.sweep", name]
    return subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)


def _time(side: Side) -> None:
    side.ask()
    answer = json.loads(side.answer())
    side.seconds, side.returns = min(side.seconds, answer["seconds"]), np.array(answer["returns"])


def _watch_memory(side: Side) -> None:
    """Run once more and look at the memory; looking slows it down, so this run is not timed."""
    side.ask()
    while not side.has_answered():
        side.peak_mib = max(side.peak_mib, _memory_mib(side.process.pid))
    side.answer()


def _memory_mib(pid: int) -> float:
    total = 0
    process = psutil.Process(pid)
    for one in (process, *process.children(recursive=True)):
        try:
            total += one.memory_full_info().pss
        except psutil.Error:  # a worker that has just ended
            continue
    return total / _MIB


def _bars() -> pd.DataFrame:
    generator = np.random.default_rng(7)
    close = 100 * np.exp(np.cumsum(generator.normal(0, 0.01, _ROWS)))
    opens = np.append(close[0], close[:-1])
    index = pd.date_range("2024-01-01", periods=_ROWS, freq="h", tz="UTC", unit="us")
    high, low = np.maximum(opens, close) * 1.001, np.minimum(opens, close) * 0.999
    return pd.DataFrame({"open": opens, "high": high, "low": low, "close": close, "volume": 1.0}, index=index)


def _serve(name: str) -> None:
    """Be one side: get ready, then run once for each line that comes."""
    run = {"algo_py": _algo_py, "vectorbt": _vectorbt, "vectorbt_sharpe": _vectorbt_sharpe}[name]
    frame = _bars()
    run(frame, FAST[:5], SLOW[:5])  # whatever is compiled or loaded on first use
    print("ready", flush=True)
    for _ in sys.stdin:
        gc.collect()
        began = time.perf_counter()
        returns = run(frame, FAST, SLOW)
        took_s = time.perf_counter() - began
        print(json.dumps({"seconds": took_s, "returns": [float(value) for value in returns]}), flush=True)


def _algo_py(frame: pd.DataFrame, fast: range, slow: range) -> Any:
    from algo_py.engine import PortfolioConfig
    from algo_py.engine.sweep import sweep
    from algo_py.strategy import Bars
    from algo_py.strategy.library.ema_cross import EmaCross

    bars = Bars.from_frames({"BTC/USDT": frame}, market="crypto_binance", timeframe="1h")
    config = PortfolioConfig(fees=_FEES, slippage=_SLIPPAGE, execution="close")
    results = sweep(EmaCross, bars, config, grid={"fast": list(fast), "slow": list(slow)})
    return results["total_return_fraction"].to_numpy()


def _vectorbt(frame: pd.DataFrame, fast: range, slow: range) -> Any:
    portfolio = _vectorbt_portfolio(frame, fast, slow)
    trades = portfolio.trades
    for metric in (
        portfolio.final_value,
        portfolio.annualized_return,
        portfolio.annualized_volatility,
        portfolio.sharpe_ratio,
        portfolio.sortino_ratio,
        portfolio.calmar_ratio,
        portfolio.max_drawdown,
        portfolio.total_benchmark_return,
        trades.closed.count,
        trades.closed.win_rate,
        trades.closed.profit_factor,
        trades.closed.expectancy,
        portfolio.orders.fees.sum,
        lambda: portfolio.position_coverage(),
    ):
        metric()
    return portfolio.total_return().to_numpy()


def _vectorbt_sharpe(frame: pd.DataFrame, fast: range, slow: range) -> Any:
    return _vectorbt_portfolio(frame, fast, slow).sharpe_ratio().to_numpy()


def _vectorbt_portfolio(frame: pd.DataFrame, fast: range, slow: range) -> Any:
    """Compute each average once, compare all pairs at once, and simulate all columns at once."""
    import talib
    import vectorbt

    close = frame["close"].to_numpy()
    averages = {length: talib.EMA(close, timeperiod=length) for length in (*fast, *slow)}
    left = np.column_stack([averages[f] for f in fast for _ in slow])
    right = np.column_stack([averages[s] for _ in fast for s in slow])
    above, below, known = left > right, left < right, ~np.isnan(left) & ~np.isnan(right)
    del left, right
    before = np.zeros_like(known)
    before[1:] = known[:-1]
    entries, exits = above & before, below & before
    entries[1:] &= ~above[:-1]
    exits[1:] &= ~below[:-1]
    wide = pd.DataFrame(entries, index=frame.index), pd.DataFrame(exits, index=frame.index)
    return vectorbt.Portfolio.from_signals(frame["close"], *wide, init_cash=10_000, fees=_FEES, slippage=_SLIPPAGE, freq="1h")


if __name__ == "__main__":
    _serve(sys.argv[1])
