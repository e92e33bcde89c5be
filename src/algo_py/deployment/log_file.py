"""The files of a log. One process appends to `log.jsonl` and sets it aside, under the next number, once it is large or old.

`log.000001.jsonl` is older than `log.000002.jsonl`; no number is given twice, so a reader's place stays what it was. A rotation
is one rename: whoever dies around it leaves every line where it was, and at most no `log.jsonl` until the next line.
"""

from __future__ import annotations

import contextlib
import os
import re
import threading
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path

from algo_py.clock import Clock, parse_time
from algo_py.errors import InvalidInput
from algo_py.settings import LogSettings

LOG_FILE = "log.jsonl"
_ASIDE = re.compile(r"log\.(\d{6,})\.jsonl")
_STAMP = re.compile(rb'\{"ts": "([^"]+)"')
_STAMP_BYTES = 64
_MIB = 1024 * 1024


def file_set_aside(folder: Path, number: int) -> Path:
    """Return the path of the file that was set aside under this number."""
    return folder / f"log.{number:06d}.jsonl"


def numbers_set_aside(folder: Path) -> list[int]:
    """Return the numbers of the files that are still there, oldest first; a folder that is gone has none."""
    try:
        names = [path.name for path in folder.iterdir()]
    except FileNotFoundError:
        return []
    return sorted(int(found[1]) for found in map(_ASIDE.fullmatch, names) if found)


class LogFile:
    """Appends lines to a log. The process that opens it is the only one that rotates.

    What it forks may append, too. `lost_line` makes the line that tells how many could not be written.
    """

    def __init__(self, folder: Path, settings: LogSettings, *, wall: Clock, lost_line: Callable[[int], str]) -> None:
        self._folder = folder
        self._settings = settings
        self._wall = wall
        self._lost_line = lost_line
        self._lock = threading.RLock()
        self._owner = os.getpid()
        self._handle: int | None = None
        self._began_at = wall.now()
        self._lost = 0

    def append(self, line: str) -> None:
        """Append a line, whole or not at all. A disk that refuses raises nothing: the line is lost, and counted to be told."""
        with self._lock:
            try:
                handle = self._ready()
                if self._lost:
                    _write(handle, self._lost_line(self._lost))
                    self._lost = 0
                _write(handle, line)
            except OSError:
                self._lost += 1
                self._let_go()

    def _ready(self) -> int:
        """Return a handle to append by, after a rotation if one is due."""
        if self._handle is not None and os.fstat(self._handle).st_nlink == 0:
            self._let_go()  # somebody has deleted the file
        handle = self._handle if self._handle is not None else self._open()
        if os.getpid() != self._owner or not self._is_due(os.fstat(handle).st_size):
            return handle
        try:
            number = max(numbers_set_aside(self._folder), default=0) + 1
            (self._folder / LOG_FILE).rename(file_set_aside(self._folder, number))
        except OSError:
            return handle  # a file that grows is better than a line that is lost
        self._let_go()
        self._delete_oldest()
        return self._open()

    def _is_due(self, size: int) -> bool:
        if not size:
            return False
        age = self._wall.now() - self._began_at
        return size >= self._settings.max_mib * _MIB or age >= timedelta(days=self._settings.max_age_days)

    def _delete_oldest(self) -> None:
        for number in numbers_set_aside(self._folder)[: -self._settings.keep_files]:
            with contextlib.suppress(OSError):  # the next rotation tries again
                file_set_aside(self._folder, number).unlink()

    def _open(self) -> int:
        self._handle = os.open(self._folder / LOG_FILE, os.O_RDWR | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC, 0o666)
        size = os.fstat(self._handle).st_size
        self._began_at = _first_time(self._handle) if size else self._wall.now()
        if size and os.pread(self._handle, 1, size - 1) != b"\n":
            os.write(self._handle, b"\n")  # whoever wrote here before died within a line; ours begins on its own
        return self._handle

    def _let_go(self) -> None:
        if self._handle is not None:
            with contextlib.suppress(OSError):
                os.close(self._handle)
            self._handle = None


def _write(handle: int, line: str) -> None:
    """Write a line; of one that does not fit on the disk nothing stays."""
    before = os.fstat(handle).st_size
    rest = f"{line}\n".encode()
    try:
        while rest:
            rest = rest[os.write(handle, rest) :]
    except OSError:
        os.ftruncate(handle, before)
        raise


def _first_time(handle: int) -> datetime:
    """Return when a file's first line was written, as that line says."""
    found = _STAMP.match(os.pread(handle, _STAMP_BYTES, 0))
    with contextlib.suppress(InvalidInput):
        if found:
            return parse_time(found[1].decode("ascii", "replace"))
    return datetime.fromtimestamp(os.fstat(handle).st_mtime, UTC)
