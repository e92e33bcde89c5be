from __future__ import annotations

from datetime import UTC, datetime, time, timedelta
from itertools import pairwise
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import TypeAdapter, ValidationError

from algo_py.deployment.schedule import WEEK_DAYS, AtTime, EveryInterval, OnBarClose, Schedule, anchored
from algo_py.errors import InvalidInput
from algo_py.market import Timeframe, get_market
from algo_py.market.calendars import AlwaysOpen

CRYPTO = get_market("crypto_binance").calendar
NSE = get_market("indian_equity").calendar
ZONES = ("UTC", "Asia/Kolkata", "America/New_York", "Europe/London")

moments = st.datetimes(
    min_value=datetime(2019, 1, 1),  # noqa: DTZ001  hypothesis wants naive bounds
    max_value=datetime(2026, 6, 1),  # noqa: DTZ001
    timezones=st.just(UTC),
)
schedules = st.one_of(
    st.integers(1, 86_400).map(lambda seconds: EveryInterval(every_s=seconds)),
    st.builds(EveryInterval, every_s=st.integers(1, 86_400), align=st.just("start"), anchor=moments),
    st.builds(
        AtTime,
        at=st.times().map(lambda t: t.replace(microsecond=0)),
        tz=st.sampled_from(ZONES),
        days=st.sets(st.sampled_from(WEEK_DAYS)).map(lambda days: ("mon", *(days - {"mon"}))),
    ),
    st.integers(0, 3600).map(lambda seconds: OnBarClose(delay_s=seconds)),
)
timeframes = st.sampled_from([Timeframe.M15, Timeframe.H1, Timeframe.D1])


@settings(max_examples=150, deadline=None)
@given(schedules, moments, timeframes, st.booleans())
def test_fire_times_strictly_increase(
    schedule: EveryInterval | AtTime | OnBarClose, after: datetime, timeframe: Timeframe, on_nse: bool
) -> None:
    calendar = NSE if on_nse else CRYPTO
    fires = [after]
    for _ in range(5):
        fires.append(schedule.next_fire(fires[-1], calendar, timeframe))
    assert all(earlier < later for earlier, later in pairwise(fires))


@settings(max_examples=100, deadline=None)
@given(schedules, moments, timeframes, st.booleans())
def test_asking_in_between_gives_the_same_next_fire(
    schedule: EveryInterval | AtTime | OnBarClose, after: datetime, timeframe: Timeframe, on_nse: bool
) -> None:
    """No run is skipped or doubled: whenever one asks, the next fire is the same until it has come."""
    calendar = NSE if on_nse else CRYPTO
    fire = schedule.next_fire(after, calendar, timeframe)
    assert calendar.is_trading_day(fire)
    between = after + (fire - after) / 2
    assert schedule.next_fire(between, calendar, timeframe) == fire
    assert schedule.next_fire(fire - timedelta(microseconds=1), calendar, timeframe) == fire


@pytest.mark.parametrize("zone", ZONES)
def test_a_time_of_day_fires_once_on_every_day_of_a_year_with_both_changes_of_the_clock(zone: str) -> None:
    schedule = AtTime(at=time(1, 30), tz=zone)
    fires = [datetime(2025, 1, 1, tzinfo=ZoneInfo(zone)).astimezone(UTC) - timedelta(seconds=1)]
    while len(fires) <= 365:
        fires.append(schedule.next_fire(fires[-1], CRYPTO, Timeframe.H1))
    days = [fire.astimezone(ZoneInfo(zone)).date() for fire in fires[1:]]
    assert days == [datetime(2025, 1, 1, tzinfo=UTC).date() + timedelta(days=n) for n in range(365)]


@pytest.mark.parametrize(
    ("zone", "day", "expected"),
    [
        # 01:30 does not exist in London on 2025-03-30: the run comes at the moment that stands in its place.
        ("Europe/London", "2025-03-30", "2025-03-30T01:30:00+00:00"),
        # It comes twice on 2025-10-26: the run comes at the first.
        ("Europe/London", "2025-10-26", "2025-10-26T00:30:00+00:00"),
        ("Asia/Kolkata", "2025-03-30", "2025-03-29T20:00:00+00:00"),
    ],
)
def test_days_on_which_the_clock_changes(zone: str, day: str, expected: str) -> None:
    midnight = datetime.fromisoformat(day).replace(tzinfo=ZoneInfo(zone)).astimezone(UTC)
    assert AtTime(at=time(1, 30), tz=zone).next_fire(midnight, CRYPTO, Timeframe.H1) == datetime.fromisoformat(expected)


def test_intervals_are_aligned_to_the_clock() -> None:
    fire = EveryInterval(every_s=900).next_fire(datetime(2025, 1, 1, 10, 7, 3, tzinfo=UTC), CRYPTO, Timeframe.H1)
    assert fire == datetime(2025, 1, 1, 10, 15, tzinfo=UTC)


