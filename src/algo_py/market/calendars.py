"""When a market trades, and when each of its bars opens and closes.

A bar's close_time comes from here and from nowhere else: round the clock it is open_time + timeframe; on an exchange with
sessions a bar ends no later than its session does, and a daily bar is stamped with local midnight.
"""

from __future__ import annotations

import warnings
from bisect import bisect_right
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta
from functools import cached_property, lru_cache
from typing import Protocol
from zoneinfo import ZoneInfo

from algo_py.errors import InvalidInput
from algo_py.market.timeframes import Timeframe


class UnknownDays(InvalidInput):
    """On which days the market trades is not known so far ahead, or so far back."""


class Calendar(Protocol):
    """The opening hours of a market, as bars see them. All moments are UTC."""

    def bar_close(self, open_time: datetime, timeframe: Timeframe) -> datetime:
        """Return when the bar that opens at `open_time` closes."""

    def bar_opens(self, timeframe: Timeframe, start: datetime, end: datetime) -> Iterator[datetime]:
        """Yield the open times of all bars in [start, end), ascending."""

    def next_bar_close(self, timeframe: Timeframe, after: datetime) -> datetime:
        """Return the first close time that is later than `after`."""

    def is_trading_day(self, moment: datetime) -> bool:
        """Return whether the market has a session on the day of its own time zone that `moment` falls on."""

    def next_trading_day(self, after: datetime) -> datetime:
        """Return the first midnight of the market's own time zone, later than `after`, with which a trading day begins."""

    def is_open(self, moment: datetime) -> bool:
        """Return whether the market trades at `moment`; a session's open counts, its close does not."""

    def first_open(self, moment: datetime) -> datetime:
        """Return `moment` itself while the market is open, else when it opens next."""

    @property
    def known_until(self) -> datetime | None:
        """The end of the last day that is known, exclusive; None where every day is."""

    def periods_per_year(self, timeframe: Timeframe) -> float:
        """Return how many bars a year has, for annualisation."""


class AlwaysOpen:
    """A market without sessions: every bar of every day, in UTC."""

    def bar_close(self, open_time: datetime, timeframe: Timeframe) -> datetime:
        return open_time + timeframe.delta

    def bar_opens(self, timeframe: Timeframe, start: datetime, end: datetime) -> Iterator[datetime]:
        moment = timeframe.floor(start)
        if moment < start:
            moment += timeframe.delta
        while moment < end:
            yield moment
            moment += timeframe.delta

    def next_bar_close(self, timeframe: Timeframe, after: datetime) -> datetime:
        return timeframe.floor(after) + timeframe.delta

    def is_trading_day(self, moment: datetime) -> bool:
        return True

    def next_trading_day(self, after: datetime) -> datetime:
        return Timeframe.D1.floor(after) + timedelta(days=1)

    def is_open(self, moment: datetime) -> bool:
        return True

    def first_open(self, moment: datetime) -> datetime:
        return moment

    @property
    def known_until(self) -> datetime | None:
        return None

    def periods_per_year(self, timeframe: Timeframe) -> float:
        return 365 * 86_400 / timeframe.seconds


@dataclass(frozen=True, slots=True)
class Session:
    """One stretch of trading, [open, close), UTC."""

    day: date
    open: datetime
    close: datetime


