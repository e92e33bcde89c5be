"""RSI reversion: buy weakness, sell strength."""

from __future__ import annotations

from algo_py.strategy import Bars, Field, Signals, Strategy
from algo_py.strategy.indicators import cross_above, cross_below, rsi


class RsiReversion(Strategy):
    """Buy when the RSI falls through its lower level, sell when it rises through its upper one."""

    length: int = Field(14, ge=2, le=200, description="RSI length, bars")
    lower: float = Field(30.0, ge=1, le=50, description="Buy below this RSI")
    upper: float = Field(60.0, ge=50, le=99, description="Sell above this RSI")

    @property
    def warm_up_bars(self) -> int:
        return self.length + 2

    def run(self, bars: Bars) -> Signals:
        strength = rsi(bars.close, self.length)
        return Signals(entries=cross_below(strength, self.lower), exits=cross_above(strength, self.upper))
