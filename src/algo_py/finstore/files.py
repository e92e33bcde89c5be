"""Bars as files: those of one symbol, and those of several in one."""

# pyarrow carries no types.
# mypy: disable-error-code="attr-defined,no-untyped-call"

from __future__ import annotations

from collections.abc import Callable, Mapping
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from algo_py.finstore.frames import COLUMNS, Block
from algo_py.finstore.parquet import Group, Opened, encode_table
from algo_py.finstore.parquet import InfoCache as InfoCache  # with the functions that take one

_TIME = pa.timestamp("us", tz="UTC")
_DELTA_COLUMNS = ["symbol", "open_time", *COLUMNS]


def encode_bars(block: Block, *, compression: str = "lz4", level: int | None = None) -> bytes:
    """Return a file with the bars of one symbol."""
    return encode_table(table_of(block), compression=compression, level=level)


def encode_delta(blocks: Mapping[str, Block]) -> bytes:
    """Return a file with bars of several symbols, sorted by symbol and time."""
    symbols = sorted(blocks)
    lengths = [len(blocks[symbol]) for symbol in symbols]
    codes = pa.array(np.repeat(np.arange(len(symbols), dtype=np.int32), lengths))
    together = Block(
        np.concatenate([blocks[symbol].times for symbol in symbols]),
        np.concatenate([blocks[symbol].values for symbol in symbols], axis=1),
    )
    column = pa.DictionaryArray.from_arrays(codes, pa.array(symbols, type=pa.string()))
    return encode_table(table_of(together).add_column(0, "symbol", column), symbols=list(zip(symbols, lengths, strict=True)))


def read_bars(
    file: Path, cache: InfoCache, choose: Callable[[tuple[Group, ...]], range] | None = None, *, times_only: bool = False
) -> Block:
    """Return the bars of the chosen row groups (all when `choose` is None), verified.

    With `times_only` the values are left out (0 columns). Raises FileNotFoundError when there is no such file, Damaged when
    what is there is not what was written.
    """
    with Opened(file) as opened:
        info = cache.of(opened)
        groups = range(len(info.groups)) if choose is None else choose(info.groups)
        if not groups:
            return Block.empty()
        table = opened.table(info, groups, ["open_time"] if times_only else ["open_time", *COLUMNS])
    return bars_of(table)


def read_delta(file: Path) -> dict[str, Block]:
    """Return the bars of a file of several symbols, verified."""
    with Opened(file) as opened:
        info = opened.info()
        table = opened.table(info, range(len(info.groups)), _DELTA_COLUMNS)
    return bars_by_symbol(table)


def table_of(block: Block) -> Any:
    """Return bars as an Arrow table."""
    columns = [pa.array(block.times.view("M8[us]")).cast(_TIME), *(pa.array(np.ascontiguousarray(row)) for row in block.values)]
    return pa.table(columns, names=["open_time", *COLUMNS])


def bars_of(table: Any) -> Block:
    """Return the bars of an Arrow table that holds those of one symbol."""
    names = table.column_names
    times: NDArray[np.int64] = table.column("open_time").to_numpy().view(np.int64)
    if "close" not in names:
        return Block(times, np.empty((0, len(times))))
    values = np.empty((len(COLUMNS), len(times)), dtype=np.float64)
    for row, name in enumerate(COLUMNS):
        values[row] = table.column(name).to_numpy()
    return Block(times, values)


def bars_by_symbol(table: Any) -> dict[str, Block]:
    """Return the bars of an Arrow table with a column of symbols, sorted by them."""
    block = bars_of(table)
    column = table.column("symbol").combine_chunks()
    column = column.chunk(0) if isinstance(column, pa.ChunkedArray) else column
    names, codes = column.dictionary.to_pylist(), column.indices.to_numpy()
    edges = [0, *(np.flatnonzero(np.diff(codes)) + 1).tolist(), len(codes)]
    return {names[codes[start]]: block.rows(slice(start, end)) for start, end in pairwise(edges)}
