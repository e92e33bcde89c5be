"""Supertrend flip: hold while the price stays on the right side of its trailing line."""

from __future__ import annotations

from algo_py.strategy import Bars, Field, Signals, Strategy
from algo_py.strategy.indicators import cross_above, cross_below, supertrend


class SupertrendFlip(Strategy):
    """Buy when the Supertrend turns up, sell when it turns down.

    Sells short the other way round where the direction allows it.
    """

    length: int = Field(10, ge=1, le=200, description="ATR length, bars")
    multiplier: float = Field(3.0, ge=0.5, le=20, description="Distance of the line from the bar's middle, average true ranges")

    @property
    def warm_up_bars(self) -> int:
        return self.length + 2

    def run(self, bars: Bars) -> Signals:
        direction = supertrend(bars, self.length, multiplier=self.multiplier).direction
        up, down = cross_above(direction, 0.0), cross_below(direction, 0.0)
        return Signals(entries=up, exits=down, short_entries=down, short_exits=up)
