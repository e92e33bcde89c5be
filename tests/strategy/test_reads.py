"""What a strategy opens is noticed while it is watched, and costs nothing while it is not."""

from __future__ import annotations

import os
import sqlite3
import subprocess
import sys
import tempfile
import threading
import zoneinfo
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from algo_py.strategy.reads import Reads, foreign_files, noticed, unnoticed, watching


@pytest.fixture
def file(tmp_path: Path) -> Path:
    found = tmp_path / "data" / "x.csv"
    found.parent.mkdir()
    found.write_text("a,b\n1,2\n", encoding="utf-8")
    return found


def found(reads: Reads, tmp_path: Path) -> list[str]:
    files = foreign_files(reads.files(), own=frozenset({tmp_path / "own.py"}), root=tmp_path / "strategies")
    return [file.relative_to(tmp_path).as_posix() for file in files]


def test_every_way_to_open_a_file_is_noticed(file: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    np.save(tmp_path / "x.npy", np.zeros(2))
    sqlite3.connect(tmp_path / "x.db").execute("create table a (b)").connection.close()
    names = ("open", "read_text", "csv", "npy", "parquet", "relative", "bytes", "descriptor", "db")
    copies = {name: tmp_path / f"{name}.csv" for name in names}
    for copy in copies.values():
        copy.write_bytes(file.read_bytes())
    with watching() as reads:
        with open(copies["open"]) as stream:  # noqa: PTH123
            stream.read()
        copies["read_text"].read_text()
        pd.read_csv(copies["csv"])
        np.load(tmp_path / "x.npy")
        Path("relative.csv").read_bytes()
        with open(os.fsencode(copies["bytes"]), "rb") as raw:  # noqa: PTH123
            raw.read()
        descriptor = os.open(copies["descriptor"], os.O_RDONLY)
        os.fdopen(descriptor).close()
        sqlite3.connect(tmp_path / "x.db").close()
    assert found(reads, tmp_path) == [
        *("open.csv", "read_text.csv", "csv.csv", "x.npy", "relative.csv", "bytes.csv", "descriptor.csv", "x.db")
    ]


def test_what_is_not_the_strategy_s_is_left_out(file: Path, tmp_path: Path) -> None:
    (tmp_path / "own.py").write_text("")
    (tmp_path / "link.py").symlink_to(tmp_path / "own.py")
    with watching() as reads:
        (tmp_path / "own.py").read_text()
        (tmp_path / "link.py").read_text()
        Path(os.__file__).read_text()
        Path(np.__file__).read_text()
        Path("/proc/self/status").read_text()
        Path("/dev/null").read_text()
        zoneinfo.ZoneInfo.no_cache("Asia/Kolkata")
        with pytest.raises(FileNotFoundError):
            (tmp_path / "not_there.csv").read_text()
        with pytest.raises(IsADirectoryError):
            tmp_path.read_text()
        (tmp_path / "made.csv").write_text("a")
        (tmp_path / "made.csv").read_text()
        with tempfile.NamedTemporaryFile(dir=tmp_path) as made:
            made.write(b"a")
            Path(made.name).read_bytes()
        with unnoticed():
            file.read_text()
    assert found(reads, tmp_path) == []


def test_an_installation_excuses_its_own_files_and_not_those_beside_strategies_within_it(tmp_path: Path) -> None:
    prefix, library = Path(sys.prefix), Path(os.__file__)
    files = [library, Path(np.__file__), prefix / "w" / "x.csv"]
    assert foreign_files(files, own=frozenset(), root=tmp_path) == []
    assert foreign_files(files, own=frozenset(), root=None) == []
    assert foreign_files(files, own=frozenset(), root=prefix / "w" / "strategies") == [prefix / "w" / "x.csv"]


def test_a_module_from_elsewhere_is_named_by_its_source(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.syspath_prepend(str(tmp_path))
    monkeypatch.setattr(sys, "dont_write_bytecode", False)
    (tmp_path / "module_of_this_test.py").write_text("X = 1\n")
    for _ in range(2):  # the second time it is its compiled form that is read
        with watching() as reads:
            __import__("module_of_this_test")
        assert found(reads, tmp_path) == ["module_of_this_test.py"]
        del sys.modules["module_of_this_test"]


def test_watches_see_their_own_thread_and_their_own_time(file: Path, tmp_path: Path) -> None:
    other = file.with_name("y.csv")
    other.write_text("")
    with watching() as outer:
        thread = threading.Thread(target=other.read_text)
        thread.start()
        thread.join()
        with noticed() as inner:
            file.read_text()
        assert found(inner, tmp_path) == ["data/x.csv"]
        with watching() as nothing:
            pass
    file.read_text()
    other.read_text()
    with noticed() as unwatched:
        other.read_text()
    assert (found(outer, tmp_path), found(nothing, tmp_path), found(unwatched, tmp_path)) == (["data/x.csv"], [], [])


def test_an_opening_never_fails_because_it_is_watched(file: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    class Odd:
        def __fspath__(self) -> str:
            return str(file)

    with watching() as reads, open(Odd()):  # noqa: PTH123
        pass
    assert found(reads, tmp_path) == ["data/x.csv"]
    gone = tmp_path / "gone"
    gone.mkdir()
    monkeypatch.chdir(gone)
    gone.rmdir()
    with watching() as reads, pytest.raises(FileNotFoundError):
        Path("x.csv").read_text()
    assert reads.files() == []


def test_nobody_who_does_not_run_a_backtest_gets_the_hook() -> None:
    """What is installed in a process stays: workers, sweeps and lists of strategies must not be the ones to install it."""
    code = (
        "from pathlib import Path\nfrom algo_py.settings import Workspace\n"
        "from algo_py.strategy.registry import StrategyRegistry\n"
        "from algo_py.strategy import reads\nimport algo_py.deployment.source, algo_py.backtest\n"
        "StrategyRegistry.discover(Workspace(Path('/nonexistent')))\nprint(reads._install.cache_info().currsize)\n"
    )
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout.strip() == "0"
