"""Questions in SQL over all stored bars, answered by DuckDB.

DuckDB itself gets no access to any file: what a query may read, a COPY inside it may overwrite. It asks for bars as it asks an
Arrow dataset, naming columns and a filter; here they are read symbol by symbol, merged and verified like by any other reader.
Symbols and row groups that the filter excludes are not read.
"""

# pyarrow carries no types.
# mypy: disable-error-code="attr-defined,no-untyped-call"

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.dataset as dataset
from pyarrow.fs import LocalFileSystem

from algo_py.errors import AlgoPyError, InvalidInput
from algo_py.finstore.frames import COLUMNS, Block
from algo_py.finstore.partition import Partition

_KEYS = ("market", "timeframe", "symbol")
_TIME = pa.timestamp("us", tz="UTC")
_SCHEMA = pa.schema(
    [*((key, pa.string()) for key in _KEYS), ("open_time", _TIME), *((column, pa.float64()) for column in COLUMNS)]
)
_FORMAT = dataset.ParquetFileFormat()
_BATCH_ROWS = 122_880  # as many as DuckDB works on at once
# Nothing outside, nothing left on the disk, and not all of the memory: deployments need theirs.
_SETTINGS: dict[str, str | bool | int | float | list[str]] = {
    "enable_external_access": "false",
    "autoinstall_known_extensions": "false",
    "autoload_known_extensions": "false",
    "python_enable_replacements": "false",
    "temp_directory": "",
    "memory_limit": "25%",
}


@dataclass(frozen=True, slots=True)
class Place:
    """The bars of one market and timeframe."""

    market: str
    timeframe: str
    partition: Partition


@dataclass(frozen=True, slots=True)
class _Series:
    """The bars of one symbol."""

    place: Place
    symbol: str

    @property
    def keys(self) -> dict[str, str]:
        return dict(zip(_KEYS, (self.place.market, self.place.timeframe, self.symbol), strict=True))

    def spans(self) -> list[tuple[int, int]]:
        """Return the first and last open time of what is pending and of each row group; pending first, since bars move down."""
        partition = self.place.partition
        above = [partition.provisional.of(self.symbol).times, partition.pending().of(self.symbol).times]
        groups = [(group.first, group.last) for group in partition.groups(self.symbol)]
        return [*groups, *((int(times[0]), int(times[-1])) for times in above if len(times))]


def answer(query: str, places: Sequence[Place]) -> pd.DataFrame:
    """Return the answer to one SELECT over the view `bars`.

    Raises InvalidInput when DuckDB refuses the query; Damaged, Refused and Conflict like any reading of the bars that it needs.
    """
    import duckdb

    bars = _Bars.of([_Series(place, symbol) for place in places for symbol in place.partition.symbols()])
    with duckdb.connect(":memory:", config=_SETTINGS) as connection:
        try:
            _check(query)
            connection.execute("SET TimeZone = 'UTC'")
            connection.register("bars", bars)
            connection.execute("SET lock_configuration = true")
            table = connection.sql(query).to_arrow_table()
        except duckdb.Error as error:
            bars.problems.append(_refusal(error))
    if bars.problems:
        raise bars.problems[0]
    return _frame(table)


def _check(query: str) -> None:
    """Refuse anything but one SELECT: other statements ask nothing."""
    import duckdb

    statements = duckdb.extract_statements(query)
    if len(statements) != 1 or statements[0].type != duckdb.StatementType.SELECT:
        example = "SELECT symbol, count(*) FROM bars GROUP BY symbol"
        raise InvalidInput("a question must be one SELECT statement", remedy=f"Ask as in: {example}")


