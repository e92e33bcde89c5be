"""Time as a simulation needs it: how many bars a year has, and how long a stretch of bars lasted."""

from __future__ import annotations

import numpy as np
import pandas as pd

from algo_py.engine.config import PortfolioConfig
from algo_py.market import get_market
from algo_py.strategy import Bars

_PER_SECOND = {"s": 1, "ms": 10**3, "us": 10**6, "ns": 10**9}
_YEAR_S = 365 * 86_400


def periods_per_year(bars: Bars, config: PortfolioConfig) -> float | None:
    """Return the bars a year has: as configured, else by the market's calendar, else 365 days over the median spacing.

    None where a single bar tells nothing.
    """
    if config.periods_per_year is not None:
        return config.periods_per_year
    if bars.market is not None and bars.timeframe is not None:
        return get_market(bars.market).calendar.periods_per_year(bars.timeframe)
    if len(bars.index) < 2:
        return None
    return _YEAR_S / _median_spacing_s(bars.index)


def seconds_between(index: pd.DatetimeIndex, start_row: int, end_row: int) -> float:
    """Return the seconds between the open times of two rows; a row before the first one counts as the first."""
    times = index.asi8
    return float(times[max(end_row, 0)] - times[max(start_row, 0)]) / _PER_SECOND[index.unit]


def _median_spacing_s(index: pd.DatetimeIndex) -> float:
    from algo_py.engine.statistics import is_most  # compiled: loaded on first use

    times = index.asi8
    step = max(1, (len(times) - 1) // 64)
    sample = np.diff(times)[::step] if step == 1 else times[1::step] - times[:-1:step]
    common = int(np.median(sample))
    # A spacing that more than half of the gaps share is the median; looking for it is much cheaper than sorting a million gaps.
    spacing = float(common) if is_most(times, common) else float(np.median(np.diff(times)))
    return spacing / _PER_SECOND[index.unit]
