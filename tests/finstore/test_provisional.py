"""Closed is not final: a daily close before the exchange's end-of-day run is stored as provisional, and replaced in silence."""

from __future__ import annotations

import shutil
from datetime import date, datetime, timedelta
from pathlib import Path

import pandas as pd
import pytest

from algo_py.clock import FrozenClock
from algo_py.finstore import FinStore
from algo_py.finstore.gaps import GapFiller, fill_gap
from algo_py.finstore.sources.stored import StoredSource
from algo_py.market import Timeframe, get_market
from tests.nse_bars import INDIA, MARKET, NseShare

from .memory_source import MemorySource
from .processes import stopped_at_file_operation

SHARE = NseShare("TCS", date(2026, 9, 1), date(2026, 10, 9))
DAYS = SHARE.bars(Timeframe.D1)
AT_CLOSE = datetime(2026, 10, 9, 15, 35, 5, tzinfo=INDIA)
BEFORE_FINAL = datetime(2026, 10, 9, 19, 59, 59, tzinfo=INDIA)
FINAL = datetime(2026, 10, 9, 20, tzinfo=INDIA)
TODAY = DAYS.index[-1].to_pydatetime()
PROVISIONAL, OFFICIAL = 2171.50, 2156.00
STEPS_MAX = 100


def days(close: float) -> pd.DataFrame:
    """The last day closes at `close`."""
    frame = DAYS.copy()
    frame.loc[frame.index[-1], ["open", "high", "low", "close"]] = [2160.0, 2190.0, 2150.0, close]
    return frame


def close_of(store: FinStore) -> float:
    return float(store.read_tail(MARKET, "1d", "TCS", 1)["close"].iloc[0])


def test_a_provisional_close_becomes_the_official_one_in_silence(store: FinStore) -> None:
    """The source shows the price of 15:15 until its end-of-day run: seen for TCS on 9 October 2026."""
    source = MemorySource({"TCS": days(PROVISIONAL)}, rewrites_history=True)
    clock = FrozenClock(AT_CLOSE)
    filler = GapFiller(store, source, MARKET, "1d", clock=clock)
    first = filler.fill(["TCS"], since=SHARE.start)
    assert (first.fetched, first.settled, first.is_complete) == (len(DAYS), 0, True)
    assert close_of(store) == PROVISIONAL
    assert store.provisional(MARKET, "1d", "TCS") == (TODAY,)
    (known,) = store.coverage(MARKET, "1d", "TCS").provisional
    assert (known.open_time, known.final_at) == (TODAY, FINAL)

    clock.sleep((BEFORE_FINAL - AT_CLOSE).total_seconds())
    assert filler.fill(["TCS"]).requests == 0  # it would only be provisional again

    source.frames["TCS"] = days(OFFICIAL)
    clock.sleep((FINAL - BEFORE_FINAL).total_seconds())
    second = filler.fill(["TCS"])
    assert (second.fetched, second.settled, second.revised, second.is_complete) == (0, 1, 0, True)
    assert close_of(store) == OFFICIAL
    assert store.provisional(MARKET, "1d", "TCS") == ()
    assert store.revisions(MARKET, "1d", "TCS").empty
    assert filler.fill(["TCS"]).requests == 0
    assert store.coverage(MARKET, "1d", "TCS").provisional == ()
    assert store.check() == []


def test_the_next_days_bar_comes_after_a_provisional_one(store: FinStore) -> None:
    yesterday = NseShare("TCS", SHARE.first, date(2026, 10, 12)).bars(Timeframe.D1)
    source = MemorySource({"TCS": days(PROVISIONAL)}, rewrites_history=True)
    fill_gap(store, source, MARKET, "1d", ["TCS"], since=SHARE.start, clock=FrozenClock(AT_CLOSE))
    source.frames["TCS"] = pd.concat([days(OFFICIAL), yesterday[-1:]])
    report = fill_gap(store, source, MARKET, "1d", ["TCS"], clock=FrozenClock(AT_CLOSE + timedelta(days=3)))
    assert (report.fetched, report.settled, report.problems) == (1, 1, ())
    assert store.read(MARKET, "1d", "TCS")["close"].iloc[-2] == OFFICIAL
    assert [moment.astimezone(INDIA).day for moment in store.provisional(MARKET, "1d", "TCS")] == [12]


