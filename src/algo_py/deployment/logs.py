"""Reading the log of a deployment: one JSON object a line, over all its files, while its process goes on writing and rotating.

A file that was set aside never changes again; only the current one grows. Whoever follows a log keeps a `LogPosition`.
"""

from __future__ import annotations

import json
import logging
import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import Any, BinaryIO

from algo_py.deployment.log_file import LOG_FILE, file_set_aside, numbers_set_aside

_BLOCK = 64 * 1024
# A rotation between two looks at the folder is rare; so many in a row do not happen.
_TRIES = 100
_LEVELS = {name.lower(): number for name, number in logging.getLevelNamesMapping().items()}

Entry = dict[str, Any]


@dataclass(frozen=True, slots=True, order=True)
class LogPosition:
    """How far somebody has read: the number of a file, and bytes in it. The default is the log's beginning."""

    file: int = 0
    offset: int = 0


def read_log(folder: Path, *, after: LogPosition | None = None) -> tuple[list[Entry], LogPosition]:
    """Return the entries that follow a position, and the position to ask from next time; a half-written line waits.

    It goes no farther than to the end of one file: there is nothing new when it returns no entry. If files were deleted that
    should have followed, the first entry is `log.deleted`.
    """
    after = after or LogPosition()
    with _current(folder) as (older, number, current):
        if after.file > number:  # somebody has emptied the folder
            after = LogPosition()
        entries = []
        if after.file and after.file < min([*older, number]):
            entries.append(_noted("log.deleted", "what was written here has been deleted, as old files are"))
        for one in older:
            if one < after.file:
                continue
            offset = after.offset if one == after.file else 0
            try:
                content = _content(file_set_aside(folder, one), offset)
            except FileNotFoundError:
                continue  # deleted at this moment
            entries.extend(_entries(content))
            if entries:
                return entries, LogPosition(one + 1)
        if current is None:
            return entries, max(after, LogPosition(number))
        offset = after.offset if after.file == number else 0
        if offset > os.fstat(current.fileno()).st_size:  # somebody has emptied the file
            offset = 0
        current.seek(offset)
        content = current.read()
        whole = content[: content.rfind(b"\n") + 1]
        entries.extend(_entries(whole))
        return entries, LogPosition(number, offset + len(whole))


def tail_log(folder: Path, *, lines: int, level: str = "") -> list[Entry]:
    """Return the newest entries, oldest first, of this level or above; no more is read than they need."""
    return tail_and_position(folder, lines=lines, level=level)[0]


def tail_and_position(folder: Path, *, lines: int, level: str = "") -> tuple[list[Entry], LogPosition]:
    """Return the newest entries, oldest first, and the position right behind them, to follow from."""
    with _current(folder) as (older, number, current):
        newest = iter(()) if current is None else _backwards(current)
        # What follows the last line break is not a line yet; where it begins is where to go on.
        _, end = next(newest, (b"", 0))

        def entries() -> Iterator[Entry]:
            yield from (_entry(line) for line, _ in newest if line)
            for one in reversed(older):
                try:
                    handle = file_set_aside(folder, one).open("rb")
                except FileNotFoundError:
                    return
                with handle:
                    yield from (_entry(line) for line, _ in _backwards(handle) if line)

        found = list(islice((entry for entry in entries() if is_at_least(entry, level)), lines))
        return found[::-1], LogPosition(number, end)


def whole_log(folder: Path, *, level: str = "") -> Iterator[Entry]:
    """Yield every entry that is kept, oldest first, up to what is written at the beginning of the reading."""
    with _current(folder) as (older, _, current):
        for one in older:
            try:
                handle = file_set_aside(folder, one).open("rb")
            except FileNotFoundError:
                continue
            with handle:
                yield from _lines(handle, level, is_finished=True)
        if current is not None:
            yield from _lines(current, level, is_finished=False)


def is_at_least(entry: Entry, level: str) -> bool:
    """Return whether an entry has this level or a higher one; every entry has the empty level."""
    return not level or _LEVELS.get(str(entry.get("level", "")), 0) >= _LEVELS[level]


def format_entry(entry: Entry) -> str:
    """Write a log entry as one line for a person: time, level, event, then its own fields."""
    shown = {k: v for k, v in entry.items() if k not in ("ts", "level", "event", "deployment_id", "run_id", "exception")}
    fields = " ".join(f"{key}={value}" for key, value in shown.items())
    text = f"{str(entry.get('ts', ''))[:19].replace('T', ' ')} {entry.get('level', ''):<7} {entry.get('event', '')} {fields}"
    return f"{text.rstrip()}\n{entry['exception']}" if "exception" in entry else text.rstrip()


@contextmanager
def _current(folder: Path) -> Iterator[tuple[list[int], int, BinaryIO | None]]:
    """Look at a log at one moment: the numbers set aside, the one that the current file will get, and that file, open."""
    path = folder / LOG_FILE
    for _ in range(_TRIES):
        try:
            handle = path.open("rb")
        except FileNotFoundError:
            break
        with handle:
            older = numbers_set_aside(folder)
            if _is_at(path, handle):
                yield older, max(older, default=0) + 1, handle
                return
    older = numbers_set_aside(folder)
    yield older, max(older, default=0) + 1, None


def _is_at(path: Path, handle: BinaryIO) -> bool:
    """Return whether an open file still has this name: then no rotation has come between."""
    try:
        return os.path.samestat(os.fstat(handle.fileno()), path.stat())
    except FileNotFoundError:
        return False


def _content(path: Path, offset: int) -> bytes:
    with path.open("rb") as handle:
        handle.seek(offset)
        return handle.read()


def _lines(handle: BinaryIO, level: str, *, is_finished: bool) -> Iterator[Entry]:
    for line in handle:
        if line == b"\n" or not (is_finished or line.endswith(b"\n")):
            continue
        if is_at_least(entry := _entry(line), level):
            yield entry


def _entries(content: bytes) -> Iterator[Entry]:
    return (_entry(line) for line in content.split(b"\n") if line)


def _backwards(handle: BinaryIO) -> Iterator[tuple[bytes, int]]:
    """Yield a file's lines, newest first, with the offsets at which they begin; the first is what follows the last line break."""
    position = end = handle.seek(0, os.SEEK_END)
    rest = b""
    while position:
        step = min(_BLOCK, position)
        position = handle.seek(position - step)
        rest, *lines = (handle.read(step) + rest).split(b"\n")
        for line in reversed(lines):
            yield line, end - len(line)
            end -= len(line) + 1
    if end:
        yield rest, 0


def _entry(line: bytes) -> Entry:
    try:
        entry = json.loads(line)
    except ValueError:
        entry = None
    # A crash in the middle of a line: what is there is shown rather than hidden.
    return entry if isinstance(entry, dict) else _noted("log.unreadable", line.decode("utf-8", "replace").rstrip())


def _noted(event: str, message: str) -> Entry:
    return {"ts": "", "level": "warning", "event": event, "message": message}
