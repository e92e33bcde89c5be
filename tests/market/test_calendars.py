"""When markets trade: round the clock, and NSE against the days on which it really traded."""

from __future__ import annotations

from datetime import UTC, date, datetime, time, timedelta
from pathlib import Path
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from algo_py.errors import InvalidInput
from algo_py.market import Calendar, Timeframe, get_market, latest_closed_open
from algo_py.market.calendars import UnknownDays

INDIA = ZoneInfo("Asia/Kolkata")
# Every day on which NSE's large companies have a daily bar, 2020-10-01 to 2025-09-30.
NSE_DAYS = [date.fromisoformat(line) for line in (Path(__file__).parent / "nse_days.txt").read_text().split()]
SPECIAL_DAYS = ["2020-11-14", "2023-11-12", "2024-01-20", "2024-03-02", "2024-05-18", "2025-02-01"]


def at(text: str) -> datetime:
    """Read a time; without an offset it is India's."""
    moment = datetime.fromisoformat(text)
    return (moment if moment.tzinfo else moment.replace(tzinfo=INDIA)).astimezone(UTC)


@pytest.fixture(scope="module")
def nse() -> Calendar:
    return get_market("indian_equity").calendar


@pytest.fixture(scope="module")
def crypto() -> Calendar:
    return get_market("crypto_binance").calendar


def _midnight(day: date) -> datetime:
    return datetime.combine(day, time(), INDIA)


class TestTheRealDays:
    """No day too many and none too few."""

    def test_each_day(self, nse: Calendar) -> None:
        every_day = [NSE_DAYS[0] + timedelta(days=n) for n in range((NSE_DAYS[-1] - NSE_DAYS[0]).days + 1)]
        for hour in (0, 23):
            assert [day for day in every_day if nse.is_trading_day(_midnight(day) + timedelta(hours=hour))] == NSE_DAYS

    def test_each_daily_bar(self, nse: Calendar) -> None:
        opens = list(nse.bar_opens(Timeframe.D1, _midnight(NSE_DAYS[0]), _midnight(NSE_DAYS[-1] + timedelta(days=1))))
        assert opens == [_midnight(day) for day in NSE_DAYS]
        assert all(moment.tzinfo is UTC for moment in opens)

    def test_weekend_sessions_are_among_them(self) -> None:
        assert [day.isoformat() for day in NSE_DAYS if day.weekday() > 4] == SPECIAL_DAYS

    def test_sessions_a_year(self, nse: Calendar) -> None:
        whole_years = [sum(day.year == year for day in NSE_DAYS) for year in (2021, 2022, 2023, 2024)]
        assert nse.periods_per_year(Timeframe.D1) == pytest.approx(sum(whole_years) / 4, abs=1.5)


@pytest.mark.parametrize(
    ("day", "is_session"),
    [
        ("2026-01-26", False),  # Republic Day
        ("2026-02-01", True),  # the Union Budget, on a Sunday
        ("2025-10-21", True),  # Muhurat trading
        ("2025-10-22", False),  # Balipratipada
        ("2025-12-25", False),
        ("2026-03-03", False),  # Holi
        ("2019-10-27", True),  # Muhurat trading on a Sunday
    ],
)
def test_days_outside_of_the_list(nse: Calendar, day: str, is_session: bool) -> None:
    assert nse.is_trading_day(at(f"{day}T12:00")) is is_session


@pytest.mark.parametrize(
    ("timeframe", "open_time", "close_time"),
    [
        (Timeframe.D1, "2024-06-03T00:00", "2024-06-03T15:30"),
        (Timeframe.D1, "2024-11-01T00:00", "2024-11-01T19:00"),  # Muhurat
        (Timeframe.D1, "2024-03-02T00:00", "2024-03-02T12:30"),  # a Saturday in two parts
        (Timeframe.H1, "2024-06-03T09:15", "2024-06-03T10:15"),
        (Timeframe.H1, "2024-06-03T15:15", "2024-06-03T15:30"),
        (Timeframe.H4, "2024-06-03T13:15", "2024-06-03T15:30"),
        (Timeframe.M15, "2024-06-03T15:15", "2024-06-03T15:30"),
        (Timeframe.M1, "2024-06-03T15:29", "2024-06-03T15:30"),
        (Timeframe.W1, "2024-06-03T00:00", "2024-06-07T15:30"),
        (Timeframe.W1, "2024-03-25T00:00", "2024-03-28T15:30"),  # Holi on Monday, Good Friday
        (Timeframe.W1, "2024-05-13T00:00", "2024-05-18T12:30"),  # ends with a Saturday session
    ],
)
def test_close_of_a_bar_at_nse(nse: Calendar, timeframe: Timeframe, open_time: str, close_time: str) -> None:
    assert nse.bar_close(at(open_time), timeframe) == at(close_time)
    assert nse.next_bar_close(timeframe, at(close_time) - timedelta(microseconds=1)) == at(close_time)
    assert latest_closed_open(nse, timeframe, at(close_time)) == at(open_time)
    assert latest_closed_open(nse, timeframe, at(close_time) - timedelta(seconds=1)) < at(open_time)


