"""Other values for stored bars: kept, shown, and used only when asked."""

from __future__ import annotations

from datetime import timedelta

import numpy as np
import pandas as pd
import pytest

from algo_py.errors import Damaged, InvalidInput
from algo_py.finstore import AppendCounts, FinStore
from algo_py.finstore.frames import COLUMNS

from .making import LATE, MARKET, START, SYMBOL, bars

DAY = timedelta(days=1)
OTHER = "ETH/USDT"


def _other(frame: pd.DataFrame, *rows: int, factor: float = 1.5) -> pd.DataFrame:
    """Return these rows with other values."""
    return frame.iloc[list(rows)] * factor


def _adopted(frame: pd.DataFrame, other: pd.DataFrame) -> pd.DataFrame:
    changed = frame.copy()
    changed.loc[other.index] = other
    return changed


def _offer(store: FinStore, frame: pd.DataFrame, *, days: int = 0, source: str = "", timeframe: str = "1h") -> AppendCounts:
    return store.append(MARKET, timeframe, {SYMBOL: frame}, now=LATE + days * DAY, source=source).by_symbol[SYMBOL]


def _read(store: FinStore, timeframe: str = "1h") -> pd.DataFrame:
    return store.read(MARKET, timeframe, SYMBOL)


@pytest.mark.parametrize("rows", [10, 5_000])
def test_a_revision_is_logged_with_both_values(store: FinStore, rows: int) -> None:
    frame = bars(rows)
    _offer(store, frame)
    other = _adopted(frame, _other(frame, 3, 7))
    assert _offer(store, other, source="binance", days=1) == AppendCounts(repeated=rows - 2, revised=2)
    log = FinStore(store.folder).revisions(MARKET, "1h", SYMBOL)
    assert list(log.columns) == [
        "symbol",
        "open_time",
        "seen_at",
        "adopted_at",
        "source",
        *(f"stored_{name}" for name in COLUMNS),
        *(f"offered_{name}" for name in COLUMNS),
    ]
    assert list(log["symbol"]) == [SYMBOL] * 2
    assert list(log["open_time"]) == [START + timedelta(hours=3), START + timedelta(hours=7)]
    assert list(log["seen_at"]) == [LATE + DAY] * 2
    assert list(log["source"]) == ["binance"] * 2
    assert log["adopted_at"].isna().all()
    assert np.array_equal(log.filter(like="stored_"), frame.iloc[[3, 7]])
    assert np.array_equal(log.filter(like="offered_"), other.iloc[[3, 7]])
    pd.testing.assert_frame_equal(_read(store), frame, check_freq=False)
    assert store.check() == []


def test_without_revisions_the_log_is_empty(store: FinStore) -> None:
    assert len(store.revisions(MARKET, "1h")) == 0
    _offer(store, bars(10))
    _offer(store, bars(10))
    log = store.revisions(MARKET, "1h", SYMBOL)
    assert len(log) == 0
    assert str(log["seen_at"].dtype) == "datetime64[us, UTC]"
    assert store.adopt_revisions(MARKET, "1h", SYMBOL, now=LATE) == 0
    assert not list(store.folder.rglob("_revisions"))


def test_the_same_offer_is_logged_once_for_each_source(store: FinStore) -> None:
    frame = bars(10)
    _offer(store, frame)
    for source in ("a", "b", "a", "b"):
        for day in (1, 2):
            assert _offer(store, _other(frame, 3), source=source, days=day).revised == 1
    assert list(store.revisions(MARKET, "1h")["source"]) == ["a", "b"]
    _offer(store, _other(frame, 3, factor=2.0), source="a", days=3)
    _offer(store, _other(frame, 3), source="a", days=4)
    log = store.revisions(MARKET, "1h")
    assert list(log["source"]) == ["a", "b", "a", "a"]
    assert list(log["seen_at"]) == [LATE + DAY, LATE + DAY, LATE + 3 * DAY, LATE + 4 * DAY]


def test_any_difference_is_a_revision_and_none_is_not(store: FinStore) -> None:
    frame = bars(10)
    _offer(store, frame)
    noise = frame.copy()
    noise.loc[noise.index[4], "volume"] = np.nextafter(frame["volume"].to_numpy()[4], np.inf)
    assert _offer(store, noise) == AppendCounts(repeated=9, revised=1)
    assert store.adopt_revisions(MARKET, "1h", SYMBOL, now=LATE) == 1
    assert np.array_equal(_read(store), noise)