class _Bars(dataset.FileSystemDataset):  # type: ignore[misc,name-defined]
    """All bars, for DuckDB: it asks for a scanner with the columns that it needs and its filter.

    To Arrow each symbol is a fragment that says which keys its bars have, and whose name is no file. What goes wrong while bars
    are read is kept in `problems`: an answer that comes about all the same is worth nothing.
    """

    @classmethod
    def of(cls, series: Sequence[_Series]) -> _Bars:
        bars = cls([_fragment(number, one) for number, one in enumerate(series)], _SCHEMA, _FORMAT, LocalFileSystem())
        bars.series = series
        bars.problems = []
        return bars

    def scanner(self, columns: Sequence[str] | None = None, filter: Any = None, **_: object) -> _Scan:  # noqa: A002 - as in Arrow
        """Return what has a method to_reader; symbols that the filter excludes are left out."""
        chosen = [self.series[int(fragment.path)] for fragment in self.get_fragments(filter=filter)]
        return _Scan(chosen, list(_SCHEMA.names if columns is None else columns), filter, self.problems)


@dataclass(frozen=True, slots=True)
class _Scan:
    """One pass over the bars of some symbols. DuckDB drains the reader that it gives, batch by batch."""

    series: Sequence[_Series]
    columns: list[str]
    filter: Any
    problems: list[Exception]

    def to_reader(self) -> Any:
        return pa.RecordBatchReader.from_batches(pa.schema([_SCHEMA.field(name) for name in self.columns]), self._batches())

    def _batches(self) -> Iterator[Any]:
        try:
            for one in self.series:
                yield from self._table(one).to_batches(max_chunksize=_BATCH_ROWS)
        except AlgoPyError as problem:
            # Not raised here, among threads of DuckDB and Arrow that wait for one another.
            self.problems.append(problem)

    def _table(self, series: _Series) -> Any:
        """Return what is asked for of one symbol."""
        wanted = self.columns if self.filter is None else _SCHEMA.names
        values_needed = any(name in COLUMNS for name in wanted)
        block = Block.empty()
        for start_us, end_us in self._periods(series):
            block = series.place.partition.read(series.symbol, start_us, end_us, times_only=not values_needed)
        keys = series.keys
        columns: dict[str, Any] = {}
        for name in wanted:
            if name in keys:
                columns[name] = pa.repeat(keys[name], len(block))
            elif name == "open_time":
                columns[name] = pa.array(block.times.view("M8[us]")).cast(_TIME)
            else:
                columns[name] = pa.array(np.ascontiguousarray(block.values[COLUMNS.index(name)]))
        table = pa.table(columns)
        return table if self.filter is None else table.filter(self.filter).select(self.columns)

    def _periods(self, series: _Series) -> list[tuple[int | None, int | None]]:
        """Return the one period [start, end) in which the filter leaves something, or none."""
        if self.filter is None:
            return [(None, None)]
        spans = series.spans()
        fragments = [_fragment(number, series, span) for number, span in enumerate(spans)]
        parts = dataset.FileSystemDataset(fragments, _SCHEMA, _FORMAT, LocalFileSystem())
        left = [spans[int(fragment.path)] for fragment in parts.get_fragments(filter=self.filter)]
        return [(min(first for first, _ in left), max(last for _, last in left) + 1)] if left else []


def _fragment(number: int, series: _Series, span: tuple[int, int] | None = None) -> Any:
    """Return a fragment that has this number as its name and says what all of its bars have in common."""
    keys = [dataset.field(name) == value for name, value in series.keys.items()]
    known = keys[0] & keys[1] & keys[2]
    if span is not None:
        first, last = (pa.scalar(us, _TIME) for us in span)
        known = known & (dataset.field("open_time") >= first) & (dataset.field("open_time") <= last)
    return _FORMAT.make_fragment(str(number), LocalFileSystem(), partition_expression=known)


def _frame(table: Any) -> pd.DataFrame:
    """Return an answer as a frame; whole numbers beyond 64 bits, such as sums of counts, become floats."""
    types = [pa.float64() if pa.types.is_decimal(column.type) else column.type for column in table.schema]
    schema = pa.schema(list(zip(table.column_names, types, strict=True)))
    frame: pd.DataFrame = table.cast(schema).to_pandas()
    return frame


def _refusal(error: Exception) -> InvalidInput:
    """Return DuckDB's message in one line, without the picture of the place."""
    lines = str(error).partition("\nLINE ")[0].splitlines()
    line = " ".join(line.strip() for line in lines if line.strip())
    return InvalidInput(f"DuckDB refuses the query: {line}", remedy=f"There is one table, bars({', '.join(_SCHEMA.names)}).")