class SessionCalendar:
    """An exchange that trades in sessions, at most one a day.

    Intraday bars are aligned to the session's open; the last one may be shorter. Daily bars open at local midnight and
    weekly ones at Monday's, which is how Kite and most Indian sources stamp them. A day outside of what is known is refused:
    a guess here would trade on a holiday.
    """

    def __init__(self, time_zone: ZoneInfo, sessions: list[Session], *, sessions_per_year: float) -> None:
        self._zone = time_zone
        self._sessions = sorted(sessions, key=lambda session: session.open)
        self._opens = [session.open for session in self._sessions]
        self._closes = [session.close for session in self._sessions]
        self._days = [session.day for session in self._sessions]
        self._by_day = {session.day: session for session in self._sessions}
        self._sessions_per_year = sessions_per_year

    @property
    def first_day(self) -> date:
        return self._sessions[0].day

    @property
    def last_day(self) -> date:
        return self._sessions[-1].day

    @property
    def known_until(self) -> datetime:
        """The end of the last day that is known, exclusive."""
        return self._midnight(self.last_day + timedelta(days=1))

    def bar_close(self, open_time: datetime, timeframe: Timeframe) -> datetime:
        day = open_time.astimezone(self._zone).date()
        if timeframe is Timeframe.W1:
            week = [s for s in (self._by_day.get(day + timedelta(days=n)) for n in range(7)) if s]
            if week:
                return week[-1].close
        session = self._by_day.get(day)
        if session is None:
            raise InvalidInput(f"there is no session on {day}, so no bar opens at {open_time.isoformat()}")
        if timeframe is Timeframe.D1:
            return session.close
        return min(open_time + timeframe.delta, session.close)

    def bar_opens(self, timeframe: Timeframe, start: datetime, end: datetime) -> Iterator[datetime]:
        self._refuse_unknown(end - timedelta(microseconds=1))
        previous: datetime | None = None
        first = bisect_right(self._closes, start - timedelta(days=7))
        for session in self._sessions[first:]:
            for moment in self._opens_within(session, timeframe):
                if moment >= end:
                    return
                if moment >= start and moment != previous:
                    yield moment
                previous = moment

    def next_bar_close(self, timeframe: Timeframe, after: datetime) -> datetime:
        index = bisect_right(self._closes, after)
        while index < len(self._sessions):
            for moment in self._opens_within(self._sessions[index], timeframe):
                close = self.bar_close(moment, timeframe)
                if close > after:
                    return close
            index += 1
        raise self._unknown(self._after_all(after))

    def is_trading_day(self, moment: datetime) -> bool:
        day = moment.astimezone(self._zone).date()
        if not self.first_day <= day <= self.last_day:
            raise self._unknown(moment if day < self.first_day else self._after_all(moment))
        return day in self._by_day

    def next_trading_day(self, after: datetime) -> datetime:
        day = after.astimezone(self._zone).date()
        index = bisect_right(self._days, day)
        if day < self.first_day:
            raise self._unknown(after)
        if index == len(self._days):
            raise self._unknown(self._after_all(after))
        return self._midnight(self._days[index])

    def is_open(self, moment: datetime) -> bool:
        return self.first_open(moment) == moment

    def first_open(self, moment: datetime) -> datetime:
        index = bisect_right(self._closes, moment)
        if moment.astimezone(self._zone).date() < self.first_day:
            raise self._unknown(moment)
        if index == len(self._closes):
            raise self._unknown(self._after_all(moment))
        return max(moment, self._opens[index])

    def periods_per_year(self, timeframe: Timeframe) -> float:
        if timeframe is Timeframe.W1:
            return 52.0
        if timeframe is Timeframe.D1:
            return self._sessions_per_year
        return self._sessions_per_year * self._bars_per_session(timeframe)

    def _bars_per_session(self, timeframe: Timeframe) -> int:
        return sum(1 for _ in self._opens_within(self._longest_session, timeframe))

    @cached_property
    def _longest_session(self) -> Session:
        return max(self._sessions, key=lambda session: session.close - session.open)

    def _opens_within(self, session: Session, timeframe: Timeframe) -> Iterator[datetime]:
        if timeframe.is_intraday:
            moment = session.open
            while moment < session.close:
                yield moment
                moment += timeframe.delta
            return
        yield self._midnight(session.day - timedelta(days=session.day.weekday()) if timeframe is Timeframe.W1 else session.day)

    def _midnight(self, day: date) -> datetime:
        return datetime.combine(day, time(), self._zone).astimezone(UTC)

    def _refuse_unknown(self, moment: datetime) -> None:
        if moment.astimezone(self._zone).date() > self.last_day:
            raise self._unknown(moment)

    def _after_all(self, moment: datetime) -> datetime:
        """Return `moment`, or the day after the last one if that is later: the question goes beyond what is known."""
        return max(moment, datetime.combine(self.last_day + timedelta(days=1), time(), UTC))

    def _unknown(self, moment: datetime) -> UnknownDays:
        return UnknownDays(
            f"the trading days around {moment.date()} are not known (known: {self.first_day} to {self.last_day})",
            remedy="Upgrade exchange-calendars, which carries the holidays.",
        )


