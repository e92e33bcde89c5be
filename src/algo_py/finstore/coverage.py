"""What is stored of a symbol, and what is missing in between."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from algo_py.finstore.bartimes import expected_opens, expected_rows
from algo_py.finstore.frames import from_us
from algo_py.finstore.partition import Partition
from algo_py.finstore.reports import Coverage, Gap
from algo_py.market import Market, Timeframe


def coverage_of(partition: Partition, market: Market, symbol: str) -> Coverage | None:
    """Return the symbol's coverage, None when nothing is stored. The open times are read only when something is missing."""
    timeframe = partition.layout.timeframe
    pending = partition.pending().of(symbol)
    groups = partition.groups(symbol)
    if groups and not (len(pending) and pending.times[0] <= groups[-1].last):
        first = groups[0].first
        last = int(pending.times[-1]) if len(pending) else groups[-1].last
        rows = sum(group.rows for group in groups) + len(pending)
        if rows == expected_rows(market, timeframe, first, last):
            return Coverage(first=from_us(first), last=from_us(last), rows=rows, gaps=())
    times = partition.read(symbol, times_only=True).times
    if not len(times):
        return None
    gaps = gaps_in(market, timeframe, times)
    return Coverage(first=from_us(times[0]), last=from_us(times[-1]), rows=len(times), gaps=gaps)


def gaps_in(market: Market, timeframe: Timeframe, times: NDArray[np.int64]) -> tuple[Gap, ...]:
    """Return the runs of bars that the market has between the first and the last of `times`, and `times` has not."""
    expected = expected_opens(market, timeframe, int(times[0]), int(times[-1]))
    missing = np.flatnonzero(~np.isin(expected, times, assume_unique=True))
    if not len(missing):
        return ()
    runs = np.split(missing, np.flatnonzero(np.diff(missing) > 1) + 1)
    return tuple(Gap(first=from_us(expected[run[0]]), last=from_us(expected[run[-1]]), bars=len(run)) for run in runs)
