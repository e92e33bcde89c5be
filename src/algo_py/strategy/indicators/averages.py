"""Averages of prices, and what is made of them: EMA, SMA, Bollinger bands, MACD, z-score."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pandas as pd
import talib

from algo_py.errors import InvalidInput
from algo_py.strategy.indicators.columns import check_factor, check_length, constant_windows, over_each, over_symbols


def ema(values: pd.DataFrame, length: int) -> pd.DataFrame:
    """Return the exponential moving average with alpha = 2 / (length + 1), seeded by the mean of the first `length` bars.

    Needs `length` bars. Remembers every bar before: after n more bars the seed still weighs (1 - alpha) ** n.
    """
    check_length("length", length)
    return over_each(values, lambda column: talib.EMA(column, timeperiod=length))


def sma(values: pd.DataFrame, length: int) -> pd.DataFrame:
    """Return the mean of the last `length` bars. Needs `length` bars, and remembers none before them."""
    check_length("length", length)
    return over_each(values, lambda column: _mean(column, length))


@dataclass(frozen=True, slots=True)
class BollingerBands:
    """`middle` is the mean, `upper` and `lower` lie a number of standard deviations beside it."""

    upper: pd.DataFrame
    middle: pd.DataFrame
    lower: pd.DataFrame


def bollinger(values: pd.DataFrame, length: int, *, deviations: float = 2.0) -> BollingerBands:
    """Return Bollinger bands: the mean of the last `length` bars, and `deviations` standard deviations (ddof 0) on either side.

    Needs `length` bars, at least 2, and remembers none before them. Where all of them are equal, so are the three bands.
    J. Bollinger, Bollinger on Bollinger Bands, 2001.
    """
    check_length("length", length, minimum=2)
    check_factor("deviations", deviations)

    def bands(column: np.ndarray) -> list[np.ndarray]:
        found = list(talib.BBANDS(column, timeperiod=length, nbdevup=deviations, nbdevdn=deviations))
        still = constant_windows(column, length)
        for band in found:
            band[still] = column[still]
        return found

    return BollingerBands(*over_symbols([values], bands, outputs=3))


@dataclass(frozen=True, slots=True)
class Macd:
    """`line` is the fast average less the slow one, `signal` its own average, `histogram` their difference."""

    line: pd.DataFrame
    signal: pd.DataFrame
    histogram: pd.DataFrame


def macd(values: pd.DataFrame, *, fast: int = 12, slow: int = 26, signal: int = 9) -> Macd:
    """Return moving average convergence/divergence: the EMA over `fast` less the EMA over `slow`, and its EMA over `signal` bars.

    Needs slow + signal - 1 bars for all three; `fast` and `slow` are at least 2, fast below slow. Remembers every bar before.
    TA-Lib seeds the fast average so late that both begin on the same bar, so at first `line` is not quite ema(fast) - ema(slow).
    G. Appel, The Moving Average Convergence-Divergence Trading Method, 1979.
    """
    check_length("fast", fast, minimum=2)
    check_length("slow", slow, minimum=2)
    check_length("signal", signal)
    if fast >= slow:
        raise InvalidInput(f"fast must be below slow (was {fast} and {slow})")
    return Macd(*over_symbols([values], lambda column: talib.MACD(column, fast, slow, signal), outputs=3))


def zscore(values: pd.DataFrame, length: int) -> pd.DataFrame:
    """Return how many standard deviations (ddof 0) a value lies above the mean of the last `length` bars, its own included.

    Needs `length` bars, at least 2, and remembers none before them. Never beyond sqrt(length - 1). NaN where all are equal.
    """
    check_length("length", length, minimum=2)

    def scores(column: np.ndarray) -> np.ndarray:
        deviation = talib.STDDEV(column, timeperiod=length)
        deviation[(deviation == 0) | constant_windows(column, length)] = np.nan
        result: np.ndarray = (column - _mean(column, length)) / deviation
        return result

    return over_each(values, scores)


def _mean(column: np.ndarray, length: int) -> np.ndarray:
    mean: np.ndarray = talib.SMA(column, timeperiod=length)
    still = constant_windows(column, length)
    mean[still] = column[still]
    return mean
