"""How an indicator goes over a wide frame: symbol by symbol, each over its own bars alone."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Final

import numpy as np
import pandas as pd

from algo_py.errors import InvalidInput
from algo_py.strategy.bars import Bars

LENGTH_MAX: Final = 100_000  # TA-Lib's own bound


def over_symbols(
    inputs: Sequence[pd.DataFrame], function: Callable[..., Sequence[np.ndarray]], *, outputs: int = 1
) -> list[pd.DataFrame]:
    """Apply `function` to each symbol's own bars, and return `outputs` frames of the inputs' shape.

    It gets an array of its own of every input, without the rows on which any of them is missing (NaN or infinite), and returns
    arrays of that length. Those rows are NaN in the result: a hole neither shifts nor poisons, and no symbol sees another.
    """
    sources = [floats(frame) for frame in inputs]
    rows, symbols = sources[0].shape
    results = [np.full((rows, symbols), np.nan, order="F") for _ in range(outputs)]
    for column in range(symbols):
        own = [source[:, column] for source in sources]
        known = np.isfinite(own[0])
        for values in own[1:]:
            known &= np.isfinite(values)
        chosen = slice(None) if known.all() else known
        computed = function(*(np.array(values[chosen]) for values in own))
        for result, values in zip(results, computed, strict=True):
            result[chosen, column] = values
    return [framed(result, inputs[0]) for result in results]


def over_each(values: pd.DataFrame, function: Callable[[np.ndarray], np.ndarray]) -> pd.DataFrame:
    """Apply a function with one input and one output to each symbol's own bars; see `over_symbols`."""
    (result,) = over_symbols([values], lambda column: [function(column)])
    return result


def over_ranges(bars: Bars, function: Callable[[np.ndarray, np.ndarray, np.ndarray], np.ndarray]) -> pd.DataFrame:
    """Apply a function of high, low and close to each symbol's own bars; see `over_symbols`."""
    (result,) = over_symbols([bars.high, bars.low, bars.close], lambda high, low, close: [function(high, low, close)])
    return result


def framed(values: np.ndarray, like: pd.DataFrame) -> pd.DataFrame:
    """Return an array as a frame with the times and symbols of `like`."""
    return pd.DataFrame(values, index=like.index, columns=like.columns, copy=False)


def floats(frame: pd.DataFrame) -> np.ndarray:
    """Return the values of a frame as float64; what is no frame is refused."""
    if not isinstance(frame, pd.DataFrame):
        raise InvalidInput(
            f"values must be a DataFrame, time x symbol (was {type(frame).__name__})",
            remedy="For one symbol write bars.close[[symbol]].",
        )
    return frame.to_numpy(dtype=np.float64)


def check_length(name: str, length: int, *, minimum: int = 1) -> int:
    """Return a number of bars; anything but a whole number from `minimum` to 100,000 is refused by name."""
    is_whole = isinstance(length, int | np.integer) and not isinstance(length, bool)
    if not is_whole or not minimum <= length <= LENGTH_MAX:
        raise InvalidInput(f"{name} must be a whole number from {minimum} to {LENGTH_MAX} (was {length!r})")
    return int(length)


def check_factor(name: str, factor: float) -> float:
    """Return a factor; anything but a finite number above 0 is refused by name."""
    is_number = isinstance(factor, int | float | np.number) and not isinstance(factor, bool)
    if not is_number or not math.isfinite(factor) or factor <= 0:
        raise InvalidInput(f"{name} must be a finite number above 0 (was {factor!r})")
    return float(factor)


def constant_windows(column: np.ndarray, length: int) -> np.ndarray:
    """Return True where the last `length` values are one and the same.

    TA-Lib's running sums are off by a rounding error there, and a price that stands still would seem to cross its own mean.
    """
    changes = np.flatnonzero(column[1:] != column[:-1]) + 1
    rows = np.arange(len(column))
    if len(changes) == len(column) - 1 and length > 1:
        return np.zeros(len(column), dtype=np.bool_)
    began = np.zeros(len(column), dtype=np.int64)
    began[changes] = changes
    return rows - np.maximum.accumulate(began) >= length - 1
