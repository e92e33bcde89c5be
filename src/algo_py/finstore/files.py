"""The file format: parquet that anything can read, with checksums that only a reader who wants to be sure looks at.

A file holds row groups of at most 4,096 bars. Its footer carries one JSON value, `algo_py`, with the byte range, checksum, rows,
first and last open time of each row group, and a checksum of the footer itself. So a reader verifies exactly the bytes that it
uses, and knows what a file holds without decoding it.
"""

# pyarrow carries no types.
# mypy: disable-error-code="attr-defined,no-untyped-call"

from __future__ import annotations

import io
import json
import os
import struct
import zlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from numpy.typing import NDArray

from algo_py.errors import Damaged, Refused
from algo_py.finstore.frames import COLUMNS, Block

FORMAT = 1
ROWS_PER_GROUP = 4_096

_KEY, _VALUE = "algo_py", "algo_py_bars"
_START, _CHECKSUM = b'{"algo_py_bars":', b'"footer":"'
_FOOTER_GUESS = 16_384
_MAGIC = b"PAR1"
_TIME = pa.timestamp("us", tz="UTC")
_ENCODINGS = {"open_time": "DELTA_BINARY_PACKED", **dict.fromkeys(COLUMNS, "BYTE_STREAM_SPLIT")}

Signature = tuple[int, int, int]


@dataclass(frozen=True, slots=True)
class Group:
    """A row group: its bytes [start, end), their checksum, and what it holds (first and last in microseconds, both included)."""

    start: int
    end: int
    crc32: int
    rows: int
    first: int
    last: int


@dataclass(frozen=True, slots=True, eq=False)
class FileInfo:
    """What the verified footer of one version of a file says; `signature` changes with every version."""

    signature: Signature
    groups: tuple[Group, ...]
    footer: bytes

    @property
    def rows(self) -> int:
        return sum(group.rows for group in self.groups)


class InfoCache:
    """Footers already verified, by path and version; a file that was replaced is looked at again."""

    def __init__(self) -> None:
        self._infos: dict[Path, FileInfo] = {}

    def get(self, file: Path) -> FileInfo:
        """Return what `file` holds. Raises FileNotFoundError, Damaged."""
        known = self._infos.get(file)
        if known is not None and known.signature == _signature(file.stat()):
            return known
        with _Opened(file) as opened:
            return self.of(opened)

    def of(self, opened: _Opened) -> FileInfo:
        known = self._infos.get(opened.file)
        if known is None or known.signature != opened.signature:
            known = self._infos[opened.file] = opened.info()
        return known


def encode_bars(block: Block, *, compression: str = "lz4", level: int | None = None) -> bytes:
    """Return a file with the bars of one symbol."""
    return _encoded(_table(block), compression, level)


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
    return _encoded(_table(together).add_column(0, "symbol", column), "lz4", None)


def read_bars(
    file: Path, cache: InfoCache, choose: Callable[[tuple[Group, ...]], range] | None = None, *, times_only: bool = False
) -> Block:
    """Return the bars of the chosen row groups (all when `choose` is None), verified.

    With `times_only` the values are left out (0 columns). Raises FileNotFoundError when there is no such file, Damaged when
    what is there is not what was written.
    """
    with _Opened(file) as opened:
        info = cache.of(opened)
        groups = range(len(info.groups)) if choose is None else choose(info.groups)
        if not groups:
            return Block.empty()
        table = opened.table(info, groups, ["open_time"] if times_only else ["open_time", *COLUMNS])
    return _block(table)


def read_delta(file: Path) -> dict[str, Block]:
    """Return the bars of a file of several symbols, verified."""
    with _Opened(file) as opened:
        info = opened.info()
        table = opened.table(info, range(len(info.groups)), ["symbol", "open_time", *COLUMNS])
    block = _block(table)
    column = table.column("symbol").combine_chunks()
    column = column.chunk(0) if isinstance(column, pa.ChunkedArray) else column
    names, codes = column.dictionary.to_pylist(), column.indices.to_numpy()
    edges = [0, *(np.flatnonzero(np.diff(codes)) + 1).tolist(), len(codes)]
    return {names[codes[start]]: block.rows(slice(start, end)) for start, end in pairwise(edges)}


def damaged(file: Path, problem: str) -> Damaged:
    """Return the error that names a damaged file."""
    return Damaged(
        f"the stored bars in {file} are damaged: {problem}",
        remedy="Restore that file from a backup, or move it away and store its bars again.",
    )


