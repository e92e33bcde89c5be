"""Questions in SQL over all stored bars, answered by DuckDB.

DuckDB itself gets no access to any file: what a query may read, a COPY inside it may overwrite. It asks for bars as it asks an
Arrow dataset, naming columns and a filter; here the files are read, each in the version in which it was listed, and verified as
always. Files and row groups that the filter excludes are not read.

What is pending is loaded before the files are listed, so that no bar is missed (see `layout`), and pending bars that stand in a
file already are left out, so that none is there twice. When a file is replaced before it is read, the question is asked again,
and that symbol is read into memory first, so that it cannot happen again.
"""

# pyarrow carries no types.
# mypy: disable-error-code="attr-defined,no-untyped-call"

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.dataset as dataset
from pyarrow.fs import LocalFileSystem

from algo_py.errors import AlgoPyError, Conflict, Damaged, InvalidInput, Refused
from algo_py.finstore.files import read_bars, table_of
from algo_py.finstore.frames import Block
from algo_py.finstore.parquet import FileInfo, Group, Opened, Signature, signature_of
from algo_py.finstore.partition import Partition

_ATTEMPTS = 10
_KEYS = ("market", "timeframe", "symbol")
_FORMAT = dataset.ParquetFileFormat()
_COLUMNS = (*_KEYS, "open_time", "open", "high", "low", "close", "volume")
# Nothing outside, nothing left on the disk, and not all of the memory: deployments need theirs.
_SETTINGS: dict[str, str | bool | int | float | list[str]] = {
    "enable_external_access": "false",
    "autoinstall_known_extensions": "false",
    "autoload_known_extensions": "false",
    "python_enable_replacements": "false",
    "temp_directory": "",
    "memory_limit": "25%",
}

Symbol = tuple[str, str, str]


@dataclass(frozen=True, slots=True)
class Place:
    """The bars of one market and timeframe."""

    market: str
    timeframe: str
    partition: Partition


@dataclass(frozen=True, slots=True)
class _File:
    """A file with bars: whose they are, and its version when it was listed."""

    place: Place
    symbol: str
    path: Path
    signature: Signature

    @property
    def owner(self) -> Symbol:
        return self.place.market, self.place.timeframe, self.symbol


@dataclass(slots=True)
class _Snapshot:
    """What was stored at one moment: files, and bars that stand in none or were read already."""

    files: list[_File] = field(default_factory=list)
    in_memory: list[tuple[Symbol, Block]] = field(default_factory=list)


class _Moved(Exception):
    """Files were replaced before they were read; `owners` are whose."""

    def __init__(self, owners: Iterable[Symbol]) -> None:
        super().__init__("files were replaced")
        self.owners = set(owners)


def answer(query: str, places: Sequence[Place]) -> pd.DataFrame:
    """Return the answer to one SELECT over the view `bars`.

    Raises InvalidInput when DuckDB refuses the query, Damaged when bytes that it needs are not as they were written, Refused
    when a file may not be read, Conflict when files keep being replaced.
    """
    _check(query)
    by_hand: set[Symbol] = set()
    for _ in range(_ATTEMPTS):
        try:
            return _answered(query, _taken(places, by_hand))
        except _Moved as moved:
            by_hand |= moved.owners
    raise Conflict("the stored bars kept changing while they were read", remedy="Repeat.")


def _check(query: str) -> None:
    """Refuse anything but one SELECT: other statements ask nothing."""
    import duckdb

    try:
        statements = duckdb.extract_statements(query)
    except duckdb.Error as error:
        raise _refusal(error) from None
    if len(statements) != 1 or statements[0].type != duckdb.StatementType.SELECT:
        example = "SELECT symbol, count(*) FROM bars GROUP BY symbol"
        raise InvalidInput("a question must be one SELECT statement", remedy=f"Ask as in: {example}")


