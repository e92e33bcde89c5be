"""Fewer points than bars: a chart has about a thousand pixels, so it needs each stretch's extremes and no more."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise

import numpy as np


def rows_to_draw(curves: Sequence[np.ndarray], *, stretches: int = 360) -> np.ndarray:
    """Return the rows, ascending, that show all of the curves (of one length): the first, the last, and of each stretch every
    curve's lowest and highest value. NaN is no extreme.
    """
    count = len(curves[0])
    if count <= 2 * stretches:
        return np.arange(count)
    keep = {0, count - 1}
    edges = np.linspace(0, count, stretches + 1).astype(np.int64).tolist()
    for curve in curves:
        for first, last in pairwise(edges):
            part = curve[first:last]
            if not np.isnan(part).all():
                keep |= {first + int(np.nanargmin(part)), first + int(np.nanargmax(part))}
    return np.array(sorted(keep))