class _Opened:
    """One version of a file, held open: a replacement meanwhile does not change what is read."""

    def __init__(self, file: Path) -> None:
        self.file = file

    def __enter__(self) -> _Opened:
        try:
            self._descriptor = os.open(self.file, os.O_RDONLY | os.O_CLOEXEC)
        except PermissionError as error:
            raise Refused(
                f"{self.file} cannot be read: {error.strerror}", remedy="Give this user the right to read it."
            ) from None
        self.signature = _signature(os.fstat(self._descriptor))
        return self

    def __exit__(self, *_: object) -> None:
        os.close(self._descriptor)

    def info(self) -> FileInfo:
        """Read and verify the footer."""
        size = self.signature[2]
        tail = self._bytes(max(0, size - _FOOTER_GUESS), size)
        if len(tail) < 12 or tail[-4:] != _MAGIC:
            raise damaged(self.file, "its end is missing" if size else "it is empty")
        length = struct.unpack("<I", tail[-8:-4])[0] + 8
        if length > len(tail):
            if length > size:
                raise damaged(self.file, "its end is not that of a parquet file")
            tail = self._bytes(size - length, size)
        footer = tail[-length:]
        start, mark = footer.find(_START), footer.rfind(_CHECKSUM)
        if start < 0 or mark < start:
            raise damaged(self.file, "it was not written by Algo.Py, or its footer has changed")
        checksum = slice(mark + len(_CHECKSUM), mark + len(_CHECKSUM) + 8)
        blank = footer[: checksum.start] + b"0" * 8 + footer[checksum.stop :]
        if footer[checksum] != b"%08x" % zlib.crc32(blank):
            raise damaged(self.file, "its footer does not have the checksum that was written")
        value = json.loads(footer[start : checksum.stop + 2])
        if value[_VALUE] > FORMAT:
            raise Refused(f"{self.file} has format {value[_VALUE]}, this Algo.Py reads up to {FORMAT}", remedy="Upgrade Algo.Py.")
        return FileInfo(self.signature, tuple(Group(*group) for group in value["groups"]), footer)

    def table(self, info: FileInfo, groups: range, columns: list[str]) -> Any:
        """Read, verify and decode some row groups."""
        # Arrow wants the whole file; it gets one of the right length in which only the bytes that it will look at are filled.
        content = np.empty(self.signature[2], dtype=np.uint8)
        view = content.data
        view[len(view) - len(info.footer) :] = info.footer
        start, end = info.groups[groups[0]].start, info.groups[groups[-1]].end
        try:
            filled = os.preadv(self._descriptor, [view[start:end]], start)
        except OSError as error:
            raise damaged(self.file, f"the disk cannot read it ({error.strerror})") from error
        if filled != end - start:
            raise damaged(self.file, "it ends too early")
        for number in groups:
            group = info.groups[number]
            if zlib.crc32(view[group.start : group.end]) != group.crc32:
                raise damaged(self.file, f"row group {number} does not have the checksum that was written")
        try:
            reader = pq.ParquetFile(pa.BufferReader(pa.py_buffer(content)), pre_buffer=False)
            return reader.read_row_groups(list(groups), columns=columns, use_threads=False)
        except (pa.ArrowException, OSError, KeyError, ValueError) as error:
            raise damaged(self.file, f"it cannot be decoded ({str(error).splitlines()[0]})") from error

    def _bytes(self, start: int, end: int) -> bytes:
        return os.pread(self._descriptor, end - start, start)


def _signature(status: os.stat_result) -> Signature:
    return status.st_ino, status.st_mtime_ns, status.st_size


def _table(block: Block) -> Any:
    columns = [pa.array(block.times.view("M8[us]")).cast(_TIME), *(pa.array(np.ascontiguousarray(row)) for row in block.values)]
    return pa.table(columns, names=["open_time", *COLUMNS])


def _block(table: Any) -> Block:
    names = table.column_names
    times: NDArray[np.int64] = table.column("open_time").to_numpy().view(np.int64)
    if "close" not in names:
        return Block(times, np.empty((0, len(times))))
    values = np.empty((len(COLUMNS), len(times)), dtype=np.float64)
    for row, name in enumerate(COLUMNS):
        values[row] = table.column(name).to_numpy()
    return Block(times, values)


def _encoded(table: Any, compression: str, level: int | None) -> bytes:
    sink = io.BytesIO()
    writer = pq.ParquetWriter(
        sink,
        table.schema,
        compression=compression,
        compression_level=level,
        use_dictionary=["symbol"] if "symbol" in table.column_names else False,
        column_encoding=_ENCODINGS,
    )
    times = table.column("open_time").to_numpy().view(np.int64)
    groups: list[list[int]] = []
    for first in range(0, table.num_rows, ROWS_PER_GROUP):
        part = times[first : first + ROWS_PER_GROUP]
        start = sink.tell()
        writer.write_table(table.slice(first, ROWS_PER_GROUP))
        checksum = zlib.crc32(sink.getbuffer()[start:])
        groups.append([start, sink.tell(), checksum, len(part), int(part.min()), int(part.max())])
    value = {_VALUE: FORMAT, "groups": groups, "footer": "0" * 8}
    writer.add_key_value_metadata({_KEY: json.dumps(value, separators=(",", ":"))})
    footer_start = sink.tell()
    writer.close()
    content = bytearray(sink.getbuffer())
    # The footer's checksum is taken over the footer with zeros in the checksum's own place.
    mark = content.rindex(_CHECKSUM, footer_start) + len(_CHECKSUM)
    content[mark : mark + 8] = b"%08x" % zlib.crc32(content[footer_start:])
    return bytes(content)
