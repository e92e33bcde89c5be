"""Compiled sums over an equity curve: one pass for everything that the metrics need, without an array of returns."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numba import njit

_BLOCK = 512


class CurveSums(NamedTuple):
    """What one pass over an equity curve yields. Rows count from 0; -1 is the moment before the first bar."""

    mean_return: float
    squares: float  # sum of squared deviations of the returns from their mean
    downside_squares: float  # sum of squared returns below 0
    max_drawdown: float  # <= 0
    peak_row: float
    recovery_row: float  # the first row back at the peak; the last row where it never came back
    ruined: float  # 1.0 where equity was 0 or less before the last bar: returns have no meaning then


@njit(cache=True, error_model="numpy")
def curve_sums(equity: np.ndarray, initial: float) -> CurveSums:
    """Fold a curve into its sums; `initial` is the equity before its first row.

    Means and squared deviations are taken block by block in two passes and merged by the update of Chan, Golub and LeVeque
    (Updating Formulae and a Pairwise Algorithm for Computing Sample Variances, 1979), which does not cancel where the naive
    sum of squares does.
    """
    returns = np.empty(_BLOCK)
    count, mean, squares, downside = 0, 0.0, 0.0, 0.0
    peak, peak_row, worst = initial, -1, 0.0
    worst_level = initial  # a lower equity is a deeper drawdown than the worst one so far
    worst_peak_row, recovery_row, under = -1, -1, False
    ruined = 0.0
    previous = initial
    rows = equity.shape[0]
    for start in range(0, rows, _BLOCK):
        size = min(_BLOCK, rows - start)
        block = equity[start : start + size]
        returns[0] = block[0] / previous - 1.0
        for i in range(1, size):
            returns[i] = block[i] / block[i - 1] - 1.0
        total, below = 0.0, 0.0
        for i in range(size):
            total += returns[i]
            low = min(returns[i], 0.0)
            below += low * low
        block_mean = total / size
        block_squares = 0.0
        for i in range(size):
            deviation = returns[i] - block_mean
            block_squares += deviation * deviation
        step = block_mean - mean
        merged = count + size
        mean += step * size / merged
        squares += block_squares + step * step * count * size / merged
        downside += below
        count = merged
        for i in range(size):
            value = block[i]
            if previous <= 0.0:
                ruined = 1.0
            previous = value
            if value >= peak:
                if under:
                    recovery_row = start + i
                    under = False
                peak, peak_row = value, start + i
                worst_level = peak * (1.0 + worst)
            elif value < worst_level:
                worst, worst_level = value / peak - 1.0, value
                worst_peak_row, under = peak_row, True
    if under:
        recovery_row = rows - 1
    return CurveSums(mean, squares, downside, worst, float(worst_peak_row), float(recovery_row), ruined)


@njit(cache=True, error_model="numpy")
def benchmark_growth(closes: np.ndarray) -> float:
    """Return the growth of equal cash in each symbol (rows of `closes`) at its first close, held to its last close."""
    growth = 0.0
    for s in range(closes.shape[0]):
        first, last = 0, closes.shape[1] - 1
        while first < last and closes[s, first] != closes[s, first]:
            first += 1
        while last > first and closes[s, last] != closes[s, last]:
            last -= 1
        growth += closes[s, last] / closes[s, first]
    mean: float = growth / closes.shape[0]
    return mean


@njit(cache=True, error_model="numpy")
def share_equal(times: np.ndarray, spacing: int) -> float:
    """Return which share of the gaps between neighbouring times is `spacing`."""
    equal = 0
    for i in range(times.shape[0] - 1):
        equal += times[i + 1] - times[i] == spacing
    share: float = equal / (times.shape[0] - 1)
    return share
