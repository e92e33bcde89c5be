"""Hand-made candle tables for the engine's tests."""

from __future__ import annotations

import numpy as np
import pandas as pd

from algo_py.engine import Portfolio, PortfolioConfig, simulate
from algo_py.strategy import Bars, Signals

START = pd.Timestamp("2024-01-01", tz="UTC")

# One character per bar: E entry, X exit, S short entry, C short exit (cover), B both entry and exit, any other: nothing.
_MARKS = {"entries": "EB", "exits": "XBR", "short_entries": "SR", "short_exits": "C"}


def candles(*rows: tuple[float, float, float, float], start: int = 0) -> pd.DataFrame:
    """Build a frame from (open, high, low, close) rows, one a day from day `start` on."""
    index = pd.date_range(START + pd.Timedelta(days=start), periods=len(rows), freq="D", unit="us")
    frame = pd.DataFrame(rows, columns=["open", "high", "low", "close"], index=index, dtype=np.float64)
    return frame.assign(volume=1.0)


def flat(*closes: float) -> pd.DataFrame:
    """Build candles that open at the previous close and have no wicks; the first one is flat."""
    opens = (closes[0], *closes[:-1])
    return candles(*[(o, max(o, c), min(o, c), c) for o, c in zip(opens, closes, strict=True)])


def marks(bars: Bars, **texts: str) -> Signals:
    """Read signals from one text per symbol (names with "/" written as "_"), one character per row of the bars.

    E entry, X exit, B both, S short entry, C short exit, R exit and short entry (a reversal).
    """
    frames = {}
    for name, letters in _MARKS.items():
        columns = [[mark in letters for mark in texts[symbol].ljust(len(bars.index), ".")] for symbol in bars.symbols]
        frames[name] = pd.DataFrame(np.array(columns).T, index=bars.index, columns=list(bars.symbols))
    return Signals(**frames)


def trade(frames: dict[str, pd.DataFrame], config: PortfolioConfig | None = None, **texts: str) -> Portfolio:
    """Simulate marks on frames."""
    bars = Bars.from_frames(frames)
    return simulate(bars, marks(bars, **texts), config)


def day(number: int) -> pd.Timestamp:
    """Return the open time of the bar of day `number`."""
    return START + pd.Timedelta(days=number)
