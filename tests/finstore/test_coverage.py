"""What is known to be missing."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import numpy as np
import pandas as pd
import pytest

from algo_py.clock import parse_time
from algo_py.errors import NoData
from algo_py.finstore import Coverage, FinStore, Gap
from algo_py.finstore.bartimes import expected_opens
from algo_py.finstore.frames import to_us
from algo_py.market import Timeframe, get_market

from .making import LATE, MARKET, START, SYMBOL, bars, bars_at

HOUR = timedelta(hours=1)


def _hours(*numbers: int) -> list[datetime]:
    return [START + number * HOUR for number in numbers]


@pytest.mark.parametrize("rows", [20, 6_000])
def test_complete(store: FinStore, rows: int) -> None:
    store.append(MARKET, "1h", {SYMBOL: bars(rows)}, now=LATE)
    first, last = _hours(0, rows - 1)
    assert store.coverage(MARKET, "1h", SYMBOL) == Coverage(first=first, last=last, rows=rows, gaps=())


def test_complete_over_file_and_deltas(store: FinStore) -> None:
    frame = bars(1_010)
    store.append(MARKET, "1h", {SYMBOL: frame[:1_000]}, now=LATE)
    store.append(MARKET, "1h", {SYMBOL: frame[1_000:]}, now=LATE)
    assert store.coverage(MARKET, "1h", SYMBOL) == Coverage(first=START, last=_hours(1_009)[0], rows=1_010, gaps=())


@pytest.mark.parametrize("rows", [30, 6_000])
def test_gaps_are_runs_of_missing_bars(store: FinStore, rows: int) -> None:
    frame = bars(rows)
    missing = [3, 7, 8, 9, rows - 2]
    store.append(MARKET, "1h", {SYMBOL: frame.drop(frame.index[missing])}, now=LATE)
    assert store.coverage(MARKET, "1h", SYMBOL) == Coverage(
        first=START,
        last=_hours(rows - 1)[0],
        rows=rows - 5,
        gaps=(
            Gap(first=_hours(3)[0], last=_hours(3)[0], bars=1),
            Gap(first=_hours(7)[0], last=_hours(9)[0], bars=3),
            Gap(first=_hours(rows - 2)[0], last=_hours(rows - 2)[0], bars=1),
        ),
    )


def test_a_gap_closes_when_its_bars_come(store: FinStore) -> None:
    frame = bars(2_000)
    store.append(MARKET, "1h", {SYMBOL: frame.drop(frame.index[100:110])}, now=LATE)
    store.append(MARKET, "1h", {SYMBOL: frame[100:104]}, now=LATE)
    (gap,) = store.coverage(MARKET, "1h", SYMBOL).gaps
    assert (gap.first, gap.last, gap.bars) == (*_hours(104, 109), 6)
    store.append(MARKET, "1h", {SYMBOL: frame[100:110]}, now=LATE)
    assert store.coverage(MARKET, "1h", SYMBOL) == Coverage(first=START, last=_hours(1_999)[0], rows=2_000, gaps=())


def test_a_hole_between_file_and_deltas(store: FinStore) -> None:
    frame = bars(1_010)
    store.append(MARKET, "1h", {SYMBOL: frame[:1_000]}, now=LATE)
    store.append(MARKET, "1h", {SYMBOL: frame[1_005:]}, now=LATE)
    (gap,) = store.coverage(MARKET, "1h", SYMBOL).gaps
    assert (gap.first, gap.last, gap.bars) == (*_hours(1_000, 1_004), 5)


def test_weekends_and_holidays_are_no_gaps(store: FinStore) -> None:
    # Mahashivratri (8 March), Holi (25th) and Good Friday (29th) 2024; a Saturday session on 2 March.
    days = pd.bdate_range("2024-03-01", "2024-04-05").union(pd.DatetimeIndex(["2024-03-02"]))
    days = days.difference(pd.DatetimeIndex(["2024-03-08", "2024-03-25", "2024-03-29"]))
    opens = days.tz_localize("Asia/Kolkata").tz_convert("UTC").as_unit("us")
    store.append("indian_equity", "1d", {"TCS": bars_at(opens)}, now=LATE)
    assert store.coverage("indian_equity", "1d", "TCS").gaps == ()
    store.append("indian_equity", "1d", {"INFY": bars_at(opens.delete([1, 4, 5]))}, now=LATE)
    gaps = store.coverage("indian_equity", "1d", "INFY").gaps
    assert [gap.bars for gap in gaps] == [1, 2]
    assert gaps[0].first == datetime(2024, 3, 1, 18, 30, tzinfo=UTC)


def test_weeks(store: FinStore) -> None:
    frame = bars(10, freq="7D")  # 1 January 2024 was a Monday
    store.append(MARKET, "1w", {SYMBOL: frame.drop(frame.index[4])}, now=LATE)
    assert [gap.first for gap in store.coverage(MARKET, "1w", SYMBOL).gaps] == [START + 28 * timedelta(days=1)]


def test_a_million_minutes_are_looked_at_as_one_array(store: FinStore) -> None:
    frame = bars(400_000, freq="1min")
    holes = np.arange(10, 399_000, 37)
    store.append(MARKET, "1m", {SYMBOL: frame.drop(frame.index[holes])}, now=LATE)
    coverage = store.coverage(MARKET, "1m", SYMBOL)
    assert len(coverage.gaps) == len(holes)
    assert coverage.rows == 400_000 - len(holes)


def test_nothing_is_no_coverage(store: FinStore) -> None:
    with pytest.raises(NoData):
        store.coverage(MARKET, "1h", SYMBOL)


@pytest.mark.parametrize("timeframe", list(Timeframe))
@pytest.mark.parametrize(
    ("first", "last"),
    [("2022-06-01", "2025-08-20"), ("2024-12-29", "2025-01-06"), ("2016-01-01", "2016-01-01"), ("2026-11-01", "2026-12-30")],
)
def test_bars_by_years_are_those_of_the_calendar(timeframe: Timeframe, first: str, last: str) -> None:
    market = get_market("indian_equity")
    start, end = parse_time(first), parse_time(f"{last}T04:00")
    by_calendar = [to_us(moment) for moment in market.calendar.bar_opens(timeframe, start, end + timedelta(microseconds=1))]
    assert expected_opens(market.calendar, timeframe, to_us(start), to_us(end)).tolist() == by_calendar
