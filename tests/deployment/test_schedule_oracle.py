"""Every kind of schedule against an oracle that looks at each minute around the days on which clocks change."""

from __future__ import annotations

from datetime import UTC, date, datetime, time, timedelta

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from algo_py.deployment.config import DeploymentConfig, LiveClock, Replay
from algo_py.deployment.schedule import WEEK_DAYS, AtTime, EveryInterval, OnBarClose
from algo_py.errors import InvalidInput
from algo_py.market import Timeframe, get_market
from tests.deployment.fire_oracle import (
    MINUTE,
    AnySchedule,
    Days,
    all_fires,
    changes_of_the_clock,
    deployed,
    disagreements,
    in_india,
)

# In Nuuk the hour before midnight is the one that is skipped.
ZONES = ("UTC", "Asia/Kolkata", "America/New_York", "Europe/London", "America/Nuuk")
CHANGES = changes_of_the_clock((2021, 2022, 2023, 2024), "America/New_York", "Europe/London")
# Around the change of the clock more often than not.
TIMES = st.one_of(st.times(max_value=time(3, 59)), st.times(min_value=time(22)), st.times()).map(
    lambda at: at.replace(second=0, microsecond=0, fold=0)
)
TICK = timedelta(microseconds=1)


@st.composite
def moments_of(draw: st.DrawFn, days: Days) -> datetime:
    return days.begin + draw(st.integers(0, (days.until - days.begin) // MINUTE)) * MINUTE


@st.composite
def schedules_around(draw: st.DrawFn, days: Days) -> AnySchedule:
    every_s = draw(st.one_of(st.sampled_from([60, 900, 3600, 86_400, 7 * 86_400]), st.integers(1, 10_080).map(lambda n: n * 60)))
    kinds: tuple[st.SearchStrategy[AnySchedule], ...] = (
        st.just(EveryInterval(every_s=every_s)),
        moments_of(days).map(lambda anchor: EveryInterval(every_s=every_s, align="start", anchor=anchor)),
        st.builds(
            AtTime,
            at=TIMES,
            tz=st.sampled_from(ZONES),
            days=st.one_of(st.just(WEEK_DAYS), st.sets(st.sampled_from(WEEK_DAYS), min_size=1).map(tuple)),
        ),
        st.integers(0, 60).map(lambda minutes: OnBarClose(delay_s=minutes * 60)),
    )
    return draw(st.one_of(kinds))


def is_never(config: DeploymentConfig) -> bool:
    """Return whether the schedule is refused: on a Friday at 22:00 UTC it is Saturday in India, where NSE never opens."""
    try:
        config.next_fire(CHANGES[0].begin)
    except InvalidInput as error:
        return "the market has no session on" in str(error)
    return False


@settings(max_examples=100, deadline=None)
@given(
    days=st.sampled_from(CHANGES),
    market=st.sampled_from(["crypto_binance", "indian_equity"]),
    timeframe=st.sampled_from([Timeframe.M15, Timeframe.H1, Timeframe.H4, Timeframe.D1]),
    is_replay=st.booleans(),
    data=st.data(),
)
def test_each_fire_is_due_and_none_is_lacking(
    days: Days, market: str, timeframe: Timeframe, is_replay: bool, data: st.DataObject
) -> None:
    schedule = data.draw(schedules_around(days))
    everywhere = all_fires(schedule, days, on_nse=market == "indian_equity", bar=timeframe.delta)
    # A bound is often a fire itself: there it shows what counts.
    bounds = st.one_of(moments_of(days), st.sampled_from(everywhere or [days.begin]))
    start, end = sorted(data.draw(st.lists(bounds, min_size=2, max_size=2, unique=True)))
    config = deployed(schedule, market, timeframe, start=start, end=end, clock=Replay() if is_replay else LiveClock())
    expected = [fire for fire in everywhere if (start < fire if is_replay else start <= fire) and fire < end]
    if not everywhere and is_never(config):
        return
    assert disagreements(config.next_fire, expected, days) == []
    assert config.next_fires(days.begin - TICK, 3) == expected[:3]
    for moment in (data.draw(moments_of(days)) + shift for shift in (-TICK, timedelta(0), TICK)):
        assert config.next_fire(moment) == next((fire for fire in expected if fire > moment), None)


@pytest.mark.parametrize("zone", ZONES)
@pytest.mark.parametrize("at", [time(0, 30), time(1, 30), time(2, 30), time(23, 30)], ids=str)
@pytest.mark.parametrize("market", ["crypto_binance", "indian_equity"])
def test_a_time_of_day_over_every_change_of_the_clock(market: str, at: time, zone: str) -> None:
    config = deployed(AtTime(at=at, tz=zone), market, Timeframe.H1)
    for days in CHANGES:
        expected = all_fires(config.schedule, days, on_nse=market == "indian_equity", bar=timedelta(hours=1))
        assert len(expected) in range(10, 13) if market == "crypto_binance" else expected
        assert disagreements(config.next_fire, expected, days) == []


class TestTheOracleIsNoRubberStamp:
    """What is done wrong is seen by the same comparison."""

    half_past_one = AtTime(at=time(1, 30), tz="Europe/London")
    autumn = Days(date(2024, 10, 22), date(2024, 11, 2))
    spring = Days(date(2024, 3, 26), date(2024, 4, 6))

    @pytest.mark.parametrize("days", [autumn, spring], ids=["autumn", "spring"])
    def test_a_day_added_to_the_last_fire(self, days: Days) -> None:
        expected = all_fires(self.half_past_one, days, on_nse=False, bar=timedelta(hours=1))
        day = timedelta(days=1)

        def naive(after: datetime) -> datetime:
            return expected[0] + max((after - expected[0]) // day + 1, 0) * day

        said = disagreements(naive, expected, days)
        assert [line for line in said if "is skipped" in line]
        assert [line for line in said if "is one too many" in line]
        right = deployed(self.half_past_one, "crypto_binance", Timeframe.H1)
        assert disagreements(right.next_fire, expected, days) == []

    def test_a_time_that_comes_twice_taken_twice(self) -> None:
        expected = all_fires(self.half_past_one, self.autumn, on_nse=False, bar=timedelta(hours=1))
        twice = sorted([*expected, datetime(2024, 10, 27, 1, 30, tzinfo=UTC)])
        said = disagreements(lambda after: next((fire for fire in twice if fire > after), None), expected, self.autumn)
        assert said == ["2024-10-27 01:30:00+00:00 is one too many"]

    def test_an_interval_that_does_not_know_the_holidays(self) -> None:
        hourly = EveryInterval(every_s=3600)
        expected = all_fires(hourly, self.spring, on_nse=True, bar=timedelta(days=1))
        everyday = deployed(hourly, "crypto_binance", Timeframe.H1)
        closed = {line[:10] for line in disagreements(everyday.next_fire, expected, self.spring)}
        assert {"2024-03-29", "2024-03-30", "2024-03-31"} <= closed  # Good Friday and a weekend


def test_short_intervals_stop_and_go_on_at_midnight_in_india() -> None:
    """Each second around both ends of a weekend; the seventh second counts on over it."""
    nse = get_market("indian_equity").calendar
    schedule = EveryInterval(every_s=7)
    for edge in (datetime(2025, 6, 6, 18, 30, tzinfo=UTC), datetime(2025, 6, 8, 18, 30, tzinfo=UTC)):
        seconds = [edge + timedelta(seconds=number) for number in range(-300, 300)]
        expected = [s for s in seconds if int(s.timestamp()) % 7 == 0 and in_india(s).weekday() < 5]
        fires = [seconds[0] - TICK]
        while (fire := schedule.next_fire(fires[-1], nse, Timeframe.D1)) <= seconds[-1]:
            fires.append(fire)
        assert fires[1:] == expected
        assert len(expected) in (42, 43)
