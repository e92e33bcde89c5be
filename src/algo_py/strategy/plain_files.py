"""Files that are read so that what is compared is what is used: regular ones, of bounded size, reached through no link.

A path is followed folder by folder from a root, each opened without following links. So nothing can be put in the place of a
folder between looking and opening, a pipe cannot make a reader wait, and a device cannot feed it for ever.
"""

from __future__ import annotations

import hashlib
import os
import stat
from collections.abc import Container, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Final

MIB: Final = 1024 * 1024

_CHUNK = MIB
# Nothing imports or reads what lies under these names: Python's caches are not used here, and no module begins with a dot.
CACHE_FOLDER: Final = "__pycache__"


class NotAPlainFile(Exception):
    """Why a file is not read, as the end of a sentence: `is missing`, `is a link`, `is larger than 256 MiB`."""

    def __init__(self, path: str, problem: str) -> None:
        path = shown(path)
        super().__init__(f"{path} {problem}")
        self.path = path
        self.problem = problem


@dataclass(frozen=True, slots=True)
class Stamp:
    """What the file system says of a file's content without reading it; another one means: read it again.

    The time of change (ctime) cannot be set by the file's owner, so that an edit that keeps size and time of writing is seen too.
    """

    device: int
    inode: int
    size: int
    written_ns: int
    changed_ns: int


@dataclass(frozen=True, slots=True)
class Content:
    """The SHA-256 of a file's content, in hex, and the stamp that the file had while it was read."""

    sha256: str
    stamp: Stamp


def sha256(content: bytes) -> str:
    """Return the hash of a content, in hex."""
    return hashlib.sha256(content).hexdigest()


def read_plain(root: Path, path: str, *, limit: int) -> bytes:
    """Return the content of a file; `path` is relative to `root`, its parts separated by slashes.

    Raises NotAPlainFile for what is missing, is a link or lies behind one, is no regular file, or is larger than `limit` bytes.
    """
    with _opened(root, path, limit) as (descriptor, _):
        return b"".join(_chunks(descriptor, path, limit))


def check_plain(root: Path, path: str, *, limit: int) -> None:
    """Raise NotAPlainFile where `read_plain` would, without reading the content."""
    with _opened(root, path, limit):
        pass


def hash_plain(root: Path, path: str, *, limit: int, known: Content | None = None) -> Content:
    """Return the hash of a file's content, read piece by piece; see `read_plain` for what is refused.

    `known` is what it was before: as long as the file's stamp is still the same, that is returned and nothing is read.
    """
    with _opened(root, path, limit) as (descriptor, stamp):
        if known is not None and known.stamp == stamp:
            return known
        digest = hashlib.sha256()
        for chunk in _chunks(descriptor, path, limit):
            digest.update(chunk)
        return Content(digest.hexdigest(), stamp)


def copy_plain(root: Path, path: str, target: Path, *, limit: int) -> str:
    """Copy a file to `target`, which must not exist, durably, and return the SHA-256 of the bytes that were written.

    Raises NotAPlainFile as `read_plain` does, and OSError where the target cannot be written.
    """
    digest = hashlib.sha256()
    with _opened(root, path, limit) as (descriptor, _), target.open("xb") as stream:
        for chunk in _chunks(descriptor, path, limit):
            digest.update(chunk)
            stream.write(chunk)
        stream.flush()
        os.fsync(stream.fileno())
    return digest.hexdigest()


