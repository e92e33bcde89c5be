"""Which files a strategy's code opens for reading, noticed while it runs: a person learns of those that are not frozen with it.

Python tells an audit hook of each file that is opened (`sys.addaudithook`). A hook cannot be removed again: it is installed by
the first watch of a process and looks at nothing but an empty dictionary while there is no watch. Only the thread that watches
is looked at. Not noticed is what a compiled library opens without Python (arrow does: parquet), and what other threads or
processes open; `named_files` finds what is at least called by its name.
"""

from __future__ import annotations

import os
import site
import sys
import sysconfig
import threading
import zoneinfo
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from functools import cache
from importlib.util import source_from_cache
from pathlib import Path, PurePath
from typing import Any

import algo_py

_WRITES = os.O_WRONLY | os.O_RDWR
_NAME_LENGTH = 250
_CREATES = os.O_CREAT | os.O_TRUNC
# Of the machine, not of the strategy: devices, time zones, certificates, name services.
_SYSTEM_FOLDERS = ("/proc", "/dev", "/sys", "/etc", "/usr/share/zoneinfo")

# By thread, the watches that are under way in it, the innermost last. Written to by that thread alone.
_watches: dict[int, list[Reads]] = {}


class Reads:
    """The paths that were opened for reading during a watch, in their order. What the same code had written first is left out."""

    def __init__(self) -> None:
        self._read: dict[str, None] = {}
        self._written: set[str] = set()

    def note(self, path: str, *, is_written: bool) -> None:
        """Take one opened path into account."""
        if is_written:
            self._written.add(path)
        elif path not in self._written:
            self._read[path] = None

    def files(self) -> list[Path]:
        """Return the files among them that are there; of a module's compiled form its source."""
        return [file for file in dict.fromkeys(_source_of(path) for path in self._read) if file.is_file()]


@contextmanager
def watching() -> Iterator[Reads]:
    """Notice what this thread opens inside. Watches may stand inside one another; each sees what is opened within it."""
    _install()
    reads, thread = Reads(), threading.get_ident()
    _watches[thread] = [*_watches.get(thread, ()), reads]
    try:
        yield reads
    finally:
        left = _watches[thread][:-1]
        if left:
            _watches[thread] = left
        else:
            del _watches[thread]


@contextmanager
def noticed() -> Iterator[Reads]:
    """Return what this thread opens inside if somebody is watching it, else nothing: then it costs nothing either."""
    if threading.get_ident() in _watches:
        with watching() as reads:
            yield reads
    else:
        yield Reads()


@contextmanager
def unnoticed() -> Iterator[None]:
    """Let what Algo.Py itself opens for the strategy pass."""
    thread = threading.get_ident()
    before = _watches.pop(thread, None)
    try:
        yield
    finally:
        if before is not None:
            _watches[thread] = before


def named_files(texts: Iterable[str], folders: Iterable[Path]) -> list[Path]:
    """Return the files that stand in `texts` as an absolute path, or relative to one of `folders`, and that are there."""
    names = [text for text in texts if 0 < len(text) <= _NAME_LENGTH and ("." in text or "/" in text) and text.isprintable()]
    return list(dict.fromkeys(file for name in names for folder in folders if (file := folder / name).is_file()))


def foreign_files(files: Iterable[Path], *, own: frozenset[Path], root: Path | None) -> list[Path]:
    """Return those of `files` that belong to nobody but the strategy, and are not in `own`, the files frozen with it.

    Left out are those of Python, of installed packages and of the machine, and caches that libraries keep. `root` is the folder
    of a workspace's strategies: that it lies within an installation excuses nothing that lies beside it.
    """
    excused = [folder for folder in _installed_folders() if root is None or not root.is_relative_to(folder)]
    excused += _cache_folders()
    found = []
    for file in files:
        real = file.resolve()
        if file in own or real in own or "__pycache__" in file.parts:
            continue
        if not any(file.is_relative_to(folder) or real.is_relative_to(folder) for folder in excused):
            found.append(file)
    return found


def _installed_folders() -> list[Path]:
    paths = sysconfig.get_paths()
    names = [
        sys.prefix,
        sys.base_prefix,
        sys.exec_prefix,
        *(paths[key] for key in ("stdlib", "platstdlib", "purelib", "platlib")),
    ]
    names += [*site.getsitepackages(), site.getusersitepackages(), *zoneinfo.TZPATH, *_SYSTEM_FOLDERS]
    own = Path(algo_py.__file__).parent
    return [own, *(folder for name in names for folder in {Path(name), Path(name).resolve()} if folder != Path("/"))]


def _cache_folders() -> list[Path]:
    names = [os.environ.get("XDG_CACHE_HOME") or "~/.cache", os.environ.get("NUMBA_CACHE_DIR"), os.environ.get("MPLCONFIGDIR")]
    return [Path(name).expanduser() for name in names if name]


@cache
def _install() -> None:
    sys.addaudithook(_hook)


def _hook(event: str, args: tuple[Any, ...]) -> None:
    if not _watches or (event != "open" and event != "sqlite3.connect"):
        return
    watches = _watches.get(threading.get_ident())
    if watches:
        _note(watches, event, args)


def _note(watches: list[Reads], event: str, args: tuple[Any, ...]) -> None:
    """Note an opened path. It must raise nothing: that would make the opening itself fail."""
    path = args[0]
    if not isinstance(path, (str, bytes, PurePath)):
        return  # a descriptor of something that was opened before
    flags = args[2] if event == "open" and isinstance(args[2], int) else os.O_RDONLY
    try:
        absolute = os.path.abspath(os.fsdecode(path))  # noqa: PTH100 - links stay as they are, and nothing is looked up
    except OSError:  # the current folder is gone
        return
    # What is opened for both may have been there before; what is created or emptied first was not.
    is_written = bool(flags & _WRITES) and (bool(flags & _CREATES) or not flags & os.O_RDWR)
    for watch in watches:
        watch.note(absolute, is_written=is_written)


def _source_of(path: str) -> Path:
    if path.endswith(".pyc"):
        try:
            return Path(source_from_cache(path))
        except ValueError:
            pass
    return Path(path)
