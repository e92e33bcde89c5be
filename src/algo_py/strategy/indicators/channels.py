"""Ranges and channels: highest and lowest values, ATR, Donchian channel, Supertrend."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pandas as pd
import talib

from algo_py.strategy.bars import Bars
from algo_py.strategy.indicators.columns import check_factor, check_length, over_each, over_ranges, over_symbols


def highest(values: pd.DataFrame, length: int) -> pd.DataFrame:
    """Return the highest of the last `length` bars, this one included. Needs `length` bars, and remembers none before them."""
    check_length("length", length)
    return over_each(values, lambda column: column if length == 1 else talib.MAX(column, timeperiod=length))


def lowest(values: pd.DataFrame, length: int) -> pd.DataFrame:
    """Return the lowest of the last `length` bars, this one included. Needs `length` bars, and remembers none before them."""
    check_length("length", length)
    return over_each(values, lambda column: column if length == 1 else talib.MIN(column, timeperiod=length))


def atr(bars: Bars, length: int) -> pd.DataFrame:
    """Return Wilder's average true range, in units of price: the average reach of a bar, gaps since the close before included.

    Needs length + 1 bars: the first bar has no close before it and is left out. Remembers every bar before (Wilder's smoothing,
    alpha = 1 / length). J. W. Wilder, New Concepts in Technical Trading Systems, 1978.
    """
    check_length("length", length)
    return over_ranges(bars, lambda high, low, close: talib.ATR(high, low, close, timeperiod=length))


@dataclass(frozen=True, slots=True)
class DonchianChannel:
    """`upper` is the highest high, `lower` the lowest low, `middle` half-way between them."""

    upper: pd.DataFrame
    middle: pd.DataFrame
    lower: pd.DataFrame


def donchian(bars: Bars, length: int) -> DonchianChannel:
    """Return the highest high and the lowest low of the last `length` bars, this one included.

    A close never lies outside of its own bar's channel: a breakout is a close beyond `previous(channel.upper)`. Needs `length`
    bars, and remembers none before them. R. D. Donchian's four-week rule.
    """
    upper, lower = highest(bars.high, length), lowest(bars.low, length)
    return DonchianChannel(upper, (upper + lower) / 2, lower)


@dataclass(frozen=True, slots=True)
class Supertrend:
    """`line` is the stop line; `direction` is 1.0 while the trend is up (line below), -1.0 while it is down (line above)."""

    line: pd.DataFrame
    direction: pd.DataFrame


def supertrend(bars: Bars, length: int, *, multiplier: float = 3.0) -> Supertrend:
    """Return the Supertrend: a line `multiplier` average true ranges from the bar's middle that only moves with the trend.

    The upper band falls to middle + multiplier * ATR, and rises only after a close above it; the lower band the other way round.
    A close above the upper band turns the trend up, one below the lower band turns it down. It begins as down, so its first turn
    up may come late. Needs length + 1 bars, one more for a turn. Remembers every bar before.
    O. Seban's indicator; bands and beginning as in TradingView's ta.supertrend (there up is -1, and the ATR's first bar counts).
    """
    check_length("length", length)
    check_factor("multiplier", multiplier)
    from algo_py.strategy.indicators.trailing import trail  # here, because importing numba costs a second

    def trailed(high: np.ndarray, low: np.ndarray, close: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        reach = multiplier * talib.ATR(high, low, close, timeperiod=length)
        middle = (high + low) / 2
        line, direction = trail(middle + reach, middle - reach, close)
        return line, direction

    return Supertrend(*over_symbols([bars.high, bars.low, bars.close], trailed, outputs=2))
