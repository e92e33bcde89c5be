"""Indicators on wide frames (time x symbol), computed by TA-Lib column by column.

Missing bars (NaN) are left out of a symbol's calculation and stay NaN in its result, so that one symbol's gap neither shifts
nor poisons another's values.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pandas as pd
import talib


def ema(values: pd.DataFrame, length: int) -> pd.DataFrame:
    """Return the exponential moving average with alpha = 2 / (length + 1), seeded by the mean of the first `length` bars."""
    return _per_symbol(values, lambda column: talib.EMA(column, timeperiod=length))


def rsi(values: pd.DataFrame, length: int) -> pd.DataFrame:
    """Return Wilder's relative strength index, 0 to 100 (J. W. Wilder, New Concepts in Technical Trading Systems, 1978)."""
    return _per_symbol(values, lambda column: talib.RSI(column, timeperiod=length))


def cross_above(left: pd.DataFrame, right: pd.DataFrame | float) -> pd.DataFrame:
    """Return True on the bar on which `left` gets above `right` after having been at or below it."""
    return (left > right) & (left.shift(1) <= (right.shift(1) if isinstance(right, pd.DataFrame) else right))


def cross_below(left: pd.DataFrame, right: pd.DataFrame | float) -> pd.DataFrame:
    """Return True on the bar on which `left` gets below `right` after having been at or above it."""
    return (left < right) & (left.shift(1) >= (right.shift(1) if isinstance(right, pd.DataFrame) else right))


def _per_symbol(values: pd.DataFrame, function: Callable[[np.ndarray], np.ndarray]) -> pd.DataFrame:
    source = values.to_numpy(dtype=np.float64)
    result = np.full(source.shape, np.nan, order="F")
    for column in range(source.shape[1]):
        present = ~np.isnan(source[:, column])
        if present.any():
            result[present, column] = function(np.ascontiguousarray(source[present, column]))
    return pd.DataFrame(result, index=values.index, columns=values.columns, copy=False)
