"""How much of a symbol is stored over time: pure functions from its coverage to a strip of buckets.

Buckets hold equally many bars of the market's calendar, so that nights, weekends and holidays take no place.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final

import numpy as np
from numpy.typing import NDArray

from algo_py.dashboard.format import counted, moment
from algo_py.finstore import Coverage, Gap
from algo_py.finstore.frames import from_us, to_us

MOST_BUCKETS: Final = 120
MISSING: Final = "missing"

_TICKS = 6
_SHORT = timedelta(days=4)

Counts = NDArray[np.int64]


@dataclass(frozen=True, slots=True, eq=False)
class Buckets:
    """Stretches of time. `expected` are the open times of all bars, ascending, in microseconds since 1970; bucket n holds those
    from edges[n] to before edges[n + 1].
    """

    expected: Counts
    edges: Counts

    @classmethod
    def of(cls, expected: Counts, most: int = MOST_BUCKETS) -> Buckets:
        """Cut bars into at most `most` buckets, whose sizes differ by one at most."""
        count = min(most, len(expected))
        return cls(expected, np.arange(count + 1) * len(expected) // max(count, 1))

    def __len__(self) -> int:
        return len(self.edges) - 1

    def periods(self) -> list[str]:
        """Return each bucket's first and last bar in words: `2025-01-01 00:00 to 2025-01-03 23:00`."""
        firsts, lasts = self.expected[self.edges[:-1]], self.expected[self.edges[1:] - 1]
        return [
            moment(from_us(first)) if first == last else f"{moment(from_us(first))} to {moment(from_us(last))}"
            for first, last in zip(firsts, lasts, strict=True)
        ]

    def ticks(self) -> dict[str, str]:
        """Return a few buckets, evenly spread, with what to write under them."""
        if not len(self):
            return {}
        is_short = from_us(self.expected[-1]) - from_us(self.expected[0]) < _SHORT
        periods = self.periods()
        chosen = sorted({place * len(self) // _TICKS for place in range(_TICKS)})
        return {periods[place]: periods[place][: 16 if is_short else 10] for place in chosen}


@dataclass(frozen=True, slots=True, eq=False)
class Strip:
    """One symbol, bucket by bucket: how many bars there should be from its first to its last, and which are not there and why."""

    expected: Counts
    lacking: tuple[Mapping[str, int], ...]

    def shares(self) -> NDArray[np.float64]:
        """Return the fraction that is stored; NaN where the symbol has no bars yet, or no more."""
        lacking = np.array([sum(reasons.values()) for reasons in self.lacking], dtype=np.int64)
        with np.errstate(invalid="ignore"):
            return np.asarray((self.expected - lacking) / np.where(self.expected > 0, self.expected, np.nan))

    def absent(self) -> NDArray[np.bool_]:
        """Return where bars lack, and all of them because their source does not have them."""
        return np.array([bool(reasons) and all(map(is_absent, reasons)) for reasons in self.lacking], dtype=np.bool_)

    def words(self) -> list[str]:
        """Return what is to be said of each bucket, lines parted by <br>."""
        return [_words(int(expected), lacking) for expected, lacking in zip(self.expected, self.lacking, strict=True)]


def is_absent(reason: str) -> bool:
    """Return whether a gap's reason says that its source does not have the bars, and that this is certain."""
    return reason.startswith("not at ") and "(so far)" not in reason


def span_of(coverage: Coverage) -> tuple[datetime, datetime]:
    """Return the open times of the first and the last bar that are stored or known to be missing."""
    gaps = coverage.gaps
    return min([coverage.first, *(gap.first for gap in gaps)]), max([coverage.last, *(gap.last for gap in gaps)])


def strip_of(coverage: Coverage, buckets: Buckets, expected: Counts | None = None) -> Strip:
    """Return the strip of a symbol; the buckets cover at least its own time.

    `expected` are the bars that it should have from its first to its last; None: all that the buckets have there. Shares that
    close by auction have other bars than the rest, so what a bucket expects is the symbol's own.
    """
    if expected is None:
        first, last = map(to_us, span_of(coverage))
        expected = buckets.expected[(buckets.expected >= first) & (buckets.expected <= last)]
    starts = buckets.expected[buckets.edges[:-1]]
    edges = np.append(np.searchsorted(expected, starts, side="left"), len(expected))
    return Strip(np.diff(edges), _lacking(coverage.gaps, edges, expected))


def _lacking(gaps: Sequence[Gap], edges: Counts, expected: Counts) -> tuple[Mapping[str, int], ...]:
    lacking: list[Counter[str]] = [Counter() for _ in range(len(edges) - 1)]
    places = edges.tolist()
    for gap in gaps:
        start, end = np.searchsorted(expected, to_us(gap.first)), np.searchsorted(expected, to_us(gap.last), side="right")
        first = int(np.searchsorted(edges, start, side="right")) - 1
        last = int(np.searchsorted(edges, end, side="left")) - 1
        for place in range(first, last + 1):
            bars = min(int(end), places[place + 1]) - max(int(start), places[place])
            if bars > 0:
                lacking[place][gap.reason or MISSING] += bars
    return tuple(lacking)


def _words(expected: int, lacking: Mapping[str, int]) -> str:
    if not lacking:
        return f"all of {counted(expected, 'bar')}"
    stored = expected - sum(lacking.values())
    return "<br>".join([f"{stored:,} of {counted(expected, 'bar')}", *(f"{bars:,} {why}" for why, bars in lacking.items())])
