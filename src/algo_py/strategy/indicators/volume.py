"""The volume-weighted average price, over the last bars and since the beginning of the day."""

from __future__ import annotations

from zoneinfo import ZoneInfo

import numpy as np
import pandas as pd

from algo_py.market import get_market
from algo_py.strategy.bars import Bars
from algo_py.strategy.indicators.columns import check_length, over_symbols


def vwap(bars: Bars, length: int) -> pd.DataFrame:
    """Return the volume-weighted average price of the last `length` bars, a bar's price being (high + low + close) / 3.

    Needs `length` bars, and remembers none before them. NaN where none of them has any volume.
    S. A. Berkowitz, D. E. Logue, E. A. Noser, The Total Cost of Transactions on the NYSE, 1988.
    """
    check_length("length", length)

    def average(price: np.ndarray, volume: np.ndarray) -> list[np.ndarray]:
        with np.errstate(invalid="ignore"):
            return [_window_sums(price * volume, length) / _window_sums(volume, length)]

    (result,) = over_symbols([_price(bars), bars.volume], average)
    return result


def session_vwap(bars: Bars) -> pd.DataFrame:
    """Return the volume-weighted average price since the day's first bar, a bar's price being (high + low + close) / 3.

    A day is one in the market's time zone, UTC where the market is not known. Needs one bar, and remembers those of its day. NaN
    as long as the day has no volume. Source as for `vwap`.
    """
    zone = get_market(bars.market).time_zone if bars.market is not None else ZoneInfo("UTC")
    days = pd.factorize(bars.index.tz_convert(zone).normalize())[0]
    volume = bars.volume.groupby(days).cumsum()
    return (_price(bars) * bars.volume).groupby(days).cumsum() / volume


def _price(bars: Bars) -> pd.DataFrame:
    return (bars.high + bars.low + bars.close) / 3


def _window_sums(values: np.ndarray, length: int) -> np.ndarray:
    """Return the sum of the last `length` values; NaN before there are so many.

    By blocks of `length`: a window is the end of one block and the beginning of the next. Nothing is ever subtracted, so a window
    without volume sums to exactly 0, however large the volumes before it were.
    """
    rows = len(values)
    result = np.full(rows, np.nan)
    if rows < length:
        return result
    blocks = np.zeros((-(-rows // length), length))
    blocks.ravel()[:rows] = values
    beginnings = blocks.cumsum(axis=1).ravel()[:rows]
    endings = blocks[:, ::-1].cumsum(axis=1)[:, ::-1].ravel()
    starts = np.arange(rows - length + 1)
    result[length - 1 :] = np.where(starts % length == 0, 0.0, endings[: len(starts)]) + beginnings[length - 1 :]
    return result