def test_logs_of_all_symbols(store: FinStore) -> None:
    frame = bars(10)
    store.append(MARKET, "1h", {SYMBOL: frame, OTHER: frame, "SOL/USDT": frame}, now=LATE)
    store.append(MARKET, "1h", {OTHER: _other(frame, 1), SYMBOL: _other(frame, 2, 5)}, now=LATE)
    assert list(store.revisions(MARKET, "1h")["symbol"]) == [SYMBOL, SYMBOL, OTHER]
    assert len(store.revisions(MARKET, "1h", OTHER)) == 1
    assert len(store.revisions(MARKET, "4h")) == 0
    with pytest.raises(InvalidInput, match="no timeframe"):
        store.revisions(MARKET, "7m")


@pytest.mark.parametrize(
    ("rows", "pending"),
    [
        (600, 0),  # all in the symbol's file
        (0, 30),  # all in deltas
        (600, 30),
        (600, 400),  # in the file, merged files and deltas
        (5_000, 3),
    ],
)
@pytest.mark.parametrize("timeframe", ["1h", "1m"])
def test_adopted_values_are_read_from_then_on(store: FinStore, rows: int, pending: int, timeframe: str) -> None:
    start = START - timedelta(hours=1)  # minutes lie in a file a year: this goes over its end
    frame = bars(rows + pending, start=start, freq="1h" if timeframe == "1h" else "1min")
    reader = FinStore(store.folder)
    if rows:
        _offer(store, frame[:rows], timeframe=timeframe)
    for first in range(rows, rows + pending, 10):
        _offer(store, frame[first : first + 10], timeframe=timeframe)
    pd.testing.assert_frame_equal(_read(reader, timeframe), frame, check_freq=False)
    other = _other(frame, 0, 9, len(frame) // 2, len(frame) - 1)
    _offer(store, other, timeframe=timeframe, days=1)
    assert store.adopt_revisions(MARKET, timeframe, SYMBOL, now=LATE + 2 * DAY) == 4
    expected = _adopted(frame, other)
    for one in (store, reader, FinStore(store.folder)):
        pd.testing.assert_frame_equal(_read(one, timeframe), expected, check_freq=False)
        for tail in (1, 5, 29, 31, 4_500):
            pd.testing.assert_frame_equal(one.read_tail(MARKET, timeframe, SYMBOL, tail), expected.tail(tail), check_freq=False)
        assert one.coverage(MARKET, timeframe, SYMBOL).rows == len(frame)
    log = store.revisions(MARKET, timeframe)
    assert (log["adopted_at"] == LATE + 2 * DAY).all()
    assert store.adopt_revisions(MARKET, timeframe, SYMBOL, now=LATE + 3 * DAY) == 0
    assert _offer(store, expected, timeframe=timeframe) == AppendCounts(repeated=len(frame))
    assert len(store.revisions(MARKET, timeframe)) == 4
    store.compact(MARKET, timeframe)
    pd.testing.assert_frame_equal(_read(FinStore(store.folder), timeframe), expected, check_freq=False)
    assert store.check() == []


def test_appends_and_folds_after_an_adoption_keep_its_values(store: FinStore) -> None:
    """The old values still stand in deltas and merged files for a while."""
    frame = bars(400)
    expected = frame.copy()
    for row in range(400):
        _offer(store, expected[max(0, row - 2) : row + 1])
        if row % 25 == 10:
            other = _other(expected, row - 5, row - 1, row)
            _offer(store, other)
            store.adopt_revisions(MARKET, "1h", SYMBOL, now=LATE)
            expected = _adopted(expected, other)
        if row % 25 in (10, 20):
            pd.testing.assert_frame_equal(_read(store), expected[: row + 1], check_freq=False)
    pd.testing.assert_frame_equal(_read(FinStore(store.folder)), expected, check_freq=False)


def test_the_latest_offer_is_adopted(store: FinStore) -> None:
    frame = bars(10)
    _offer(store, frame)
    for factor in (2.0, 3.0, 4.0):
        _offer(store, _other(frame, 3, factor=factor))
    _offer(store, _other(frame, 5, factor=7.0), source="b")
    assert store.adopt_revisions(MARKET, "1h", SYMBOL, now=LATE) == 2
    expected = _adopted(_adopted(frame, _other(frame, 3, factor=4.0)), _other(frame, 5, factor=7.0))
    pd.testing.assert_frame_equal(_read(store), expected, check_freq=False)
    assert list(store.revisions(MARKET, "1h")["adopted_at"].notna()) == [False, False, True, True]


def test_what_a_source_takes_back_is_not_adopted(store: FinStore) -> None:
    frame = bars(10)
    _offer(store, frame)
    _offer(store, _other(frame, 3))
    assert _offer(store, frame, days=1) == AppendCounts(repeated=10)
    log = store.revisions(MARKET, "1h")
    assert len(log) == 2
    assert np.array_equal(log.filter(like="offered_").iloc[1], frame.iloc[3])
    assert store.adopt_revisions(MARKET, "1h", SYMBOL, now=LATE) == 0
    pd.testing.assert_frame_equal(_read(store), frame, check_freq=False)
    _offer(store, frame, days=2)
    assert len(store.revisions(MARKET, "1h")) == 2


def test_back_and_forth(store: FinStore) -> None:
    """Each change of mind is one line, and can be adopted."""
    frame = bars(10)
    other = _other(frame, 3)
    _offer(store, frame)
    for day in range(1, 5):
        _offer(store, other if day % 2 else frame.iloc[[3]], days=day)
        assert store.adopt_revisions(MARKET, "1h", SYMBOL, now=LATE + day * DAY) == 1
        pd.testing.assert_frame_equal(_read(store), _adopted(frame, other) if day % 2 else frame, check_freq=False)
    log = store.revisions(MARKET, "1h")
    assert list(log["adopted_at"]) == [LATE + day * DAY for day in range(1, 5)]


def test_a_forming_bar_and_a_refused_frame_revise_nothing(store: FinStore) -> None:
    frame = bars(10)
    _offer(store, frame)
    early = store.append(MARKET, "1h", {SYMBOL: _other(frame, 9)}, now=START + timedelta(hours=9))
    assert early.by_symbol[SYMBOL] == AppendCounts(forming=1)
    with pytest.raises(InvalidInput):
        _offer(store, _adopted(frame, _other(frame, 2)).assign(high=0.0))
    assert len(store.revisions(MARKET, "1h")) == 0


def test_revisions_of_many_symbols_at_once(store: FinStore) -> None:
    frames = {f"S{number:03d}/USDT": bars(20, seed=number) for number in range(70)}
    store.append(MARKET, "1h", frames, now=LATE)
    store.append(MARKET, "1h", {symbol: _other(frame, 19) for symbol, frame in frames.items()}, now=LATE)
    assert len(store.revisions(MARKET, "1h")) == 70
    assert store.adopt_revisions(MARKET, "1h", "S042/USDT", now=LATE) == 1
    frame = frames["S042/USDT"]
    pd.testing.assert_frame_equal(store.read(MARKET, "1h", "S042/USDT"), _adopted(frame, _other(frame, 19)), check_freq=False)
    pd.testing.assert_frame_equal(store.read(MARKET, "1h", "S041/USDT"), frames["S041/USDT"], check_freq=False)


def test_a_damaged_log_is_named_and_new_bars_are_stored_all_the_same(store: FinStore) -> None:
    frame = bars(20)
    _offer(store, frame[:10])
    _offer(store, _other(frame, 3))
    (log,) = store.folder.rglob("_revisions/*.parquet")
    content = bytearray(log.read_bytes())
    content[40] ^= 1
    log.write_bytes(content)
    assert [finding.file for finding in store.check()] == [log]
    for attempt in (lambda: store.revisions(MARKET, "1h"), lambda: _offer(store, frame)):
        with pytest.raises(Damaged, match=r"_revisions/BTC%2FUSDT\.parquet"):
            attempt()
    with pytest.raises(Damaged):
        store.adopt_revisions(MARKET, "1h", SYMBOL, now=LATE)
    pd.testing.assert_frame_equal(_read(store), frame, check_freq=False)
