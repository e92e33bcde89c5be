from __future__ import annotations

from datetime import UTC, datetime, time, timedelta
from itertools import pairwise
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import ValidationError

from algo_py.deployment.schedule import WEEK_DAYS, AtTime, EveryInterval, OnBarClose
from algo_py.errors import InvalidInput
from algo_py.market import Timeframe, get_market

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
@given(schedules, moments, timeframes)
def test_asking_in_between_gives_the_same_next_fire(
    schedule: EveryInterval | AtTime | OnBarClose, after: datetime, timeframe: Timeframe
) -> None:
    """No run is skipped or doubled: whenever one asks, the next fire is the same until it has come."""
    fire = schedule.next_fire(after, CRYPTO, timeframe)
    between = after + (fire - after) / 2
    assert schedule.next_fire(between, CRYPTO, timeframe) == fire
    assert schedule.next_fire(fire - timedelta(microseconds=1), CRYPTO, timeframe) == fire


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
    assert OnBarClose().next_fire(thursday, NSE, Timeframe.D1) == datetime(2024, 11, 1, 13, 30, tzinfo=UTC)
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
    ],
)
def test_a_schedule_that_cannot_be_is_refused(build: object, message: str) -> None:
    with pytest.raises(ValidationError, match=message):
        build()  # type: ignore[operator]
