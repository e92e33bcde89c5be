from _levels import LOWER

from algo_py.strategy import Bars, Field, Signals, Strategy


class Wave(Strategy):
    """Buy low, sell high."""

    upper: float = Field(105.0, gt=0, description="Sell above")

    @property
    def warm_up_bars(self) -> int:
        return 2

    def run(self, bars: Bars) -> Signals:
        return Signals(entries=bars.close < LOWER, exits=bars.close > self.upper)
