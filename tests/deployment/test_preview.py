"""What is told before deploying: the next runs within the window, and what will not work then."""

from __future__ import annotations

import re
from datetime import datetime, time, timedelta

import pytest

from algo_py.clock import parse_time
from algo_py.deployment.config import Replay
from algo_py.deployment.preview import schedule_warnings, shown_runs
from algo_py.deployment.schedule import AtTime, EveryInterval, OnBarClose
from algo_py.market import Timeframe, get_market
from tests.deployment.fire_oracle import AnySchedule, deployed

NSE = get_market("indian_equity").calendar
DAY = timedelta(days=1)
AT_OPENING = AtTime(at=time(9, 20), tz="Asia/Kolkata")
TUESDAY = parse_time("2025-06-03T05:00")


def known_until() -> datetime:
    assert NSE.known_until is not None
    return NSE.known_until


@pytest.mark.parametrize(
    "schedule",
    [
        AtTime(at=time(9, 30), tz="Asia/Kolkata"),
        EveryInterval(every_s=1800),
        EveryInterval(every_s=86_400, align="start", anchor=parse_time("2025-01-06T04:00")),
        OnBarClose(delay_s=1800),
    ],
    ids=str,
)
def test_a_run_at_the_start_itself_takes_place_live_and_not_in_a_replay(schedule: AnySchedule) -> None:
    start, end = parse_time("2025-01-06T04:00"), parse_time("2025-01-07T04:00")
    timeframe = Timeframe.M30
    before = start - DAY
    live = deployed(schedule, "crypto_binance", timeframe, start=start, end=end)
    assert live.next_fire(before) == start
    following = live.next_fire(start)
    assert following is None or start < following < end
    replay = deployed(schedule, "crypto_binance", timeframe, start=start, end=end, clock=Replay())
    assert replay.next_fire(before) == following
    assert (live.clock_at(before), replay.clock_at(before)) == (before, start)


def test_the_next_runs_end_with_the_window() -> None:
    config = deployed(AT_OPENING, "indian_equity", Timeframe.D1, end=parse_time("2025-06-05T03:50"))
    assert config.next_fires(TUESDAY) == [parse_time("2025-06-04T03:50")]
    unbounded = deployed(AT_OPENING, "indian_equity", Timeframe.D1)
    over_the_weekend = [parse_time(f"2025-06-{day}T03:50") for day in ("04", "05", "06", "09", "10")]
    assert unbounded.next_fires(TUESDAY, 5) == over_the_weekend
    assert unbounded.next_fires(TUESDAY, 0) == []


def test_a_window_that_ends_with_the_known_days_ends_and_one_beyond_goes_on() -> None:
    last_day = known_until() - DAY
    for schedule in (AT_OPENING, EveryInterval(every_s=3600), OnBarClose()):
        within = deployed(schedule, "indian_equity", Timeframe.D1, end=known_until())
        fires = within.next_fires(last_day, 100)
        assert fires
        assert within.next_fire(fires[-1]) is None
        unbounded = deployed(schedule, "indian_equity", Timeframe.D1)
        assert unbounded.next_fires(last_day, 100)[: len(fires)] == fires
        assert len(unbounded.next_fires(last_day, 100)) == 100
        beyond = deployed(schedule, "indian_equity", Timeframe.D1, end=known_until() + 30 * DAY)
        assert beyond.next_fires(last_day, 1_000)[-1] > known_until() + 20 * DAY


def test_moments_of_any_zone_are_understood() -> None:
    start = datetime.fromisoformat("2025-01-01T05:30+05:30")
    config = deployed(EveryInterval(every_s=3600), "crypto_binance", Timeframe.H1, start=start)
    assert config.next_fire(datetime.fromisoformat("2024-12-31T00:00-05:00")) == parse_time("2025-01-01")


def test_runs_are_written_in_utc_and_beside_it_in_the_zone_of_the_schedule() -> None:
    daily = deployed(AtTime(at=time(1, 30), tz="Europe/London"), "crypto_binance", Timeframe.H1)
    assert shown_runs(daily, daily.next_fires(parse_time("2025-03-29"), 2)) == (
        "2025-03-29 01:30 UTC (2025-03-29 01:30 Europe/London), 2025-03-30 01:30 UTC (2025-03-30 02:30 Europe/London)"
    )
    often = deployed(EveryInterval(every_s=90), "crypto_binance", Timeframe.H1, start=TUESDAY, end=TUESDAY + DAY, clock=Replay())
    assert shown_runs(often, often.next_fires(TUESDAY, 2)) == "2025-06-03 05:01:30, 2025-06-03 05:03 UTC, on the replay's clock"
    assert shown_runs(often, []) == "none"


