"""Rules of the house that no linter knows."""

from __future__ import annotations

import re
import subprocess
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
SOURCES = sorted((ROOT / "src").rglob("*.py"))
LOCKS = sorted((ROOT / "requirements").glob("*.lock"))


def shown(path: Path) -> str:
    return str(path.relative_to(ROOT))


def committed_texts() -> list[Path]:
    """Return the text files of the repository, or of this folder where it is not a checkout."""
    listed = subprocess.run(["git", "ls-files", "-z"], cwd=ROOT, capture_output=True, check=False).stdout.split(b"\0")
    names = [name.decode() for name in listed if name] or [shown(path) for path in (*SOURCES, *LOCKS)]
    return [path for path in map(ROOT.joinpath, names) if path.is_file() and b"\0" not in path.read_bytes()[:4096]]


@pytest.mark.parametrize("path", SOURCES, ids=shown)
def test_time_is_read_in_one_place(path: Path) -> None:
    if path.name == "clock.py":
        return
    found = re.findall(r"\b(?:time\.(?:time|sleep|monotonic)|datetime\.(?:now|utcnow|today)|Timestamp\.now)\(", path.read_text())
    assert not found


@pytest.mark.parametrize("path", LOCKS, ids=shown)
def test_a_lock_names_versions_and_hashes_and_no_index(path: Path) -> None:
    text = path.read_text()
    assert not re.search(r"https?://|file:|--(?:extra-)?index|--find-links", text)
    pinned = re.findall(r"^[a-z0-9][a-z0-9._-]*==", text, flags=re.MULTILINE)
    assert len(pinned) > 50
    assert text.count("--hash=sha256:") >= len(pinned)


def test_no_file_holds_a_path_of_somebody_s_machine() -> None:
    homes = re.compile(rf"(?:{re.escape(str(ROOT.parent))}|{re.escape(str(Path.home()))})/")
    if str(ROOT.parent) in ("/", "/tmp"):  # there every path would look like one
        homes = re.compile(rf"{re.escape(str(Path.home()))}/")
    assert [shown(path) for path in committed_texts() if homes.search(path.read_text(encoding="utf-8", errors="replace"))] == []


def test_ci_runs_what_everybody_runs() -> None:
    assert "exec make test" in (ROOT / ".ci" / "run").read_text()
