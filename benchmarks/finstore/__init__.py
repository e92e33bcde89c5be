"""FinStore beside plain parquet and DuckDB: reading a symbol, the tails of many, appending a bar to each of many, questions."""

from __future__ import annotations

import os
import statistics
import tempfile
import time
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from algo_py.finstore import FinStore
from benchmarks.finstore.references import DuckFile, DuckOverParquet, PlainParquet

_MARKET, _TIMEFRAME = "crypto_binance", "1h"
_START, _LATE = datetime(2023, 1, 1, tzinfo=UTC), datetime(2026, 6, 1, tzinfo=UTC)
_SYMBOLS = [f"S{number:03d}/USDT" for number in range(500)]
_CHOSEN = _SYMBOLS[::10]
_LONG = "LONG/USDT"
_HISTORY, _LONG_HISTORY = 2_000, 20_000
_TAIL = 500
_SINCE = _START + timedelta(hours=_HISTORY - _TAIL)
_APPENDS, _REFERENCE_APPENDS = 200, 20
_MS = 1_000


def main() -> None:
    """Print each row of the budget with its references, measured in this run."""
    with tempfile.TemporaryDirectory() as folder:
        _measure(Path(folder))


def _measure(folder: Path) -> None:
    print(f"{os.cpu_count()} processors, load {os.getloadavg()[0]:.1f}")
    store = FinStore(folder / "finstore")
    history = {symbol: _bars(_HISTORY, seed=number) for number, symbol in enumerate(_SYMBOLS)}
    load = _timed(lambda: store.append(_MARKET, _TIMEFRAME, history, now=_LATE), times=1)
    _row(f"first load, {len(_SYMBOLS)} symbols of {_HISTORY} bars", load)
    history[_LONG] = _bars(_LONG_HISTORY)
    store.append(_MARKET, _TIMEFRAME, {_LONG: history[_LONG]}, now=_LATE)
    plain = PlainParquet(folder / "plain", history)
    over = DuckOverParquet(plain, folder / "over")
    duck = DuckFile(folder / "bars.duckdb", history)

    _row(
        f"read one symbol of {_LONG_HISTORY} bars",
        _timed(lambda: store.read(_MARKET, _TIMEFRAME, _LONG), times=20),
        budget_ms=5,
        references={one.name: _timed(partial(one.read, _LONG), times=20) for one in (plain, over, duck)},
    )
    _row(
        f"last {_TAIL} bars of {len(_CHOSEN)} symbols of {len(_SYMBOLS)}",
        _timed(lambda: _tails(store), times=10),
        budget_ms=30,
        references={
            plain.name: _timed(lambda: plain.tails(_CHOSEN, _TAIL), times=5),
            over.name: _timed(lambda: over.tails(_CHOSEN, _SINCE), times=10),
            duck.name: _timed(lambda: duck.tails(_CHOSEN, _SINCE), times=10),
        },
    )
    _row("the same, a store object that has seen nothing yet", _timed(lambda: _tails(FinStore(store.folder)), times=5))
    _questions(store, over, duck, "")
    _appends(store, plain, over, duck)
    after = f"after {_APPENDS} appends"
    _row(f"last {_TAIL} bars of {len(_CHOSEN)} symbols, {after}", _timed(lambda: _tails(store), times=10), budget_ms=30)
    _questions(store, over, duck, f", {after}")
    _row("coverage of 500 symbols", _timed(lambda: [store.coverage(_MARKET, _TIMEFRAME, symbol) for symbol in _SYMBOLS], times=3))
    _row("compaction", _timed(lambda: store.compact(_MARKET, _TIMEFRAME), times=1))
    _row("check of every byte", _timed(store.check, times=1))
    used = sum(file.stat().st_size for file in store.folder.rglob("*.parquet"))
    bars = len(_SYMBOLS) * (_HISTORY + _APPENDS) + _LONG_HISTORY
    print(f"{'size':58} {used / bars:8.1f} bytes a bar (48 uncompressed)")


def _appends(store: FinStore, plain: PlainParquet, over: DuckOverParquet, duck: DuckFile) -> None:
    later = list(_later())
    references: dict[str, list[float]] = {plain.name: _timed(lambda: plain.append(later[0]), times=1)}
    for one in (over, duck):
        references[one.name] = [
            duration for frames in later[:_REFERENCE_APPENDS] for duration in _timed(partial(one.append, frames), times=1)
        ]
    durations = [
        duration
        for frames in later
        for duration in _timed(partial(store.append, _MARKET, _TIMEFRAME, frames, now=_LATE), times=1)
    ]
    _row("append one bar to each of 500 symbols, durable", durations, budget_ms=30, references=references)


def _questions(store: FinStore, over: DuckOverParquet, duck: DuckFile, when: str) -> None:
    """FinStore opens DuckDB for each question and verifies what it reads; the references do neither."""
    one = f"SELECT avg(close) FROM bars WHERE symbol = '{_LONG}'"
    _row(
        f"sql: the mean close of one symbol{when}",
        _timed(lambda: store.sql(one), times=5),
        references={over.name: _timed(lambda: over.mean(_LONG), times=5), duck.name: _timed(lambda: duck.mean(_LONG), times=5)},
    )
    every = "SELECT symbol, avg(close) FROM bars GROUP BY symbol"
    _row(
        f"sql: the mean close of 500 symbols{when}",
        _timed(lambda: store.sql(every), times=5),
        references={over.name: _timed(lambda: over.means(_SYMBOLS), times=5), duck.name: _timed(duck.means, times=5)},
    )


def _tails(store: FinStore) -> None:
    for symbol in _CHOSEN:
        store.read_tail(_MARKET, _TIMEFRAME, symbol, _TAIL)


def _later() -> Iterator[dict[str, pd.DataFrame]]:
    for number in range(_APPENDS):
        opens = pd.DatetimeIndex([_START + timedelta(hours=_HISTORY + number)]).as_unit("us")
        yield dict.fromkeys(_SYMBOLS, _bars_at(opens, seed=number))


def _bars(rows: int, *, seed: int = 1) -> pd.DataFrame:
    return _bars_at(pd.date_range(_START, periods=rows, freq=_TIMEFRAME, unit="us"), seed=seed)


def _bars_at(opens: pd.DatetimeIndex, *, seed: int) -> pd.DataFrame:
    random = np.random.default_rng(seed)
    closes = np.round(100 * np.exp(random.normal(0, 0.01, len(opens)).cumsum()), 2)
    values = {"open": closes, "high": closes * 1.01, "low": closes * 0.99, "close": closes, "volume": random.random(len(opens))}
    return pd.DataFrame(values, index=pd.DatetimeIndex(opens, name="open_time"))


def _timed(action: Callable[[], Any], *, times: int) -> list[float]:
    durations = []
    for _ in range(times):
        start = time.perf_counter()
        action()
        durations.append((time.perf_counter() - start) * _MS)
    return durations


def _row(
    what: str, durations: list[float], *, budget_ms: float | None = None, references: dict[str, list[float]] | None = None
) -> None:
    median = statistics.median(durations)
    text = f"{what:58} {median:8.1f} ms"
    if len(durations) > 1:
        text += f"  (best {min(durations):.1f}, worst {max(durations):.1f})"
    if budget_ms is not None:
        text += f"  budget {budget_ms:g} ms"
    print(text)
    for name, other in (references or {}).items():
        reference = statistics.median(other)
        print(f"    {name:54} {reference:8.1f} ms  {reference / median:.2f} times as long")