@pytest.mark.parametrize(
    ("schedule", "timeframe"),
    [
        (OnBarClose(), Timeframe.D1),
        (OnBarClose(delay_s=3600), Timeframe.W1),
        (EveryInterval(every_s=3600), Timeframe.D1),  # the run at 15:30 sees the day's bar, and later ones see nothing new
        (EveryInterval(every_s=86_400, align="start", anchor=parse_time("2025-06-02T14:00")), Timeframe.H1),
        (AtTime(at=time(15, 30), tz="Asia/Kolkata"), Timeframe.D1),
        (AtTime(at=time(9, 14), tz="Asia/Kolkata"), Timeframe.M15),
    ],
    ids=str,
)
def test_runs_that_find_the_market_closed(schedule: AnySchedule, timeframe: Timeframe) -> None:
    config = deployed(schedule, "indian_equity", timeframe, oms="zerodha")
    [warning] = schedule_warnings(config, after=TUESDAY)
    what, when = "no order can be sent: Indian equities (NSE) is closed when a run sees a new bar", "the next time at 2025-06-0"
    assert warning.startswith(f"{what}, {when}")
    assert warning.endswith(". Let it run after the opening, such as --at 09:20 --tz Asia/Kolkata.")
    remedied = deployed(AT_OPENING, "indian_equity", timeframe, oms="zerodha")
    assert schedule_warnings(remedied, after=TUESDAY) == []


def test_the_next_time_is_named_on_the_market_s_clock() -> None:
    config = deployed(OnBarClose(), "indian_equity", Timeframe.D1, oms="zerodha", start=parse_time("2024-10-31T12:00"))
    [warning] = schedule_warnings(config, after=parse_time("2024-10-01"))
    # Diwali: an hour in the evening. What is advised is the usual opening all the same.
    assert re.findall(r"\d\d:\d\d|2024-\d\d-\d\d", warning) == ["2024-11-01", "21:00", "09:20"]


@pytest.mark.parametrize(
    ("market", "oms", "schedule", "timeframe"),
    [
        ("indian_equity", "zerodha", AT_OPENING, Timeframe.D1),
        ("indian_equity", "zerodha", AtTime(at=time(9, 20), tz="UTC", days=("mon", "thu")), Timeframe.D1),  # 14:50 in India
        ("indian_equity", "zerodha", OnBarClose(), Timeframe.H1),  # the last bar of a day alone comes too late
        ("indian_equity", "zerodha", EveryInterval(every_s=1), Timeframe.M15),
        ("indian_equity", "paper", OnBarClose(), Timeframe.D1),
        ("indian_equity", "telegram", OnBarClose(), Timeframe.D1),
        ("crypto_binance", "binance", OnBarClose(), Timeframe.D1),
    ],
)
def test_no_warning_where_orders_can_be_sent(market: str, oms: str, schedule: AnySchedule, timeframe: Timeframe) -> None:
    assert schedule_warnings(deployed(schedule, market, timeframe, oms=oms), after=TUESDAY) == []


def test_beyond_what_is_known_the_assumed_days_decide() -> None:
    config = deployed(OnBarClose(), "indian_equity", Timeframe.D1, oms="zerodha")
    assert len(schedule_warnings(config, after=known_until() - 4 * DAY)) == 1
    assert len(schedule_warnings(config, after=known_until() + DAY)) == 1
    ended = deployed(OnBarClose(), "indian_equity", Timeframe.D1, oms="zerodha", end=TUESDAY)
    assert schedule_warnings(ended, after=TUESDAY) == []


AUCTIONS = {
    # schedule, after, the run and its phase, when an entry is taken, what becomes of an exit, the last time that works
    "on bar close, first era": (
        OnBarClose(),
        "2026-08-10T04:00",
        ("2026-08-10 15:15", "reference price", "2026-08-11 09:15", "waits for 2026-08-10 15:20", "15:14"),
    ),
    "at 15:17, first era": (
        AtTime(at=time(15, 17), tz="Asia/Kolkata"),
        "2026-08-07T12:00",  # a Friday evening
        ("2026-08-10 15:17", "reference price", "2026-08-11 09:15", "waits for 2026-08-10 15:20", "15:14"),
    ),
    "at 15:33, second era": (
        AtTime(at=time(15, 33), tz="Asia/Kolkata"),
        "2026-12-14T04:00",
        ("2026-12-14 15:33", "limit and market orders", "2026-12-15 09:15", "is sent into it", "15:29"),
    ),
}


@pytest.mark.parametrize(("schedule", "after", "said"), AUCTIONS.values(), ids=AUCTIONS)
def test_a_run_that_falls_into_the_closing_auction(schedule: AnySchedule, after: str, said: tuple[str, ...]) -> None:
    run, phase, entry, leaves, last = said
    config = deployed(schedule, "indian_equity", Timeframe.M15, oms="zerodha")
    [warning] = schedule_warnings(config, after=parse_time(after))
    assert warning == (
        f"INFY: the run at {run} Asia/Kolkata falls into the closing auction: {phase}: an entry is refused until {entry}, "
        f"an exit {leaves}. Orders of a run up to {last} are taken at once."
    )


@pytest.mark.parametrize("at", [time(15, 14), time(9, 20)], ids=str)
def test_a_run_in_continuous_trading_is_not_warned_of(at: time) -> None:
    config = deployed(AtTime(at=at, tz="Asia/Kolkata"), "indian_equity", Timeframe.D1, oms="zerodha")
    assert schedule_warnings(config, after=parse_time("2026-08-10T04:00")) == []
