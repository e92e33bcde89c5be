"""Which bars a symbol lacks, and which of them a source should be asked for now. No file, no network, no clock."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import timedelta

import numpy as np
from numpy.typing import NDArray

from algo_py.finstore.absences import Absence, covering
from algo_py.market import Timeframe

# A bar that a source does not have so long after its close (or two bars, if that is longer) is not waited for any more.
_SETTLED_AFTER = timedelta(minutes=15)
# A bar that may still come is asked for again after this, or after a quarter of its age.
_ASK_AGAIN_AFTER = timedelta(milliseconds=500)
_MICROSECOND = timedelta(microseconds=1)

Times = NDArray[np.int64]


@dataclass(frozen=True, slots=True, eq=False)
class Lack:
    """The bars that a symbol lacks, by open time in microseconds, ascending; each is in one of the three.

    ask: the source should be asked now. absent: it does not have them, and nobody waits for them. awaited: it did not have
    them a moment ago, and they may still come.
    """

    ask: Times
    absent: Times
    awaited: Times

    def with_unclosed(self, times: Times, last_stored_us: int) -> Lack:
        """Return it with bars that have not closed by the source's clock: awaited, unless the symbol trades no more anyway."""
        if not len(times):
            return self
        if len(self.absent) and self.absent[-1] > last_stored_us:
            return Lack(self.ask, np.union1d(self.absent, times), self.awaited)
        return Lack(self.ask, self.absent, np.union1d(self.awaited, times))


def lack_of(
    missing: Times,
    absences: Sequence[Absence],
    *,
    timeframe: Timeframe,
    last_stored_us: int,
    began_us: int,
    now_us: int,
) -> Lack:
    """Sort the missing bars by what is known of the source.

    `began_us` is when the caller began to wait: what was answered since to anybody else counts as an answer to it. A bar that
    did not come although a later one is known is asked for again at once, and then its absence is final.
    """
    place = covering(absences, missing)
    is_known = place >= 0
    asked = np.array([one.asked for one in absences] or [0], dtype=np.int64)[place]
    is_final = is_known & np.array([one.is_final for one in absences] or [False])[place]
    closes = missing + timeframe.delta // _MICROSECOND
    is_trailing = missing > last_stored_us

    quiet_us = np.maximum((now_us - closes) // 4, _ASK_AGAIN_AFTER // _MICROSECOND)
    is_fresh = is_trailing & ((asked >= began_us) | (now_us - asked < quiet_us))
    is_settled = asked - closes >= settled_after(timeframe) // _MICROSECOND
    trailing = np.flatnonzero(is_trailing & is_known)
    if len(trailing) and is_settled[trailing[0]]:
        is_settled = is_settled | is_trailing  # a symbol that trades no more: its newest bar is not waited for either

    is_absent = is_final | (is_known & is_fresh & is_settled)
    is_awaited = is_known & ~is_final & is_fresh & ~is_settled
    return Lack(missing[~is_absent & ~is_awaited], missing[is_absent], missing[is_awaited])


def settled_after(timeframe: Timeframe) -> timedelta:
    """Return how long after its close a bar is waited for."""
    return max(_SETTLED_AFTER, 2 * timeframe.delta)


def runs(chosen: Times, expected: Times) -> Iterator[Times]:
    """Yield the stretches of `chosen` that follow one another without a gap in `expected`, which holds all of them."""
    if not len(chosen):
        return
    position = np.searchsorted(expected, chosen)
    yield from np.split(chosen, np.flatnonzero(np.diff(position) > 1) + 1)


def pages(run: Times, longest: timedelta) -> Iterator[Times]:
    """Yield a stretch in parts of which none is longer than a source answers at once."""
    span_us = max(longest // _MICROSECOND, 1)
    first = 0
    while first < len(run):
        end = int(np.searchsorted(run, run[first] + span_us, side="left"))
        yield run[first:end]
        first = end
