"""SQLite as the database: how it is connected, how a transaction is opened, and which connections must not be used.

SQLite's locks belong to the process that took them, and what it believes of them stands in that process's memory: a fork copies
the belief and not the locks. So a file that was open at a fork is refused in the child. And a connection whose file is not at
its path any more (replaced by a backup, moved, its -wal deleted) would write into what nobody will ever read: it is refused too.
Why so stands in docs/decisions/0013-a-fork-server.md.
"""

from __future__ import annotations

import ctypes
import os
import random
import sqlite3
from functools import partial
from typing import Any, Final
from weakref import WeakSet

import sqlalchemy as sa
from sqlalchemy.engine import URL, Connection, Engine, ExceptionContext

from algo_py.clock import SystemClock, monotonic_s
from algo_py.errors import Conflict, DatabaseReplaced, Refused

_Identity = tuple[int, int]

_MEMORY: Final = ":memory:"
_REPLACED_REMEDY: Final = "What works on it has to start again; what it wrote meanwhile is in the old file."
_ASKED_S: Final = "algo_asked_s"  # in a connection's info: when its last statement was given to SQLite
_PAUSE_LEAST_S, _PAUSE_MOST_S = 0.002, 0.02  # between two attempts to switch to WAL
_WORTH_SAYING_S = 0.05


class _RawConnection(sqlite3.Connection):
    """A connection that knows which files it has opened: device and inode of the database and of its -wal."""

    path: str | None = None
    database: _Identity | None = None
    wal: _Identity | None = None
    is_left_open = False

    def lost(self) -> str:
        """Return what has become of its files, if they are not at their path any more."""
        if self.path is not None and self.database is not None and _identity(self.path) != self.database:
            return f"the database {self.path} was replaced, moved or deleted while it was open"
        if self.path is not None and self.wal is not None and _identity(f"{self.path}-wal") != self.wal:
            return f"the write-ahead log {self.path}-wal was replaced, moved or deleted while it was open"
        return ""

    def close(self) -> None:
        """Close it, unless that would do harm: SQLite writes the log back and deletes files of this name, which may be new."""
        if not self.is_left_open and self.lost():
            _leave_open(self)
        if not self.is_left_open:
            super().close()


# What this process has open, and what its parent had open when it was forked: as process-wide as SQLite's own list of files.
_open: WeakSet[_RawConnection] = WeakSet()
_open_at_fork: set[_Identity] = set()


class File:
    """The file that one engine works on, and whether it is still the one that was opened."""

    def __init__(self, path: str | None) -> None:
        self._path = None if path in (None, "", _MEMORY) else os.path.abspath(str(path))  # noqa: PTH100  what is no path stays as it is
        self._replaced = ""

    def check(self, connection: Connection) -> None:
        """Raise DatabaseReplaced unless the file at the path is the one that this connection has open. Two stat calls.

        Once it was raised it is raised always: a process that goes on with the new file would mix two states.
        """
        raw: object = connection.connection.dbapi_connection
        if isinstance(raw, _RawConnection) and not self._replaced:
            self._replaced = raw.lost()
        if self._replaced:
            raise DatabaseReplaced(f"{self._replaced} (noticed by process {os.getpid()})", remedy=_REPLACED_REMEDY)

    def refuse_after_fork(self) -> None:
        """Raise Refused when the process that forked this one had the file open."""
        if self._path is not None and _open_at_fork and _identity(self._path) in _open_at_fork:
            raise Refused(
                f"process {os.getpid()} was forked from one that has {self._path} open, and holds none of its locks",
                remedy="Start it as a process of its own: with subprocess, or multiprocessing's 'spawn'.",
            )

    def note(self, raw: _RawConnection) -> None:
        """Remember which files a new connection has opened."""
        raw.path = self._path
        if self._path is not None:
            raw.database, raw.wal = _identity(self._path), _identity(f"{self._path}-wal")
        _open.add(raw)


def make_engine(url: URL, file: File, *, lock_timeout_s: float) -> Engine:
    """Return an engine on a file, which is made when it is first used."""
    engine = sa.create_engine(url, connect_args={"factory": _RawConnection})
    sa.event.listen(engine, "do_connect", lambda *_: file.refuse_after_fork())
    sa.event.listen(engine, "connect", partial(_prepare, file, lock_timeout_s))
    sa.event.listen(engine, "close", lambda raw, _record: _open.discard(raw))
    sa.event.listen(engine, "begin", partial(_begin, file))
    sa.event.listen(engine, "before_cursor_execute", _note_moment)
    sa.event.listen(engine, "handle_error", _explain_lock)
    return engine


