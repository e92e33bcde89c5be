"""A writer that dies before any one of its operations on files: nothing is lost, doubled or torn, and the same call goes on."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path

import pandas as pd
import pytest

from algo_py.finstore import FinStore

from .making import APPENDS_BEFORE_A_FOLD, DELTAS_BEFORE_A_MERGE, LATE, MARKET, bars
from .processes import stopped_at_file_operation

SYMBOLS = tuple(f"{letter}{letter}/USDT" for letter in "ABCDEF")
FRAMES = {symbol: bars(2_000, seed=number) for number, symbol in enumerate(SYMBOLS)}
STEPS_MAX = 400


def _append(folder: Path, first: int, end: int) -> None:
    FinStore(folder).append(MARKET, "1h", {symbol: frame[first:end] for symbol, frame in FRAMES.items()}, now=LATE)


def _prepare(folder: Path, appends: int) -> None:
    """600 bars of each symbol in its file, and so many appends of one bar each."""
    store = FinStore(folder)
    store.append(MARKET, "1h", {symbol: frame[:600] for symbol, frame in FRAMES.items()}, now=LATE)
    for row in range(600, 600 + appends):
        store.append(MARKET, "1h", {symbol: frame[row : row + 1] for symbol, frame in FRAMES.items()}, now=LATE)


@pytest.mark.parametrize(
    ("appends", "rows", "is_together"),
    [
        (3, 1, True),  # writes a delta
        (APPENDS_BEFORE_A_FOLD - 1, 1, True),  # merges it with 15 others, and folds the first symbols into their files
        (APPENDS_BEFORE_A_FOLD, 1, True),  # folds the last ones, and deletes the merged files
        (3, 700, False),  # goes into the symbols' files, one after the other
    ],
)
def test_an_append_that_dies(tmp_path: Path, appends: int, rows: int, is_together: bool) -> None:
    before = tmp_path / "before"
    _prepare(before, appends)
    stored = 600 + appends
    outcomes: set[int] = set()
    for number in range(1, STEPS_MAX):
        folder = tmp_path / "after"
        shutil.rmtree(folder, ignore_errors=True)
        shutil.copytree(before, folder)
        died = stopped_at_file_operation(number, lambda at=folder: _append(at, stored, stored + rows))  # type: ignore[misc]
        store = FinStore(folder)
        lengths = {len(store.read(MARKET, "1h", symbol)) for symbol in SYMBOLS}
        assert lengths <= {stored, stored + rows}
        assert len(lengths) == 1 or not is_together
        outcomes |= lengths
        _append(folder, stored - 2, stored + rows)
        for symbol, frame in FRAMES.items():
            pd.testing.assert_frame_equal(store.read(MARKET, "1h", symbol), frame[: stored + rows], check_freq=False)
        store.compact(MARKET, "1h")
        for symbol, frame in FRAMES.items():
            pd.testing.assert_frame_equal(store.read(MARKET, "1h", symbol), frame[: stored + rows], check_freq=False)
        if number % 10 == 0:
            assert store.check() == []
            assert list(folder.rglob("*.tmp")) == []
        if not died:
            assert outcomes == {stored, stored + rows}
            return
    pytest.fail(f"the append takes more than {STEPS_MAX} operations")


def test_a_compaction_that_dies(tmp_path: Path) -> None:
    before = tmp_path / "before"
    _prepare(before, DELTAS_BEFORE_A_MERGE + 3)
    compact: Callable[[Path], None] = lambda folder: FinStore(folder).compact(MARKET, "1h")  # noqa: E731
    for number in range(1, STEPS_MAX):
        folder = tmp_path / "after"
        shutil.rmtree(folder, ignore_errors=True)
        shutil.copytree(before, folder)
        died = stopped_at_file_operation(number, lambda at=folder: compact(at))  # type: ignore[misc]
        store = FinStore(folder)
        for symbol, frame in FRAMES.items():
            pd.testing.assert_frame_equal(store.read(MARKET, "1h", symbol), frame[:619], check_freq=False)
        _append(folder, 617, 625)
        compact(folder)
        assert sorted(file.name for file in folder.rglob("*.parquet")) == ["bars.parquet"] * len(SYMBOLS)
        for symbol, frame in FRAMES.items():
            pd.testing.assert_frame_equal(store.read(MARKET, "1h", symbol), frame[:625], check_freq=False)
        if not died:
            return
    pytest.fail(f"the compaction takes more than {STEPS_MAX} operations")
