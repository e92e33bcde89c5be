"""Bars and signals for property tests: seeded random walks, real bars, and independent random signals."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd

from algo_py.finstore import FinStore
from algo_py.finstore.sample import install_sample
from algo_py.strategy import Bars, Signals

SIGNALS = ("entries", "exits", "short_entries", "short_exits")


@dataclass(frozen=True, slots=True, kw_only=True)
class Walk:
    """How to draw random bars. `gaps` lets opens leave the previous close; `missing` is the share of bars left out."""

    seed: int
    symbols: int = 1
    rows: int = 120
    gaps: bool = False
    missing: float = 0.0

    def bars(self) -> Bars:
        generator = np.random.default_rng(self.seed)
        index = pd.date_range("2024-01-01", periods=self.rows, freq="h", tz="UTC", unit="us")
        frames = {}
        for place in range(self.symbols):
            close = 50 * np.exp(np.cumsum(generator.normal(0, 0.02, self.rows)))
            opens = np.append(close[0], close[:-1])
            if self.gaps:
                opens = opens * np.exp(generator.normal(0, 0.01, self.rows))
            high = np.maximum(opens, close) * (1 + generator.uniform(0, 0.01, self.rows))
            low = np.minimum(opens, close) * (1 - generator.uniform(0, 0.01, self.rows))
            frame = pd.DataFrame({"open": opens, "high": high, "low": low, "close": close, "volume": 1.0}, index=index)
            kept = generator.random(self.rows) >= self.missing
            kept[generator.integers(self.rows)] = True
            frames[f"S{place}"] = frame[kept]
        return Bars.from_frames(frames)


def random_signals(bars: Bars, *, seed: int, share: float, short: bool = False) -> Signals:
    """Draw each signal of each bar independently, True with probability `share`."""
    generator = np.random.default_rng([seed, 1])
    shape = (len(bars.index), len(bars.symbols))
    frames = [
        pd.DataFrame(generator.random(shape) < share, index=bars.index, columns=list(bars.symbols))
        for _ in SIGNALS[: 4 if short else 2]
    ]
    return Signals(*frames)


def real_bars(folder: Path, symbols: tuple[str, ...], rows: int) -> Bars:
    """Return the last `rows` bundled hourly bars of Binance pairs."""
    store = FinStore(folder)
    install_sample(store)
    return Bars.from_frames(
        {symbol: store.read("crypto_binance", "1h", symbol).iloc[-rows:] for symbol in symbols},
        market="crypto_binance",
        timeframe="1h",
    )