def test_intervals_are_aligned_to_the_start() -> None:
    start = datetime(2025, 1, 1, 10, 7, 3, tzinfo=UTC)
    unset = EveryInterval(every_s=900, align="start")
    with pytest.raises(InvalidInput, match="aligned to a start that is not set"):
        unset.next_fire(start, CRYPTO, Timeframe.H1)
    schedule = anchored(unset, start)
    assert schedule.next_fire(start - timedelta(days=9), CRYPTO, Timeframe.H1) == start
    assert schedule.next_fire(start, CRYPTO, Timeframe.H1) == start + timedelta(minutes=15)
    assert schedule.next_fire(start + timedelta(hours=5), CRYPTO, Timeframe.H1) == start + timedelta(hours=5, minutes=15)
    assert (str(unset), str(schedule)) == ("every 15m from the start", "every 15m from 2025-01-01T10:07:03Z")
    assert anchored(schedule, start + timedelta(days=1)) == schedule
    assert anchored(OnBarClose(), start) == OnBarClose()


def test_an_interval_counts_time_that_passes_and_not_what_the_wall_clock_shows() -> None:
    """Every day from 09:00 in London is at 10:00 there once the clock is set forward."""
    start = datetime(2025, 3, 29, 9, tzinfo=ZoneInfo("Europe/London"))
    daily = EveryInterval(every_s=86_400, align="start", anchor=start)
    fire = daily.next_fire(start.astimezone(UTC), CRYPTO, Timeframe.H1)
    assert fire == datetime(2025, 3, 30, 9, tzinfo=UTC)
    assert fire.astimezone(ZoneInfo("Europe/London")).hour == 10


def test_intervals_keep_to_trading_days_and_to_their_grid() -> None:
    friday_night = datetime(2025, 6, 6, 18, 25, tzinfo=UTC)  # five minutes before Saturday in India
    monday = datetime(2025, 6, 8, 18, 30, tzinfo=UTC)
    for every_s, first in ((1, monday), (3600, monday + timedelta(minutes=30)), (86_400, datetime(2025, 6, 9, tzinfo=UTC))):
        fire = EveryInterval(every_s=every_s).next_fire(friday_night + timedelta(minutes=5, seconds=-1), NSE, Timeframe.D1)
        assert fire == first
    from_then = EveryInterval(every_s=7 * 3600, align="start", anchor=friday_night)
    assert from_then.next_fire(friday_night, NSE, Timeframe.D1) == friday_night + 7 * timedelta(hours=7)
    muhurat_on_sunday = EveryInterval(every_s=86_400).next_fire(datetime(2023, 11, 11, 12, tzinfo=UTC), NSE, Timeframe.D1)
    assert muhurat_on_sunday == datetime(2023, 11, 12, tzinfo=UTC)


class _Counting(AlwaysOpen):
    """NSE, and how often it was asked."""

    asked = 0

    def is_trading_day(self, moment: datetime) -> bool:
        self.asked += 1
        return NSE.is_trading_day(moment)

    def next_trading_day(self, after: datetime) -> datetime:
        self.asked += 1
        return NSE.next_trading_day(after)


def test_a_weekend_is_jumped_over_and_not_counted_down() -> None:
    calendar = _Counting()
    EveryInterval(every_s=1).next_fire(datetime(2025, 6, 6, 18, 29, 59, tzinfo=UTC), calendar, Timeframe.M1)
    assert calendar.asked == 3


def test_a_time_that_is_skipped_just_before_midnight_comes_on_the_next_day_whenever_one_asks() -> None:
    """In Nuuk 2024-03-30 ends at 23:00; 23:30 stands for 00:30 of the day after, which has its own 23:30."""
    nuuk = ZoneInfo("America/Nuuk")
    schedule = AtTime(at=time(23, 30), tz=nuuk.key)
    expected = datetime(2024, 3, 31, 0, 30, tzinfo=nuuk).astimezone(UTC)
    for asked in (datetime(2024, 3, 30, 22, tzinfo=nuuk), datetime(2024, 3, 31, 0, 15, tzinfo=nuuk)):
        assert schedule.next_fire(asked.astimezone(UTC), CRYPTO, Timeframe.H1) == expected
    assert schedule.next_fire(expected, CRYPTO, Timeframe.H1) == datetime(2024, 3, 31, 23, 30, tzinfo=nuuk)


def test_what_was_saved_before_there_was_a_choice_is_aligned_to_the_clock() -> None:
    saved = TypeAdapter[Schedule](Schedule).validate_json('{"kind": "interval", "every_s": 3600}')
    assert saved == EveryInterval(every_s=3600, align="clock", anchor=None)
    again = EveryInterval(every_s=60, align="start", anchor=datetime(2025, 1, 1, tzinfo=UTC))
    assert EveryInterval.model_validate_json(again.model_dump_json()) == again


