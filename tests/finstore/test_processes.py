"""Eight processes on the same bars, some of them killed at any moment: no torn read, no lost bar, no bar twice.

They append, load history, compact, read, ask in SQL, revise and adopt. ALGO_PY_CRASH_SECONDS says for how long (default 5).
"""

from __future__ import annotations

import os
import random
import signal
import threading
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from algo_py.errors import NoData
from algo_py.finstore import FinStore

from .making import LATE, MARKET, bars
from .processes import forked

SYMBOLS = tuple(f"{letter}{letter}/USDT" for letter in "ABCDEF")
REVISED = "REV/USDT"  # some of its bars have twice their values, since that was offered and adopted
SECONDS = float(os.environ.get("ALGO_PY_CRASH_SECONDS", "5"))
ROWS = int(max(20_000, 1_000 * SECONDS))  # minutes, over a year's end, so that each symbol has two files
LOAD = 520
YEAR_END = pd.Timestamp("2023-12-31 18:00Z").to_pydatetime()
FRAMES = {symbol: bars(ROWS, start=YEAR_END, freq="1min", seed=number) for number, symbol in enumerate((*SYMBOLS, REVISED))}
VALUES = {symbol: frame.to_numpy() for symbol, frame in FRAMES.items()}


def _verify(symbol: str, frame: pd.DataFrame, first: int) -> None:
    """Refuse a frame that is not exactly the bars from row `first` on."""
    expected, values = VALUES[symbol][first : first + len(frame)], frame.to_numpy()
    is_right = len(values) == len(expected) and (values == expected).all(axis=1)
    if symbol == REVISED and len(values) == len(expected):
        is_right = is_right | (values == 2 * expected).all(axis=1)
    if not np.all(is_right) or not frame.index.equals(FRAMES[symbol].index[first : first + len(frame)]):
        raise RuntimeError(f"torn: {symbol} from row {first}, {len(frame)} rows")


def _row(open_time: pd.Timestamp) -> int:
    return int((open_time - FRAMES[SYMBOLS[0]].index[0]) / pd.Timedelta(minutes=1))


def _stored(store: FinStore, symbol: str) -> int:
    try:
        frame = store.read_tail(MARKET, "1m", symbol, 1)
    except NoData:
        return 0
    return _row(frame.index[0]) + 1


def _is_over(stop: Path, parent: int) -> bool:
    """Whether the children are told to stop, or nobody is there to tell them."""
    return stop.exists() or not stop.parent.exists() or os.getppid() != parent


def _write(folder: Path, stop: Path, acknowledged: Path, parent: int, seed: int) -> None:
    """Append the next few bars of some symbols, overlapping what is there; now and then a load of history, or a compaction."""
    chance = random.Random(seed)
    store = FinStore(folder)
    while not _is_over(stop, parent):
        chosen = chance.sample(SYMBOLS, chance.randint(1, len(SYMBOLS)))
        rows = LOAD if chance.random() < 0.05 else chance.randint(1, 5)
        ends = {symbol: min(ROWS, _stored(store, symbol) + rows) for symbol in chosen}
        frames = {symbol: FRAMES[symbol][max(0, end - rows - 20) : end] for symbol, end in ends.items()}
        store.append(MARKET, "1m", frames, now=LATE)
        with acknowledged.open("a") as file:
            file.write("".join(f"{symbol} {end}\n" for symbol, end in ends.items()))
        if chance.random() < 0.02:
            store.compact(MARKET, "1m")


def _read(folder: Path, stop: Path, parent: int, seed: int) -> None:
    """Read at random; what has been seen once is seen from then on."""
    chance = random.Random(seed)
    store = FinStore(folder)
    seen = dict.fromkeys(SYMBOLS, 0)
    while not _is_over(stop, parent):
        symbol = chance.choice(SYMBOLS)
        try:
            if chance.random() < 0.5:
                frame = store.read(MARKET, "1m", symbol)
                first = 0
            else:
                frame = store.read_tail(MARKET, "1m", symbol, 100)
                first = _row(frame.index[0])
        except NoData:
            if seen[symbol]:
                raise
            continue
        _verify(symbol, frame, first)
        if first + len(frame) < seen[symbol]:
            raise RuntimeError(f"bars have gone: {symbol} had {seen[symbol]}, has {first + len(frame)}")
        seen[symbol] = first + len(frame)
        coverage = store.coverage(MARKET, "1m", symbol)
        if coverage.gaps or coverage.rows < seen[symbol]:
            raise RuntimeError(f"coverage of {symbol}: {coverage.rows} rows, {coverage.gaps}")


def _ask(folder: Path, stop: Path, parent: int, seed: int) -> None:
    """Ask for everything, or for one symbol; what has been seen once is seen from then on."""
    chance = random.Random(seed)
    store = FinStore(folder)
    seen = dict.fromkeys((*SYMBOLS, REVISED), 0)
    while not _is_over(stop, parent):
        chosen = [chance.choice(SYMBOLS)] if chance.random() < 0.7 else list(seen)
        names = ", ".join(f"'{symbol}'" for symbol in chosen)
        answer = store.sql(f"SELECT * FROM bars WHERE symbol IN ({names}) ORDER BY symbol, open_time", market=MARKET)
        for symbol in chosen:
            frame = answer[answer["symbol"] == symbol].set_index("open_time")[list(FRAMES[symbol])]
            _verify(symbol, frame, 0)
            if len(frame) < seen[symbol]:
                raise RuntimeError(f"bars have gone: {symbol} had {seen[symbol]}, the answer has {len(frame)}")
            seen[symbol] = len(frame)


