"""What an equity curve says: drawdowns, returns by month, the Sharpe ratio over time. Pure functions from series to series.

An `equity` has a value for each bar, taken at its close and indexed by its open time; `initial` is the cash before the first bar.
Conventions are those of `algo_py.engine.metrics`. After an equity of 0 or less returns mean nothing and are NaN.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Final
from zoneinfo import ZoneInfo

import numpy as np
import pandas as pd

YEAR: Final = "year"

_WINDOW_MONTHS: Final = (12, 6, 3, 1)
_FEWEST_BARS: Final = 20


@dataclass(frozen=True, slots=True, kw_only=True)
class DrawdownEpisode:
    """A stretch below the peak before it. `depth_fraction` is negative; `recovered_at` is None where it lasts to the end.

    The peak may be the initial cash; it then counts as reached at the first bar. `duration_s` is from peak to recovery or end.
    """

    peak_at: datetime
    trough_at: datetime
    recovered_at: datetime | None
    depth_fraction: float
    duration_s: float


@dataclass(frozen=True, slots=True)
class Window:
    """How many bars a rolling figure looks back on, about so many months."""

    bars: int
    months: int


def drawdown(equity: pd.Series, initial: float) -> pd.Series:
    """Return how far equity is below its highest value so far, the initial cash included; a fraction, 0 or negative."""
    return (equity / equity.cummax().clip(lower=initial) - 1.0).rename("drawdown")


def drawdown_episodes(equity: pd.Series, initial: float, *, most: int = 5) -> list[DrawdownEpisode]:
    """Return the deepest drawdowns, deepest first. The first one's depth and duration are the metrics of those names."""
    below = drawdown(equity, initial).to_numpy()
    is_below = np.concatenate(([False], below < 0.0, [False]))
    starts, ends = np.flatnonzero(is_below[1:] & ~is_below[:-1]), np.flatnonzero(~is_below[1:] & is_below[:-1])
    troughs = [int(start + np.argmin(below[start:end])) for start, end in zip(starts, ends, strict=True)]
    deepest = sorted(range(len(troughs)), key=lambda place: below[troughs[place]])[:most]
    times = pd.DatetimeIndex(equity.index)
    return [_episode(times, below, int(starts[place]), troughs[place], int(ends[place])) for place in deepest]


def returns(equity: pd.Series, initial: float) -> pd.Series:
    """Return the return of each bar, the first one from the initial cash; NaN once equity has been 0 or less."""
    found = equity / equity.shift(1, fill_value=initial) - 1.0
    return found.where(~(equity.shift(1, fill_value=initial) <= 0.0).cummax()).rename("return")


def rolling_window(rows: int, periods_per_year: float) -> Window | None:
    """Choose the longest of 12, 6, 3 and 1 months of which the period holds four (of one month: two); None: it is too short."""
    for months in _WINDOW_MONTHS:
        bars = round(periods_per_year * months / 12)
        if bars >= _FEWEST_BARS and rows >= bars * (4 if months > 1 else 2):
            return Window(bars, months)
    return None


def rolling_sharpe(equity: pd.Series, initial: float, *, window: int, periods_per_year: float) -> pd.Series:
    """Return the Sharpe ratio of the last `window` bars, as the metric: mean / deviation (ddof 1) * sqrt(periods_per_year).

    NaN in the first `window` - 1 bars and where all returns of a window are alike.
    """
    found = returns(equity, initial)
    rolling = found.rolling(window)
    are_alike = rolling.max() == rolling.min()
    ratio: pd.Series = rolling.mean() / rolling.std() * np.sqrt(periods_per_year)
    return ratio.where(~are_alike).rename("sharpe_ratio")


def monthly_returns(equity: pd.Series, initial: float, *, zone: ZoneInfo) -> pd.DataFrame:
    """Return one row a year with the returns of the months 1 to 12 and of the whole, column "year"; NaN where there is none.

    A bar belongs to the month of its open time in `zone`. The months' growths multiply to the period's.
    """
    months = pd.DatetimeIndex(equity.index).tz_convert(zone).tz_localize(None).to_period("M")
    ends = equity.groupby(months).last()
    growth = 1.0 + returns(ends, initial)
    years = sorted({month.year for month in ends.index})
    table = pd.DataFrame(np.nan, index=pd.Index(years, name=YEAR), columns=[*range(1, 13), YEAR], dtype=np.float64)
    for month, factor in growth.items():
        table.loc[month.year, month.month] = factor - 1.0  # type: ignore[attr-defined]  # the index holds periods
    by_year = growth.groupby([month.year for month in growth.index]).prod(skipna=False)
    table[YEAR] = by_year - 1.0
    return table


def _episode(times: pd.DatetimeIndex, below: np.ndarray, start: int, trough: int, end: int) -> DrawdownEpisode:
    peak_at, has_ended = times[max(start - 1, 0)], end < len(times)
    last = times[end] if has_ended else times[-1]
    return DrawdownEpisode(
        peak_at=peak_at.to_pydatetime(),
        trough_at=times[trough].to_pydatetime(),
        recovered_at=last.to_pydatetime() if has_ended else None,
        depth_fraction=float(below[trough]),
        duration_s=(last - peak_at).total_seconds(),
    )
