"""What the store answers: reports of an append, coverage with its gaps, findings of a check."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path


@dataclass(frozen=True, slots=True, kw_only=True)
class AppendCounts:
    """What became of the bars of one symbol; their sum is the number of bars given."""

    new: int = 0
    repeated: int = 0
    revised: int = 0
    forming: int = 0


@dataclass(frozen=True, slots=True)
class AppendReport:
    """What became of the bars given to an append.

    new: stored now. repeated: stored before, with the same values. revised: stored before with other values, which were kept.
    forming: not closed yet, not stored. The four properties are sums over the symbols.
    """

    by_symbol: Mapping[str, AppendCounts]

    @property
    def new(self) -> int:
        return sum(counts.new for counts in self.by_symbol.values())

    @property
    def repeated(self) -> int:
        return sum(counts.repeated for counts in self.by_symbol.values())

    @property
    def revised(self) -> int:
        return sum(counts.revised for counts in self.by_symbol.values())

    @property
    def forming(self) -> int:
        return sum(counts.forming for counts in self.by_symbol.values())


@dataclass(frozen=True, slots=True, kw_only=True)
class Gap:
    """A run of `bars` missing bars; first and last are the open times of the first and the last missing one.

    reason: why they are missing, as far as that is known; empty when it is not.
    """

    first: datetime
    last: datetime
    bars: int
    reason: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Coverage:
    """What is stored of a symbol: open times of the first and the last bar, the number of bars, and what is missing between."""

    first: datetime
    last: datetime
    rows: int
    gaps: tuple[Gap, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Finding:
    """A file in the store that is not as it was written, and what is wrong with it.

    is_damaged: whether setting it aside would help; not so for one that may not be read, or that a newer Algo.Py wrote.
    """

    file: Path
    problem: str
    is_damaged: bool
