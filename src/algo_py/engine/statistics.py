"""Compiled sums over an equity curve: one pass for everything that the metrics need, without an array of returns."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numba import njit

_BLOCK = 1024  # a power of two

compiled = njit(cache=True, error_model="numpy", forceinline=True)


class CurveSums(NamedTuple):
    """What one pass over an equity curve yields. Rows count from 0; -1 is the moment before the first bar."""

    mean_return: float
    squares: float  # sum of squared deviations of the returns from their mean
    downside_squares: float  # sum of squared returns below 0
    max_drawdown: float  # <= 0
    peak_row: float
    recovery_row: float  # the first row back at the peak; the last row where it never came back
    ruined: float  # 1.0 where equity was 0 or less before the last bar: returns have no meaning then


@compiled
def _folded(values: np.ndarray) -> float:
    """Sum values, whose count is a power of two, by halves; it destroys them."""
    size = values.shape[0]
    while size > 1:
        size //= 2
        left, right = values[:size], values[size : 2 * size]
        for i in range(size):
            left[i] += right[i]
    total: float = values[0]
    return total


@compiled
def _sums_of(returns: np.ndarray, shift: float, work: np.ndarray) -> tuple[float, float, float]:
    """Return the sums of (return - shift), of its square and of min(return, 0) squared.

    A whole block is folded by quarters and halves, which the processor does many at a time; the order of additions is fixed,
    so the result is the same on every machine, and more exact than one long sum.
    """
    total, squares, below = 0.0, 0.0, 0.0
    if returns.shape[0] < _BLOCK:
        for i in range(returns.shape[0]):
            distance, low = returns[i] - shift, returns[i] if returns[i] < 0.0 else 0.0
            total += distance
            squares += distance * distance
            below += low * low
        return total, squares, below
    q = _BLOCK // 4
    first, second, third, fourth = returns[:q], returns[q : 2 * q], returns[2 * q : 3 * q], returns[3 * q :]
    totals, square_sums, below_sums = work[0, :q], work[1, :q], work[2, :q]
    for i in range(q):
        a, b, c, d = first[i], second[i], third[i], fourth[i]
        low_a, low_b = a if a < 0.0 else 0.0, b if b < 0.0 else 0.0
        low_c, low_d = c if c < 0.0 else 0.0, d if d < 0.0 else 0.0
        a, b, c, d = a - shift, b - shift, c - shift, d - shift
        totals[i] = (a + b) + (c + d)
        square_sums[i] = (a * a + b * b) + (c * c + d * d)
        below_sums[i] = (low_a * low_a + low_b * low_b) + (low_c * low_c + low_d * low_d)
    return _folded(totals), _folded(square_sums), _folded(below_sums)


@compiled
def _extremes(values: np.ndarray, work: np.ndarray) -> tuple[float, float]:
    """Return the lowest and the highest of a whole block, by halves."""
    size = _BLOCK // 2
    left, right, low, high = values[:size], values[size:], work[0], work[1]
    for i in range(size):
        low[i] = min(left[i], right[i])
        high[i] = max(left[i], right[i])
    while size > 1:
        size //= 2
        low_left, low_right, high_left, high_right = low[:size], low[size:], high[:size], high[size:]
        for i in range(size):
            low_left[i] = min(low_left[i], low_right[i])
            high_left[i] = max(high_left[i], high_right[i])
    return low[0], high[0]


@compiled
def curve_sums(equity: np.ndarray, initial: float) -> CurveSums:
    """Fold a curve into its sums; `initial` is the equity before its first row.

    Squared deviations are taken block by block against the mean so far and merged by the update of Chan, Golub and LeVeque
    (Updating Formulae and a Pairwise Algorithm for Computing Sample Variances, 1979), which does not cancel where the plain
    sum of squares does.
    """
    returns, work = np.empty(_BLOCK), np.empty((3, _BLOCK // 2))
    count, mean, squares, downside = 0, 0.0, 0.0, 0.0
    peak, peak_row, worst = initial, -1, 0.0
    worst_level = initial  # a lower equity is a deeper drawdown than the worst one so far
    worst_peak_row, recovery_row, under = -1, -1, False
    ruined = 0.0
    previous, rows = initial, equity.shape[0]
    for start in range(0, rows, _BLOCK):
        block = equity[start : start + _BLOCK]
        size = block.shape[0]
        returns[0] = block[0] / previous - 1.0
        before, after, rest = block[: size - 1], block[1:], returns[1:size]
        for i in range(size - 1):
            rest[i] = after[i] / before[i] - 1.0
        shift = mean if count > 0 else returns[0]
        shifted, shifted_squares, below = _sums_of(returns[:size], shift, work)
        merged, step = count + size, shift + shifted / size - mean
        mean += step * size / merged
        squares += max(shifted_squares - shifted * shifted / size, 0.0) + step * step * count * size / merged
        downside += below
        count, previous = merged, block[size - 1]
        if size == _BLOCK:
            lowest, highest = _extremes(block, work)
            if highest < peak and lowest > 0.0:  # no new peak: only the lowest value counts
                if lowest < worst_level:
                    worst, worst_level = lowest / peak - 1.0, lowest
                    worst_peak_row, under = peak_row, True
                continue
        for i in range(size):
            value = block[i]
            if value <= 0.0 and start + i + 1 < rows:
                ruined = 1.0
            if value >= peak:
                if under:
                    recovery_row, under = start + i, False
                peak, peak_row = value, start + i
                worst_level = peak * (1.0 + worst)
            elif value < worst_level:
                worst, worst_level = value / peak - 1.0, value
                worst_peak_row, under = peak_row, True
    if under:
        recovery_row = rows - 1
    return CurveSums(mean, squares, downside, worst, float(worst_peak_row), float(recovery_row), ruined)


@compiled
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


@compiled
def is_most(times: np.ndarray, spacing: int) -> bool:
    """Return whether more than half of the gaps between neighbouring times are `spacing`."""
    gaps, equal = times.shape[0] - 1, 0
    for start in range(0, gaps, _BLOCK):
        before = times[start : start + _BLOCK]
        after = times[start + 1 : start + _BLOCK + 1]
        for i in range(min(before.shape[0], after.shape[0])):
            equal += after[i] - before[i] == spacing
        if 2 * equal > gaps:
            return True
    return False