def _taken(places: Sequence[Place], by_hand: set[Symbol]) -> _Snapshot:
    """List what is stored now; symbols `by_hand` are read into memory."""
    snapshot = _Snapshot()
    for place in places:
        pending = place.partition.pending()
        layout = place.partition.layout
        with_folder = set(layout.symbols_with_folder())
        for symbol in sorted(with_folder | pending.symbols()):
            owner = place.market, place.timeframe, symbol
            if owner in by_hand:
                snapshot.in_memory.append((owner, place.partition.read(symbol)))
                continue
            # The latest file first, as everywhere: writers begin with the earliest.
            paths = reversed(layout.chunks(symbol)) if symbol in with_folder else ()
            files = [_File(place, symbol, path, version) for path in paths if (version := signature_of(path)) is not None]
            waiting = _not_in(files, pending.of(symbol))
            if len(waiting):
                snapshot.in_memory.append((owner, waiting))
            snapshot.files += files
    return snapshot


def _not_in(files: Sequence[_File], pending: Block) -> Block:
    """Return the pending bars of a symbol that stand in none of its files."""
    for file in files:
        if not len(pending):
            break
        first, last = int(pending.times[0]), int(pending.times[-1])

        def overlapping(groups: tuple[Group, ...], first: int = first, last: int = last) -> range:
            chosen = [number for number, group in enumerate(groups) if group.first <= last and group.last >= first]
            return range(chosen[0], chosen[-1] + 1) if chosen else range(0)

        try:
            known = read_bars(file.path, file.place.partition.cache, overlapping, times_only=True).times
        except FileNotFoundError:
            raise _Moved([file.owner]) from None
        if signature_of(file.path) != file.signature:
            raise _Moved([file.owner])
        pending = pending.rows(~np.isin(pending.times, known, assume_unique=True))
    return pending


class _Bars(dataset.FileSystemDataset):  # type: ignore[misc,name-defined]
    """The bars in files, for DuckDB: it asks for a scanner with the columns that it needs and its filter, and gets verified bars.

    Nothing here is read by Arrow itself: the names of the fragments are no files. What goes wrong while files are read is kept
    in `problems`, and an answer that comes about all the same is worth nothing.
    """

    @classmethod
    def of(cls, snapshot: _Snapshot) -> _Bars:
        fragments = [_fragment(number, file, _span(file)) for number, file in enumerate(snapshot.files)]
        bars = cls(fragments, _in_memory(_Snapshot()).schema, _FORMAT, LocalFileSystem())
        bars.listed, bars.problems = snapshot.files, []
        return bars

    def scanner(self, columns: Sequence[str] | None = None, filter: Any = None, **_: object) -> _Scan:  # noqa: A002 - as in Arrow
        """Return what has a method to_reader; fragments that the filter excludes are left out."""
        files = [self.listed[int(fragment.path)] for fragment in self.get_fragments(filter=filter)]
        return _Scan(files, list(self.schema.names if columns is None else columns), filter, self)


@dataclass(frozen=True, slots=True)
class _Scan:
    """One pass over some files. The reader that it gives is drained by DuckDB, batch by batch."""

    files: Sequence[_File]
    columns: list[str]
    filter: Any
    bars: _Bars

    def to_reader(self) -> Any:
        schema = pa.schema([self.bars.schema.field(name) for name in self.columns])
        return pa.RecordBatchReader.from_batches(schema, self._batches())

    def _batches(self) -> Iterator[Any]:
        try:
            for file in self.files:
                table = self._table(file)
                if table is not None:
                    yield from table.to_batches()
        except (AlgoPyError, _Moved) as problem:
            # Not raised here, among threads of DuckDB and Arrow that wait for one another.
            self.bars.problems.append(problem)

    def _table(self, file: _File) -> Any:
        """Return what is asked for of a file; None when that is nothing."""
        try:
            with Opened(file.path) as opened:
                if opened.signature != file.signature:
                    raise _Moved([file.owner])
                info = file.place.partition.cache.of(opened)
                groups = self._groups(file, info)
                if not groups:
                    return None
                wanted = self.bars.schema.names if self.filter is not None else self.columns
                rows = sum(info.groups[number].rows for number in groups)
                stored = [name for name in wanted if name not in _KEYS]
                read = opened.table(info, groups, stored) if stored else pa.table({})
        except FileNotFoundError:
            raise _Moved([file.owner]) from None
        keys = {name: pa.repeat(value, rows) for name, value in zip(_KEYS, file.owner, strict=True) if name in wanted}
        table = pa.table({name: keys[name] if name in keys else read.column(name) for name in wanted})
        return table if self.filter is None else table.filter(self.filter).select(self.columns)

    def _groups(self, file: _File, info: FileInfo) -> range:
        """Return the row groups from the first to the last that the filter does not exclude."""
        everything = range(len(info.groups))
        if self.filter is None or len(everything) < 2:
            return everything
        fragments = [_fragment(number, file, (group.first, group.last)) for number, group in enumerate(info.groups)]
        parts = dataset.FileSystemDataset(fragments, self.bars.schema, _FORMAT, LocalFileSystem())
        numbers = [int(fragment.path) for fragment in parts.get_fragments(filter=self.filter)]
        return range(min(numbers), max(numbers) + 1) if numbers else range(0)


