"""A year of NSE's bars with and without closing auctions: none lost, none missing, none asked for twice."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, date, datetime, time, timedelta
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from algo_py.clock import FrozenClock
from algo_py.credentials import Credentials
from algo_py.finstore import FinStore
from algo_py.finstore.auction import asked_range, folded
from algo_py.finstore.bartimes import off_calendar
from algo_py.finstore.frames import Block, from_frames, to_frame, to_us
from algo_py.finstore.gaps import fill_gap
from algo_py.finstore.resample import resample
from algo_py.finstore.sources.bar_files import read_bar_file
from algo_py.finstore.sources.files import FileSource
from algo_py.finstore.sources.kite import KiteSource
from algo_py.finstore.sources.limits import SharedLimit
from algo_py.finstore.sources.stored import StoredSource
from algo_py.market import Timeframe, get_market
from tests.nse_bars import INDIA, MARKET, WITH_AUCTION, WITHOUT_AUCTION, NseShare
from tests.venues.kite import KiteServer, Share

FIRST, LAST = date(2026, 2, 2), date(2027, 1, 29)
NOW = datetime.combine(LAST, time(21), INDIA)
SHARES = {
    WITH_AUCTION: NseShare(WITH_AUCTION, FIRST, LAST),
    WITHOUT_AUCTION: NseShare(WITHOUT_AUCTION, FIRST, LAST, seed=2),
}
TIMEFRAMES = (Timeframe.M1, Timeframe.M5, Timeframe.M15, Timeframe.D1)
INTERVALS = {Timeframe.M1: "minute", Timeframe.M5: "5minute", Timeframe.M15: "15minute", Timeframe.D1: "day"}
NSE = get_market(MARKET)
# A day of each rule: before the auctions, with them, and with the later ones.
DAYS = (date(2026, 6, 3), date(2026, 10, 9), date(2026, 12, 9))


@pytest.fixture(scope="module")
def server() -> Iterator[KiteServer]:
    with KiteServer() as server:
        for number, share in enumerate(SHARES.values()):
            candles = {INTERVALS[timeframe]: share.kite(timeframe) for timeframe in TIMEFRAMES}
            server.shares[share.symbol] = Share(token=(number + 1) * 256, candles=candles)
        server.clock_offset_s = (NOW - datetime.now(UTC)).total_seconds()
        yield server


@pytest.fixture
def kite(server: KiteServer, tmp_path: Path) -> KiteSource:
    server.forget()
    return KiteSource(
        Credentials({"ZERODHA_API_KEY": "key", "ZERODHA_ACCESS_TOKEN": "today"}),
        folder=tmp_path / "cache",
        base_url=server.url,
        limit=SharedLimit("kite", per_s=10_000, burst=100, folder=tmp_path / "limits"),
        clock=FrozenClock(NOW),
    )


def test_the_generator_keeps_to_the_rules() -> None:
    with_auction, without = (share.minutes.tz_convert(INDIA) for share in SHARES.values())

    def last_of(frame: pd.DataFrame, day: date) -> list[str]:
        own = frame.loc[f"{day}"]
        return [f"{moment:%H:%M}" for moment in own.index[-2:]]

    assert [last_of(without, day) for day in DAYS] == [["15:28", "15:29"]] * 3
    assert [last_of(with_auction, day) for day in DAYS] == [["15:28", "15:29"], ["15:14", "15:30"], ["15:29", "15:40"]]


@pytest.mark.parametrize("timeframe", TIMEFRAMES)
def test_a_year_from_kite_has_no_gap_and_loses_nothing(
    server: KiteServer, kite: KiteSource, store: FinStore, timeframe: Timeframe
) -> None:
    clock, since = FrozenClock(NOW), SHARES[WITH_AUCTION].start
    if timeframe is Timeframe.M1:  # Kite's client takes its time over each candle; a year of minutes comes from files below
        since = datetime(2026, 11, 23, tzinfo=INDIA)
    report = fill_gap(store, kite, MARKET, timeframe, list(SHARES), since=since, clock=clock)
    assert (report.is_complete, report.problems) == (True, ())
    for symbol, share in SHARES.items():
        told = report.by_symbol[symbol]
        assert (told.absent, told.unexpected, told.revised) == (0, 0, 0)
        expected = share.bars(timeframe).loc[since:]
        pd.testing.assert_frame_equal(store.read(MARKET, timeframe, symbol), expected, check_freq=False)
        coverage = store.coverage(MARKET, timeframe, symbol)
        assert (coverage.gaps, coverage.provisional, coverage.rows) == ((), (), len(expected))
    server.forget()
    again = fill_gap(store, kite, MARKET, timeframe, list(SHARES), clock=clock)
    assert (again.is_complete, again.requests, len(server.asked("/historical/"))) == (True, 0, 0)
    assert store.check() == []


@pytest.mark.parametrize("timeframe", TIMEFRAMES)
@pytest.mark.parametrize("symbol", SHARES)
def test_a_year_from_a_file_has_no_gap(store: FinStore, tmp_path: Path, timeframe: Timeframe, symbol: str) -> None:
    """The file is what Kite gives, as people export it."""
    share = SHARES[symbol]
    file = tmp_path / "bars.csv"
    share.kite(timeframe).to_csv(file, index_label="timestamp")
    frame = read_bar_file(file, NSE, timeframe)
    assert store.append(MARKET, timeframe, {symbol: frame}, now=NOW).new == len(share.opens(timeframe))
    pd.testing.assert_frame_equal(store.read(MARKET, timeframe, symbol), share.bars(timeframe), check_freq=False)
    assert store.coverage(MARKET, timeframe, symbol).gaps == ()
    again = store.append(MARKET, timeframe, {symbol: frame}, now=NOW)
    assert (again.new, again.revised, again.repeated) == (0, 0, len(share.opens(timeframe)))


def test_a_year_of_minutes_is_filled_from_files(store: FinStore, tmp_path: Path) -> None:
    for symbol, share in SHARES.items():
        share.kite(Timeframe.M1).to_parquet(tmp_path / f"{symbol}-1m.parquet")
    source = FileSource(tmp_path, NSE)
    report = fill_gap(store, source, MARKET, "1m", list(SHARES), since=SHARES[WITH_AUCTION].start, clock=FrozenClock(NOW))
    assert (report.is_complete, report.absent, report.problems) == (True, 0, ())
    for symbol, share in SHARES.items():
        pd.testing.assert_frame_equal(store.read(MARKET, "1m", symbol), share.minutes, check_freq=False)
        assert store.coverage(MARKET, "1m", symbol).gaps == ()
    assert fill_gap(store, source, MARKET, "1m", list(SHARES), clock=FrozenClock(NOW)).requests == 0


def test_an_auction_at_the_edge_of_a_page_comes_whole(server: KiteServer, kite: KiteSource, store: FinStore) -> None:
    share = SHARES[WITH_AUCTION]
    minutes = share.minutes
    at = int(minutes.index.searchsorted(pd.Timestamp("2026-10-09T15:30", tz=INDIA)))
    store.append(MARKET, "1m", {WITH_AUCTION: minutes[at - 400 : at]}, now=NOW)
    just_after = pd.Timestamp(minutes.index[at]).to_pydatetime() + timedelta(minutes=5, seconds=5)
    report = fill_gap(store, kite, MARKET, "1m", [WITH_AUCTION], clock=FrozenClock(just_after))
    assert (report.fetched, report.is_complete) == (1, True)
    pd.testing.assert_frame_equal(store.read_tail(MARKET, "1m", WITH_AUCTION, 1), minutes[at : at + 1], check_freq=False)


def test_nothing_is_expected_where_nothing_can_trade(kite: KiteSource, store: FinStore) -> None:
    minutes = SHARES[WITH_AUCTION].minutes
    at = int(minutes.index.searchsorted(pd.Timestamp("2026-10-09T15:30", tz=INDIA)))
    store.append(MARKET, "1m", {WITH_AUCTION: minutes[at - 400 : at]}, now=NOW)
    for minute in (16, 20, 25, 29):
        now = datetime(2026, 10, 9, 15, minute, 1, tzinfo=INDIA)
        report = fill_gap(store, kite, MARKET, "1m", [WITH_AUCTION], clock=FrozenClock(now))
        assert (report.requests, report.is_complete) == (0, True)


@pytest.mark.parametrize("day", DAYS)
@pytest.mark.parametrize("timeframe", [t for t in Timeframe if t.is_intraday and t not in (Timeframe.H2, Timeframe.H4)])
def test_folding_keeps_one_price_and_is_idempotent(day: date, timeframe: Timeframe) -> None:
    share = NseShare(WITH_AUCTION, day, day, seed=5)
    calendar = share.calendar
    block = _block(share.kite(timeframe))
    once = folded(block, calendar, timeframe)
    assert not off_calendar(calendar, timeframe, once.times).any()
    pd.testing.assert_frame_equal(to_frame(once), share.bars(timeframe), check_freq=False)
    twice = folded(once, calendar, timeframe)
    assert np.array_equal(twice.times, once.times)
    assert np.array_equal(twice.values, once.values)


def test_an_auction_without_volume_is_no_bar() -> None:
    share = NseShare(WITH_AUCTION, DAYS[1], DAYS[1])
    shown = share.kite(Timeframe.M1)
    shown.loc[shown.index >= pd.Timestamp("2026-10-09T15:15", tz=INDIA), "volume"] = 0.0
    made = folded(_block(shown), share.calendar, Timeframe.M1)
    assert len(made) == 360
    empty = folded(_block(shown[-5:]), share.calendar, Timeframe.M1)
    assert len(empty) == 0


def test_volumes_of_one_auction_are_summed_and_the_last_price_counts() -> None:
    share = NseShare(WITH_AUCTION, DAYS[1], DAYS[1])
    times = pd.DatetimeIndex(["2026-10-09T15:29", "2026-10-09T15:30", "2026-10-09T15:34"]).tz_localize(INDIA).tz_convert("UTC")
    prices = [2171.5, 2156.0, 2155.0]
    frame = pd.DataFrame(dict.fromkeys(("open", "high", "low", "close"), prices), index=times.as_unit("us"))
    made = to_frame(folded(_block(frame.assign(volume=[10.0, 5.0, 0.0])), share.calendar, Timeframe.M1))
    assert made.to_numpy().tolist() == [[2156.0, 2156.0, 2156.0, 2156.0, 15.0]]
    assert [f"{moment.tz_convert(INDIA):%H:%M}" for moment in made.index] == ["15:30"]


def test_what_is_asked_for_an_auction_begins_with_its_first_stamp() -> None:
    calendar = NSE.calendar_of(WITH_AUCTION)
    auction = to_us(datetime(2026, 10, 9, 15, 30, tzinfo=INDIA))
    ends = to_us(datetime(2026, 10, 9, 15, 35, tzinfo=INDIA))
    begins = to_us(datetime(2026, 10, 9, 15, 15, tzinfo=INDIA))
    minute = 60_000_000
    assert asked_range(calendar, Timeframe.M1, auction, auction) == (begins, ends)
    assert asked_range(calendar, Timeframe.M1, begins - minute, auction) == (begins - minute, ends)
    assert asked_range(NSE.calendar, Timeframe.M1, auction - minute, auction - minute) == (auction - minute, auction)


@pytest.mark.parametrize("timeframe", [Timeframe.M5, Timeframe.M15, Timeframe.M30, Timeframe.H1, Timeframe.D1, Timeframe.W1])
@pytest.mark.parametrize("symbol", SHARES)
def test_longer_bars_keep_the_auction_apart_and_days_close_with_it(timeframe: Timeframe, symbol: str) -> None:
    share = NseShare(symbol, date(2026, 11, 30), date(2026, 12, 11), seed=7)
    made = resample(share.minutes, NSE, Timeframe.M1, timeframe, symbol=symbol)
    pd.testing.assert_frame_equal(made, share.bars(timeframe), check_freq=False)


def test_days_are_made_of_stored_minutes_and_are_final_at_once(store: FinStore) -> None:
    share = NseShare(WITH_AUCTION, date(2026, 10, 5), date(2026, 10, 9), seed=8)
    now = datetime(2026, 10, 9, 15, 35, 5, tzinfo=INDIA)
    store.append(MARKET, "1m", {WITH_AUCTION: share.minutes}, now=now)
    source = StoredSource(store, NSE, Timeframe.M1)
    report = fill_gap(store, source, MARKET, "1d", [WITH_AUCTION], since=share.start, clock=FrozenClock(now))
    assert (report.fetched, report.is_complete) == (5, True)
    assert store.provisional(MARKET, "1d", WITH_AUCTION) == ()
    pd.testing.assert_frame_equal(store.read(MARKET, "1d", WITH_AUCTION), share.bars(Timeframe.D1), check_freq=False)


def test_minutes_that_were_stored_before_a_share_closed_by_auction_are_not_damaged(store: FinStore) -> None:
    share = NseShare(WITHOUT_AUCTION, DAYS[1], DAYS[1])
    store.append(MARKET, "1m", {WITHOUT_AUCTION: share.minutes}, now=NOW)
    folder = store.folder / f"market={MARKET}" / "timeframe=1m"
    (folder / "_delta").rename(folder / "_elsewhere")
    store.append(MARKET, "1m", {WITH_AUCTION: share.minutes[:1]}, now=NOW)
    store.compact(MARKET, "1m")
    (folder / f"symbol={WITH_AUCTION}").rename(folder / "_first")
    (folder / "_elsewhere").rename(folder / "_delta")
    store.compact(MARKET, "1m")
    (folder / f"symbol={WITHOUT_AUCTION}").rename(folder / f"symbol={WITH_AUCTION}")
    assert len(FinStore(store.folder).read(MARKET, "1m", WITH_AUCTION)) == 375
    assert FinStore(store.folder).check() == []


def _block(frame: pd.DataFrame) -> Block:
    return from_frames({"a": frame})["a"]
