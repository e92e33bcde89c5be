"""What the store answers: reports of an append, coverage with its gaps, findings of a check."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path


@dataclass(frozen=True, slots=True, kw_only=True)
class AppendCounts:
    """What became of the bars of one symbol; their sum is the number of bars given, those of an auction counting as one."""

    new: int = 0
    repeated: int = 0
    revised: int = 0
    forming: int = 0
    settled: int = 0


@dataclass(frozen=True, slots=True)
class AppendReport:
    """What became of the bars given to an append.

    new: stored now. repeated: stored before, with the same values, or still provisional. revised: stored before with other
    values, which were kept. forming: not closed yet, not stored. settled: stored before as provisional, and final now. The
    properties are sums over the symbols.
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

    @property
    def settled(self) -> int:
        return sum(counts.settled for counts in self.by_symbol.values())


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
class Provisional:
    """A stored bar that is not final: its open time, and from when on it can be asked for again to become so."""

    open_time: datetime
    final_at: datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class Coverage:
    """What is stored of a symbol: open times of the first and the last bar, the number of bars, and what is missing between.

    Bars that were lost with a damaged file are gaps too, before the first and after the last bar as well. A day that is only
    assumed to be one of trading, and of which nothing is stored, is none. provisional: which bars are not final.
    """

    first: datetime
    last: datetime
    rows: int
    gaps: tuple[Gap, ...]
    provisional: tuple[Provisional, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Finding:
    """A file in the store that is not as it was written, and what is wrong with it.

    is_damaged: whether setting it aside would help; not so for one that may not be read, or that a newer Algo.Py wrote.
    """

    file: Path
    problem: str
    is_damaged: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class LostBars:
    """Bars of one symbol that were lost with a damaged file: those that open from `first` to `last`, both included.

    first: None when it is not known where they began. bars: how many, None when that is not known. is_back: whether they are
    stored again, or settled (see `FinStore.settle_lost`).
    """

    symbol: str
    first: datetime | None
    last: datetime
    bars: int | None
    is_back: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class SetAside:
    """A damaged file that was set aside.

    file: where it was. moved_to: where it is. kept: how many of its rows were sound, and stayed in the store. is_back: whether
    all that was lost is stored again; None when that cannot be known, since the file did not say any more which bars it held.
    """

    market: str
    timeframe: str
    file: Path
    moved_to: Path
    problem: str
    set_aside_at: datetime
    kept: int
    lost: tuple[LostBars, ...]
    is_back: bool | None