@pytest.mark.parametrize(
    ("timeframe", "after", "close_time"),
    [
        (Timeframe.D1, "2024-06-03T15:30", "2024-06-04T15:30"),
        (Timeframe.D1, "2024-06-07T15:30", "2024-06-10T15:30"),  # over a weekend
        (Timeframe.D1, "2024-03-28T15:30", "2024-04-01T15:30"),  # and Good Friday
        (Timeframe.H1, "2024-06-03T15:30", "2024-06-04T10:15"),
        (Timeframe.H1, "2024-06-03T03:00", "2024-06-03T10:15"),
        (Timeframe.M5, "2024-11-01T12:00", "2024-11-01T18:05"),
        (Timeframe.W1, "2024-06-07T15:30", "2024-06-14T15:30"),
    ],
)
def test_the_next_close_at_nse(nse: Calendar, timeframe: Timeframe, after: str, close_time: str) -> None:
    assert nse.next_bar_close(timeframe, at(after)) == at(close_time)


def test_bars_within_a_session(nse: Calendar) -> None:
    day = at("2024-06-03T00:00"), at("2024-06-04T00:00")
    hours = [moment.astimezone(INDIA).strftime("%H:%M") for moment in nse.bar_opens(Timeframe.H1, *day)]
    assert hours == ["09:15", "10:15", "11:15", "12:15", "13:15", "14:15", "15:15"]
    for timeframe, bars in ((Timeframe.M1, 375), (Timeframe.M5, 75), (Timeframe.M15, 25), (Timeframe.M30, 13), (Timeframe.H4, 2)):
        assert len(list(nse.bar_opens(timeframe, *day))) == bars
        assert nse.periods_per_year(timeframe) == nse.periods_per_year(Timeframe.D1) * bars
    assert len(list(nse.bar_opens(Timeframe.M15, at("2024-11-01T00:00"), at("2024-11-02T00:00")))) == 4


def test_a_week_is_one_bar(nse: Calendar) -> None:
    opens = list(nse.bar_opens(Timeframe.W1, at("2024-03-20T00:00"), at("2024-04-09T00:00")))
    assert opens == [at("2024-03-25T00:00"), at("2024-04-01T00:00"), at("2024-04-08T00:00")]
    assert nse.periods_per_year(Timeframe.W1) == 52


@pytest.mark.parametrize(
    ("after", "midnight"),
    [
        ("2024-06-03T00:00", "2024-06-04T00:00"),  # a day that has begun is not the next one
        ("2024-06-02T23:59:59", "2024-06-03T00:00"),
        ("2024-06-07T15:30", "2024-06-10T00:00"),  # over a weekend
        ("2024-03-28T10:00", "2024-04-01T00:00"),  # and Good Friday
        ("2023-11-10T20:00", "2023-11-12T00:00"),  # Muhurat trading on a Sunday
        ("2024-05-17T18:00", "2024-05-18T00:00"),  # a special Saturday
    ],
)
def test_the_next_trading_day_at_nse(nse: Calendar, after: str, midnight: str) -> None:
    assert nse.next_trading_day(at(after)) == at(midnight)
    assert nse.next_trading_day(at(after)).tzinfo is UTC


def test_the_next_trading_day_is_each_real_day_in_turn(nse: Calendar) -> None:
    moment = _midnight(NSE_DAYS[0]).astimezone(UTC) - timedelta(seconds=1)
    found = [moment := nse.next_trading_day(moment) for _ in NSE_DAYS]
    assert found == [_midnight(day) for day in NSE_DAYS]


@pytest.mark.parametrize(
    ("moment", "opens"),
    [
        ("2024-06-03T09:14:59", "2024-06-03T09:15"),
        ("2024-06-03T09:15", None),
        ("2024-06-03T15:29:59", None),
        ("2024-06-03T15:30", "2024-06-04T09:15"),  # the close is no time to trade
        ("2024-06-07T15:30", "2024-06-10T09:15"),
        ("2024-03-28T16:00", "2024-04-01T09:15"),
        ("2024-10-31T16:00", "2024-11-01T18:00"),  # Muhurat trading alone
        ("2024-11-01T18:59", None),
        ("2024-11-01T19:00", "2024-11-04T09:15"),
        ("2024-03-02T12:00", None),
        ("2024-03-02T12:30", "2024-03-04T09:15"),
    ],
)
def test_when_nse_is_open(nse: Calendar, moment: str, opens: str | None) -> None:
    assert nse.is_open(at(moment)) is (opens is None)
    assert nse.first_open(at(moment)) == at(opens or moment)


def test_beyond_what_is_known_the_weekly_rule_is_assumed(nse: Calendar) -> None:
    known_until = nse.known_until
    assert known_until is not None
    assert not nse.is_assumed(known_until - timedelta(microseconds=1))
    day = known_until.astimezone(INDIA).date()
    for ahead in (0, 30, 400, 4_000):
        moments = [_midnight(day + timedelta(days=ahead + n, hours=0)) + timedelta(hours=10) for n in range(7)]
        assert all(nse.is_assumed(moment) for moment in moments)
        assert [nse.is_trading_day(moment) for moment in moments] == [moment.weekday() < 5 for moment in moments]
        assert [nse.is_open(moment) for moment in moments] == [moment.weekday() < 5 for moment in moments]
        assert {nse.day(moment.date()).known for moment in moments} == {"assumed"}
        for moment in moments:
            assert nse.first_open(moment) < moment + timedelta(days=4)
            assert nse.next_trading_day(moment) < moment + timedelta(days=4)
            assert latest_closed_open(nse, Timeframe.D1, moment) < moment
    assert nse.day(day - timedelta(days=1)).known == "known"


