"""A clock that runs ahead for a while: what has not happened yet is not taken for absent, and comes at once when it has."""

from __future__ import annotations

from datetime import datetime, timedelta

import numpy as np
import pandas as pd
import pytest

from algo_py.clock import FrozenClock
from algo_py.finstore import FinStore
from algo_py.finstore.absences import Absence, AbsenceLog
from algo_py.finstore.fill_report import SymbolFill
from algo_py.finstore.frames import to_us
from algo_py.finstore.gaps import fill_gap
from algo_py.finstore.layout import Layout
from algo_py.market import Timeframe

from .making import MARKET, START, SYMBOL
from .memory_source import MemorySource

MINUTE = timedelta(minutes=1)
ROWS = 300
NOW = START + ROWS * MINUTE + timedelta(seconds=5)
AHEAD = timedelta(hours=2)


def minutes(rows: int) -> pd.DataFrame:
    index = pd.date_range(START, periods=rows, freq="1min", name="open_time")
    close = 100.0 + np.arange(rows) % 7
    return pd.DataFrame({"open": close, "high": close + 1, "low": close - 1, "close": close, "volume": 5.0}, index=index)


def filled(store: FinStore, source: MemorySource, clock: FrozenClock, **more: float) -> SymbolFill:
    return fill_gap(store, source, MARKET, "1m", (SYMBOL,), clock=clock, **more).by_symbol[SYMBOL]  # type: ignore[arg-type]


def at(source: MemorySource, moment: datetime, *, has_clock: bool) -> MemorySource:
    """Have the source be where it really is at a moment: it has the bars that have closed, and perhaps tells its time."""
    rows = int((moment - START) / MINUTE)
    source.frames[SYMBOL] = minutes(rows)
    source.as_of = moment if has_clock else None
    return source


@pytest.fixture
def source() -> MemorySource:
    return MemorySource({SYMBOL: minutes(ROWS)}, page_bars=1_000)


@pytest.fixture
def kept(store: FinStore) -> FinStore:
    store.append(MARKET, "1m", {SYMBOL: minutes(ROWS)}, now=NOW)
    return store


@pytest.mark.parametrize("has_clock", [True, False])
def test_bars_come_at_once_after_a_clock_was_two_hours_ahead_for_a_minute(
    kept: FinStore, source: MemorySource, has_clock: bool
) -> None:
    filled(kept, at(source, NOW, has_clock=has_clock), FrozenClock(NOW + AHEAD))
    for passed in range(1, 6):
        now = NOW + passed * MINUTE
        told = filled(kept, at(source, now, has_clock=has_clock), FrozenClock(now))
        assert (told.fetched, told.is_complete) == (1, True), passed


@pytest.mark.parametrize("has_clock", [True, False])
def test_nothing_is_noted_of_what_only_our_clock_has_seen_close(kept: FinStore, source: MemorySource, has_clock: bool) -> None:
    told = filled(kept, at(source, NOW, has_clock=has_clock), FrozenClock(NOW + AHEAD))
    log = AbsenceLog(Layout.of(kept.folder, MARKET, Timeframe.M1))
    assert log.sources(SYMBOL) == {}
    if has_clock:  # it is known that nothing is missing, only late
        assert (told.absent, told.awaited, told.is_complete) == (0, 120, False)


def test_what_has_closed_by_the_sources_clock_is_noted_as_before(kept: FinStore, source: MemorySource) -> None:
    source.as_of = NOW + timedelta(minutes=30)
    told = filled(kept, source, FrozenClock(NOW + AHEAD))
    [absence] = AbsenceLog(Layout.of(kept.folder, MARKET, Timeframe.M1)).sources(SYMBOL)[source.name]
    assert (absence.first, absence.last) == (to_us(START + 300 * MINUTE), to_us(START + 329 * MINUTE))
    assert told.absent == 120  # a symbol that trades no more is not waited for


def test_a_note_from_the_future_is_not_believed(kept: FinStore, source: MemorySource) -> None:
    """An earlier version, or a source without a clock on a day that was wrong, may have left one."""
    log = AbsenceLog(Layout.of(kept.folder, MARKET, Timeframe.M1))
    first, last = (to_us(START + row * MINUTE) for row in (ROWS, ROWS + 119))
    log.add(SYMBOL, source.name, [Absence(first, last, to_us(NOW + AHEAD), False)])
    now = NOW + MINUTE
    told = filled(kept, at(source, now, has_clock=True), FrozenClock(now))
    assert (told.fetched, told.is_complete) == (1, True)
    now += 3 * MINUTE
    holed = at(source, now, has_clock=True)
    holed.frames[SYMBOL] = minutes(ROWS + 4).drop(index=START + (ROWS + 2) * MINUTE)
    assert filled(kept, holed, FrozenClock(now)).fetched == 2
    # One answer that lacks a bar is not the second one, whatever was noted in the future.
    assert len(holed.asked) == 3


def test_a_clock_that_is_set_back_in_the_midst_does_not_have_the_source_asked_without_end(
    kept: FinStore, source: MemorySource
) -> None:
    class SetBack(FrozenClock):
        def now(self) -> datetime:
            return super().now() if source.asked else super().now() + AHEAD

    filled(kept, at(source, NOW, has_clock=True), SetBack(NOW), timeout_s=2.0)
    assert len(source.asked) == 1


def test_a_first_bar_that_is_yet_to_come_is_not_believed(store: FinStore) -> None:
    class Never(MemorySource):
        def earliest(self, timeframe: Timeframe, symbol: str, *, deadline_s: float) -> datetime | None:
            return NOW + timedelta(days=3_000)

    source = Never({SYMBOL: minutes(ROWS)}, page_bars=100)
    report = fill_gap(store, source, MARKET, "1m", (SYMBOL,), clock=FrozenClock(NOW), since=START)
    assert report.by_symbol[SYMBOL].fetched == ROWS