def plain_files(root: Path, folder: str) -> list[str]:
    """Return the paths of all files below a folder of `root`, sorted; NotAPlainFile for a link or anything else that is neither.

    Names that begin with a dot and caches of compiled code are left out: nothing is imported or read from them.
    """
    found: list[str] = []
    if (root / folder).is_symlink():
        raise NotAPlainFile(folder, "is a link")
    try:
        with os.scandir(root / folder) as entries:
            for entry in sorted(entries, key=lambda one: one.name):
                path = f"{folder}/{entry.name}"
                if entry.name.startswith(".") or (entry.name == CACHE_FOLDER and not entry.is_symlink()):
                    continue
                if entry.is_dir(follow_symlinks=False):
                    found += plain_files(root, path)
                elif entry.is_file(follow_symlinks=False):
                    found.append(path)
                else:
                    raise NotAPlainFile(path, "is a link" if entry.is_symlink() else "is no regular file")
    except FileNotFoundError:
        raise NotAPlainFile(folder, "is missing") from None
    except NotADirectoryError:
        raise NotAPlainFile(folder, "is no folder") from None
    except OSError as error:
        raise NotAPlainFile(folder, f"cannot be read ({error.strerror})") from None
    return found


def refuse_additions(root: Path, folder: str, known: Container[str]) -> None:
    """Raise NotAPlainFile for what lies below a folder of `root` and is not `known`; `plain_files` says what does not count."""
    for path in plain_files(root, folder):
        if path not in known:
            raise NotAPlainFile(path, "was added later")


def shown(path: str) -> str:
    """Return a path as it can stand in a line of text: a name may hold line breaks, and bytes that are no text."""
    return "".join(character if character.isprintable() else "\N{REPLACEMENT CHARACTER}" for character in path)


def path_problem(path: str) -> str | None:
    """Return why a text is no path of a file inside a folder, as the end of a sentence, or None where it is one."""
    parts = path.split("/")
    if not path or "\0" in path or "\\" in path or any(not part for part in parts[1:]):
        return "is no path of a file"
    if path.startswith("/") or any(part in ("..", ".") for part in parts):
        return "lies outside of its folder"
    return None


@contextmanager
def _opened(root: Path, path: str, limit: int) -> Iterator[tuple[int, Stamp]]:
    problem = path_problem(path)
    if problem is not None:
        raise NotAPlainFile(path, problem)
    *folders, name = path.split("/")
    held = [_open(path, str(root), None, os.O_DIRECTORY)]
    try:
        for folder in folders:
            held.append(_open(path, folder, held[-1], os.O_DIRECTORY | os.O_NOFOLLOW))
        held.append(_open(path, name, held[-1], os.O_NOFOLLOW | os.O_NONBLOCK))
        state = os.fstat(held[-1])
        if not stat.S_ISREG(state.st_mode):
            raise NotAPlainFile(path, "is no regular file")
        if state.st_size > limit:
            raise NotAPlainFile(path, _too_large(limit))
        yield held[-1], Stamp(state.st_dev, state.st_ino, state.st_size, state.st_mtime_ns, state.st_ctime_ns)
    finally:
        for descriptor in held:
            os.close(descriptor)


def _open(path: str, name: str, folder: int | None, how: int) -> int:
    try:
        return os.open(name, os.O_RDONLY | os.O_CLOEXEC | how, dir_fd=folder)
    except FileNotFoundError:
        raise NotAPlainFile(path, "is missing") from None
    except OSError as error:
        raise NotAPlainFile(path, "is a link" if _is_link(name, folder) else f"cannot be read ({error.strerror})") from None


def _is_link(name: str, folder: int | None) -> bool:
    try:
        return folder is not None and stat.S_ISLNK(os.stat(name, dir_fd=folder, follow_symlinks=False).st_mode)
    except OSError:
        return False


def _chunks(descriptor: int, path: str, limit: int) -> Iterator[bytes]:
    """Yield the content; a file that grows beyond the limit while it is read is refused like one that was too large before."""
    total = 0
    while True:
        try:
            chunk = os.read(descriptor, _CHUNK)
        except OSError as error:
            raise NotAPlainFile(path, f"cannot be read ({error.strerror})") from None
        if not chunk:
            return
        total += len(chunk)
        if total > limit:
            raise NotAPlainFile(path, _too_large(limit))
        yield chunk


def _too_large(limit: int) -> str:
    return f"is larger than {limit // MIB} MiB"
