"""MACD trend: follow a change of momentum, but only with the longer trend."""

from __future__ import annotations

from typing import Self

from pydantic import model_validator

from algo_py.strategy import Bars, Field, Signals, Strategy
from algo_py.strategy.indicators import cross_above, cross_below, ema, macd


class MacdTrend(Strategy):
    """Buy when the MACD crosses above its signal line while the price is above its trend EMA, sell when it crosses below.

    Sells short the other way round where the direction allows it.
    """

    fast: int = Field(12, ge=2, le=200, description="Fast EMA length, bars")
    slow: int = Field(26, ge=3, le=500, description="Slow EMA length, bars")
    signal: int = Field(9, ge=1, le=200, description="Signal line length, bars")
    trend: int = Field(100, ge=2, le=1000, description="Trend EMA length, bars")

    @model_validator(mode="after")
    def _fast_is_faster(self) -> Self:
        if self.fast >= self.slow:
            raise ValueError(f"fast must be below slow (was {self.fast} and {self.slow})")
        return self

    @property
    def warm_up_bars(self) -> int:
        return max(self.slow + self.signal, self.trend)

    def run(self, bars: Bars) -> Signals:
        lines = macd(bars.close, fast=self.fast, slow=self.slow, signal=self.signal)
        trend = ema(bars.close, self.trend)
        up, down = cross_above(lines.line, lines.signal), cross_below(lines.line, lines.signal)
        known = trend.notna()
        return Signals(
            entries=up & (bars.close > trend),
            exits=down & known,
            short_entries=down & (bars.close < trend),
            short_exits=up & known,
        )