def _fragment(number: int, file: _File, span: tuple[int, int] | None) -> Any:
    """Return a fragment with this number as its name, which says what keys its bars have, and their first and last open time."""
    market, timeframe, symbol = (dataset.field(key) == value for key, value in zip(_KEYS, file.owner, strict=True))
    known = market & timeframe & symbol
    if span is not None:
        first, last = (pa.scalar(us, pa.timestamp("us", tz="UTC")) for us in span)
        known = known & (dataset.field("open_time") >= first) & (dataset.field("open_time") <= last)
    return _FORMAT.make_fragment(str(number), LocalFileSystem(), partition_expression=known)


def _span(file: _File) -> tuple[int, int] | None:
    """Return the first and the last open time in a file; None when its footer is damaged: whoever reads it is told."""
    try:
        info = file.place.partition.cache.get(file.path)
    except (Damaged, Refused):
        return None
    except FileNotFoundError:
        raise _Moved([file.owner]) from None
    if info.signature != file.signature:
        raise _Moved([file.owner])
    return info.groups[0].first, info.groups[-1].last


def _answered(query: str, snapshot: _Snapshot) -> pd.DataFrame:
    import duckdb

    bars = _Bars.of(snapshot)
    columns = ", ".join(_COLUMNS)
    view = f"SELECT {columns} FROM bars_in_memory UNION ALL SELECT {columns} FROM bars_in_files"
    with duckdb.connect(":memory:", config=_SETTINGS) as connection:
        try:
            connection.register("bars_in_memory", _in_memory(snapshot))
            connection.register("bars_in_files", bars)
            connection.execute("SET TimeZone = 'UTC'")
            connection.execute(f"CREATE VIEW bars AS {view}")
            connection.execute("SET lock_configuration = true")
            table = connection.sql(query).to_arrow_table()
        except duckdb.Error as error:
            bars.problems.append(_refusal(error))
    if bars.problems:
        raise bars.problems[0]
    return _frame(table)


def _in_memory(snapshot: _Snapshot) -> Any:
    """Return the bars that are not read from files as an Arrow table."""
    parts = [(("", "", ""), Block.empty()), *snapshot.in_memory]
    table = pa.concat_tables([table_of(block) for _, block in parts])
    rows = [len(block) for _, block in parts]
    for number, name in enumerate(_KEYS):
        values = np.repeat(np.array([owner[number] for owner, _ in parts], dtype=object), rows)
        table = table.add_column(number, name, pa.array(values, type=pa.string()))
    return table


def _frame(table: Any) -> pd.DataFrame:
    """Return an answer as a frame; whole numbers beyond 64 bits, such as sums of counts, become floats."""
    types = [pa.float64() if pa.types.is_decimal(column.type) else column.type for column in table.schema]
    schema = pa.schema(list(zip(table.column_names, types, strict=True)))
    frame: pd.DataFrame = table.cast(schema).to_pandas()
    return frame


def _refusal(error: Exception) -> InvalidInput:
    return InvalidInput(f"DuckDB refuses the query: {_line(error)}", remedy=f"There is one view, bars({', '.join(_COLUMNS)}).")


def _line(error: Exception) -> str:
    """Return DuckDB's message without the picture of the place, in one line."""
    return " ".join(line.strip() for line in str(error).partition("\nLINE ")[0].splitlines() if line.strip())
