"""Bars for the tests of the store."""

from __future__ import annotations

from datetime import UTC, datetime

import numpy as np
import pandas as pd

START = datetime(2024, 1, 1, tzinfo=UTC)
LATE = datetime(2026, 6, 1, tzinfo=UTC)
MARKET, SYMBOL = "crypto_binance", "BTC/USDT"
DELTAS_BEFORE_A_MERGE = 16
APPENDS_BEFORE_A_FOLD = 128


def bars(rows: int, *, start: datetime = START, freq: str = "1h", seed: int = 1) -> pd.DataFrame:
    """Make `rows` bars of a random walk."""
    return bars_at(pd.date_range(start, periods=rows, freq=freq, unit="us"), seed=seed)


def bars_at(index: pd.DatetimeIndex, *, seed: int = 1) -> pd.DataFrame:
    """Make bars that open at these times; with the same seed, fewer are the beginning of more."""
    moves = np.random.default_rng(seed).random((len(index), 5))
    opens = 100 * np.exp((moves[:, 0] - 0.5).cumsum() / 100)
    closes = opens * np.exp((moves[:, 1] - 0.5) / 100)
    values = {
        "open": opens,
        "high": np.maximum(opens, closes) * (1 + moves[:, 2] / 100),
        "low": np.minimum(opens, closes) * (1 - moves[:, 3] / 100),
        "close": closes,
        "volume": moves[:, 4] * 1_000,
    }
    return pd.DataFrame(values, index=pd.DatetimeIndex(index, name="open_time"))
