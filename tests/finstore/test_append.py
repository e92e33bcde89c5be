"""What goes into the store, what does not, and what is reported of both."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from algo_py.errors import InvalidInput, NotFound
from algo_py.finstore import AppendCounts, FinStore

from .making import APPENDS_BEFORE_A_FOLD, DELTAS_BEFORE_A_MERGE, LATE, MARKET, START, SYMBOL, bars, bars_at

HOUR = timedelta(hours=1)


@pytest.mark.parametrize("rows", [5, 499, 500, 5_000])
def test_repeats_are_skipped(store: FinStore, rows: int) -> None:
    frame = bars(rows)
    assert store.append(MARKET, "1h", {SYMBOL: frame}, now=LATE).by_symbol == {SYMBOL: AppendCounts(new=rows)}
    files = {file: file.stat().st_mtime_ns for file in store.folder.rglob("*.parquet")}
    report = store.append(MARKET, "1h", {SYMBOL: frame}, now=LATE)
    assert report.by_symbol == {SYMBOL: AppendCounts(repeated=rows)}
    assert (report.new, report.repeated, report.revised, report.forming) == (0, rows, 0, 0)
    assert {file: file.stat().st_mtime_ns for file in store.folder.rglob("*.parquet")} == files


@pytest.mark.parametrize("rows", [10, 5_000])
def test_a_revised_bar_is_counted_and_not_taken_over(store: FinStore, rows: int) -> None:
    frame = bars(rows)
    store.append(MARKET, "1h", {SYMBOL: frame[:-2]}, now=LATE)
    other = frame.copy()
    other.loc[other.index[3], "volume"] = frame["volume"].iloc[3] + 1e-9
    report = store.append(MARKET, "1h", {SYMBOL: other}, now=LATE)
    assert report.by_symbol[SYMBOL] == AppendCounts(new=2, repeated=rows - 3, revised=1)
    pd.testing.assert_frame_equal(store.read(MARKET, "1h", SYMBOL), frame, check_freq=False)


@pytest.mark.parametrize(
    ("now", "closed"),
    [
        (START + 9 * HOUR, 9),
        (START + 9 * HOUR - timedelta(microseconds=1), 8),
        (START + 9.5 * HOUR, 9),
        (START, 0),
        (START - HOUR, 0),
    ],
)
def test_a_forming_bar_is_never_stored(store: FinStore, now: datetime, closed: int) -> None:
    report = store.append(MARKET, "1h", {SYMBOL: bars(10)}, now=now)
    assert report.by_symbol[SYMBOL] == AppendCounts(new=closed, forming=10 - closed)
    assert store.keys() == ([(MARKET, "1h", SYMBOL)] if closed else [])
    if closed:
        assert len(store.read(MARKET, "1h", SYMBOL)) == closed


@pytest.mark.parametrize(
    ("timeframe", "open_time", "close_time"),
    [
        ("1d", "2024-10-30T18:30Z", "2024-10-31T10:00Z"),  # an ordinary day closes at 15:30 IST
        ("1d", "2024-10-31T18:30Z", "2024-11-01T13:30Z"),  # Muhurat trading ends at 19:00 IST
        ("1h", "2024-10-31T09:45Z", "2024-10-31T10:00Z"),  # the last bar of the day lasts 15 minutes
        ("1h", "2024-10-31T03:45Z", "2024-10-31T04:45Z"),
        ("1w", "2024-10-27T18:30Z", "2024-11-01T13:30Z"),
    ],
)
def test_a_session_ends_its_last_bar(store: FinStore, timeframe: str, open_time: str, close_time: str) -> None:
    frame = bars_at(pd.DatetimeIndex([open_time]))
    close = datetime.fromisoformat(close_time)
    early = store.append("indian_equity", timeframe, {"TCS": frame}, now=close - timedelta(seconds=1))
    assert early.by_symbol["TCS"] == AppendCounts(forming=1)
    assert store.append("indian_equity", timeframe, {"TCS": frame}, now=close).new == 1


@pytest.mark.parametrize(
    ("market", "timeframe", "symbol", "open_time", "rule"),
    [
        (MARKET, "1h", SYMBOL, "2024-01-01T00:30Z", "whole steps"),
        (MARKET, "1d", SYMBOL, "2024-01-01T18:30Z", "midnight UTC"),
        (MARKET, "1w", SYMBOL, "2024-01-02T00:00Z", "Monday at midnight UTC"),
        ("indian_equity", "1d", "TCS", "2024-01-02T00:00Z", "midnight Asia/Kolkata"),
        ("indian_equity", "1d", "TCS", "2024-01-25T18:30Z", "on trading days"),  # Republic Day
        ("indian_equity", "15m", "TCS", "2024-01-02T03:40Z", "start of the session"),
    ],
)
def test_a_bar_that_the_market_does_not_have_is_refused(
    store: FinStore, market: str, timeframe: str, symbol: str, open_time: str, rule: str
) -> None:
    frame = bars_at(pd.DatetimeIndex([open_time]))
    with pytest.raises(InvalidInput, match=f"has no {timeframe} bar that opens at .*{symbol}.*{rule}"):
        store.append(market, timeframe, {symbol: frame}, now=LATE)
    assert store.keys() == []


def test_days_before_the_calendar_are_refused_by_name(store: FinStore) -> None:
    frame = bars_at(pd.DatetimeIndex(["2010-01-03T18:30Z"]))
    with pytest.raises(InvalidInput, match=r"sessions of indian_equity before 2015-01-01 are not known .*Leave earlier bars out"):
        store.append("indian_equity", "1d", {"TCS": frame}, now=LATE)


def _with(column: str, value: float) -> pd.DataFrame:
    frame = bars(5)
    frame.loc[frame.index[2], column] = value
    return frame


@pytest.mark.parametrize(
    ("frame", "problem"),
    [
        (_with("close", np.nan), r"close of BTC/USDT at 2024-01-01T02:00:00\+00:00 cannot be used \(was nan\)"),
        (_with("open", 0.0), r"open of BTC/USDT .* \(was 0\.0\)"),
        (_with("low", -1.0), r"low of BTC/USDT"),
        (_with("volume", -1.0), r"volume of BTC/USDT"),
        (_with("volume", np.inf), r"volume of BTC/USDT"),
        (_with("high", 1.0), r"high of BTC/USDT .* is below its open or close \(was 1\.0\)"),
        (_with("low", 1e6), r"low of BTC/USDT .* is above its open or close"),
        (bars(5)[::-1], r"bars of BTC/USDT at 2024-01-01T03:00:00\+00:00 are out of order"),
        (pd.concat([bars(3), bars(3)[2:]]), r"bars of BTC/USDT at 2024-01-01T02:00:00\+00:00 are there twice"),
        (bars(5).tz_localize(None), r"need open times in UTC as their index \(was datetime64\[us\]\)"),
        (bars(5).tz_convert("Asia/Kolkata"), r"need open times in UTC"),
        (bars(5).reset_index(), r"need open times in UTC as their index \(was int64\)"),
        (bars(5).drop(columns="volume"), r"have no column 'volume'"),
        (bars(5).drop(columns=list(bars(1))), r"have no column 'open'"),
        (bars(5).astype({"close": str}).assign(close="x"), r"a value that is not a number"),
        (bars_at(pd.DatetimeIndex(["2024-01-01T00:00Z", None])), r"a row without an open time"),
    ],
)
def test_what_is_not_a_series_of_bars_is_refused(store: FinStore, frame: pd.DataFrame, problem: str) -> None:
    with pytest.raises(InvalidInput, match=problem):
        store.append(MARKET, "1h", {"ETH/USDT": bars(5), SYMBOL: frame}, now=LATE)
    assert store.keys() == []


def test_names_are_checked_first(store: FinStore) -> None:
    with pytest.raises(InvalidInput, match="not spelled like a symbol"):
        store.append(MARKET, "1h", {"../../etc": bars(1)}, now=LATE)
    with pytest.raises(NotFound, match="no market"):
        store.append("nowhere", "1h", {SYMBOL: bars(1)}, now=LATE)
    with pytest.raises(InvalidInput, match="no offset"):
        store.append(MARKET, "1h", {SYMBOL: bars(1)}, now=LATE.replace(tzinfo=None))
    assert not store.folder.exists()


def test_nothing_to_append(store: FinStore) -> None:
    assert store.append(MARKET, "1h", {}, now=LATE).by_symbol == {}
    report = store.append(MARKET, "1h", {SYMBOL: bars(0), "ETH/USDT": bars(2), "SOL/USDT": pd.DataFrame()}, now=LATE)
    assert report.by_symbol == {SYMBOL: AppendCounts(), "ETH/USDT": AppendCounts(new=2), "SOL/USDT": AppendCounts()}
    assert store.symbols(MARKET, "1h") == ("ETH/USDT",)


@pytest.mark.parametrize("unit", ["s", "ms", "us", "ns"])
def test_the_index_may_have_any_unit(store: FinStore, unit: str) -> None:
    frame = bars(5)
    frame.index = pd.DatetimeIndex(frame.index).as_unit(unit)  # type: ignore[arg-type]
    store.append(MARKET, "1h", {SYMBOL: frame.assign(trades=7)[["trades", "volume", "close", "low", "high", "open"]]}, now=LATE)
    pd.testing.assert_frame_equal(store.read(MARKET, "1h", SYMBOL), bars(5), check_freq=False)


def test_high_may_miss_the_close_by_the_rounding_of_adjusted_prices(store: FinStore) -> None:
    frame = bars(3)
    frame["high"] = frame[["open", "close"]].max(axis=1) * (1 - 1e-7)
    assert store.append(MARKET, "1h", {SYMBOL: frame}, now=LATE).new == 3


def test_earlier_bars_may_come_later(store: FinStore) -> None:
    frame = bars(3_000)
    for first, end in ((2_000, 2_500), (2_990, 3_000), (0, 100), (2_500, 2_990), (100, 2_000)):
        assert store.append(MARKET, "1h", {SYMBOL: frame[first:end]}, now=LATE).new == end - first
    pd.testing.assert_frame_equal(store.read(MARKET, "1h", SYMBOL), frame, check_freq=False)


def test_one_append_of_many_symbols_is_one_file(store: FinStore) -> None:
    frames = {f"S{number:03d}/USDT": bars(1, seed=number) for number in range(500)}
    store.append(MARKET, "1h", frames, now=LATE)
    assert len(list(store.folder.rglob("*.parquet"))) == 1
    for symbol in ("S000/USDT", "S123/USDT", "S499/USDT"):
        pd.testing.assert_frame_equal(store.read(MARKET, "1h", symbol), frames[symbol], check_freq=False)


def test_a_wide_append_of_much_goes_into_the_symbols_files(store: FinStore) -> None:
    frames = {f"S{number:03d}/USDT": bars(250, seed=number) for number in range(100)}
    store.append(MARKET, "1h", {**frames, "FEW/USDT": bars(3)}, now=LATE)
    names = sorted(file.parent.name for file in store.folder.rglob("*.parquet"))
    assert len(names) == 101
    assert names[0] == "_delta"
    assert store.symbols(MARKET, "1h")[0] == "FEW/USDT"


def test_deltas_gather_and_end_in_the_symbols_files(store: FinStore) -> None:
    frames = {f"{letter}{letter}/USDT": bars(400, seed=ord(letter)) for letter in "ABCDEFGHIJ"}
    most = 0
    for row in range(400):
        store.append(MARKET, "1h", {symbol: frame[row : row + 1] for symbol, frame in frames.items()}, now=LATE)
        most = max(most, len([*store.folder.rglob("_delta/*"), *store.folder.rglob("_merged/*")]))
        if row in (5, DELTAS_BEFORE_A_MERGE, APPENDS_BEFORE_A_FOLD - 1, APPENDS_BEFORE_A_FOLD, 200, 399):
            for symbol, frame in frames.items():
                pd.testing.assert_frame_equal(store.read(MARKET, "1h", symbol), frame[: row + 1], check_freq=False)
                assert store.coverage(MARKET, "1h", symbol).rows == row + 1
    assert most <= DELTAS_BEFORE_A_MERGE + APPENDS_BEFORE_A_FOLD // DELTAS_BEFORE_A_MERGE
    assert len(list(store.folder.rglob("bars.parquet"))) == 10
    store.compact(MARKET, "1h")
    assert [file for file in store.folder.rglob("*.parquet") if file.name != "bars.parquet"] == []
    assert not list(store.folder.rglob("_fold"))
    for symbol, frame in frames.items():
        pd.testing.assert_frame_equal(FinStore(store.folder).read(MARKET, "1h", symbol), frame, check_freq=False)
    assert store.check() == []


def test_two_stores_on_one_folder_see_one_another(store: FinStore) -> None:
    other = FinStore(store.folder)
    frame = bars(700)
    for row in range(600, 700):
        writer, reader = (store, other) if row % 2 else (other, store)
        rows = slice(0, 601) if row == 600 else slice(row, row + 1)
        writer.append(MARKET, "1h", {SYMBOL: frame[rows]}, now=LATE)
        if row % 10 == 0:
            writer.compact(MARKET, "1h")
        assert len(reader.read(MARKET, "1h", SYMBOL)) == row + 1
        assert len(reader.read_tail(MARKET, "1h", SYMBOL, 5)) == 5


SYMBOLS = ("AA/USDT", "BB/USDT", "CC/USDT")
Step = tuple[str, int, int, bool]
steps = st.lists(st.tuples(st.sampled_from(SYMBOLS), st.integers(0, 3_000), st.integers(1, 900), st.booleans()), max_size=12)


@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(steps=steps)
def test_any_order_of_appends_gives_the_same_bars(tmp_path_factory: pytest.TempPathFactory, steps: list[Step]) -> None:
    """The store against a dictionary of sets, over a year's end, with compaction in between."""
    store = FinStore(Path(tmp_path_factory.mktemp("any")))
    start = datetime(2023, 12, 20, tzinfo=UTC)
    whole = {symbol: bars(4_000, start=start, freq="15min", seed=number) for number, symbol in enumerate(SYMBOLS)}
    rows: dict[str, set[int]] = {}
    for symbol, first, count, is_compacting in steps:
        wanted = set(range(first, first + count))
        known = rows.setdefault(symbol, set())
        report = store.append(MARKET, "15m", {symbol: whole[symbol][first : first + count]}, now=LATE)
        assert report.by_symbol[symbol] == AppendCounts(new=len(wanted - known), repeated=len(wanted & known))
        known |= wanted
        if is_compacting:
            store.compact(MARKET, "15m")
    for symbol, known in rows.items():
        expected = whole[symbol].iloc[sorted(known)]
        pd.testing.assert_frame_equal(store.read(MARKET, "15m", symbol), expected, check_freq=False)
        pd.testing.assert_frame_equal(store.read_tail(MARKET, "15m", symbol, 777), expected.tail(777), check_freq=False)
        coverage = store.coverage(MARKET, "15m", symbol)
        assert coverage.rows == len(known)
        assert coverage.rows + sum(gap.bars for gap in coverage.gaps) == max(known) - min(known) + 1
    assert store.check() == []
