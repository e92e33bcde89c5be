"""A reader that is overtaken by writers between any two of its looks at the disk: it still sees whole, gapless bars.

The reader runs in a child that is stopped before each of its operations on files in turn; meanwhile the writers do their work.
"""

from __future__ import annotations

import shutil
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from algo_py.finstore import FinStore

from .making import APPENDS_BEFORE_A_FOLD, DELTAS_BEFORE_A_MERGE, LATE, MARKET, START, SYMBOL, bars
from .processes import in_a_child

OTHER = "ETH/USDT"
LOAD = 600
FRAME = {"1h": bars(3_000), "1m": bars(3_000, start=START.replace(year=2023, month=12, day=31, hour=10, minute=40), freq="1min")}

Writers = Callable[[FinStore, str], None]


def _length(store: FinStore, timeframe: str) -> int:
    return int(FRAME[timeframe].index.get_indexer(store.read_tail(MARKET, timeframe, SYMBOL, 1).index)[0]) + 1


def _append(store: FinStore, timeframe: str, rows: int) -> None:
    length = _length(store, timeframe)
    part = FRAME[timeframe][length - 1 : length + rows]
    store.append(MARKET, timeframe, {SYMBOL: part, OTHER: part}, now=LATE)


def _one(store: FinStore, timeframe: str) -> None:
    _append(store, timeframe, 1)


def _compaction(store: FinStore, timeframe: str) -> None:
    store.compact(MARKET, timeframe)


def _one_and_compaction(store: FinStore, timeframe: str) -> None:
    _append(store, timeframe, 1)
    store.compact(MARKET, timeframe)


def _enough_for_a_merge(store: FinStore, timeframe: str) -> None:
    for _ in range(DELTAS_BEFORE_A_MERGE + 1):
        _append(store, timeframe, 1)


def _one_and_a_load(store: FinStore, timeframe: str) -> None:
    _append(store, timeframe, 1)
    _append(store, timeframe, LOAD)


def _all_at_once(store: FinStore, timeframe: str) -> None:
    for _ in range(2):
        _one_and_a_load(store, timeframe)
        _one_and_compaction(store, timeframe)


def _read(store: FinStore, timeframe: str) -> tuple[int, np.ndarray[Any, Any]]:
    return 0, store.read(MARKET, timeframe, SYMBOL).to_numpy()


def _read_tail(store: FinStore, timeframe: str) -> tuple[int, np.ndarray[Any, Any]]:
    frame = store.read_tail(MARKET, timeframe, SYMBOL, 700)
    return int(FRAME[timeframe].index.get_indexer(frame.index[:1])[0]), frame.to_numpy()


def _read_between(store: FinStore, timeframe: str) -> tuple[int, np.ndarray[Any, Any]]:
    index = FRAME[timeframe].index
    return 0, store.read(MARKET, timeframe, SYMBOL, index[0].to_pydatetime(), index[-1].to_pydatetime()).to_numpy()


def _ask(store: FinStore, timeframe: str) -> tuple[int, np.ndarray[Any, Any]]:
    answer = store.sql(f"SELECT open, high, low, close, volume FROM bars WHERE symbol = '{SYMBOL}' ORDER BY open_time")
    return 0, answer.to_numpy()


def _cover(store: FinStore, timeframe: str) -> tuple[int, np.ndarray[Any, Any]]:
    coverage = store.coverage(MARKET, timeframe, SYMBOL)
    assert coverage.gaps == ()
    assert store.symbols(MARKET, timeframe) == (SYMBOL, OTHER)
    return 0, FRAME[timeframe].to_numpy()[: coverage.rows]


@pytest.mark.parametrize(
    ("timeframe", "pending", "writers"),
    [
        ("1m", 0, _one_and_a_load),
        ("1m", 3, _one_and_compaction),
        ("1m", DELTAS_BEFORE_A_MERGE - 1, _one),  # which merges
        ("1m", APPENDS_BEFORE_A_FOLD - 1, _one),  # which merges and folds
        ("1h", 3, _enough_for_a_merge),
        ("1h", DELTAS_BEFORE_A_MERGE + 2, _compaction),
        ("1h", DELTAS_BEFORE_A_MERGE + 2, _all_at_once),
    ],
)
def test_a_reader_that_is_overtaken(tmp_path: Path, timeframe: str, pending: int, writers: Writers) -> None:
    before = tmp_path / "before"
    start = FinStore(before)
    start.append(MARKET, timeframe, dict.fromkeys((SYMBOL, OTHER), FRAME[timeframe][:LOAD]), now=LATE)
    for _ in range(pending):
        _append(start, timeframe, 1)
    rows = LOAD + pending
    values = FRAME[timeframe].to_numpy()

    def overtaken() -> str:
        left = 0
        folder = tmp_path / "during"

        def overtake(event: str, arguments: tuple[Any, ...]) -> None:
            nonlocal left
            if left and event in ("open", "os.scandir") and str(folder) in str(arguments[0]):
                left -= 1
                if not left:
                    writers(FinStore(folder), timeframe)

        sys.addaudithook(overtake)
        looks = 0
        # Questions take long; at these two they can be overtaken in every way.
        asking = (_ask,) if writers in (_compaction, _one_and_a_load) else ()
        for reading in (_read, _read_tail, _read_between, _cover, *asking):
            for is_warm in (False, True) if reading is _read else (False,):
                for number in range(1, 100):
                    shutil.rmtree(folder, ignore_errors=True)
                    shutil.copytree(before, folder)
                    store = FinStore(folder)
                    if is_warm:
                        reading(store, timeframe)
                    left = number
                    first, read = reading(store, timeframe)
                    assert np.array_equal(read, values[first : first + len(read)]), f"torn at look {number} of {reading.__name__}"
                    assert first + len(read) >= rows, f"bars lost at look {number} of {reading.__name__}"
                    if left:
                        break
                    looks += 1
                left = 0
        return str(looks)

    assert int(in_a_child(overtaken)) >= 10
