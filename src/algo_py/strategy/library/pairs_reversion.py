"""Pairs reversion: two symbols that usually move together, and a bet that they will again."""

from __future__ import annotations

from typing import Self

import numpy as np
import pandas as pd
from pydantic import model_validator

from algo_py.errors import InvalidInput
from algo_py.strategy import Bars, Field, Signals, Strategy
from algo_py.strategy.indicators import cross_above, cross_below, zscore


class PairsReversion(Strategy):
    """Of two symbols buy the one that is unusually cheap against the other, sell it when their ratio is back to normal.

    The measure is the z-score of the logarithm of their price ratio. Where the direction is both, the other one is sold short
    at the same time; then use a size of 0.5 or less. Long-only it holds one of the two at a time.
    """

    length: int = Field(100, ge=5, le=2000, description="Length of mean and deviation of the ratio, bars")
    entry: float = Field(2.0, ge=0.5, le=10, description="Enter this many standard deviations away from the mean")
    exit: float = Field(0.0, ge=0, le=5, description="Leave when the ratio is back within so many standard deviations")
    stop: float = Field(4.0, gt=0, le=20, description="Give up when it moves this many standard deviations away")

    @model_validator(mode="after")
    def _levels_are_in_order(self) -> Self:
        if not self.exit < self.entry < self.stop:
            raise ValueError(f"exit, entry and stop must rise (was {self.exit:g}, {self.entry:g} and {self.stop:g})")
        # A bar is part of its own mean and deviation, so its z-score is at most sqrt(length - 1).
        if self.entry**2 >= self.length - 1:
            raise ValueError(
                f"entry must be below {(self.length - 1) ** 0.5:.3g}, "
                f"the largest z-score with length {self.length} (was {self.entry:g})"
            )
        return self

    @property
    def warm_up_bars(self) -> int:
        return self.length + 1

    def run(self, bars: Bars) -> Signals:
        if len(bars) != 2:
            raise InvalidInput(
                f"pairs-reversion needs exactly two symbols (was {len(bars)})", remedy="Choose two that usually move together."
            )
        first, second = bars.symbols
        ratio = pd.DataFrame({"ratio": np.log(bars.close[first] / bars.close[second])})
        score = zscore(ratio, self.length)
        low, high = cross_below(score, -self.entry), cross_above(score, self.entry)
        low_over = cross_above(score, -self.exit) | cross_below(score, -self.stop)
        high_over = cross_below(score, self.exit) | cross_above(score, self.stop)

        def both(of_first: pd.DataFrame, of_second: pd.DataFrame) -> pd.DataFrame:
            return pd.concat([of_first, of_second], axis=1).set_axis([first, second], axis=1)

        return Signals(
            entries=both(low, high),
            exits=both(low_over, high_over),
            short_entries=both(high, low),
            short_exits=both(high_over, low_over),
        )