def _revise(folder: Path, stop: Path, parent: int, seed: int) -> None:
    """Append to one symbol, offer other values for some of its bars, now and then adopt them."""
    chance = random.Random(seed)
    store = FinStore(folder)
    while not _is_over(stop, parent):
        length = _stored(store, REVISED)
        end = min(ROWS, length + (LOAD if chance.random() < 0.05 else chance.randint(0, 3)))
        frame = FRAMES[REVISED][max(0, length - 10) : end].copy()
        other = frame.index[[chance.random() < 0.2 and row < length for row in range(max(0, length - 10), end)]]
        frame.loc[other] = 2 * FRAMES[REVISED].loc[other]
        store.append(MARKET, "1m", {REVISED: frame}, now=LATE, source=str(chance.randint(1, 2)))
        if chance.random() < 0.3:
            store.adopt_revisions(MARKET, "1m", REVISED, now=LATE)
        if len(store.revisions(MARKET, "1m")) and chance.random() < 0.5:
            _verify(REVISED, store.read(MARKET, "1m", REVISED), 0)


@pytest.mark.skipif(not hasattr(os, "fork"), reason="needs fork")
@pytest.mark.timeout(SECONDS + 120)
def test_writers_and_readers_some_of_them_killed(tmp_path: Path) -> None:
    folder, stop, acknowledged = tmp_path / "finstore", tmp_path / "stop", tmp_path / "acknowledged"
    acknowledged.touch()
    chance, parent = random.Random(7), os.getpid()
    running: dict[int, Callable[[int], None]] = {}
    jobs: list[Callable[[int], None]] = [
        *[lambda seed: _write(folder, stop, acknowledged, parent, seed)] * 3,
        *[lambda seed: _read(folder, stop, parent, seed)] * 2,
        *[lambda seed: _revise(folder, stop, parent, seed)] * 2,
        lambda seed: _ask(folder, stop, parent, seed),
    ]
    assert len(jobs) == 8

    def start(job: Callable[[int], None]) -> None:
        seed = chance.randrange(1_000_000)
        running[forked(lambda: job(seed))] = job

    for job in jobs:
        start(job)
    kills = 0
    deadline = time.monotonic() + SECONDS
    try:
        while time.monotonic() < deadline:
            time.sleep(chance.uniform(0.05, 0.25))
            pid = chance.choice(list(running))
            os.kill(pid, signal.SIGKILL)
            job = running.pop(pid)
            _, status = os.waitpid(pid, 0)
            assert os.waitstatus_to_exitcode(status) == -signal.SIGKILL, "a process had ended by itself: see above"
            start(job)
            kills += 1
        stop.touch()
        for pid in list(running):
            _, status = os.waitpid(pid, 0)
            del running[pid]
            assert os.waitstatus_to_exitcode(status) == 0
    finally:
        for pid in running:
            os.kill(pid, signal.SIGKILL)
            os.waitpid(pid, 0)

    store = FinStore(folder)
    promised: dict[str, int] = dict.fromkeys(SYMBOLS, 0)
    for line in acknowledged.read_text().splitlines():
        symbol, rows = line.split(" ")
        promised[symbol] = max(promised[symbol], int(rows))
    for is_compacted in (False, True):
        if is_compacted:
            store.compact(MARKET, "1m")
        assert store.check() == []
        for symbol in SYMBOLS:
            frame = store.read(MARKET, "1m", symbol)
            _verify(symbol, frame, 0)
            assert len(frame) >= promised[symbol] > 0
        _verify(REVISED, store.read(MARKET, "1m", REVISED), 0)
    log = store.revisions(MARKET, "1m", REVISED)
    assert log["adopted_at"].notna().any()
    assert store.adopt_revisions(MARKET, "1m", REVISED, now=LATE) >= 0
    latest = store.revisions(MARKET, "1m", REVISED).drop_duplicates("open_time", keep="last").set_index("open_time")
    assert latest["adopted_at"].notna().all()
    read = store.read(MARKET, "1m", REVISED).loc[latest.index]
    assert np.array_equal(read, latest.filter(like="offered_"))
    assert kills > 2


def test_threads_share_a_store(store: FinStore) -> None:
    failures: list[BaseException] = []
    done = threading.Event()

    def read() -> None:
        try:
            while not done.is_set():
                for symbol in SYMBOLS:
                    if rows := _stored(store, symbol):
                        _verify(symbol, store.read(MARKET, "1m", symbol, None, FRAMES[symbol].index[rows].to_pydatetime()), 0)
        except BaseException as error:  # noqa: BLE001 - handed to the test
            failures.append(error)

    def write(chosen: tuple[str, ...]) -> None:
        try:
            for row in range(0, 300, 3):
                store.append(MARKET, "1m", {symbol: FRAMES[symbol][row : row + 3] for symbol in chosen}, now=LATE)
        except BaseException as error:  # noqa: BLE001 - handed to the test
            failures.append(error)

    reader = threading.Thread(target=read)
    writers = [threading.Thread(target=write, args=(SYMBOLS[first::2],)) for first in (0, 1)]
    reader.start()
    for writer in writers:
        writer.start()
    for writer in writers:
        writer.join()
    done.set()
    reader.join()
    assert failures == []
    for symbol in SYMBOLS:
        _verify(symbol, store.read(MARKET, "1m", symbol), 0)
        assert len(store.read(MARKET, "1m", symbol)) == 300
