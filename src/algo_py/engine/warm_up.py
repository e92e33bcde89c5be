"""Compile the engine once, after installing, so that nobody waits for it later: `python -m algo_py.engine.warm_up`."""

from __future__ import annotations

import numpy as np
import pandas as pd

from algo_py.engine import Account, PortfolioConfig, simulate
from algo_py.strategy import Bars, Signals

_ROWS = 64


def warm_up() -> None:
    """Run the simulation and a live account on a few bars; what they compile stays in the cache on the disk."""
    wave = 100 + 10 * np.sin(np.arange(_ROWS) / 5)
    index = pd.date_range("2025-01-01", periods=_ROWS, freq="h", tz="UTC")
    frame = pd.DataFrame({"open": wave, "high": wave, "low": wave, "close": wave, "volume": 1.0}, index=index)
    bars = Bars.from_frames({"A": frame, "B": frame})
    signals = Signals(entries=bars.close < 95, exits=bars.close > 105)
    config = PortfolioConfig(size=0.5)
    simulate(bars, signals, config).metrics  # noqa: B018  computed on first use
    account = Account(bars.symbols, config)
    account.execute("A", "BUY", "entry", 1.0, 100.0)
    account.apply("A", "SELL", 1.0, 100.0, 0.0)
    row, nothing = np.array([100.0, 100.0]), np.zeros(2, dtype=np.bool_)
    account.mark(row, row, row)
    account.decide(row, nothing, nothing)


if __name__ == "__main__":
    warm_up()
