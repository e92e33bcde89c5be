"""Momentum rotation: hold the strongest of a universe, and look again every so many bars."""

from __future__ import annotations

import numpy as np
import pandas as pd

from algo_py.errors import InvalidInput
from algo_py.strategy import Bars, Field, Signals, Strategy
from algo_py.strategy.indicators import previous, rank, rate_of_change


class MomentumRotation(Strategy):
    """Hold the symbols of the universe that have risen most, and choose anew every so many bars.

    Use it with a size of 1 / top, so that there is cash for each. Only what enters and leaves is traded: what stays keeps its
    quantity. Rebalancing bars are counted from the first bar that has enough history.
    """

    lookback: int = Field(60, ge=1, le=2000, description="How many bars back the return is measured")
    top: int = Field(2, ge=1, le=100, description="How many symbols to hold")
    every: int = Field(20, ge=1, le=1000, description="Choose anew every so many bars")
    floor: float = Field(0.0, ge=-1, le=1, description="Hold only what has returned more than this fraction; -1: any")

    @property
    def warm_up_bars(self) -> int:
        return self.lookback + 1

    def run(self, bars: Bars) -> Signals:
        if self.top >= len(bars):
            raise InvalidInput(
                f"top must be below the number of symbols, {len(bars)} (was {self.top})", remedy="Lower top or add symbols."
            )
        change = rate_of_change(bars.close, self.lookback)
        chosen = ((rank(change) <= self.top) & (change > self.floor)).to_numpy()

        # The row of the latest choice, as each row sees it; row 0 before the first.
        rows = np.arange(len(bars.index))
        is_choice = (rows >= self.lookback) & ((rows - self.lookback) % self.every == 0)
        latest = np.maximum.accumulate(np.where(is_choice, rows, 0))

        # What was not chosen leaves on its first own bar since then. A symbol that lacks the bar of a choice is not chosen.
        present = bars.close.notna()
        seen = pd.DataFrame(np.where(present, latest[:, None], np.nan), index=present.index, columns=present.columns)
        leaves = (seen > previous(seen)) & ~chosen[latest]
        return Signals(entries=present & chosen & is_choice[:, None], exits=leaves)
