"""A writer that dies before any one of its operations on files: nothing is lost, doubled or torn, and the same call goes on."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path

import pandas as pd
import pytest

from algo_py.errors import Damaged
from algo_py.finstore import FinStore

from .making import APPENDS_BEFORE_A_FOLD, DELTAS_BEFORE_A_MERGE, LATE, MARKET, START, SYMBOL, bars
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


@pytest.mark.parametrize(("timeframe", "files"), [("1h", 1), ("1m", 2)])
def test_an_adoption_that_dies(tmp_path: Path, timeframe: str, files: int) -> None:
    """Some of the bars are in the symbol's files, some in a merged file, some in deltas; each file has old values or new ones."""
    start = START - timedelta(minutes=300)
    frame = bars(640, start=start, freq="1min") if timeframe == "1m" else FRAMES[SYMBOLS[0]][:640]
    other = frame.iloc[[0, 200, 400, 610, 639]] * 1.5
    new = frame.copy()
    new.loc[other.index] = other
    before = tmp_path / "before"
    store = FinStore(before)
    store.append(MARKET, timeframe, {SYMBOL: frame[:600]}, now=LATE)
    for first in range(600, 640, 2):
        store.append(MARKET, timeframe, {SYMBOL: frame[first : first + 2]}, now=LATE)
    store.append(MARKET, timeframe, {SYMBOL: other}, now=LATE)
    outcomes = set()
    for number in range(1, STEPS_MAX):
        folder = tmp_path / "after"
        shutil.rmtree(folder, ignore_errors=True)
        shutil.copytree(before, folder)
        died = stopped_at_file_operation(number, lambda at=folder: _adopt(at, timeframe))  # type: ignore[misc]
        store = FinStore(folder)
        read = store.read(MARKET, timeframe, SYMBOL)
        is_new = (read == new).all(axis=1)[other.index].tolist()
        is_old = (read == frame).all(axis=1)[other.index].tolist()
        assert is_old == [not one for one in is_new]
        assert (read == frame).all(axis=1).drop(other.index).all()
        assert len(set(is_new[:2])) == len(set(is_new[2:])) == 1
        assert files == 2 or len(set(is_new)) == 1
        outcomes.add(tuple(is_new))
        adopted = store.revisions(MARKET, timeframe)["adopted_at"].notna()
        assert not adopted.any() or all(is_new)
        _adopt(folder, timeframe)
        for _ in range(2):
            pd.testing.assert_frame_equal(store.read(MARKET, timeframe, SYMBOL), new, check_freq=False)
            store.compact(MARKET, timeframe)
        assert store.revisions(MARKET, timeframe)["adopted_at"].notna().all()
        assert len(store.revisions(MARKET, timeframe)) == 5
        assert store.check() == []
        assert list(folder.rglob("*.tmp")) == []
        if not died:
            assert len(outcomes) == files + 1
            return
    pytest.fail(f"the adoption takes more than {STEPS_MAX} operations")


def _adopt(folder: Path, timeframe: str) -> None:
    FinStore(folder).adopt_revisions(MARKET, timeframe, SYMBOL, now=LATE)


def test_logging_revisions_that_dies(tmp_path: Path) -> None:
    before = tmp_path / "before"
    _prepare(before, 2)
    symbols = SYMBOLS[:2]
    offered = {symbol: pd.concat([FRAMES[symbol][300:301] * 2, FRAMES[symbol][602:603]]) for symbol in symbols}

    def append(folder: Path) -> None:
        FinStore(folder).append(MARKET, "1h", offered, now=LATE)

    for number in range(1, STEPS_MAX):
        folder = tmp_path / "after"
        shutil.rmtree(folder, ignore_errors=True)
        shutil.copytree(before, folder)
        died = stopped_at_file_operation(number, lambda at=folder: append(at))  # type: ignore[misc]
        store = FinStore(folder)
        assert len(store.revisions(MARKET, "1h")) <= len(symbols)
        append(folder)
        assert len(store.revisions(MARKET, "1h")) == len(symbols)
        for symbol in symbols:
            pd.testing.assert_frame_equal(store.read(MARKET, "1h", symbol), FRAMES[symbol][:603], check_freq=False)
        assert store.check() == []
        if not died:
            return
    pytest.fail(f"the append takes more than {STEPS_MAX} operations")


def _flip(file: Path) -> None:
    content = bytearray(file.read_bytes())
    content[60] ^= 1
    file.write_bytes(content)


def _cut(file: Path) -> None:
    file.write_bytes(file.read_bytes()[:-100])


@pytest.mark.parametrize("spoil", [_flip, _cut])
@pytest.mark.parametrize("kind", ["symbol=AA%2FUSDT/bars.parquet", "_merged", "_delta"])
def test_setting_aside_that_dies(tmp_path: Path, kind: str, spoil: Callable[[Path], None]) -> None:
    before = tmp_path / "before"
    store = FinStore(before)
    rows = 5_000
    frame, now = bars(rows + DELTAS_BEFORE_A_MERGE + 2), LATE.replace(year=2024, month=8)
    store.append(MARKET, "1h", dict.fromkeys(SYMBOLS[:2], frame[:rows]), now=LATE)
    for row in range(rows, len(frame)):
        store.append(MARKET, "1h", dict.fromkeys(SYMBOLS[:2], frame[row : row + 1]), now=LATE)
    damaged = next(file for file in sorted(before.rglob("*.parquet")) if kind in str(file))
    spoil(damaged)
    content = damaged.read_bytes()

    def set_aside(folder: Path) -> None:
        FinStore(folder).set_aside(now=now)

    for number in range(1, STEPS_MAX):
        folder = tmp_path / "after"
        shutil.rmtree(folder, ignore_errors=True)
        shutil.copytree(before, folder)
        died = stopped_at_file_operation(number, lambda at=folder: set_aside(at))  # type: ignore[misc]
        file = folder / damaged.relative_to(before)
        store = FinStore(folder)
        if file.exists() and file.read_bytes() == content:
            with pytest.raises(Damaged):
                store.read(MARKET, "1h", SYMBOLS[0])
        else:
            _verify_set_aside(store, file, content, frame)
        store.set_aside(now=now)
        _verify_set_aside(store, file, content, frame)
        assert store.check() == []
        assert not list(folder.rglob("*.tmp"))
        assert len(list((folder / "_damaged").rglob("note.json"))) == 1
        if not died:
            return
    pytest.fail(f"setting aside takes more than {STEPS_MAX} operations")


def _verify_set_aside(store: FinStore, file: Path, content: bytes, frame: pd.DataFrame) -> None:
    """The file is kept, each bar is there or known to be lost, and none is both."""
    (done,) = store.damaged_files()
    assert (done.file, done.moved_to.read_bytes()) == (file, content)
    for symbol in SYMBOLS[:2]:
        there = store.read(MARKET, "1h", symbol)
        pd.testing.assert_frame_equal(there, frame[frame.index.isin(there.index)], check_freq=False)
        gaps = store.coverage(MARKET, "1h", symbol).gaps
        gone = frame.index[~frame.index.isin(there.index)]
        lost = [one for one in done.lost if one.symbol == symbol]
        assert bool(lost) or not len(gone)
        if lost and lost[0].first is not None:
            assert all(any(gap.first <= moment <= gap.last and gap.reason for gap in gaps) for moment in gone)
        elif lost:
            assert gaps[0].reason.startswith("set aside")
