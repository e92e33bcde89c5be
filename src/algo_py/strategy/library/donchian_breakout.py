"""Donchian breakout: the channel rule of the Turtles, on closes."""

from __future__ import annotations

from algo_py.strategy import Bars, Field, Signals, Strategy
from algo_py.strategy.indicators import donchian, previous


class DonchianBreakout(Strategy):
    """Buy a close above the highest high of the bars before, sell a close below the lowest low of fewer of them.

    Sells short the other way round where the direction allows it.
    """

    entry_bars: int = Field(55, ge=2, le=1000, description="Length of the channel to enter on, bars")
    exit_bars: int = Field(20, ge=1, le=1000, description="Length of the channel to leave on, bars")

    @property
    def warm_up_bars(self) -> int:
        return max(self.entry_bars, self.exit_bars) + 1

    def run(self, bars: Bars) -> Signals:
        entry, leave = donchian(bars, self.entry_bars), donchian(bars, self.exit_bars)
        highest, lowest = previous(entry.upper), previous(entry.lower)
        exit_high, exit_low = previous(leave.upper), previous(leave.lower)
        known = highest.notna() & exit_high.notna()
        return Signals(
            entries=(bars.close > highest) & known,
            exits=(bars.close < exit_low) & known,
            short_entries=(bars.close < lowest) & known,
            short_exits=(bars.close > exit_high) & known,
        )