@pytest.mark.parametrize(
    "schedule",
    [
        EveryInterval(every_s=86_400),
        EveryInterval(every_s=7 * 86_400, align="start", anchor=datetime(2025, 6, 6, 10, tzinfo=UTC)),  # a Friday
        AtTime(at=time(10), tz="Asia/Kolkata"),
        AtTime(at=time(10), tz="Asia/Kolkata", days=("fri",)),
        OnBarClose(),
    ],
    ids=str,
)
def test_beyond_the_known_trading_days_the_assumed_ones_count(schedule: EveryInterval | AtTime | OnBarClose) -> None:
    known_until = NSE.known_until
    assert known_until is not None
    after = known_until - timedelta(microseconds=1)
    for _ in range(10):
        fire = schedule.next_fire(after, NSE, Timeframe.D1)
        assert fire > after
        assert NSE.is_assumed(fire)
        assert NSE.is_trading_day(fire)
        assert fire.astimezone(ZoneInfo("Asia/Kolkata")).weekday() < 5
        after = fire


def test_a_daily_bar_of_nse_is_waited_for_until_it_is_final() -> None:
    monday = datetime(2025, 6, 2, 6, tzinfo=UTC)
    at_close, final = datetime(2025, 6, 2, 10, tzinfo=UTC), datetime(2025, 6, 2, 14, 30, tzinfo=UTC)  # 15:30 and 20:00 in India
    assert OnBarClose().next_fire(monday, NSE, Timeframe.D1) == final
    assert OnBarClose(delay_s=60).next_fire(final, NSE, Timeframe.D1) == final + timedelta(seconds=60)
    assert OnBarClose().next_fire(monday, NSE, Timeframe.D1, provisional=True) == at_close
    friday = datetime(2025, 6, 6, 14, 30, tzinfo=UTC)
    assert OnBarClose().next_fire(monday, NSE, Timeframe.W1) == friday
    for timeframe in (Timeframe.M5, Timeframe.H1):
        assert OnBarClose().next_fire(monday, NSE, timeframe) == NSE.next_bar_close(timeframe, monday)


def test_a_bar_close_waits_for_its_delay() -> None:
    schedule = OnBarClose(delay_s=5)
    assert schedule.next_fire(datetime(2025, 1, 1, 10, 0, 2, tzinfo=UTC), CRYPTO, Timeframe.H1) == datetime(
        2025, 1, 1, 10, 0, 5, tzinfo=UTC
    )


def test_no_run_on_a_holiday_and_a_run_after_the_muhurat_session() -> None:
    # Diwali 2024: Friday 1 November has the evening session alone, Saturday and Sunday none.
    at_close = AtTime(at=time(15, 35), tz="Asia/Kolkata")
    thursday = datetime(2024, 10, 31, 12, 0, tzinfo=UTC)
    friday = at_close.next_fire(thursday, NSE, Timeframe.D1)
    assert friday == datetime(2024, 11, 1, 10, 5, tzinfo=UTC)
    assert at_close.next_fire(friday, NSE, Timeframe.D1) == datetime(2024, 11, 4, 10, 5, tzinfo=UTC)
    assert OnBarClose().next_fire(thursday, NSE, Timeframe.D1, provisional=True) == datetime(2024, 11, 1, 13, 30, tzinfo=UTC)
    republic_day = datetime(2024, 1, 25, 18, 0, tzinfo=UTC)
    assert at_close.next_fire(republic_day, NSE, Timeframe.D1).date() == datetime(2024, 1, 29, tzinfo=UTC).date()


def test_days_without_any_session_are_refused() -> None:
    never = AtTime(at=time(10), tz="Asia/Kolkata", days=("sun",))
    with pytest.raises(InvalidInput, match="no session on sun"):
        never.next_fire(datetime(2021, 1, 1, tzinfo=UTC), NSE, Timeframe.D1)


@pytest.mark.parametrize(
    ("build", "message"),
    [
        (lambda: AtTime(at=time(9), tz="Mars/Olympus"), "no time zone 'Mars/Olympus'"),
        (lambda: AtTime(at=time(9), days=("someday",)), "no day 'someday'"),
        (lambda: EveryInterval(every_s=0), "greater than or equal to 1"),
        (lambda: EveryInterval(every_s=60, anchor=datetime(2025, 1, 1, tzinfo=UTC)), "aligned to the clock has no anchor"),
        (lambda: EveryInterval(every_s=60, align="start", anchor=datetime(2025, 1, 1)), "timezone"),  # noqa: DTZ001
    ],
)
def test_a_schedule_that_cannot_be_is_refused(build: object, message: str) -> None:
    with pytest.raises(ValidationError, match=message):
        build()  # type: ignore[operator]
