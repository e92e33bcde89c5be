"""How fast and how steadily a price moves: rate of change, RSI, ADX and its directional indicators."""

from __future__ import annotations

import numpy as np
import pandas as pd
import talib

from algo_py.strategy.bars import Bars
from algo_py.strategy.indicators.columns import check_length, over_each, over_ranges


def rate_of_change(values: pd.DataFrame, length: int) -> pd.DataFrame:
    """Return the change against `length` bars before as a fraction: value / value before - 1; NaN where that one is 0.

    Needs length + 1 bars, and remembers none before them.
    """
    check_length("length", length)

    def change(column: np.ndarray) -> np.ndarray:
        result: np.ndarray = talib.ROCP(column, timeperiod=length)
        result[length:][column[:-length] == 0] = np.nan
        return result

    return over_each(values, change)


def rsi(values: pd.DataFrame, length: int) -> pd.DataFrame:
    """Return Wilder's relative strength index, 0 to 100: the share of gains in all moves, each averaged by Wilder's smoothing.

    Needs length + 1 bars, length at least 2. Remembers every bar before. NaN as long as nothing has moved at all.
    J. W. Wilder, New Concepts in Technical Trading Systems, 1978.
    """
    check_length("length", length, minimum=2)

    def strength(column: np.ndarray) -> np.ndarray:
        result: np.ndarray = talib.RSI(column, timeperiod=length)
        moves = np.flatnonzero(column != column[:1])
        result[: moves[0] if len(moves) else None] = np.nan
        return result

    return over_each(values, strength)


def adx(bars: Bars, length: int) -> pd.DataFrame:
    """Return Wilder's average directional index, 0 to 100: how strong the trend is, up or down.

    It is the smoothed distance of `plus_di` from `minus_di` over their sum. Needs 2 * length bars, length at least 2. Remembers
    every bar before. J. W. Wilder, New Concepts in Technical Trading Systems, 1978.
    """
    check_length("length", length, minimum=2)
    return over_ranges(bars, lambda high, low, close: talib.ADX(high, low, close, timeperiod=length))


def plus_di(bars: Bars, length: int) -> pd.DataFrame:
    """Return Wilder's +DI, 0 to 100: the share of upward movement in the true range. Needs length + 1 bars; see `adx`."""
    check_length("length", length, minimum=2)
    return over_ranges(bars, lambda high, low, close: talib.PLUS_DI(high, low, close, timeperiod=length))


def minus_di(bars: Bars, length: int) -> pd.DataFrame:
    """Return Wilder's -DI, 0 to 100: the share of downward movement in the true range. Needs length + 1 bars; see `adx`."""
    check_length("length", length, minimum=2)
    return over_ranges(bars, lambda high, low, close: talib.MINUS_DI(high, low, close, timeperiod=length))
