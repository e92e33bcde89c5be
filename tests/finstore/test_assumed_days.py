"""Beyond the last known day sessions are assumed: their bars are asked for, and when none comes the market seems closed."""

from __future__ import annotations

from datetime import date, datetime, timedelta

import pandas as pd
import pytest

from algo_py.clock import FrozenClock
from algo_py.finstore import FinStore
from algo_py.finstore.bartimes import expected_opens
from algo_py.finstore.frames import to_us
from algo_py.finstore.gaps import fill_gap
from algo_py.market import Timeframe, get_market
from tests.nse_bars import INDIA, MARKET, NseShare

from .memory_source import MemorySource

NSE = get_market(MARKET)
_KNOWN_UNTIL = NSE.calendar.known_until
assert _KNOWN_UNTIL is not None
# The first assumed Wednesday that is three weeks beyond what is known, whatever that is.
_BEYOND = _KNOWN_UNTIL.astimezone(INDIA).date() + timedelta(days=21)
CLOSED = _BEYOND + timedelta(days=(2 - _BEYOND.weekday()) % 7)
SHARE = NseShare("NOFUTURES", CLOSED - timedelta(days=9), CLOSED + timedelta(days=2))


def at(day: date, hour: int, minute: int = 0) -> datetime:
    return datetime(day.year, day.month, day.day, hour, minute, 5, tzinfo=INDIA)


@pytest.mark.parametrize("timeframe", [Timeframe.M15, Timeframe.D1])
def test_a_closed_assumed_day_is_no_gap_and_no_error(store: FinStore, timeframe: Timeframe) -> None:
    bars = SHARE.bars(timeframe)
    without = bars[SHARE.opens(timeframe).tz_convert(INDIA).date != CLOSED]
    source = MemorySource({"NOFUTURES": without[without.index < at(CLOSED, 0)]})
    first = fill_gap(store, source, MARKET, timeframe, ["NOFUTURES"], since=SHARE.start, clock=FrozenClock(at(CLOSED, 8)))
    assert (first.is_complete, first.seems_closed) == (True, False)

    evening = 21 if timeframe is Timeframe.D1 else 12
    report = fill_gap(store, source, MARKET, timeframe, ["NOFUTURES"], clock=FrozenClock(at(CLOSED, evening)))
    told = report.by_symbol["NOFUTURES"]
    assert (report.is_complete, report.seems_closed, report.problems) == (True, True, ())
    assert told.absent == told.seems_closed > 0

    source.frames["NOFUTURES"] = without
    after = FrozenClock(at(CLOSED + timedelta(days=2), 21))
    report = fill_gap(store, source, MARKET, timeframe, ["NOFUTURES"], clock=after)
    assert (report.is_complete, report.seems_closed) == (True, False)
    assert store.coverage(MARKET, timeframe, "NOFUTURES").gaps == ()
    asked = len(source.asked)
    assert fill_gap(store, source, MARKET, timeframe, ["NOFUTURES"], clock=after).is_complete
    assert len(source.asked) == asked


def test_on_an_assumed_day_with_bars_a_hole_is_one(store: FinStore) -> None:
    bars = SHARE.bars(Timeframe.M15)
    store.append(MARKET, "15m", {"NOFUTURES": bars.drop(bars.index[[30, 31]])}, now=SHARE.end)
    (gap,) = store.coverage(MARKET, "15m", "NOFUTURES").gaps
    assert (gap.bars, gap.first) == (2, bars.index[30])


def test_times_without_sense_have_no_sessions_assumed_up_to_them() -> None:
    far = to_us(datetime(9990, 1, 1, tzinfo=INDIA))
    opens = expected_opens(NSE.calendar, Timeframe.D1, far - 10, far)
    assert len(opens) == 0


def test_assumed_days_are_those_of_the_calendar() -> None:
    first, last = to_us(SHARE.start), to_us(SHARE.end) - 1
    expected = [to_us(moment) for moment in NSE.calendar.bar_opens(Timeframe.M5, SHARE.start, SHARE.end)]
    assert expected_opens(NSE.calendar, Timeframe.M5, first, last).tolist() == expected
    assert pd.Timestamp(CLOSED) in SHARE.opens(Timeframe.D1).tz_convert(INDIA).tz_localize(None)
