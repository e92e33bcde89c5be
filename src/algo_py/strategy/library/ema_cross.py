"""EMA cross: a trend follower."""

from __future__ import annotations

from typing import Self

from pydantic import model_validator

from algo_py.strategy import Bars, Field, Signals, Strategy
from algo_py.strategy.indicators import cross_above, cross_below, ema


class EmaCross(Strategy):
    """Buy when the fast EMA crosses above the slow one, sell when it crosses below."""

    fast: int = Field(10, ge=2, le=200, description="Fast EMA length, bars")
    slow: int = Field(50, ge=3, le=500, description="Slow EMA length, bars")

    @model_validator(mode="after")
    def _fast_is_faster(self) -> Self:
        if self.fast >= self.slow:
            raise ValueError(f"fast must be below slow (was {self.fast} and {self.slow})")
        return self

    @property
    def warm_up_bars(self) -> int:
        return self.slow + 1

    def run(self, bars: Bars) -> Signals:
        fast, slow = ema(bars.close, self.fast), ema(bars.close, self.slow)
        return Signals(entries=cross_above(fast, slow), exits=cross_below(fast, slow))
