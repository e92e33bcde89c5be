"""Damaged files go out of the way: what is sound in them stays, what is lost is known until it is back."""

from __future__ import annotations

import json
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from algo_py.errors import Damaged, NoData, Refused
from algo_py.finstore import FinStore, Gap
from algo_py.finstore.files import encode_bars, read_bars
from algo_py.finstore.frames import Block, from_frames, to_us
from algo_py.finstore.parquet import InfoCache, read_info

from .making import LATE, MARKET, START, SYMBOL, bars, bars_at

HOUR = timedelta(hours=1)
OTHER = "ETH/USDT"
NOW = START + 6_000 * HOUR
FRAME = bars(5_003)


def _append(store: FinStore, frame: pd.DataFrame, *symbols: str, timeframe: str = "1h", market: str = MARKET) -> None:
    store.append(market, timeframe, dict.fromkeys(symbols or (SYMBOL,), frame), now=LATE)


def _only(store: FinStore, pattern: str) -> Path:
    (file,) = store.folder.rglob(pattern)
    return file


def _flip(file: Path, group: int = 0, *, place: int = 50) -> None:
    """Flip a bit in a row group."""
    info = read_info(file)
    content = bytearray(file.read_bytes())
    content[info.groups[group].start + place] ^= 4
    file.write_bytes(content)