def _prepare(file: File, lock_timeout_s: float, connection: Any, _record: Any) -> None:
    asked_s = monotonic_s()
    # None: transactions are opened by _begin and not by the driver, which would take the write lock late and then deadlock.
    connection.isolation_level = None
    cursor = connection.cursor()
    try:
        _switch_to_wal(cursor, asked_s + lock_timeout_s)
        _set_busy_timeout(cursor, lock_timeout_s)
        cursor.execute("PRAGMA foreign_keys=ON")
        cursor.execute("SELECT 1 FROM sqlite_master LIMIT 1").fetchall()  # the -wal is opened by the first read
    except sqlite3.Error as error:
        connection.close()  # the pool does not know it yet: it would keep its locks for as long as somebody holds the traceback
        if _is_busy(error):
            raise _locked(monotonic_s() - asked_s) from error
        raise
    cursor.close()
    file.note(connection)


def _switch_to_wal(cursor: sqlite3.Cursor, until_s: float) -> None:
    """Make WAL the mode of the file, if it is another one; others may want the same at the same moment.

    SQLite refuses at once, whatever its busy timeout, who reads the file and wants to write it while another writes: that one
    waits for all readers, so both would wait for each other. (https://sqlite.org/c3ref/busy_handler.html)
    """
    while True:
        _set_busy_timeout(cursor, max(0.0, until_s - monotonic_s()))
        try:
            if cursor.execute("PRAGMA journal_mode").fetchone() != ("wal",):
                cursor.execute("PRAGMA journal_mode=WAL").fetchall()
            return
        except sqlite3.OperationalError as error:
            if not _is_busy(error) or monotonic_s() >= until_s:
                raise
        # At random, so that two do not meet again, and by the system's randomness: forked processes share the state of another.
        SystemClock().sleep(random.SystemRandom().uniform(_PAUSE_LEAST_S, _PAUSE_MOST_S))


def _set_busy_timeout(cursor: sqlite3.Cursor, timeout_s: float) -> None:
    cursor.execute(f"PRAGMA busy_timeout={round(timeout_s * 1000)}")


def _begin(file: File, connection: Connection) -> None:
    file.check(connection)
    kind = connection.get_execution_options().get("algo_write")
    if kind is None:
        connection.exec_driver_sql("BEGIN")
        return
    connection.exec_driver_sql(f"PRAGMA synchronous={'FULL' if kind == 'durable' else 'NORMAL'}")
    connection.exec_driver_sql("BEGIN IMMEDIATE")


def _note_moment(connection: Connection, *_: Any) -> None:
    connection.info[_ASKED_S] = monotonic_s()


def _explain_lock(context: ExceptionContext) -> None:
    if _is_busy(context.original_exception):
        # A commit is no statement: how long it waited is not known.
        asked_s = None if context.connection is None or context.statement is None else context.connection.info.get(_ASKED_S)
        raise _locked(0.0 if asked_s is None else monotonic_s() - asked_s) from context.original_exception


def _is_busy(error: BaseException) -> bool:
    """Return whether another connection's lock was in the way; the low byte is the code, what is above it says where.

    PROTOCOL is what SQLite says when others were ahead of it a hundred times at the start of a read.
    """
    code = getattr(error, "sqlite_errorcode", 0) & 0xFF
    return isinstance(error, sqlite3.OperationalError) and code in (sqlite3.SQLITE_BUSY, sqlite3.SQLITE_PROTOCOL)


def _locked(waited_s: float) -> Conflict:
    """Say who asked, and how long it really waited: some locks are refused at once, and nobody should look for a slow process."""
    is_worth_saying = waited_s >= _WORTH_SAYING_S
    what = f"was locked by another process for {waited_s:.1f} s" if is_worth_saying else "is locked by another process"
    return Conflict(
        f"the database {what} (asked by process {os.getpid()})",
        remedy="Try again; if it stays so, look for a stopped process that holds it.",
    )


def _identity(path: str) -> _Identity | None:
    try:
        found = os.stat(path)  # noqa: PTH116  asked for at every transaction
    except FileNotFoundError:
        return None
    return found.st_dev, found.st_ino


def _leave_open(raw: _RawConnection) -> None:
    """Keep a connection from ever being closed, but by the system with the process."""
    raw.is_left_open = True
    _open.discard(raw)
    ctypes.pythonapi.Py_IncRef(ctypes.py_object(raw))  # what nobody refers to would be closed, too


def _leave_to_parent() -> None:
    """In a forked child: what was open is the parent's. It is neither used nor closed, and its files are not opened again."""
    for raw in list(_open):
        if raw.database is not None:
            _open_at_fork.add(raw.database)
        _leave_open(raw)


os.register_at_fork(after_in_child=_leave_to_parent)