def test_days_before_the_first_one_are_refused(nse: Calendar) -> None:
    for early in (nse.is_trading_day, nse.next_trading_day, nse.is_open, nse.first_open, nse.phase):
        with pytest.raises(UnknownDays, match=r"the trading days before 2015-01-01 are not known \(asked for 2014-12-01\)"):
            early(at("2014-12-01T12:00"))


@pytest.mark.parametrize(
    ("open_time", "timeframe"), [("2024-01-26T00:00", "1d"), ("2024-01-26T09:15", "1h"), ("2027-01-02T00:00", "1d")]
)
def test_a_bar_on_a_day_without_a_session_is_refused(nse: Calendar, open_time: str, timeframe: str) -> None:
    with pytest.raises(InvalidInput, match=r"there is no session on 20\d\d-01-\d\d"):
        nse.bar_close(at(open_time), Timeframe(timeframe))


MOMENTS = st.datetimes(datetime(2015, 2, 15), datetime(2026, 11, 1), timezones=st.just(UTC))  # noqa: DTZ001 - hypothesis adds UTC
CALENDARS = st.sampled_from(["crypto_binance", "indian_equity"])


@settings(max_examples=100, deadline=None)
@given(market=CALENDARS, moment=MOMENTS, timeframe=st.sampled_from(list(Timeframe)))
def test_opens_and_closes_agree(market: str, moment: datetime, timeframe: Timeframe) -> None:
    """The next close is that of the first bar that is still open; bars follow one another and do not overlap."""
    calendar = get_market(market).calendar
    close = calendar.next_bar_close(timeframe, moment)
    assert close > moment
    opens = list(calendar.bar_opens(timeframe, moment - timedelta(days=40), close))
    closes = [calendar.bar_close(open_time, timeframe) for open_time in opens]
    assert opens == sorted(set(opens))
    assert closes == sorted(set(closes))
    assert all(later >= earlier for later, earlier in zip(opens[1:], closes, strict=False))
    assert all(closes[row] - opens[row] <= timeframe.delta for row in range(len(opens)))
    assert min(bar_close for bar_close in closes if bar_close > moment) == close
    assert latest_closed_open(calendar, timeframe, close) == opens[closes.index(close)]


class TestRoundTheClock:
    """Crypto."""

    def test_bars(self, crypto: Calendar) -> None:
        start, end = at("2024-02-28T22:30Z"), at("2024-02-29T02:00Z")
        assert list(crypto.bar_opens(Timeframe.H1, start, end)) == [
            at("2024-02-28T23:00Z"),
            at("2024-02-29T00:00Z"),
            at("2024-02-29T01:00Z"),
        ]
        assert list(crypto.bar_opens(Timeframe.H1, end, end)) == []
        assert list(crypto.bar_opens(Timeframe.W1, at("2024-01-01T00:00Z"), at("2024-01-15T00:00Z"))) == [
            at("2024-01-01T00:00Z"),
            at("2024-01-08T00:00Z"),
        ]

    def test_closes(self, crypto: Calendar) -> None:
        assert crypto.bar_close(at("2024-02-29T23:00Z"), Timeframe.H1) == at("2024-03-01T00:00Z")
        assert crypto.next_bar_close(Timeframe.H1, at("2024-02-29T23:00Z")) == at("2024-03-01T00:00Z")
        assert crypto.next_bar_close(Timeframe.H1, at("2024-02-29T22:59:59Z")) == at("2024-02-29T23:00Z")
        assert crypto.next_bar_close(Timeframe.W1, at("2024-02-29T23:00Z")) == at("2024-03-04T00:00Z")
        assert latest_closed_open(crypto, Timeframe.D1, at("2024-03-01T00:00Z")) == at("2024-02-29T00:00Z")
        assert latest_closed_open(crypto, Timeframe.D1, at("2024-02-29T23:59:59Z")) == at("2024-02-28T00:00Z")

    def test_every_day_is_a_trading_day(self, crypto: Calendar) -> None:
        assert crypto.is_trading_day(at("2024-12-25T12:00Z"))
        assert crypto.next_trading_day(at("2024-12-25T00:00Z")) == at("2024-12-26T00:00Z")
        assert crypto.is_open(at("2024-12-25T03:00Z"))
        assert crypto.first_open(at("2024-12-25T03:00Z")) == at("2024-12-25T03:00Z")
        assert crypto.known_until is None

    def test_bars_a_year(self, crypto: Calendar) -> None:
        assert crypto.periods_per_year(Timeframe.D1) == 365
        assert crypto.periods_per_year(Timeframe.H1) == 8_760
