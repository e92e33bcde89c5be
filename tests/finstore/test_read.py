"""What comes out of the store, and what is said when nothing does."""

from __future__ import annotations

from datetime import datetime, timedelta
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from algo_py.errors import InvalidInput, NoData, NotFound
from algo_py.finstore import COLUMNS, FinStore

from .making import LATE, MARKET, START, SYMBOL, bars, bars_at

HOUR = timedelta(hours=1)


@pytest.fixture
def filled(store: FinStore) -> pd.DataFrame:
    """10,000 bars in the symbol's file and 30 in deltas; returns all of them."""
    frame = bars(10_030)
    store.append(MARKET, "1h", {SYMBOL: frame[:10_000]}, now=LATE)
    for first in range(10_000, 10_030, 10):
        store.append(MARKET, "1h", {SYMBOL: frame[first : first + 10]}, now=LATE)
    return frame


def test_a_frame_comes_back_as_it_was(store: FinStore, filled: pd.DataFrame) -> None:
    frame = store.read(MARKET, "1h", SYMBOL)
    pd.testing.assert_frame_equal(frame, filled, check_exact=True, check_freq=False)
    assert frame.index.name == "open_time"
    assert str(frame.index.dtype) == "datetime64[us, UTC]"
    assert tuple(frame.columns) == COLUMNS
    assert (frame.dtypes == np.float64).all()


@pytest.mark.parametrize("rows", [3, 500])  # from a delta, and from a file
def test_a_frame_cannot_be_written_to(store: FinStore, rows: int) -> None:
    frame = bars(rows)
    store.append(MARKET, "1h", {SYMBOL: frame}, now=LATE)
    read = store.read(MARKET, "1h", SYMBOL)
    with pytest.raises(ValueError, match="read-only"):
        read.iloc[0, 0] = 1.0
    with pytest.raises(ValueError, match="read-only"):
        read.to_numpy()[0, 0] = 1.0
    pd.testing.assert_frame_equal(store.read(MARKET, "1h", SYMBOL), frame, check_freq=False)


@pytest.mark.parametrize(
    ("first", "end"),
    [
        (0, 1),
        (0, 4096),
        (4095, 4097),
        (4096, 8192),
        (5000, 5001),
        (9_999, 10_001),
        (10_005, 10_030),
        (7, 10_030),
        (9_998, 10_025),
    ],
)
def test_start_is_included_and_end_is_not(store: FinStore, filled: pd.DataFrame, first: int, end: int) -> None:
    read = store.read(MARKET, "1h", SYMBOL, START + first * HOUR, START + end * HOUR)
    pd.testing.assert_frame_equal(read, filled[first:end], check_freq=False)
    between = store.read(MARKET, "1h", SYMBOL, START + first * HOUR - HOUR / 2, START + end * HOUR - HOUR / 2)
    pd.testing.assert_frame_equal(between, filled[first:end], check_freq=False)


def test_open_ended_periods(store: FinStore, filled: pd.DataFrame) -> None:
    middle = START + 6_000 * HOUR
    pd.testing.assert_frame_equal(store.read(MARKET, "1h", SYMBOL, middle), filled[6_000:], check_freq=False)
    pd.testing.assert_frame_equal(store.read(MARKET, "1h", SYMBOL, None, middle), filled[:6_000], check_freq=False)


@pytest.mark.parametrize("rows", [1, 10, 30, 31, 500, 1_838, 1_839, 5_000, 10_030, 99_999])
def test_the_tail_is_the_end_of_everything(store: FinStore, filled: pd.DataFrame, rows: int) -> None:
    pd.testing.assert_frame_equal(store.read_tail(MARKET, "1h", SYMBOL, rows), filled.tail(rows), check_freq=False)


@pytest.mark.parametrize("end", [1, 4_095, 4_096, 4_097, 8_193, 10_000, 10_005, 10_030])
@pytest.mark.parametrize("rows", [1, 500, 5_000])
def test_the_tail_before_a_moment(store: FinStore, filled: pd.DataFrame, rows: int, end: int) -> None:
    read = store.read_tail(MARKET, "1h", SYMBOL, rows, end=START + end * HOUR)
    pd.testing.assert_frame_equal(read, filled[:end].tail(rows), check_freq=False)


def test_minutes_lie_in_files_by_year(store: FinStore) -> None:
    frame = bars(4_000, start=START - timedelta(days=20), freq="15min")
    store.append(MARKET, "15m", {SYMBOL: frame[:3_000]}, now=LATE)
    store.append(MARKET, "15m", {SYMBOL: frame[3_000:]}, now=LATE)
    names = [file.name for file in store.folder.rglob("*.parquet")]
    assert sorted(names) == ["bars-2023.parquet", "bars-2024.parquet"]
    pd.testing.assert_frame_equal(store.read(MARKET, "15m", SYMBOL), frame, check_freq=False)
    for rows in (1, 2_079, 2_080, 2_081, 3_999):
        pd.testing.assert_frame_equal(store.read_tail(MARKET, "15m", SYMBOL, rows), frame.tail(rows), check_freq=False)
    start, end = frame.index[1_900].to_pydatetime(), frame.index[2_100].to_pydatetime()
    for read, wanted in (
        (store.read(MARKET, "15m", SYMBOL, start, end), frame[1_900:2_100]),
        (store.read(MARKET, "15m", SYMBOL, None, end), frame[:2_100]),
        (store.read(MARKET, "15m", SYMBOL, start), frame[1_900:]),
        (store.read(MARKET, "15m", SYMBOL, end), frame[2_100:]),
        (store.read_tail(MARKET, "15m", SYMBOL, 500, end=end), frame[1_600:2_100]),
    ):
        pd.testing.assert_frame_equal(read, wanted, check_freq=False)
    assert store.coverage(MARKET, "15m", SYMBOL).rows == 4_000


