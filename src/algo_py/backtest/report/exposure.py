"""How much of the equity was in the market, bar by bar."""

from __future__ import annotations

from dataclasses import dataclass

import pandas as pd

from algo_py.backtest.curves import Curves


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Exposure:
    """Fractions of equity at each bar's close, 0 or more; above 1 is possible for shorts. NaN where equity is not above 0."""

    long: pd.Series
    short: pd.Series

    @property
    def has_shorts(self) -> bool:
        return bool((self.short > 0.0).any())


def exposure_of(curves: Curves) -> Exposure | None:
    """Return the exposure over time; None where position values were not saved."""
    if curves.long_value is None or curves.short_value is None:
        return None
    equity = curves.equity.where(curves.equity > 0.0)
    return Exposure(long=(curves.long_value / equity).rename("long"), short=(curves.short_value / equity).rename("short"))
