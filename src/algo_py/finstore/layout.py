"""Where bars lie on the disk.

    market=<m>/timeframe=<t>/symbol=<s>/bars.parquet          a symbol's bars; bars-<year>.parquet below 30 minutes
    market=<m>/timeframe=<t>/_delta/<number>-<token>.parquet   level 1: what one append added, all symbols in one file
    market=<m>/timeframe=<t>/_merged/<number>-<token>.parquet  level 2: several of those in one
    market=<m>/timeframe=<t>/_provisional/bars.parquet         bars that are not final yet, see `finstore.provisional`
    market=<m>/timeframe=<t>/_revisions/<s>.parquet            other values that a source gave for stored bars; never read as bars
    market=<m>/timeframe=<t>/.lock, _fold                      the writers' lock, and how far they have got
    _damaged/market=<m>/timeframe=<t>/<time>-<token>/          a damaged file that was set aside, and a note of what it held

Bars only ever move down: provisional, delta, merged, symbol; a file above is deleted after the file below is on the disk.
Readers look from the top down. So whatever moves while they read, they meet every bar at least once. Of a bar met twice the lower
one counts: the two are the same, or the lower one is final, or a revision that was adopted.

The names above a symbol's files are Hive partitions with percent-encoding, which DuckDB, Arrow and Spark read as they are.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import MAXYEAR, MINYEAR, UTC, datetime
from pathlib import Path
from urllib.parse import quote, unquote

import numpy as np

from algo_py.finstore.frames import Block, from_us, to_us
from algo_py.market import Timeframe

_SUFFIX = ".parquet"
_WHOLE = f"bars{_SUFFIX}"
_YEARLY_BELOW_S = 1_800


@dataclass(frozen=True, slots=True)
class Layout:
    """The folder of one market and timeframe, and what its names mean."""

    folder: Path
    timeframe: Timeframe
    # Making paths takes longer than looking at what they lead to.
    _paths: dict[tuple[str, str], Path] = field(default_factory=dict, compare=False, repr=False)

    @classmethod
    def of(cls, store: Path, market: str, timeframe: Timeframe) -> Layout:
        return cls(store / f"market={quote(market, safe='')}" / f"timeframe={timeframe}", timeframe)

    @property
    def lock(self) -> Path:
        return self.folder / ".lock"

    @property
    def fold_progress(self) -> Path:
        return self.folder / "_fold"

    @property
    def deltas(self) -> Path:
        return self._path("", "_delta")

    @property
    def merged(self) -> Path:
        return self._path("", "_merged")

    @property
    def provisional(self) -> Path:
        return self.folder / "_provisional"

    @property
    def revisions(self) -> Path:
        return self.folder / "_revisions"

    @property
    def damaged(self) -> Path:
        return self.folder.parent.parent / "_damaged" / self.folder.parent.name / self.folder.name

    def revision_log(self, symbol: str) -> Path:
        return self.revisions / f"{quote(symbol, safe='')}{_SUFFIX}"

    def symbols_with_revisions(self) -> list[str]:
        """Return the symbols that have a log of revisions, sorted."""
        return sorted(unquote(name.removesuffix(_SUFFIX)) for name in data_files(self.revisions))

    def symbol_folder(self, symbol: str) -> Path:
        return self._path(symbol, "")

    def _path(self, symbol: str, name: str) -> Path:
        """Return a path in the folder of a symbol, or in that of all when `symbol` is empty."""
        path = self._paths.get((symbol, name))
        if path is None:
            folder = self.folder / f"symbol={quote(symbol, safe='')}" if symbol else self.folder
            path = self._paths[symbol, name] = folder / name
        return path

    def symbols_with_folder(self) -> list[str]:
        """Return the symbols that have a folder with bars in it."""
        return [symbol for symbol in partition_values(self.folder, "symbol") if data_files(self.symbol_folder(symbol))]

    def chunks(self, symbol: str, start_us: int | None = None, end_us: int | None = None) -> list[Path]:
        """Return the symbol's files that may hold bars of [start, end), ascending in time; not all of them need exist."""
        if not self._is_yearly:
            return [self._path(symbol, _WHOLE)]
        folder = self.symbol_folder(symbol)
        if start_us is not None and end_us is not None:
            years = range(from_us(start_us).year, from_us(end_us - 1).year + 1)
            return [self._path(symbol, f"bars-{year}{_SUFFIX}") for year in years]
        first = "" if start_us is None else f"bars-{from_us(start_us).year}{_SUFFIX}"
        last = "~" if end_us is None else f"bars-{from_us(end_us - 1).year}{_SUFFIX}"
        return [folder / name for name in data_files(folder) if first <= name <= last]

    def split(self, symbol: str, block: Block) -> Iterator[tuple[Path, Block]]:
        """Yield each file that a symbol's bars belong into, with its part of them, ascending in time."""
        if not self._is_yearly:
            yield self._path(symbol, _WHOLE), block
            return
        years = block.times.view("M8[us]").astype("M8[Y]").astype(np.int64) + 1970
        for year in np.unique(years):
            yield self._path(symbol, f"bars-{year}{_SUFFIX}"), block.rows(years == year)

    def symbol_of(self, file: Path) -> str | None:
        """Return whose bars a file is to hold; None for a file of several symbols or of no bars."""
        key, _, value = file.parent.name.partition("=")
        return unquote(value) if key == "symbol" else None

    def period(self, file: Path) -> tuple[int, int] | None:
        """Return [first, end) in microseconds of the bars that a symbol's file may hold by its name; None for all times."""
        year = file.name.removeprefix("bars-").removesuffix(_SUFFIX)
        if not (self._is_yearly and year.isdigit() and MINYEAR <= int(year) < MAXYEAR):
            return None
        return to_us(datetime(int(year), 1, 1, tzinfo=UTC)), to_us(datetime(int(year) + 1, 1, 1, tzinfo=UTC))

    @property
    def _is_yearly(self) -> bool:
        # A year of minutes is half a million bars: rewriting more than that for a handful of new ones would be slow.
        return self.timeframe.seconds < _YEARLY_BELOW_S


def data_files(folder: Path) -> list[str]:
    """Return the names of the data files in a folder, sorted; a folder that is not there has none."""
    return sorted(name for name in _names(folder) if name.endswith(_SUFFIX) and name[0] != ".")


def partition_values(folder: Path, key: str) -> list[str]:
    """Return the values of the folders `key=value` in a folder, unescaped."""
    return [unquote(name.partition("=")[2]) for name in _names(folder) if name.startswith(f"{key}=")]


def folder_names(folder: Path) -> list[str]:
    """Return the names in a folder, sorted; a folder that is not there has none."""
    return sorted(_names(folder))


def numbered(number: int, token: str) -> str:
    """Return the name of a delta or merged file; no name is ever used twice, so a name stands for its content."""
    return f"{number:010d}-{token}{_SUFFIX}"


def number_of(name: str) -> int:
    """Return the number in a delta's or merged file's name, 0 when it has none."""
    digits = name.partition("-")[0]
    return int(digits) if digits.isdigit() else 0


def _names(folder: Path) -> list[str]:
    try:
        with os.scandir(folder) as entries:
            return [entry.name for entry in entries]
    except FileNotFoundError:
        return []