@pytest.mark.parametrize("symbol", ["BTC/USDT", "1000SATS/USDT"])
def test_a_slash_in_a_symbol_is_escaped(store: FinStore, symbol: str) -> None:
    store.append(MARKET, "1h", {symbol: bars(600)}, now=LATE)
    folder = store.folder / f"market={MARKET}" / "timeframe=1h" / f"symbol={symbol.replace('/', '%2F')}"
    assert (folder / "bars.parquet").is_file()
    assert store.symbols(MARKET, "1h") == (symbol,)


def test_what_is_stored_is_listed_in_order(store: FinStore) -> None:
    assert store.keys() == []
    assert store.symbols(MARKET, "1h") == ()
    nse = pd.date_range("2024-01-01T18:30Z", periods=3, freq="1D", unit="us")  # 2 to 4 January, all sessions
    store.append("indian_equity", "1d", {"M&M": bars_at(nse)}, now=LATE)
    store.append(MARKET, "1d", {SYMBOL: bars(600, freq="1D")}, now=LATE)
    store.append(MARKET, "1h", {"ETH/USDT": bars(5), SYMBOL: bars(600)}, now=LATE)
    assert store.keys() == [
        (MARKET, "1h", SYMBOL),
        (MARKET, "1h", "ETH/USDT"),
        (MARKET, "1d", SYMBOL),
        ("indian_equity", "1d", "M&M"),
    ]
    assert FinStore(store.folder).keys() == store.keys()


class TestWhatIsSaid:
    """One line, and what to do."""

    def test_an_empty_store(self, store: FinStore, tmp_path: Path) -> None:
        with pytest.raises(NoData, match=r"no 1h bars of 'BTC/USDT' on crypto_binance\. No bars are stored in .*algo-py init"):
            store.read(MARKET, "1h", SYMBOL)
        assert list(tmp_path.iterdir()) == []

    @pytest.mark.parametrize("close", ["BTC/USD", "btc/usdt", "BTCUSDT", "BTX/USDT"])
    def test_a_symbol_that_is_almost_there(self, store: FinStore, filled: pd.DataFrame, close: str) -> None:
        with pytest.raises(NoData, match=r"Did you mean BTC/USDT\?"):
            store.read(MARKET, "1h", close)
        with pytest.raises(NoData, match=r"Did you mean BTC/USDT\?"):
            store.coverage(MARKET, "1h", close)
        with pytest.raises(NoData, match=r"Did you mean BTC/USDT\?"):
            store.read_tail(MARKET, "1h", close, 5)

    def test_a_symbol_like_no_other(self, store: FinStore) -> None:
        names = [f"{letter}{letter}/USDT" for letter in "ABCDEFGHIJ"]
        store.append(MARKET, "1h", dict.fromkeys(names, bars(2)), now=LATE)
        with pytest.raises(NoData, match=r"Stored are AA/USDT, BB/USDT, .*HH/USDT and 2 more\.$"):
            store.read(MARKET, "1h", "1234567")

    def test_another_timeframe(self, store: FinStore, filled: pd.DataFrame) -> None:
        with pytest.raises(NoData, match=r"no 4h bars of 'BTC/USDT'.*BTC/USDT has 1h bars"):
            store.read(MARKET, "4h", SYMBOL)

    def test_another_market(self, store: FinStore, filled: pd.DataFrame) -> None:
        with pytest.raises(NoData, match=r"Stored are crypto_binance 1h\."):
            store.read("indian_equity", "1d", "TCS")

    @pytest.mark.parametrize(
        ("start", "end"), [(LATE, None), (None, START), (LATE, LATE + HOUR), (START + HOUR / 4, START + HOUR / 2)]
    )
    def test_a_period_without_bars(
        self, store: FinStore, filled: pd.DataFrame, start: datetime | None, end: datetime | None
    ) -> None:
        with pytest.raises(NoData, match=r"no 1h bars of BTC/USDT .*within 2024-01-01T00:00:00Z to 2025-02-21T21:00:00Z"):
            store.read(MARKET, "1h", SYMBOL, start, end)

    def test_a_period_upside_down(self, store: FinStore, filled: pd.DataFrame) -> None:
        with pytest.raises(InvalidInput, match="start must be before end"):
            store.read(MARKET, "1h", SYMBOL, LATE, START)

    def test_a_time_without_offset(self, store: FinStore, filled: pd.DataFrame) -> None:
        with pytest.raises(InvalidInput, match="has no offset"):
            store.read(MARKET, "1h", SYMBOL, START.replace(tzinfo=None))

    def test_unknown_names_and_counts(self, store: FinStore) -> None:
        with pytest.raises(NotFound, match="no market 'nyse'"):
            store.read("nyse", "1h", SYMBOL)
        with pytest.raises(InvalidInput, match="no timeframe '7m'"):
            store.read(MARKET, "7m", SYMBOL)
        with pytest.raises(InvalidInput, match=r"rows must be 1 or more \(was 0\)"):
            store.read_tail(MARKET, "1h", SYMBOL, 0)
