"""The file format: parquet that anything can read, with checksums that only a reader who wants to be sure looks at.

A file holds row groups of at most 4,096 rows. Its footer carries one JSON value, `algo_py`, with the byte range, checksum, rows,
first and last open time of each row group, in a file of several symbols the rows of each, and a checksum of the footer itself. So
a reader verifies exactly the bytes that it uses, and knows what a file holds without decoding it.
"""

# pyarrow carries no types.
# mypy: disable-error-code="attr-defined,no-untyped-call"

from __future__ import annotations

import io
import json
import os
import struct
import zlib
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from algo_py.errors import Damaged, Refused
from algo_py.finstore.frames import COLUMNS

FORMAT = 1
ROWS_PER_GROUP = 4_096

_KEY, _VALUE = "algo_py", "algo_py_bars"
_START, _CHECKSUM = b'{"algo_py_bars":', b'"footer":"'
_FOOTER_GUESS = 16_384
_MAGIC = b"PAR1"
_ENCODINGS = {"open_time": "DELTA_BINARY_PACKED", **dict.fromkeys(COLUMNS, "BYTE_STREAM_SPLIT")}
_DICTIONARIES = ("symbol", "source")

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
    """What the verified footer of one version of a file says; `signature` changes with every version.

    symbols: in a file of several symbols, the name and the number of rows of each, in the order of the rows.
    """

    signature: Signature
    groups: tuple[Group, ...]
    symbols: tuple[tuple[str, int], ...]
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
        with Opened(file) as opened:
            return self.of(opened)

    def of(self, opened: Opened) -> FileInfo:
        known = self._infos.get(opened.file)
        if known is None or known.signature != opened.signature:
            known = self._infos[opened.file] = opened.info()
        return known


def encode_table(
    table: Any, *, symbols: Sequence[tuple[str, int]] = (), compression: str = "lz4", level: int | None = None
) -> bytes:
    """Return a file with the rows of an Arrow table that has a column open_time."""
    names = table.column_names
    sink = io.BytesIO()
    writer = pq.ParquetWriter(
        sink,
        table.schema,
        compression=compression,
        compression_level=level,
        use_dictionary=[name for name in _DICTIONARIES if name in names] or False,
        column_encoding={name: encoding for name, encoding in _ENCODINGS.items() if name in names},
    )
    times = table.column("open_time").to_numpy().view(np.int64)
    groups: list[list[int]] = []
    for first in range(0, table.num_rows, ROWS_PER_GROUP):
        part = times[first : first + ROWS_PER_GROUP]
        start = sink.tell()
        writer.write_table(table.slice(first, ROWS_PER_GROUP))
        checksum = zlib.crc32(sink.getbuffer()[start:])
        groups.append([start, sink.tell(), checksum, len(part), int(part.min()), int(part.max())])
    value = {_VALUE: FORMAT, "groups": groups, **({"symbols": symbols} if symbols else {}), "footer": "0" * 8}
    writer.add_key_value_metadata({_KEY: json.dumps(value, separators=(",", ":"))})
    footer_start = sink.tell()
    writer.close()
    content = bytearray(sink.getbuffer())
    # The footer's checksum is taken over the footer with zeros in the checksum's own place.
    mark = content.rindex(_CHECKSUM, footer_start) + len(_CHECKSUM)
    content[mark : mark + 8] = b"%08x" % zlib.crc32(content[footer_start:])
    return bytes(content)


def read_table(file: Path) -> Any:
    """Return all columns of a file as an Arrow table, verified."""
    with Opened(file) as opened:
        info = opened.info()
        return opened.table(info, range(len(info.groups)), None)


def read_info(file: Path) -> FileInfo:
    """Return what the footer says, verified. Raises FileNotFoundError, Damaged."""
    with Opened(file) as opened:
        return opened.info()


def read_group(file: Path, info: FileInfo, number: int) -> Any:
    """Return one row group as an Arrow table, verified. Raises Damaged, also when `file` is no longer the version of `info`."""
    with Opened(file) as opened:
        if opened.signature != info.signature:
            raise damaged(file, "it changed while it was read")
        return opened.table(info, range(number, number + 1), None)


def signature_of(file: Path) -> Signature | None:
    """Return what tells one version of a file from another; None when there is no file."""
    try:
        return _signature(file.stat())
    except FileNotFoundError:
        return None


def damaged(file: Path, problem: str) -> Damaged:
    """Return the error that names a damaged file."""
    return Damaged(
        f"the stored bars in {file} are damaged: {problem}",
        remedy="Restore that file from a backup, or set it aside: what is sound in it stays, what is lost can be fetched again.",
    )


class Opened:
    """One version of a file, held open: a replacement meanwhile does not change what is read."""

    def __init__(self, file: Path) -> None:
        self.file = file

    def __enter__(self) -> Opened:
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
        symbols = tuple((str(name), int(rows)) for name, rows in value.get("symbols", ()))
        return FileInfo(self.signature, tuple(Group(*group) for group in value["groups"]), symbols, footer)

    def table(self, info: FileInfo, groups: range, columns: list[str] | None) -> Any:
        """Read, verify and decode some row groups; all columns when `columns` is None."""
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
        try:
            return os.pread(self._descriptor, end - start, start)
        except OSError as error:
            raise damaged(self.file, f"the disk cannot read it ({error.strerror})") from error


def _signature(status: os.stat_result) -> Signature:
    return status.st_ino, status.st_mtime_ns, status.st_size
