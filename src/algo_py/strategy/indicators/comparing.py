"""Comparing a symbol with its own past, with a level, and with the other symbols."""

from __future__ import annotations

import math

import numpy as np
import pandas as pd

from algo_py.errors import InvalidInput
from algo_py.strategy.indicators.columns import check_length, floats, framed, over_each


def cross_above(left: pd.DataFrame, right: pd.DataFrame | float) -> pd.DataFrame:
    """Return True on the bar on which `left` gets above `right` after having been at or below it.

    `right` is a level, or a frame with the times and symbols of `left`. A symbol is compared with its own bar before, the last on
    which both are known, whatever bars others have in between. Needs 2 such bars.
    """
    return _crossed(left, right, upward=True)


def cross_below(left: pd.DataFrame, right: pd.DataFrame | float) -> pd.DataFrame:
    """Return True on the bar on which `left` gets below `right` after having been at or above it; see `cross_above`."""
    return _crossed(left, right, upward=False)


def previous(values: pd.DataFrame, bars: int = 1) -> pd.DataFrame:
    """Return the value that each symbol had on its own bar, `bars` of them before.

    `values.shift(bars)` counts rows, and a row may be another symbol's. Needs bars + 1 bars.
    """
    check_length("bars", bars)

    def shifted(column: np.ndarray) -> np.ndarray:
        result = np.full(len(column), np.nan)
        result[bars:] = column[:-bars]
        return result

    return over_each(values, shifted)


def rank(values: pd.DataFrame) -> pd.DataFrame:
    """Return each symbol's place among those of its bar, 1.0 being the highest value; NaN where it has none.

    Of equal values the one that stands first in the universe comes first, so that the best n are always n.
    """
    source = floats(values)
    missing = ~np.isfinite(source)
    order = np.argsort(np.where(missing, np.inf, -source), axis=1, kind="stable")
    places = np.empty(source.shape)
    np.put_along_axis(places, order, np.arange(1.0, source.shape[1] + 1.0)[None, :], axis=1)
    places[missing] = np.nan
    return framed(places, values)


def _crossed(left: pd.DataFrame, right: pd.DataFrame | float, *, upward: bool) -> pd.DataFrame:
    ours = floats(left)
    if isinstance(right, pd.DataFrame):
        if not (right.index.equals(left.index) and right.columns.equals(left.columns)):
            raise InvalidInput("right must have the times and symbols of left")
        theirs = floats(right)
    else:
        theirs = np.broadcast_to(_level(right), ours.shape)
    beyond = ours > theirs if upward else ours < theirs
    known = np.isfinite(ours) & np.isfinite(theirs)
    result = np.zeros(ours.shape, dtype=np.bool_, order="F")
    for column in range(ours.shape[1]):
        present = known[:, column]
        if not present.any():
            continue
        first = int(present.argmax())
        # After its warm-up a series mostly has no hole: then a slice does, which is a view and costs no copy.
        rows = slice(first, None) if present[first:].all() else present
        own = beyond[rows, column]
        crossed = own.copy()
        crossed[1:] &= ~own[:-1]
        crossed[:1] = False
        result[rows, column] = crossed
    return framed(result, left)


def _level(right: float) -> float:
    if isinstance(right, bool) or not isinstance(right, int | float | np.number) or not math.isfinite(right):
        raise InvalidInput(f"right must be a frame or a finite number (was {right!r})")
    return float(right)
