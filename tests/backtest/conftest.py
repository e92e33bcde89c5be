"""A workspace with a few hundred hand-made bars and a strategy of its own."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from algo_py.backtest import BacktestConfig
from algo_py.finstore import FinStore
from algo_py.settings import Workspace

FIRST = pd.Timestamp("2025-01-01", tz="UTC")
LONG_AFTER = datetime(2026, 6, 1, tzinfo=UTC)

WAVE = '''from _levels import LOWER

from algo_py.strategy import Bars, Field, Signals, Strategy


class Wave(Strategy):
    """Buy low, sell high."""

    upper: float = Field(105.0, gt=0, description="Sell above")

    @property
    def warm_up_bars(self) -> int:
        return 2

    def run(self, bars: Bars) -> Signals:
        return Signals(entries=bars.close < LOWER, exits=bars.close > self.upper)
'''


def bars(rows: int = 300, *, first: pd.Timestamp = FIRST, freq: str = "h", level: float = 100.0) -> pd.DataFrame:
    """Return a slow sine around `level`, each bar opening at the close before it."""
    close = level * (1 + 0.1 * np.sin(np.arange(rows) / 9.0))
    opens = np.concatenate(([level], close[:-1]))
    index = pd.date_range(first, periods=rows, freq=freq, unit="us", name="open_time")
    return pd.DataFrame(
        {
            "open": opens,
            "high": np.maximum(opens, close) * 1.001,
            "low": np.minimum(opens, close) * 0.999,
            "close": close,
            "volume": 1.0 + np.arange(rows) % 7,
        },
        index=index,
    )


@pytest.fixture
def workspace(tmp_path: Path) -> Workspace:
    """BTC/USDT: 300 hours. ETH/USDT: begins 50 hours later, lacks 3 hours. Two strategy files, one of them a helper."""
    found = Workspace(tmp_path / "workspace")
    eth = bars(250, first=FIRST + pd.Timedelta(hours=50), level=10.0)
    frames = {"BTC/USDT": bars(), "ETH/USDT": eth.drop(eth.index[[100, 101, 200]])}
    FinStore(found.finstore).append("crypto_binance", "1h", frames, now=LONG_AFTER)
    found.strategies.mkdir(parents=True)
    (found.strategies / "wave.py").write_text(WAVE, encoding="utf-8")
    (found.strategies / "_levels.py").write_text("LOWER = 95.0\n", encoding="utf-8")
    return found


def config(**changes: Any) -> BacktestConfig:
    """Return a configuration that works, with some values changed."""
    values = {"strategy": "wave", "market": "crypto_binance", "timeframe": "1h", "symbols": ("BTC/USDT",)}
    return BacktestConfig(**(values | changes))