def test_it_stays_provisional_until_it_has_come_again(store: FinStore) -> None:
    source = MemorySource({"TCS": days(PROVISIONAL)})
    fill_gap(store, source, MARKET, "1d", ["TCS"], since=SHARE.start, clock=FrozenClock(AT_CLOSE))
    source.frames["TCS"] = DAYS[:-1]  # for a while it has none
    for minutes in (0, 20, 180):
        clock = FrozenClock(FINAL + timedelta(minutes=minutes))
        report = fill_gap(store, source, MARKET, "1d", ["TCS"], clock=clock)
        assert (report.is_complete, store.provisional(MARKET, "1d", "TCS")) == (False, (TODAY,))
    source.frames["TCS"] = days(OFFICIAL)
    assert fill_gap(store, source, MARKET, "1d", ["TCS"], clock=FrozenClock(FINAL + timedelta(hours=6))).settled == 1


def test_by_the_sources_clock_it_is_not_final_yet(store: FinStore) -> None:
    """Our clock runs ahead: the source's own says that its close is not the official one. It is asked once, not for ever."""
    source = MemorySource({"TCS": days(PROVISIONAL)}, as_of=AT_CLOSE)
    fill_gap(store, source, MARKET, "1d", ["TCS"], since=SHARE.start, clock=FrozenClock(FINAL + timedelta(hours=1)))
    assert store.provisional(MARKET, "1d", "TCS") == (TODAY,)
    source.asked.clear()
    report = fill_gap(store, source, MARKET, "1d", ["TCS"], clock=FrozenClock(FINAL + timedelta(hours=1)))
    assert (len(source.asked), report.settled, report.is_complete) == (1, 0, False)
    source.as_of = FINAL + timedelta(seconds=1)
    source.frames["TCS"] = days(OFFICIAL)
    assert fill_gap(store, source, MARKET, "1d", ["TCS"], clock=FrozenClock(FINAL + timedelta(hours=1))).settled == 1


def test_an_import_is_final_when_its_time_has_passed(store: FinStore) -> None:
    assert store.append(MARKET, "1d", {"TCS": days(PROVISIONAL)}, now=BEFORE_FINAL).new == len(DAYS)
    assert store.provisional(MARKET, "1d", "TCS") == (TODAY,)
    again = store.append(MARKET, "1d", {"TCS": days(OFFICIAL)}, now=FINAL)
    assert (again.new, again.settled, again.revised, again.repeated) == (0, 1, 0, len(DAYS) - 1)
    # What is final is not taken back by what is not.
    late = store.append(MARKET, "1d", {"TCS": days(PROVISIONAL)}, now=FINAL, as_of=AT_CLOSE)
    assert (late.new, late.settled, late.revised, late.repeated) == (0, 0, 0, len(DAYS))
    assert (close_of(store), store.provisional(MARKET, "1d", "TCS")) == (OFFICIAL, ())
    assert store.revisions(MARKET, "1d").empty


def test_a_provisional_bar_is_read_and_asked_for_like_any_other(store: FinStore) -> None:
    store.append(MARKET, "1d", {"TCS": days(PROVISIONAL), "INFY": DAYS[-1:]}, now=AT_CLOSE)
    frame = days(PROVISIONAL)
    pd.testing.assert_frame_equal(store.read(MARKET, "1d", "TCS"), frame, check_freq=False)
    pd.testing.assert_frame_equal(store.read_tail(MARKET, "1d", "TCS", 3), frame[-3:], check_freq=False)
    assert store.symbols(MARKET, "1d") == ("INFY", "TCS")
    asked = store.sql(f"SELECT close FROM bars WHERE symbol = 'TCS' AND open_time >= '{TODAY:%Y-%m-%d %H:%M}+00'")
    assert asked["close"].tolist() == [PROVISIONAL]
    assert store.coverage(MARKET, "1d", "TCS").rows == len(frame)
    store.compact(MARKET, "1d")
    assert store.provisional(MARKET, "1d", "TCS") == (TODAY,)