def _cut(file: Path) -> None:
    content = file.read_bytes()
    file.write_bytes(content[: len(content) // 2])


def _empty(file: Path) -> None:
    file.write_bytes(b"")


@pytest.fixture
def file(store: FinStore) -> Path:
    """A symbol's own file with two row groups: bars 0 to 4,095 and 4,096 to 4,999."""
    _append(store, FRAME[:5_000])
    _append(store, bars(600), OTHER)
    return _only(store, "symbol=BTC%2FUSDT/bars.parquet")


def test_a_sound_store_has_nothing_to_set_aside(store: FinStore, file: Path) -> None:
    before = {path: path.stat().st_mtime_ns for path in store.folder.rglob("*")}
    assert store.set_aside(now=NOW) == []
    assert store.damaged_files() == []
    assert store.lost_ranges(MARKET, "1h", SYMBOL) == []
    assert {path: path.stat().st_mtime_ns for path in store.folder.rglob("*")} == before


def test_sound_row_groups_stay_and_the_others_are_a_gap(store: FinStore, file: Path) -> None:
    spoiled = file.read_bytes()
    _flip(file)
    spoiled = file.read_bytes()
    reader = FinStore(store.folder)
    with pytest.raises(Damaged):
        reader.read(MARKET, "1h", SYMBOL)
    (done,) = store.set_aside(now=NOW)
    assert (done.market, done.timeframe, done.file, done.set_aside_at) == (MARKET, "1h", file, NOW)
    assert done.problem == "row group 0 does not have the checksum that was written"
    assert done.moved_to.read_bytes() == spoiled
    assert (done.kept, done.is_back) == (904, False)
    (lost,) = done.lost
    assert (lost.symbol, lost.first, lost.last, lost.bars) == (SYMBOL, START, START + 4_095 * HOUR, 4_096)
    for one in (store, reader, FinStore(store.folder)):
        pd.testing.assert_frame_equal(one.read(MARKET, "1h", SYMBOL), FRAME[4_096:5_000], check_freq=False)
        coverage = one.coverage(MARKET, "1h", SYMBOL)
        assert (coverage.first, coverage.rows) == (START + 4_096 * HOUR, 904)
        assert coverage.gaps == (Gap(first=START, last=START + 4_095 * HOUR, bars=4_096, reason=f"set aside: {done.problem}"),)
        assert one.lost_ranges(MARKET, "1h", SYMBOL) == [(to_us(START), to_us(START + 4_095 * HOUR))]
        assert one.damaged_files() == [done]
        assert one.check() == []
        assert one.coverage(MARKET, "1h", OTHER).gaps == ()
    assert json.loads((done.moved_to.parent / "note.json").read_text())["file"] == "symbol=BTC%2FUSDT/bars.parquet"


def test_lost_bars_are_back_when_they_are_stored_again(store: FinStore, file: Path) -> None:
    _flip(file)
    store.set_aside(now=NOW)
    _append(store, FRAME[:1_000])
    (gap,) = store.coverage(MARKET, "1h", SYMBOL).gaps
    assert (gap.first, gap.bars) == (START + 1_000 * HOUR, 3_096)
    _append(store, FRAME[2_000:2_100])
    hours = [(to_us(START + a * HOUR), to_us(START + b * HOUR)) for a, b in ((1_000, 1_999), (2_100, 4_095))]
    assert store.lost_ranges(MARKET, "1h", SYMBOL) == hours
    assert [gap.reason[:9] for gap in store.coverage(MARKET, "1h", SYMBOL).gaps] == ["set aside"] * 2
    assert store.damaged_files()[0].is_back is False
    _append(store, FRAME[:5_000])
    assert store.lost_ranges(MARKET, "1h", SYMBOL) == []
    assert store.coverage(MARKET, "1h", SYMBOL).gaps == ()
    assert store.damaged_files()[0].is_back is True
    pd.testing.assert_frame_equal(store.read(MARKET, "1h", SYMBOL), FRAME[:5_000], check_freq=False)


def test_gaps_that_were_there_before_are_not_lost_bars(store: FinStore) -> None:
    """An outage of the exchange inside the lost stretch: when as many bars as before are there, all are back."""
    whole = bars(5_000).drop(bars(5_000).index[100:110])
    _append(store, whole)
    _flip(_only(store, "bars.parquet"))
    store.set_aside(now=NOW)
    assert store.lost_ranges(MARKET, "1h", SYMBOL) == [(to_us(START), to_us(START + 4_105 * HOUR))]
    _append(store, whole)
    assert store.lost_ranges(MARKET, "1h", SYMBOL) == []
    (gap,) = store.coverage(MARKET, "1h", SYMBOL).gaps
    assert (gap.bars, gap.reason) == (10, "")


@pytest.mark.parametrize("spoil", [_cut, _empty])
def test_a_file_that_says_nothing_any_more(store: FinStore, file: Path, spoil: Callable[[Path], None]) -> None:
    spoil(file)
    (done,) = store.set_aside(now=NOW)
    assert not file.exists()
    assert done.moved_to.exists()
    assert done.kept == 0
    (lost,) = done.lost
    assert (lost.symbol, lost.first, lost.last, lost.bars) == (SYMBOL, None, NOW - HOUR, None)
    assert store.lost_ranges(MARKET, "1h", SYMBOL) == [(None, to_us(NOW - HOUR))]
    assert store.symbols(MARKET, "1h") == (OTHER,)
    said = r"bars of BTC/USDT on crypto_binance were in a damaged file that was set aside on 2024-09-07T00:00:00Z \(it"
    for attempt in (store.read, store.coverage):
        with pytest.raises(NoData, match=said):
            attempt(MARKET, "1h", SYMBOL)
    _append(store, FRAME[4_000:4_990])
    first, last = store.coverage(MARKET, "1h", SYMBOL).gaps
    assert (first.first, first.bars, first.reason[:9]) == (START + 3_999 * HOUR, 1, "set aside")
    assert (last.first, last.last, last.reason[:9]) == (START + 4_990 * HOUR, NOW - HOUR, "set aside")
    assert store.lost_ranges(MARKET, "1h", SYMBOL) == [(None, to_us(NOW - HOUR))]
    _append(store, FRAME[:5_000])
    assert store.damaged_files()[0].is_back is False  # nobody can know that these are all
    store.settle_lost(MARKET, "1h", SYMBOL, now=NOW + HOUR)
    for one in (store, FinStore(store.folder)):
        assert one.damaged_files()[0].is_back is True
        assert one.lost_ranges(MARKET, "1h", SYMBOL) == []
        assert one.coverage(MARKET, "1h", SYMBOL).gaps == ()
    assert store.check() == []


def test_what_cannot_be_had_again_is_settled(store: FinStore, file: Path) -> None:
    _flip(file)
    store.set_aside(now=NOW)
    store.settle_lost(MARKET, "1h", OTHER, now=NOW)
    assert len(store.lost_ranges(MARKET, "1h", SYMBOL)) == 1
    _append(store, FRAME[10:])
    store.settle_lost(MARKET, "1h", SYMBOL, now=NOW)
    assert store.lost_ranges(MARKET, "1h", SYMBOL) == []
    assert store.coverage(MARKET, "1h", SYMBOL).gaps == ()
    assert store.coverage(MARKET, "1h", SYMBOL).first == START + 10 * HOUR


def test_the_year_in_a_name_bounds_what_is_lost(store: FinStore) -> None:
    frame = bars(4_000, start=START - timedelta(days=20), freq="15min")
    _append(store, frame, timeframe="15m")
    _cut(_only(store, "bars-2023.parquet"))
    moment = frame.index[-1].to_pydatetime() + timedelta(days=1)
    (done,) = store.set_aside(now=moment)
    (lost,) = done.lost
    assert (lost.first, lost.bars) == (datetime(2023, 1, 1, tzinfo=UTC), None)
    (gap,) = store.coverage(MARKET, "15m", SYMBOL).gaps
    assert (gap.first, gap.last) == (datetime(2023, 1, 1, tzinfo=UTC), datetime(2023, 12, 31, 23, 45, tzinfo=UTC))
    _append(store, frame, timeframe="15m")
    (range_,) = store.lost_ranges(MARKET, "15m", SYMBOL)
    assert range_ == (to_us(datetime(2023, 1, 1, tzinfo=UTC)), to_us(START - timedelta(days=20, minutes=15)))
    store.settle_lost(MARKET, "15m", SYMBOL, now=moment)
    assert store.coverage(MARKET, "15m", SYMBOL).gaps == ()

    _cut(_only(store, "bars-2024.parquet"))
    store.set_aside(now=moment)
    last = moment.replace(hour=0, minute=0) + (
        (moment - moment.replace(hour=0, minute=0)) // timedelta(minutes=15) - 1
    ) * timedelta(minutes=15)
    assert store.lost_ranges(MARKET, "15m", SYMBOL) == [(to_us(START), to_us(last))]
    (gap,) = store.coverage(MARKET, "15m", SYMBOL).gaps
    assert (gap.first, gap.last) == (START, last)
    assert store.coverage(MARKET, "15m", SYMBOL).last == START - timedelta(minutes=15)


def test_a_delta_of_which_nothing_is_sound(store: FinStore, file: Path) -> None:
    _append(store, FRAME[5_000:5_001], SYMBOL, OTHER)
    _append(store, FRAME[5_001:5_003], SYMBOL, OTHER)
    delta = max(store.folder.rglob("_delta/*.parquet"))
    _flip(delta)
    fresh = FinStore(store.folder)
    with pytest.raises(Damaged):
        fresh.read(MARKET, "1h", OTHER)
    (done,) = fresh.set_aside(now=NOW)
    assert done.file == delta
    assert [(lost.symbol, lost.first, lost.last, lost.bars) for lost in done.lost] == [
        (symbol, START + 5_001 * HOUR, START + 5_002 * HOUR, 2) for symbol in (SYMBOL, OTHER)
    ]
    for one in (store, fresh, FinStore(store.folder)):
        pd.testing.assert_frame_equal(one.read(MARKET, "1h", SYMBOL), FRAME[:5_001], check_freq=False)
        (gap,) = one.coverage(MARKET, "1h", SYMBOL).gaps
        assert (gap.first, gap.bars, gap.reason[:9]) == (START + 5_001 * HOUR, 2, "set aside")
        assert one.coverage(MARKET, "1h", SYMBOL).last == START + 5_000 * HOUR
        gaps = one.coverage(MARKET, "1h", OTHER).gaps
        assert [gap.reason[:9] for gap in gaps] == ["", "set aside"]
    _append(store, FRAME[5_001:], SYMBOL)
    assert [lost.is_back for lost in store.damaged_files()[0].lost] == [True, False]
    assert store.coverage(MARKET, "1h", SYMBOL).gaps == ()
    _append(store, FRAME[5_001:], OTHER)
    assert store.damaged_files()[0].is_back is True
    store.compact(MARKET, "1h")
    assert store.check() == []


def test_a_merged_file_of_which_a_part_is_sound(store: FinStore) -> None:
    """600 symbols of 16 bars are three row groups; symbols on an edge lose some of their bars."""
    frame = bars(16)
    frames = {f"S{number:03d}/USDT": frame for number in range(600)}
    store.append(MARKET, "1h", frames, now=LATE)
    store.compact(MARKET, "1h")
    merged = store.folder / f"market={MARKET}" / "timeframe=1h" / "_merged" / "0000000009-abc.parquet"
    merged.parent.mkdir(exist_ok=True)
    from algo_py.finstore.files import encode_delta

    later = bars(32)[16:]
    merged.write_bytes(encode_delta(from_frames(dict.fromkeys(frames, later))))
    _flip(merged, group=1)
    (done,) = store.set_aside(now=NOW)
    assert done.kept == 16 * 600 - 4_096
    assert sum(lost.bars or 0 for lost in done.lost) == 4_096
    assert {(lost.first, lost.last) for lost in done.lost} == {(START + 16 * HOUR, START + 31 * HOUR)}
    rows = [len(store.read(MARKET, "1h", symbol)) for symbol in frames]
    assert sum(rows) == 16 * 600 + done.kept
    assert rows[0] == rows[-1] == 32
    lost = [lost.symbol for lost in done.lost]
    for symbol in frames:
        gaps = store.coverage(MARKET, "1h", symbol).gaps
        assert [gap.reason[:9] for gap in gaps] == (["set aside"] if symbol in lost else [])
    assert store.check() == []
    store.append(MARKET, "1h", dict.fromkeys(frames, bars(32)), now=LATE)
    assert store.damaged_files()[0].is_back is True
    assert {len(store.read(MARKET, "1h", symbol)) for symbol in frames} == {32}


@pytest.mark.parametrize("spoil", [_cut, _empty])
def test_a_delta_that_says_nothing_any_more(store: FinStore, file: Path, spoil: Callable[[Path], None]) -> None:
    """Symbols whose bars end shortly before now are suspected: their missing end is asked for."""
    _append(store, FRAME[5_000:], SYMBOL)
    spoil(_only(store, "_delta/*.parquet"))
    moment = START + 5_010 * HOUR
    (done,) = FinStore(store.folder).set_aside(now=moment)
    (lost,) = done.lost
    assert (lost.symbol, lost.first, lost.last, lost.bars) == (SYMBOL, START + 5_000 * HOUR, moment - HOUR, None)
    assert done.is_back is False
    (gap,) = store.coverage(MARKET, "1h", SYMBOL).gaps
    assert (gap.bars, gap.reason[:9]) == (10, "set aside")
    assert store.coverage(MARKET, "1h", OTHER).gaps == ()
    _append(store, bars(5_010))
    assert store.coverage(MARKET, "1h", SYMBOL).gaps == ()
    assert store.damaged_files()[0].is_back is None  # other symbols may have been in it


def test_a_log_of_revisions(store: FinStore, file: Path) -> None:
    _append(store, FRAME[:4_500] * 2)
    log = _only(store, "_revisions/*.parquet")
    _flip(log, group=1)
    (done,) = store.set_aside(now=NOW)
    assert (done.file, done.kept, done.lost, done.is_back) == (log, 4_096, (), True)
    assert len(store.revisions(MARKET, "1h", SYMBOL)) == 4_096
    assert store.coverage(MARKET, "1h", SYMBOL).gaps == ()
    _cut(log)
    store.set_aside(now=NOW)
    assert len(store.revisions(MARKET, "1h")) == 0
    assert len(store.damaged_files()) == 2
    assert store.check() == []


def test_many_damaged_files_at_once(store: FinStore) -> None:
    names = [f"{letter}{letter}/USDT" for letter in "ABCDEF"]
    _append(store, bars(600), *names)
    _append(store, bars(600, freq="4h"), SYMBOL, timeframe="4h")
    _append(store, bars(620)[600:610], *names)
    _append(store, bars(620)[610:], *names)
    for path in store.folder.rglob("*.parquet"):
        if "AA" in path.parent.name or "BTC" in path.parent.name:
            _cut(path)
        if "CC" in path.parent.name or path.parent.name == "_delta":
            _flip(path)
    fresh = FinStore(store.folder)
    done = fresh.set_aside(now=START + 800 * HOUR)
    assert len(done) == 5
    assert sorted(one.moved_to for one in fresh.damaged_files()) == sorted(one.moved_to for one in done)
    assert fresh.check() == []
    assert len(fresh.read(MARKET, "1h", "BB/USDT")) == 600
    with pytest.raises(NoData, match="set aside"):
        fresh.read(MARKET, "1h", "AA/USDT")
    with pytest.raises(NoData, match="set aside"):
        fresh.read(MARKET, "4h", SYMBOL)
    _append(fresh, bars(620), *names)
    assert {len(fresh.read(MARKET, "1h", name)) for name in names} == {620}


def test_bars_that_cannot_be_and_bars_in_the_wrong_file(store: FinStore, file: Path) -> None:
    """Checksums hold, and yet: one value is no price, one bar has no place in the calendar, one file has a wrong name."""
    block = read_bars(file, InfoCache())
    values, times = block.values.copy(), block.times.copy()
    values[3, 10] = np.nan
    times[20] += 7
    file.write_bytes(encode_bars(Block(times, values)))
    stray = file.with_name("old.parquet")
    stray.write_bytes(encode_bars(Block(block.times[15:30], block.values[:, 15:30])))
    assert len(store.check()) == 2
    done = store.set_aside(now=NOW)
    assert [(one.file, one.kept) for one in done] == [(file, 4_998), (stray, 15)]
    assert [gap.first for gap in store.coverage(MARKET, "1h", SYMBOL).gaps] == [START + 10 * HOUR]
    _append(store, FRAME[:5_000])
    pd.testing.assert_frame_equal(store.read(MARKET, "1h", SYMBOL), FRAME[:5_000], check_freq=False)
    assert store.check() == []
    assert [one.is_back for one in store.damaged_files()] == [True, True]


def test_sessions(store: FinStore) -> None:
    days = pd.DatetimeIndex([day for day in pd.bdate_range("2024-04-02", "2024-04-10") if day.day != 4])
    opens = days.tz_localize("Asia/Kolkata").tz_convert("UTC").as_unit("us")
    _append(store, bars_at(opens), "TCS", market="indian_equity", timeframe="1d")
    _flip(_only(store, "_delta/*.parquet"))
    fresh = FinStore(store.folder)
    fresh.set_aside(now=LATE)
    with pytest.raises(NoData, match="set aside"):
        fresh.read("indian_equity", "1d", "TCS")
    assert fresh.lost_ranges("indian_equity", "1d", "TCS") == [
        (to_us(opens[0].to_pydatetime()), to_us(opens[-1].to_pydatetime()))
    ]
    _append(fresh, bars_at(opens)[2:], "TCS", market="indian_equity", timeframe="1d")
    assert [gap.reason[:9] for gap in fresh.coverage("indian_equity", "1d", "TCS").gaps] == ["set aside"]


def test_a_newer_format_is_not_damage(store: FinStore, file: Path) -> None:
    import zlib

    content = bytearray(file.read_bytes())
    version = content.rindex(b'{"algo_py_bars":1,') + len(b'{"algo_py_bars":')
    content[version : version + 1] = b"2"
    length = int.from_bytes(content[-8:-4], "little") + 8
    mark = content.rindex(b'"footer":"') + len(b'"footer":"')
    content[mark : mark + 8] = b"0" * 8
    content[mark : mark + 8] = b"%08x" % zlib.crc32(content[-length:])
    file.write_bytes(content)
    assert [finding.is_damaged for finding in store.check()] == [False]
    assert store.set_aside(now=NOW) == []
    assert file.read_bytes() == content


def test_a_note_that_cannot_be_read_is_named(store: FinStore, file: Path) -> None:
    _flip(file)
    (done,) = store.set_aside(now=NOW)
    note = done.moved_to.parent / "note.json"
    sound = note.read_text()
    for content in ("{", sound.replace('"kept": 904', '"kept": "x"'), sound.replace('"file"', '"folder"')):
        note.write_text(content)
        fresh = FinStore(store.folder)
        with pytest.raises(Damaged, match=r"the note .*note\.json on a damaged file cannot be read"):
            fresh.coverage(MARKET, "1h", SYMBOL)
        assert "cannot be read" in fresh.check()[0].problem
        assert len(fresh.read(MARKET, "1h", SYMBOL)) == 904
    note.write_text(sound.replace('"algo_py_damage": 1', '"algo_py_damage": 2'))
    with pytest.raises(Refused, match=r"Upgrade Algo\.Py"):
        FinStore(store.folder).coverage(MARKET, "1h", SYMBOL)


def test_who_throws_the_damaged_file_away_is_not_reminded(store: FinStore, file: Path) -> None:
    _flip(file)
    (done,) = store.set_aside(now=NOW)
    done.moved_to.unlink()
    assert store.damaged_files() == []
    assert store.coverage(MARKET, "1h", SYMBOL).gaps == ()


def test_the_same_file_may_be_damaged_again(store: FinStore, file: Path) -> None:
    for round_ in (1, 2, 3):
        _append(store, FRAME[:5_000])
        _flip(file, place=50 + round_)
        store.set_aside(now=NOW + round_ * HOUR)
        assert len(store.damaged_files()) == round_
        assert len(store.coverage(MARKET, "1h", SYMBOL).gaps) == 1
    _append(store, FRAME[:5_000])
    assert [one.is_back for one in store.damaged_files()] == [True] * 3
    pd.testing.assert_frame_equal(store.read(MARKET, "1h", SYMBOL), FRAME[:5_000], check_freq=False)


def test_a_backup_that_is_put_back_is_read_again(store: FinStore, file: Path) -> None:
    sound = file.read_bytes()
    _flip(file)
    store.set_aside(now=NOW)
    file.write_bytes(sound)
    pd.testing.assert_frame_equal(store.read(MARKET, "1h", SYMBOL), FRAME[:5_000], check_freq=False)
    assert store.lost_ranges(MARKET, "1h", SYMBOL) == []
    assert store.damaged_files()[0].is_back is True
