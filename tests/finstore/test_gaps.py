"""Filling gaps: only what is missing is asked for, what is absent is known as such, and nothing doubtful is stored."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import numpy as np
import pandas as pd
import pytest

from algo_py.clock import FrozenClock, SystemClock
from algo_py.errors import AuthFailed, InvalidInput, RateLimited, VenueDown
from algo_py.finstore import FinStore
from algo_py.finstore.fill_report import FillProgress, FillReport
from algo_py.finstore.gaps import GapFiller, fill_gap

from .making import MARKET, START, SYMBOL, bars
from .memory_source import MemorySource

ROWS = 500
NOW = START + timedelta(hours=ROWS, seconds=1)
REAL = bars(ROWS)


class SystemClockAt(FrozenClock):
    """A clock that stands at a moment, but sleeps for real: a wait is then a wait."""

    def sleep(self, duration_s: float) -> None:
        SystemClock().sleep(duration_s)
        super().sleep(duration_s)


def _fill(store: FinStore, source: MemorySource, *symbols: str, **options: Any) -> FillReport:
    return fill_gap(store, source, MARKET, "1h", symbols or (SYMBOL,), clock=options.pop("clock", FrozenClock(NOW)), **options)


def _holed(*missing: range) -> pd.DataFrame:
    keep = np.ones(ROWS, dtype=bool)
    for rows in missing:
        keep[list(rows)] = False
    return REAL[keep]


def _scaled(frame: pd.DataFrame, row: int, column: str, factor: float) -> pd.DataFrame:
    values = frame[column].to_numpy(copy=True)
    values[row] *= factor
    return frame.assign(**{column: values})


def _hours(source: MemorySource) -> list[tuple[int, int]]:
    """What was asked, as row numbers [first, end)."""
    return [
        (int((start - START) / timedelta(hours=1)), int((end - START) / timedelta(hours=1))) for _, start, end in source.asked
    ]


def _store(store: FinStore, frame: pd.DataFrame, symbol: str = SYMBOL) -> None:
    store.append(MARKET, "1h", {symbol: frame}, now=NOW)


def test_holes_are_filled_and_nothing_else_is_asked(store: FinStore) -> None:
    _store(store, _holed(range(10, 12), range(300, 420), range(490, 500)))
    source = MemorySource({SYMBOL: REAL})
    report = _fill(store, source)
    pd.testing.assert_frame_equal(store.read(MARKET, "1h", SYMBOL), REAL, check_freq=False)
    assert sorted(_hours(source)) == [(10, 12), (300, 400), (400, 420), (490, 500)]
    assert (report.fetched, report.requests, report.is_complete) == (132, 4, True)
    again = _fill(store, source)
    assert (again.requests, again.is_complete, len(source.asked)) == (0, True, 4)


def test_history_before_the_first_bar_is_fetched_when_a_start_is_named(store: FinStore) -> None:
    _store(store, REAL[200:])
    source = MemorySource({SYMBOL: REAL})
    _fill(store, source, since=START)
    assert _hours(source) == [(0, 100), (100, 200)]
    pd.testing.assert_frame_equal(store.read(MARKET, "1h", SYMBOL), REAL, check_freq=False)


def test_nothing_stored_needs_a_start(store: FinStore) -> None:
    report = _fill(store, MemorySource({SYMBOL: REAL}))
    assert not report.is_complete
    assert "name a start" in report.problems[0]


def test_bars_that_do_not_exist_are_asked_twice_once_and_then_never_again(store: FinStore) -> None:
    source = MemorySource({SYMBOL: _holed(range(100, 103), range(250, 260))})
    report = _fill(store, source, since=START)
    assert (report.fetched, report.absent, report.is_complete) == (ROWS - 13, 13, True)
    assert sorted(_hours(source)) == [
        (0, 100),
        (100, 103),
        (100, 200),
        (200, 300),
        (250, 260),
        (300, 400),
        (400, 500),
    ]  # each twice, never more
    source.asked.clear()
    later = FrozenClock(NOW + timedelta(days=2))
    source.frames[SYMBOL] = _holed(range(100, 103), range(250, 260)).copy()
    report = _fill(store, source, clock=later, until=START + timedelta(hours=ROWS))
    assert (source.asked, report.absent, report.is_complete) == ([], 13, True)


def test_an_empty_page_in_mid_history_is_not_believed_at_once(store: FinStore) -> None:
    source = MemorySource({SYMBOL: REAL}, parallel=1)
    source.spoil = lambda number, frame: frame[:0] if number == 2 else frame
    report = _fill(store, source, since=START)
    assert (report.fetched, report.absent) == (ROWS, 0)


def test_a_bar_that_is_late_is_awaited_and_a_dead_symbol_is_not(store: FinStore) -> None:
    _store(store, REAL[:400])
    told = _fill(store, MemorySource({SYMBOL: REAL[:497]})).by_symbol[SYMBOL]
    # The bar that closed two hours ago is not waited for, so those that follow it are not either.
    assert (told.fetched, told.absent, told.awaited, told.is_complete) == (97, 3, 0, True)

    source = MemorySource({SYMBOL: REAL[:499]})
    other = FinStore(store.folder.parent / "other")
    _store(other, REAL[:400])
    told = _fill(other, source).by_symbol[SYMBOL]
    assert (told.fetched, told.absent, told.awaited, told.is_complete) == (99, 0, 1, False)
    asked = len(source.asked)
    source.frames[SYMBOL] = REAL
    assert _fill(other, source, clock=FrozenClock(NOW + timedelta(seconds=30))).is_complete
    assert len(source.asked) == asked + 1


def test_what_was_late_is_asked_once_more_when_later_bars_are_there(store: FinStore) -> None:
    _store(store, REAL[:400])
    source = MemorySource({SYMBOL: REAL[:450]})
    assert _fill(store, source).by_symbol[SYMBOL].absent == 50
    source.frames[SYMBOL] = bars(ROWS + 5)
    source.asked.clear()
    after = FrozenClock(NOW + timedelta(hours=5))
    report = _fill(store, source, clock=after)
    assert (report.fetched, report.absent, report.is_complete) == (55, 0, True)


def test_patience_waits_for_a_late_bar(store: FinStore) -> None:
    _store(store, REAL[:400])
    source = MemorySource({SYMBOL: REAL[:499]})
    source.spoil = lambda number, frame: REAL[499:] if number == 1 else frame
    assert not _fill(store, source).is_complete
    report = _fill(store, source, clock=SystemClockAt(NOW), patience_s=3.0)
    assert (report.is_complete, report.fetched, report.requests) == (True, 1, 1)


def test_a_forming_bar_is_never_stored_whoever_has_the_wrong_clock(store: FinStore) -> None:
    _store(store, REAL[:490])
    source = MemorySource({SYMBOL: bars(ROWS + 1)})
    assert _fill(store, source).fetched == 10  # the bar that opened a second ago is forming
    behind = MemorySource({SYMBOL: bars(ROWS + 1)}, as_of=NOW - timedelta(seconds=5))
    fresh = FinStore(store.folder.parent / "fresh")
    _store(fresh, REAL[:490])
    told = _fill(fresh, behind).by_symbol[SYMBOL]
    assert (told.fetched, told.awaited) == (9, 1)  # our clock runs ahead: at the source that bar had not closed


@pytest.mark.parametrize(
    ("spoil", "message"),
    [
        (lambda frame: frame.assign(high=frame["low"] / 2), "cannot be a bar"),
        (lambda frame: frame.assign(close=np.nan), "cannot be a bar"),
        (lambda frame: pd.concat([frame, frame.assign(close=frame["close"] * 1.0001).tail(1)]), "two different bars"),
    ],
)
def test_what_cannot_be_true_is_not_stored(store: FinStore, spoil, message: str) -> None:  # type: ignore[no-untyped-def]
    _store(store, REAL[:490])
    source = MemorySource({SYMBOL: REAL}, spoil=lambda _number, frame: spoil(frame))
    report = _fill(store, source)
    assert message in report.problems[0]
    assert len(store.read(MARKET, "1h", SYMBOL)) == 490
    assert len(source.asked) == 4  # asked again three times, in the hope that it passes


def test_disorder_and_repeats_do_no_harm(store: FinStore) -> None:
    _store(store, REAL[:300])
    source = MemorySource({SYMBOL: REAL})
    source.spoil = lambda _number, frame: pd.concat([frame, frame[::3]]).sample(frac=1, random_state=1)
    assert _fill(store, source).fetched == 200
    pd.testing.assert_frame_equal(store.read(MARKET, "1h", SYMBOL), REAL, check_freq=False)


def test_bars_that_the_calendar_does_not_have_are_left_out_and_counted(store: FinStore) -> None:
    _store(store, REAL[:490])
    source = MemorySource({SYMBOL: REAL})
    odd = REAL[-1:].set_axis(REAL.index[-1:] + pd.Timedelta(minutes=7))
    source.spoil = lambda _number, frame: pd.concat([frame, odd])
    report = _fill(store, source)
    assert (report.fetched, report.by_symbol[SYMBOL].unexpected) == (10, 1)


def test_a_passing_failure_is_asked_again_and_a_lasting_one_is_said(store: FinStore) -> None:
    _store(store, REAL[:490])

    def fail(until: int) -> MemorySource:
        def spoil(number: int, frame: pd.DataFrame) -> pd.DataFrame:
            if number < until:
                raise VenueDown("memory cannot be reached")
            return frame

        return MemorySource({SYMBOL: REAL}, spoil=spoil)

    report = _fill(store, fail(99))
    assert report.problems == (f"{SYMBOL}: memory cannot be reached",)
    assert report.requests == 4
    assert _fill(store, fail(2)).is_complete


def test_a_wait_that_does_not_fit_into_the_time_ends_it(store: FinStore) -> None:
    _store(store, REAL[:490])

    def spoil(_number: int, _frame: pd.DataFrame) -> pd.DataFrame:
        raise RateLimited("memory asks to wait", retry_after_s=120.0)

    source = MemorySource({SYMBOL: REAL}, spoil=spoil)
    report = _fill(store, source, timeout_s=5.0)
    assert (report.problems, len(source.asked)) == ((f"{SYMBOL}: memory asks to wait",), 1)


def test_refused_credentials_end_it_for_all(store: FinStore) -> None:
    names = [f"A{number:02d}/USDT" for number in range(20)]
    for name in names:
        _store(store, REAL[:490], name)

    def spoil(_number: int, _frame: pd.DataFrame) -> pd.DataFrame:
        raise AuthFailed("the token has expired")

    source = MemorySource(dict.fromkeys(names, REAL), spoil=spoil)
    report = _fill(store, source, *names)
    assert all(fill.problem == "the token has expired" for fill in report.by_symbol.values())
    assert len(source.asked) == 20


def test_one_unknown_symbol_hinders_no_other(store: FinStore) -> None:
    _store(store, REAL[:490])
    _store(store, REAL[:490], "GONE/USDT")
    report = _fill(store, MemorySource({SYMBOL: REAL}), SYMBOL, "GONE/USDT")
    assert report.by_symbol[SYMBOL].is_complete
    assert report.problems == ("GONE/USDT: memory does not know GONE/USDT",)


def test_the_time_before_a_symbol_was_listed_costs_one_question(store: FinStore) -> None:
    source = MemorySource({SYMBOL: REAL[400:]}, knows_earliest=True)
    report = _fill(store, source, since=START)
    assert (report.fetched, report.absent, report.is_complete) == (100, 400, True)
    assert _hours(source) == [(400, 500)]
    assert _fill(store, source, since=START).requests == 0


def test_a_rewritten_history_is_noticed_and_stops_the_symbol(store: FinStore) -> None:
    _store(store, REAL[:490])
    halved = REAL.assign(**{name: REAL[name] / 2 for name in ("open", "high", "low", "close")})
    source = MemorySource({SYMBOL: halved}, rewrites_history=True)
    report = _fill(store, source)
    assert _hours(source) == [(485, 500)]
    assert "its history was rewritten" in report.problems[0]
    assert len(store.read(MARKET, "1h", SYMBOL)) == 490

    corrected = _scaled(_scaled(REAL, 489, "close", 1.001), 489, "high", 1.001)
    report = _fill(store, MemorySource({SYMBOL: corrected}, rewrites_history=True))
    assert (report.fetched, report.revised, report.is_complete) == (10, 1, True)
    pd.testing.assert_frame_equal(store.read(MARKET, "1h", SYMBOL)[:490], REAL[:490], check_freq=False)


def test_all_is_asked_anew_when_that_is_wanted(store: FinStore) -> None:
    changed = _scaled(REAL, 7, "volume", 2.0)
    _store(store, REAL)
    source = MemorySource({SYMBOL: changed})
    report = _fill(store, source, since=START, again=True)
    assert (report.revised, report.fetched, len(source.asked), report.is_complete) == (1, 0, 5, True)


def test_it_can_be_ended_while_it_waits_and_keeps_what_it_has(store: FinStore) -> None:
    class Stop(Exception):
        pass

    calls = iter(range(10_000))

    def tick() -> None:
        if next(calls) == 3:
            raise Stop

    source = MemorySource({SYMBOL: REAL}, page_bars=10, parallel=1)
    with pytest.raises(Stop):
        _fill(store, source, since=START, tick=tick)
    assert 0 < len(store.read(MARKET, "1h", SYMBOL)) < ROWS
    assert store.check() == []


def test_progress_is_told(store: FinStore) -> None:
    told: list[FillProgress] = []
    _fill(store, MemorySource({SYMBOL: REAL}, page_bars=10), since=START, progress=told.append)
    assert [one.total for one in told] == [ROWS] * len(told)
    assert told[-1].done == ROWS
    assert [one.done for one in told] == sorted(one.done for one in told)


def test_what_was_complete_is_not_looked_through_again(store: FinStore) -> None:
    source = MemorySource({SYMBOL: bars(ROWS + 10)})
    _store(store, REAL)
    clock = FrozenClock(NOW)
    filler = GapFiller(store, source, MARKET, "1h", clock=clock)
    assert filler.fill([SYMBOL]).requests == 0
    clock.sleep(3 * 3600)
    assert filler.fill([SYMBOL]).fetched == 3
    assert _hours(source) == [(500, 503)]


def test_a_symbol_must_be_spelled_right(store: FinStore) -> None:
    with pytest.raises(InvalidInput, match="not spelled"):
        _fill(store, MemorySource({}), "btcusdt")


def test_a_lost_note_of_absences_costs_requests_only(store: FinStore) -> None:
    source = MemorySource({SYMBOL: _holed(range(100, 103))})
    _fill(store, source, since=START)
    note = next(store.folder.rglob("_absent/*.json"))
    note.write_text("{broken")
    source.asked.clear()
    report = _fill(store, source)
    assert (report.absent, report.is_complete) == (3, True)
    assert _hours(source) == [(100, 103), (100, 103)]