def test_bars_within_a_day_and_round_the_clock_are_final_as_they_close(store: FinStore) -> None:
    minutes = SHARE.minutes
    store.append(MARKET, "1m", {"TCS": minutes[-400:]}, now=AT_CLOSE)
    assert store.provisional(MARKET, "1m", "TCS") == ()
    hour = pd.date_range("2026-10-09", periods=3, freq="1D", tz="UTC", unit="us")
    coins = pd.DataFrame(1.0, index=hour, columns=["open", "high", "low", "close", "volume"])
    store.append("crypto_binance", "1d", {"BTC/USDT": coins}, now=hour[-1].to_pydatetime() + timedelta(days=1))
    assert store.provisional("crypto_binance", "1d", "BTC/USDT") == ()


def test_nothing_is_made_of_a_provisional_day(store: FinStore) -> None:
    store.append(MARKET, "1d", {"TCS": days(PROVISIONAL)}, now=AT_CLOSE)
    source = StoredSource(store, get_market(MARKET), Timeframe.D1)
    clock = FrozenClock(FINAL + timedelta(minutes=1))
    fill_gap(store, source, MARKET, "1w", ["TCS"], since=SHARE.start, clock=clock)
    assert store.read(MARKET, "1w", "TCS").index[-1] == pd.Timestamp("2026-09-28", tz=INDIA)
    store.append(MARKET, "1d", {"TCS": days(OFFICIAL)}, now=FINAL)
    fill_gap(store, source, MARKET, "1w", ["TCS"], clock=FrozenClock(FINAL + timedelta(minutes=2)))
    assert float(store.read_tail(MARKET, "1w", "TCS", 1)["close"].iloc[0]) == OFFICIAL


@pytest.mark.parametrize("official_first", [False, True])
def test_a_crash_never_leaves_a_provisional_close_as_final(tmp_path: Path, official_first: bool) -> None:
    """Before any one operation on files of storing it, and of settling it: it is not there, provisional, or the official one."""
    before = tmp_path / "before"
    FinStore(before).append(MARKET, "1d", {"TCS": DAYS[:-2]}, now=BEFORE_FINAL)
    if official_first:
        FinStore(before).append(MARKET, "1d", {"TCS": days(PROVISIONAL)}, now=AT_CLOSE)
    close, now = (OFFICIAL, FINAL) if official_first else (PROVISIONAL, AT_CLOSE)
    outcomes = set()
    for number in range(1, STEPS_MAX):
        folder = tmp_path / "after"
        shutil.rmtree(folder, ignore_errors=True)
        shutil.copytree(before, folder)

        def append(at: Path = folder) -> None:
            FinStore(at).append(MARKET, "1d", {"TCS": days(close)}, now=now)

        died = stopped_at_file_operation(number, append)
        store = FinStore(folder)
        read = store.read(MARKET, "1d", "TCS")
        early = store.provisional(MARKET, "1d", "TCS")
        if read.index[-1] == pd.Timestamp(TODAY):
            assert (early == (TODAY,)) is bool(read["close"].iloc[-1] == PROVISIONAL)
        else:
            assert early == ()
        outcomes.add((len(read), len(early)))
        source = MemorySource({"TCS": days(OFFICIAL)})
        assert fill_gap(store, source, MARKET, "1d", ["TCS"], clock=FrozenClock(FINAL)).is_complete
        assert (close_of(store), store.provisional(MARKET, "1d", "TCS")) == (OFFICIAL, ())
        assert store.check() == []
        if not died:
            assert len(outcomes) >= 2
            return
    pytest.fail(f"it takes more than {STEPS_MAX} operations")


def test_a_lost_or_damaged_file_of_provisional_bars_costs_a_request(store: FinStore) -> None:
    for spoil in (Path.unlink, _cut):
        store.append(MARKET, "1d", {"INFY": days(PROVISIONAL)}, now=AT_CLOSE)
        spoil(next(store.folder.rglob("_provisional/bars.parquet")))
        assert store.read(MARKET, "1d", "INFY").index[-1] == DAYS.index[-2]
        source = MemorySource({"INFY": days(PROVISIONAL)})
        report = fill_gap(store, source, MARKET, "1d", ["INFY"], clock=FrozenClock(AT_CLOSE))
        assert (report.fetched, report.is_complete) == (1, True)
        assert store.provisional(MARKET, "1d", "INFY") == (TODAY,)
        assert store.check() == []


def _cut(file: Path) -> None:
    file.write_bytes(file.read_bytes()[:-9])
