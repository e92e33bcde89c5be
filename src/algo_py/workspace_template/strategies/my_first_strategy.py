"""An example to copy from. Every file in this folder may hold strategies; a file whose name starts with _ holds helpers.

Try it:  algo-py backtest run my-first-strategy --market crypto_binance --timeframe 1h --symbols BTC/USDT
"""

from __future__ import annotations

from algo_py.strategy import Bars, Field, Signals, Strategy


class MyFirstStrategy(Strategy):
    """Buy what has risen a good deal over the last bars, sell it when it has fallen back."""

    # The class name in small letters and dashes is the strategy's name: my-first-strategy.
    # Each field is a parameter: a type, a default, bounds, a description. The dashboard's form and --param are made from them.
    lookback: int = Field(48, ge=1, le=1000, description="How many bars to look back")
    rise: float = Field(0.03, gt=0, lt=1, description="Buy above this rise, as a fraction (0.03 is 3 %)")

    @property
    def warm_up_bars(self) -> int:
        # How many bars are needed before the first valid signal. A deployment reads at least so many.
        return self.lookback + 1

    def run(self, bars: Bars) -> Signals:
        # bars.close is a frame: a row for each bar, a column for each symbol; so are bars.open, high, low and volume.
        # bars["BTC/USDT"] is one symbol's own frame. What a symbol lacks is NaN, and a comparison with NaN is False.
        change = bars.close / bars.close.shift(self.lookback) - 1

        # True in a row is your opinion at the close of that bar; the order fills at the open of the next one.
        # Row t may use rows up to t only. shift(-1), or a mean over the whole frame, would look into the future: such a
        # backtest is too good to be true, and Algo.Py warns of it.
        return Signals(entries=change > self.rise, exits=change < 0)