def latest_closed_open(calendar: Calendar, timeframe: Timeframe, now: datetime) -> datetime:
    """Return the open time of the newest bar that has closed by `now`."""
    for span in (timeframe.delta * 3, timedelta(days=35)):
        opens = list(calendar.bar_opens(timeframe, now - span, now))
        closed = [moment for moment in opens if calendar.bar_close(moment, timeframe) <= now]
        if closed:
            return closed[-1]
    raise InvalidInput(f"no bar of {timeframe} has closed in the 35 days before {now.isoformat()}")


_NSE_ZONE = ZoneInfo("Asia/Kolkata")
_NSE_OPEN, _NSE_CLOSE = time(9, 15), time(15, 30)
_NSE_FIRST_DAY = date(2015, 1, 1)

# Sessions that the holiday calendar lacks: Muhurat trading (an hour on Diwali, Laxmi Pujan), the Union Budget on a weekend, and
# the Saturdays on which NSE moved to its disaster-recovery site. Sources: NSE circulars of the holidays of each year and of the
# special sessions; each day up to 2025-09 is also present in NSE's daily bars.
_NSE_EXTRA_SESSIONS: dict[date, tuple[time, time]] = {
    date(2015, 2, 28): (_NSE_OPEN, _NSE_CLOSE),
    date(2015, 11, 11): (time(17, 45), time(18, 45)),
    date(2016, 10, 30): (time(18, 30), time(19, 30)),
    date(2017, 10, 19): (time(18, 30), time(19, 30)),
    date(2018, 11, 7): (time(17, 30), time(18, 30)),
    date(2019, 10, 27): (time(18, 15), time(19, 15)),
    date(2020, 2, 1): (_NSE_OPEN, _NSE_CLOSE),
    date(2020, 11, 14): (time(18, 15), time(19, 15)),
    date(2021, 11, 4): (time(18, 15), time(19, 15)),
    date(2022, 10, 24): (time(18, 15), time(19, 15)),
    date(2023, 11, 12): (time(18, 15), time(19, 15)),
    date(2024, 1, 20): (_NSE_OPEN, _NSE_CLOSE),
    date(2024, 3, 2): (_NSE_OPEN, time(12, 30)),
    date(2024, 5, 18): (_NSE_OPEN, time(12, 30)),
    date(2024, 11, 1): (time(18, 0), time(19, 0)),
    date(2025, 2, 1): (_NSE_OPEN, _NSE_CLOSE),
    date(2025, 10, 21): (time(13, 45), time(14, 45)),
    date(2026, 2, 1): (_NSE_OPEN, _NSE_CLOSE),
}

# Sessions a year, the mean of 2021 to 2025 with the extra ones.
NSE_SESSIONS_PER_YEAR = 248.0


@lru_cache(maxsize=1)
def nse_calendar() -> SessionCalendar:
    """Build NSE's calendar: exchange_calendars' XBOM (NSE keeps the same holidays) and the extra sessions.

    The import is here because it costs half a second and only this market needs it.
    """
    import exchange_calendars

    with warnings.catch_warnings():
        # It uses what pandas 3.1 deprecates; that is not for a trader to read.
        warnings.simplefilter("ignore", DeprecationWarning)
        known = exchange_calendars.get_calendar("XBOM", start=_NSE_FIRST_DAY.isoformat())
    hours = {day.date(): (_NSE_OPEN, _NSE_CLOSE) for day in known.sessions} | _NSE_EXTRA_SESSIONS
    sessions = [
        Session(
            day=day,
            open=datetime.combine(day, opens, _NSE_ZONE).astimezone(UTC),
            close=datetime.combine(day, closes, _NSE_ZONE).astimezone(UTC),
        )
        for day, (opens, closes) in hours.items()
    ]
    return SessionCalendar(_NSE_ZONE, sessions, sessions_per_year=NSE_SESSIONS_PER_YEAR)
