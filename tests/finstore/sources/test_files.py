"""Sources that have their bars at hand: a folder of files, and the bundled sample."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pandas as pd
import pytest

from algo_py.clock import FrozenClock
from algo_py.errors import AlgoPyError, InvalidInput, NotFound
from algo_py.finstore import FinStore
from algo_py.finstore.gaps import fill_gap
from algo_py.finstore.sources.files import FileSource
from algo_py.finstore.sources.sample import SampleSource
from algo_py.market import Timeframe, get_market
from tests.finstore.making import LATE, START, bars

CRYPTO, NSE = get_market("crypto_binance"), get_market("indian_equity")
FOREVER = float("inf")
HOUR = timedelta(hours=1)


def write_csv(folder: Path, name: str, frame: pd.DataFrame) -> Path:
    file = folder / name
    frame.to_csv(file, index_label="timestamp")
    return file


@pytest.mark.parametrize("suffix", ["csv", "parquet"])
def test_a_file_is_a_symbol_and_a_timeframe(tmp_path: Path, suffix: str) -> None:
    frame = bars(100)
    if suffix == "csv":
        write_csv(tmp_path, "BTC-USDT-1h.csv", frame.iloc[::-1])
    else:
        frame.to_parquet(tmp_path / "BTC-USDT-1h.parquet")
    source = FileSource(tmp_path, CRYPTO)
    answer = source.fetch(Timeframe.H1, "BTC/USDT", START + 10 * HOUR, START + 13 * HOUR, deadline_s=FOREVER)
    pd.testing.assert_frame_equal(answer.frame, frame[10:13], check_freq=False, check_index_type=False)
    assert source.earliest(Timeframe.H1, "BTC/USDT", deadline_s=FOREVER) == START
    assert len(source.fetch(Timeframe.H1, "BTC/USDT", START - HOUR, START, deadline_s=FOREVER).frame) == 0
    assert START + source.page(Timeframe.H1) > LATE
    assert source.instruments(["BTC/USDT"], deadline_s=FOREVER) == {}
    assert source.name == f"files:{tmp_path}"


def test_days_of_nse_are_days_in_india(tmp_path: Path) -> None:
    (tmp_path / "BAJAJ-AUTO-1d.csv").write_text("date,open,high,low,close,volume\n2025-01-02,1,2,0.5,1.5,10\n", encoding="utf-8")
    source = FileSource(tmp_path, NSE)
    assert source.earliest(Timeframe.D1, "BAJAJ-AUTO", deadline_s=FOREVER) == datetime(2025, 1, 1, 18, 30, tzinfo=UTC)


def test_a_folder_feeds_a_store_and_may_grow(tmp_path: Path, store: FinStore) -> None:
    frame = bars(3_000)
    write_csv(tmp_path, "BTC-USDT-1h.csv", frame[:2_000])
    source = FileSource(tmp_path, CRYPTO)
    clock = FrozenClock(START + 3_000 * HOUR)
    report = fill_gap(store, source, "crypto_binance", "1h", ["BTC/USDT"], since=START, clock=clock)
    assert report.fetched == 2_000
    write_csv(tmp_path, "BTC-USDT-1h.csv", frame)
    assert fill_gap(store, source, "crypto_binance", "1h", ["BTC/USDT"], clock=clock, again=True).fetched == 1_000
    pd.testing.assert_frame_equal(store.read("crypto_binance", "1h", "BTC/USDT"), frame, check_freq=False)


def test_what_is_not_in_the_folder(tmp_path: Path) -> None:
    frame = bars(3)
    write_csv(tmp_path, "BTC-USDT-1h.csv", frame)
    write_csv(tmp_path, "BTC-USDT-4h.csv", frame)
    frame.to_parquet(tmp_path / "BTC-USDT-4h.parquet")
    (tmp_path / "XRP-USDT-1h.csv").write_text("nonsense", encoding="utf-8")
    source = FileSource(tmp_path, CRYPTO)

    def fetch(timeframe: Timeframe, symbol: str) -> Callable[[], object]:
        return lambda: source.fetch(timeframe, symbol, START, LATE, deadline_s=FOREVER)

    cases: list[tuple[Callable[[], object], type[AlgoPyError], str]] = [
        (fetch(Timeframe.H1, "ETH/USDT"), NotFound, r"has no bars of ETH/USDT. Put ETH-USDT-1h.csv or ETH-USDT-1h.parquet there"),
        (fetch(Timeframe.D1, "BTC/USDT"), InvalidInput, r"has no 1d bars of BTC/USDT. It has 1h, 4h"),
        (fetch(Timeframe.H4, "BTC/USDT"), InvalidInput, r"both BTC-USDT-4h.csv and BTC-USDT-4h.parquet"),
        (fetch(Timeframe.H1, "../etc"), InvalidInput, r"not spelled like a symbol"),
        (fetch(Timeframe.H1, "XRP/USDT"), InvalidInput, r"has no column 'timestamp'"),
        (lambda: FileSource(tmp_path / "no", CRYPTO).earliest(Timeframe.H1, "BTC/USDT", deadline_s=FOREVER), NotFound, "no bars"),
    ]
    for ask, kind, message in cases:
        with pytest.raises(kind, match=message):
            ask()


def test_the_sample_is_a_source(store: FinStore) -> None:
    source = SampleSource(NSE)
    clock = FrozenClock(LATE)
    report = fill_gap(
        store, source, "indian_equity", "1d", ["RELIANCE"], datetime(2025, 9, 30, tzinfo=UTC),
        since=source.earliest(Timeframe.D1, "RELIANCE", deadline_s=FOREVER), clock=clock,
    )  # fmt: skip
    assert (report.fetched, report.is_complete) == (1_241, True)
    start, end = datetime(2025, 9, 1, tzinfo=UTC), datetime(2025, 9, 3, tzinfo=UTC)
    frame = source.fetch(Timeframe.D1, "RELIANCE", start, end, deadline_s=FOREVER).frame
    assert list(frame.index) == [datetime(2025, 9, day, 18, 30, tzinfo=UTC) for day in (1, 2)]
    assert source.instruments(["RELIANCE"], deadline_s=FOREVER) == {}
    with pytest.raises(NotFound, match=r"the sample has no WIPRO of indian_equity. It has RELIANCE, TCS"):
        source.fetch(Timeframe.D1, "WIPRO", start, end, deadline_s=FOREVER)
    with pytest.raises(InvalidInput, match=r"the sample has no 4h bars of RELIANCE. It has 1d"):
        source.fetch(Timeframe.H4, "RELIANCE", start, end, deadline_s=FOREVER)
