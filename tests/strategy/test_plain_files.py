"""Files that are compared and used: regular, bounded, reached through no link."""

from __future__ import annotations

import hashlib
import os
import socket
import tempfile
from pathlib import Path

import pytest

from algo_py.strategy.plain_files import (
    MIB,
    NotAPlainFile,
    check_plain,
    copy_plain,
    hash_plain,
    path_problem,
    plain_files,
    read_plain,
    refuse_additions,
)


@pytest.fixture
def root(tmp_path: Path) -> Path:
    found = tmp_path / "root"
    (found / "inner" / "deep").mkdir(parents=True)
    (found / "a.bin").write_bytes(b"a")
    (found / "inner" / "deep" / "b.bin").write_bytes(b"bb")
    return found


def refusal(root: Path, path: str, *, limit: int = MIB) -> str:
    """Return the problem, which reading, hashing, checking and copying agree on."""
    found = []
    for use in (read_plain, hash_plain, check_plain):
        with pytest.raises(NotAPlainFile) as caught:
            use(root, path, limit=limit)
        found.append(caught.value.problem)
    with pytest.raises(NotAPlainFile):
        copy_plain(root, path, root.parent / "copy", limit=limit)
    (root.parent / "copy").unlink(missing_ok=True)
    assert len(set(found)) == 1
    return found[0]


def test_a_file_is_read_hashed_and_copied(root: Path, tmp_path: Path) -> None:
    own = hashlib.sha256(b"bb").hexdigest()
    assert read_plain(root, "inner/deep/b.bin", limit=2) == b"bb"
    assert hash_plain(root, "inner/deep/b.bin", limit=2).sha256 == own
    assert copy_plain(root, "inner/deep/b.bin", tmp_path / "copy", limit=2) == own
    assert (tmp_path / "copy").read_bytes() == b"bb"
    with pytest.raises(FileExistsError):
        copy_plain(root, "a.bin", tmp_path / "copy", limit=2)


def test_links_are_refused_wherever_they_stand(root: Path, tmp_path: Path) -> None:
    (tmp_path / "outside").mkdir()
    (tmp_path / "outside" / "b.bin").write_bytes(b"bb")
    (root / "link.bin").symlink_to(root / "a.bin")
    (root / "dangling.bin").symlink_to(root / "nowhere")
    (root / "linked").symlink_to(tmp_path / "outside")
    for path in ("link.bin", "dangling.bin", "linked/b.bin"):
        assert refusal(root, path) == "is a link"
    assert read_plain(root, "a.bin", limit=1) == b"a"


def test_what_is_no_regular_file_is_refused_at_once(root: Path) -> None:
    os.mkfifo(root / "pipe")
    assert refusal(root, "pipe") == "is no regular file"
    assert refusal(root, "inner") == "is no regular file"
    with tempfile.TemporaryDirectory() as short, socket.socket(socket.AF_UNIX) as listening:  # the path of a socket is bounded
        listening.bind(f"{short}/socket")
        assert refusal(Path(short), "socket").startswith("cannot be read")
    with pytest.raises(NotAPlainFile, match="is no regular file"):
        read_plain(Path("/dev"), "zero", limit=MIB)


def test_sizes_are_bounded(root: Path) -> None:
    with (root / "large.bin").open("wb") as stream:
        stream.truncate(3 * MIB + 1)
    assert refusal(root, "large.bin", limit=3 * MIB) == "is larger than 3 MiB"
    assert len(read_plain(root, "large.bin", limit=3 * MIB + 1)) == 3 * MIB + 1


@pytest.mark.parametrize(
    ("path", "problem"),
    [
        ("", "is no path of a file"),
        ("a\0b", "is no path of a file"),
        ("inner//a", "is no path of a file"),
        ("inner\\a", "is no path of a file"),
        ("inner/", "is no path of a file"),
        ("/etc/passwd", "lies outside of its folder"),
        ("../a.bin", "lies outside of its folder"),
        ("inner/../../a.bin", "lies outside of its folder"),
        ("./a.bin", "lies outside of its folder"),
    ],
)
def test_paths_stay_inside(root: Path, path: str, problem: str) -> None:
    assert path_problem(path) == problem
    assert refusal(root, path) == problem


def test_missing_files_and_folders(root: Path) -> None:
    for path in ("b.bin", "inner/b.bin", "other/b.bin"):
        assert refusal(root, path) == "is missing"
    assert refusal(root, "a.bin/b.bin").startswith("cannot be read")


def test_a_content_is_hashed_again_only_when_something_was_written(root: Path) -> None:
    first = hash_plain(root, "a.bin", limit=MIB)
    assert hash_plain(root, "a.bin", limit=MIB, known=first) is first
    before = (root / "a.bin").stat()
    (root / "a.bin").write_bytes(b"b")
    os.utime(root / "a.bin", ns=(before.st_atime_ns, before.st_mtime_ns))
    second = hash_plain(root, "a.bin", limit=MIB, known=first)
    assert second.sha256 == hashlib.sha256(b"b").hexdigest()


def test_all_files_of_a_folder(root: Path, tmp_path: Path) -> None:
    (root / "inner" / ".DS_Store").write_bytes(b"")
    (root / "inner" / "__pycache__").mkdir()
    (root / "inner" / "__pycache__" / "x.pyc").write_bytes(b"")
    (root / "inner" / "c.bin").write_bytes(b"")
    assert plain_files(root, "inner") == ["inner/c.bin", "inner/deep/b.bin"]
    (root / "inner" / "deep" / "e").symlink_to(tmp_path)
    with pytest.raises(NotAPlainFile, match="inner/deep/e is a link"):
        plain_files(root, "inner")
    (root / "inner" / "deep" / "e").unlink()
    odd = os.fsencode(root / "inner") + b"/new\nline\xff"
    os.close(os.open(odd, os.O_CREAT | os.O_WRONLY))
    with pytest.raises(NotAPlainFile) as caught:
        refuse_additions(root, "inner", {"inner/c.bin", "inner/deep/b.bin"})
    assert str(caught.value) == "inner/new\N{REPLACEMENT CHARACTER}line\N{REPLACEMENT CHARACTER} was added later"
    os.unlink(odd)  # noqa: PTH108 - its name is no text
    (root / "linked").symlink_to(root / "inner")
    for folder, problem in (("linked", "is a link"), ("nowhere", "is missing"), ("a.bin", "is no folder")):
        with pytest.raises(NotAPlainFile, match=f"{folder} {problem}"):
            plain_files(root, folder)
