"""Which process is which: a pid alone proves nothing, since the system gives it to others again.

A deployment's process holds a lock on its folder for as long as it lives, and is known by pid and creation time. Only one
whose lock is held and whose creation time agrees is ever signalled.
"""

from __future__ import annotations

import fcntl
import os
import signal
from pathlib import Path
from types import TracebackType
from typing import Self

import psutil

from algo_py.clock import SystemClock
from algo_py.errors import Conflict

_EARLIEST_EPOCH_S = 1e9  # what is larger counts from the epoch, as earlier versions recorded it; no machine has been up so long
_SAME_EPOCH_S = 1.0
_SAME_S = 0.001
_STARTED_AT = 19  # the place of starttime in /proc/<pid>/stat after the command's name, see proc(5)
_LOCK_TRIES = 20
_LOCK_PAUSE_S = 0.02


class ProcessLock:
    """An exclusive lock that ends with the process that holds it, however it ends. What that process forks does not hold it."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._handle: int | None = None

    def __enter__(self) -> Self:
        self._path.parent.mkdir(parents=True, exist_ok=True)
        handle = os.open(self._path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o644)
        for _ in range(_LOCK_TRIES):
            try:
                fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                SystemClock().sleep(_LOCK_PAUSE_S)  # somebody may only be asking whether it is held
            else:
                self._handle = handle
                _held.add(self)
                return self
        os.close(handle)
        raise Conflict(f"{self._path} is locked by another process")

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self.drop()

    @classmethod
    def handed_over(cls, path: Path, handle: int) -> Self:
        """Take over a lock that the process which started this one holds; `handle` was inherited, and is passed on to nobody."""
        os.set_inheritable(handle, False)
        lock = cls(path)
        lock._handle = handle
        _held.add(lock)
        return lock

    @property
    def handle(self) -> int:
        """The open file that is the lock, for a child that is to take it over."""
        if self._handle is None:
            raise Conflict(f"{self._path} is not locked by this process")
        return self._handle

    def drop(self) -> None:
        """Close our handle. In a forked child this leaves the parent's lock in force."""
        if self._handle is not None:
            os.close(self._handle)
            self._handle = None
            _held.discard(self)


_held: set[ProcessLock] = set()


def _drop_all() -> None:
    """In a forked child: a lock is its parent's, and would otherwise last for as long as the child."""
    for lock in list(_held):
        lock.drop()


os.register_at_fork(after_in_child=_drop_all)


def is_locked(path: Path) -> bool:
    """Return whether some process holds the lock at `path`. A shared probe: two askers do not disturb each other."""
    try:
        handle = os.open(path, os.O_RDWR | os.O_CLOEXEC)
    except FileNotFoundError:
        return False
    try:
        fcntl.flock(handle, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
        return True
    finally:
        os.close(handle)
    return False


def created_s(pid: int) -> float:
    """Return when a process was created: in seconds since the machine started, where the system tells that.

    That stays what it is when the machine's clock is set; seconds since the epoch, which are returned elsewhere, do not. Raises
    psutil.NoSuchProcess.
    """
    file = Path(f"/proc/{pid}/stat")
    try:
        fields = file.read_text(encoding="utf-8", errors="replace").rpartition(")")[2].split()
    except (FileNotFoundError, ProcessLookupError):
        return float(psutil.Process(pid).create_time())
    return int(fields[_STARTED_AT]) / os.sysconf("SC_CLK_TCK")


def is_same_process(pid: int | None, pid_created_s: float | None) -> bool:
    """Return whether `pid` is alive and still the process that was created at `pid_created_s`."""
    if pid is None or pid_created_s is None:
        return False
    try:
        process = psutil.Process(pid)
        if process.status() == psutil.STATUS_ZOMBIE:
            return False
        if pid_created_s > _EARLIEST_EPOCH_S:
            return abs(process.create_time() - pid_created_s) < _SAME_EPOCH_S
        return abs(created_s(pid) - pid_created_s) < _SAME_S
    except psutil.NoSuchProcess:
        return False


def is_suspended(pid: int | None, pid_created_s: float | None) -> bool:
    """Return whether that process lives but somebody has stopped it (SIGSTOP), so that it cannot go on by itself."""
    if pid is None or not is_same_process(pid, pid_created_s):
        return False
    try:
        return psutil.Process(pid).status() == psutil.STATUS_STOPPED
    except psutil.NoSuchProcess:
        return False


def signal_process(pid: int, pid_created_s: float, number: signal.Signals) -> bool:
    """Send a signal to exactly that process; False when it is gone or the pid belongs to another by now."""
    if not is_same_process(pid, pid_created_s):
        return False
    try:
        os.kill(pid, number)
    except ProcessLookupError:
        return False
    return True
