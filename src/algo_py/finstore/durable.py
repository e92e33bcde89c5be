"""Files that are either there, whole and on the disk, or not there at all."""

from __future__ import annotations

import errno
import os
import secrets
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

from filelock import FileLock, Timeout

from algo_py.errors import Conflict, Refused

_TEMPORARY_SUFFIX = ".tmp"
_LOCK_POLL_S = 0.005


def write_durably(file: Path, content: bytes) -> None:
    """Write `file` so that a reader, a crash or a power cut sees the old content or the new one, never a mixture.

    Folders are made as needed. Raises OSError, and then leaves the old file as it was.
    """
    write_all_durably({file: content})


def write_all_durably(contents: Mapping[Path, bytes]) -> None:
    """Write several files in this order, each like `write_durably`; together they cost the disk little more than one.

    They do not appear at once: after a crash some may be new and some old.
    """
    unsynced = {file.parent: None for file in contents}
    for folder in list(unsynced):
        unsynced.update(dict.fromkeys(_made(folder)))
    written: list[_Temporary] = []
    try:
        for file, content in contents.items():
            written.append(_Temporary(file))
            written[-1].write(content)
        for temporary in written:
            temporary.sync()
        for temporary in written:
            temporary.put_in_place()
    finally:
        for temporary in written:
            temporary.discard()
    for folder in unsynced:
        sync_folder(folder)


class _Temporary:
    """A file that is being written beside the one that it will replace."""

    def __init__(self, file: Path) -> None:
        self._file = file
        self._path: Path | None = file.with_name(f".{file.name}.{secrets.token_hex(4)}{_TEMPORARY_SUFFIX}")
        self._descriptor = os.open(self._path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o644)

    def write(self, content: bytes) -> None:
        view = memoryview(content)
        while view:
            view = view[os.write(self._descriptor, view) :]

    def sync(self) -> None:
        os.fsync(self._descriptor)

    def put_in_place(self) -> None:
        if self._path is not None:
            self._path.replace(self._file)
            self._path = None

    def discard(self) -> None:
        """Close it, and delete it unless it is in place."""
        os.close(self._descriptor)
        if self._path is not None:
            self._path.unlink(missing_ok=True)


def write_hint(file: Path, content: str) -> None:
    """Write a file that may be lost in a power cut, and is never seen half written by another process."""
    temporary = file.with_name(f".{file.name}{_TEMPORARY_SUFFIX}")
    temporary.write_text(content, encoding="utf-8")
    temporary.replace(file)


def make_folder(folder: Path) -> None:
    """Create a folder and its parents; every new name in them is on the disk when this returns."""
    for changed in _made(folder):
        sync_folder(changed)


def _made(folder: Path) -> list[Path]:
    """Create a folder and its parents; return the folders that have a new name in them."""
    missing = [candidate for candidate in (folder, *folder.parents) if not candidate.is_dir()]
    for candidate in reversed(missing):
        candidate.mkdir(exist_ok=True)
    return [candidate.parent for candidate in reversed(missing)]


def remove_durably(file: Path) -> None:
    """Delete `file`; it is gone from the disk when this returns. One that is not there is fine."""
    file.unlink(missing_ok=True)
    sync_folder(file.parent)


def keep_durably(file: Path, other: Path) -> None:
    """Give the content of `file` a second name; both are on the disk when this returns. The folder of `other` must exist.

    Where the file system knows no second names the content is copied, which needs it to be readable.
    """
    try:
        os.link(file, other)
    except OSError as error:
        if error.errno not in (errno.EPERM, errno.EOPNOTSUPP, errno.ENOSYS):
            raise
        write_durably(other, file.read_bytes())
    sync_folder(other.parent)


def sync_folder(folder: Path) -> None:
    """Make the names in a folder durable."""
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def remove_leftovers(folder: Path) -> None:
    """Delete temporary files of writers that were killed. Only the holder of the folder's lock may call this."""
    for file in folder.glob(f".*{_TEMPORARY_SUFFIX}"):
        file.unlink(missing_ok=True)


@contextmanager
def locked(file: Path, *, timeout_s: float) -> Iterator[None]:
    """Hold the lock `file` against every other thread and process; the kernel frees it when a holder dies.

    Raises Conflict when it is still taken after `timeout_s`.
    """
    lock = FileLock(file, timeout=timeout_s, poll_interval=_LOCK_POLL_S, thread_local=False)
    try:
        lock.acquire()
    except Timeout:
        raise Conflict(
            f"another process is writing in {file.parent} (waited {timeout_s:g} s)", remedy="Wait until it is done, then repeat."
        ) from None
    try:
        yield
    finally:
        lock.release()


@contextmanager
def writing(folder: Path, lock: Path, *, timeout_s: float) -> Iterator[None]:
    """Be the one writer in `folder`, which is made as needed. Raises Conflict, and Refused when the disk does not take it."""
    with explained(folder):
        make_folder(folder)
        with locked(lock, timeout_s=timeout_s):
            yield


@contextmanager
def explained(folder: Path) -> Iterator[None]:
    """Turn the disk's refusals (full, read-only, no permission) into one line that says what to do."""
    try:
        yield
    except OSError as error:
        remedy = {
            errno.ENOSPC: "Free some space on that disk, then repeat.",
            errno.EDQUOT: "Free some space within your quota, then repeat.",
            errno.EROFS: "That disk is read-only: mount it writable or choose another workspace.",
            errno.EACCES: "Give this user the right to write there.",
            errno.EPERM: "Give this user the right to write there.",
        }.get(error.errno or 0, "Repeat when the disk is well; bars stored before are unharmed.")
        raise Refused(f"bars cannot be written to {folder}: {error.strerror or error}", remedy=remedy) from error
