"""The compiled loop behind the Supertrend: each bar depends on the bar before it.

It stands in a file of its own because importing numba is slow, and because numba's cache on disk looks at this file alone.
"""

from __future__ import annotations

import numpy as np
from numba import njit


def _trail(upper: np.ndarray, lower: np.ndarray, close: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return line and direction from the untrailed bands; NaN as long as these are."""
    rows = close.shape[0]
    line, direction = np.full(rows, np.nan), np.full(rows, np.nan)
    first = 0
    while first < rows and np.isnan(upper[first]):
        first += 1
    if first == rows:
        return line, direction
    above, below, trend = upper[first], lower[first], -1.0
    line[first], direction[first] = above, trend
    for t in range(first + 1, rows):
        if upper[t] < above or close[t - 1] > above:
            above = upper[t]
        if lower[t] > below or close[t - 1] < below:
            below = lower[t]
        if trend < 0 and close[t] > above:
            trend = 1.0
        elif trend > 0 and close[t] < below:
            trend = -1.0
        line[t], direction[t] = (below if trend > 0 else above), trend
    return line, direction


trail = njit(cache=True)(_trail)
