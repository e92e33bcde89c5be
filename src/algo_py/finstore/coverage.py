"""What is stored of a symbol, and what is missing in between."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
from numpy.typing import NDArray

from algo_py.finstore.absences import AbsenceLog
from algo_py.finstore.bartimes import expected_opens, expected_rows, seemingly_closed
from algo_py.finstore.damage import OpenLoss, open_losses
from algo_py.finstore.frames import from_us, union
from algo_py.finstore.partition import Partition
from algo_py.finstore.reports import Coverage, Gap, Provisional
from algo_py.market import Calendar, Market, Timeframe


def coverage_of(partition: Partition, market: Market, symbol: str) -> Coverage | None:
    """Return the symbol's coverage, None when nothing is stored. The open times are read only when something is missing."""
    timeframe, calendar = partition.layout.timeframe, market.calendar_of(symbol)
    cases = partition.cases.of(symbol)
    held = partition.provisional.of(symbol)
    pending = union([partition.pending().of(symbol), held])
    groups = partition.groups(symbol)
    if groups and not cases and not (len(pending) and pending.times[0] <= groups[-1].last):
        first = groups[0].first
        last = int(pending.times[-1]) if len(pending) else groups[-1].last
        rows = sum(group.rows for group in groups) + len(pending)
        if rows == expected_rows(calendar, timeframe, first, last):
            early = provisional_of(partition, calendar, symbol) if len(held) else ()
            return Coverage(first=from_us(first), last=from_us(last), rows=rows, gaps=(), provisional=early)
    times = partition.read(symbol, times_only=True).times
    if not len(times):
        return None
    losses = open_losses(cases, market, timeframe, symbol, times)
    gaps = gaps_in(market, timeframe, symbol, times, losses, lambda lacks: AbsenceLog(partition.layout).reasons(symbol, lacks))
    early = provisional_of(partition, calendar, symbol) if len(held) else ()
    return Coverage(first=from_us(times[0]), last=from_us(times[-1]), rows=len(times), gaps=gaps, provisional=early)


def provisional_of(partition: Partition, calendar: Calendar, symbol: str) -> tuple[Provisional, ...]:
    """Return the symbol's provisional bars, ascending."""
    opens = [from_us(us) for us in partition.held(symbol).times]
    timeframe = partition.layout.timeframe
    return tuple(Provisional(open_time=moment, final_at=calendar.final_at(moment, timeframe)) for moment in opens)


def gaps_in(
    market: Market,
    timeframe: Timeframe,
    symbol: str,
    times: NDArray[np.int64],
    losses: Sequence[OpenLoss] = (),
    reasons_of: Callable[[NDArray[np.int64]], Sequence[str]] | None = None,
) -> tuple[Gap, ...]:
    """Return the runs of bars that the symbol has between the first and the last of `times`, and `times` has not.

    Lost bars are looked for beyond the first and the last as well. A run ends where the reason of what is missing changes;
    `reasons_of` gives the reason of each missing bar that is not lost.
    """
    losses = [loss for loss in losses if len(loss.missing)]
    first = min(int(times[0]), *(int(loss.missing[0]) for loss in losses)) if losses else int(times[0])
    last = max(int(times[-1]), *(int(loss.missing[-1]) for loss in losses)) if losses else int(times[-1])
    calendar = market.calendar_of(symbol)
    expected = expected_opens(calendar, timeframe, first, last)
    missing = np.flatnonzero(~np.isin(expected, times, assume_unique=True))
    missing = missing[~seemingly_closed(calendar, market.time_zone, expected[missing], times)]
    if not len(missing):
        return ()
    reasons = np.array([""] * len(missing) if reasons_of is None else list(reasons_of(expected[missing])), dtype=object)
    for loss in losses:
        reasons[np.isin(expected[missing], loss.missing, assume_unique=True)] = loss.reason
    ends = (np.diff(missing) > 1) | (reasons[1:] != reasons[:-1])
    runs = np.split(np.arange(len(missing)), np.flatnonzero(ends) + 1)
    return tuple(
        Gap(
            first=from_us(expected[missing[run[0]]]),
            last=from_us(expected[missing[run[-1]]]),
            bars=len(run),
            reason=str(reasons[run[0]]),
        )
        for run in runs
    )


def lost_ranges(partition: Partition, market: Market, symbol: str) -> list[tuple[int | None, int]]:
    """Return the stretches of lost bars that are not back, ascending: open times of the first and the last, in microseconds.

    The first is None when it is not known where the lost bars began: then everything up to the last may be missing.
    """
    cases = partition.cases.of(symbol)
    if not cases:
        return []
    timeframe = partition.layout.timeframe
    times = partition.read(symbol, times_only=True).times
    losses = open_losses(cases, market, timeframe, symbol, times)
    ranges: list[tuple[int | None, int]] = []
    unbounded = [loss.last_us for loss in losses if loss.first_us is None]
    known = [loss.missing for loss in losses if loss.first_us is not None]
    if unbounded:
        ranges.append((None, max(unbounded)))
    missing = np.unique(np.concatenate(known)) if known else times[:0]
    if unbounded:
        missing = missing[missing > max(unbounded)]
    if len(missing):
        expected = expected_opens(market.calendar_of(symbol), timeframe, int(missing[0]), int(missing[-1]))
        place = np.searchsorted(expected, missing)
        runs = np.split(missing, np.flatnonzero(np.diff(place) > 1) + 1)
        ranges += [(int(run[0]), int(run[-1])) for run in runs]
    return ranges
