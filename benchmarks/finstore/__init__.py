"""FinStore beside plain parquet: reading a symbol, the tails of many, and appending a bar to each of many."""

# pyarrow carries no types.
# mypy: disable-error-code="attr-defined,no-untyped-call"

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
import pyarrow as pa
import pyarrow.parquet as pq

from algo_py.finstore import FinStore

_MARKET, _TIMEFRAME = "crypto_binance", "1h"
_START, _LATE = datetime(2023, 1, 1, tzinfo=UTC), datetime(2026, 6, 1, tzinfo=UTC)
_SYMBOLS = [f"S{number:03d}/USDT" for number in range(500)]
_LONG = "LONG/USDT"
_HISTORY, _LONG_HISTORY = 2_000, 20_000
_APPENDS = 200
_MS = 1_000


def main() -> None:
    """Print each row of the budget with its reference, measured in this run."""
    with tempfile.TemporaryDirectory() as folder:
        _measure(Path(folder))


def _measure(folder: Path) -> None:
    store = FinStore(folder / "finstore")
    history = {symbol: _bars(_HISTORY, seed=number) for number, symbol in enumerate(_SYMBOLS)}
    load = _timed(lambda: store.append(_MARKET, _TIMEFRAME, history, now=_LATE), times=1)
    _row(f"first load, {len(_SYMBOLS)} symbols of {_HISTORY} bars", load)

    store.append(_MARKET, _TIMEFRAME, {_LONG: _bars(_LONG_HISTORY)}, now=_LATE)
    plain = folder / "plain.parquet"
    _bars(_LONG_HISTORY).to_parquet(plain)
    reference = _timed(lambda: pq.read_table(plain).to_pandas(), times=20)
    reading = _timed(lambda: store.read(_MARKET, _TIMEFRAME, _LONG), times=20)
    _row(f"read one symbol of {_LONG_HISTORY} bars", reading, budget_ms=5, reference=reference)

    plain_files = folder / "plain"
    plain_files.mkdir()
    for symbol, frame in history.items():
        frame.to_parquet(_plain_file(plain_files, symbol))
    chosen = _SYMBOLS[::10]
    reference = _timed(
        lambda: [pq.read_table(_plain_file(plain_files, symbol)).to_pandas().tail(500) for symbol in chosen], times=5
    )
    tails = _timed(lambda: [store.read_tail(_MARKET, _TIMEFRAME, symbol, 500) for symbol in chosen], times=10)
    _row("last 500 bars of 50 symbols of 500", tails, budget_ms=30, reference=reference)
    fresh = _timed(lambda: _tails(FinStore(store.folder), chosen), times=5)
    _row("the same, a store object that has seen nothing yet", fresh)

    reference = _timed(lambda: _append_plain(plain_files), times=1)
    append = [
        duration
        for frames in _later()
        for duration in _timed(partial(store.append, _MARKET, _TIMEFRAME, frames, now=_LATE), times=1)
    ]
    _row("append one bar to each of 500 symbols, durable", append, budget_ms=30, reference=reference)
    tails = _timed(lambda: [store.read_tail(_MARKET, _TIMEFRAME, symbol, 500) for symbol in chosen], times=10)
    _row(f"last 500 bars of 50 symbols, after {_APPENDS} appends", tails, budget_ms=30)
    coverage = _timed(lambda: [store.coverage(_MARKET, _TIMEFRAME, symbol) for symbol in _SYMBOLS], times=3)
    _row("coverage of 500 symbols", coverage)
    _row("compaction", _timed(lambda: store.compact(_MARKET, _TIMEFRAME), times=1))
    _row("check of every byte", _timed(store.check, times=1))
    used = sum(file.stat().st_size for file in store.folder.rglob("*.parquet"))
    bars = len(_SYMBOLS) * (_HISTORY + _APPENDS) + _LONG_HISTORY
    print(f"{'size':58} {used / bars:8.1f} bytes a bar (48 uncompressed)")


def _tails(store: FinStore, symbols: list[str]) -> None:
    for symbol in symbols:
        store.read_tail(_MARKET, _TIMEFRAME, symbol, 500)


def _later() -> Iterator[dict[str, pd.DataFrame]]:
    for number in range(_APPENDS):
        opens = pd.DatetimeIndex([_START + timedelta(hours=_HISTORY + number)]).as_unit("us")
        yield dict.fromkeys(_SYMBOLS, _bars_at(opens, seed=number))


def _append_plain(folder: Path) -> None:
    """Rewrite each symbol's file with one more bar, as durably."""
    for symbol in _SYMBOLS:
        file = _plain_file(folder, symbol)
        table = pq.read_table(file)
        temporary = file.with_suffix(".tmp")
        pq.write_table(pa.concat_tables([table, table.slice(len(table) - 1)]), temporary)
        descriptor = os.open(temporary, os.O_RDONLY)
        os.fsync(descriptor)
        os.close(descriptor)
        temporary.replace(file)


def _plain_file(folder: Path, symbol: str) -> Path:
    return folder / f"{symbol.replace('/', '-')}.parquet"


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


def _row(what: str, durations: list[float], *, budget_ms: float | None = None, reference: list[float] | None = None) -> None:
    median = statistics.median(durations)
    text = f"{what:58} {median:8.1f} ms"
    if len(durations) > 1:
        text += f"  (best {min(durations):.1f}, worst {max(durations):.1f})"
    if budget_ms is not None:
        text += f"  budget {budget_ms:g} ms"
    if reference is not None:
        plain = statistics.median(reference)
        text += f"  plain parquet {plain:.1f} ms: {plain / median:.1f} times as long"
    print(text)
