"""An exchange that trades in sessions, at most one a day."""

from __future__ import annotations

import threading
from bisect import bisect_left, bisect_right
from collections.abc import Callable, Iterator, Mapping, Sequence
from datetime import UTC, date, datetime, time, timedelta
from functools import cached_property
from itertools import islice
from typing import Final
from zoneinfo import ZoneInfo

from algo_py.errors import InvalidInput
from algo_py.market.calendars import Day, Session, UnknownDays
from algo_py.market.phases import TRADED_KINDS, Phase
from algo_py.market.timeframes import Timeframe

# How far beyond the last known day sessions are laid out at a time.
_STRETCH: Final = timedelta(days=400)
# What a session that ends late has at least between its end and its final bars.
_SETTLING: Final = timedelta(hours=2)
# No order type is without a phase for longer than this: no exchange is closed for so long.
_LONGEST_CLOSURE: Final = timedelta(days=60)


class SessionCalendar:
    """The sessions of an exchange, known ones and behind them assumed ones.

    Intraday bars are aligned to the session's open; the last one of continuous trading may be shorter. The closing auction,
    where there is one, is a bar of its own: it opens as its order entry ends, closes as matching has ended, and has one price.
    Daily bars open at local midnight and weekly ones at Monday's, which is how Kite and most Indian sources stamp them.

    `closed` are the names and sources of days that somebody said are closed. `assume` gives the session of a day beyond
    `last_day`, None when the weekly rule has none. `settled_at` is the time of day, in the market's zone, from which daily bars
    are final, but not sooner than two hours after the session's end.
    """

    def __init__(
        self,
        time_zone: ZoneInfo,
        sessions: Sequence[Session],
        *,
        sessions_per_year: float,
        last_day: date,
        assume: Callable[[date], Session | None],
        settled_at: time,
        closed: Mapping[date, tuple[str, str]] | None = None,
        source: str = "",
    ) -> None:
        self._zone = time_zone
        self._sessions_per_year = sessions_per_year
        self._assume = assume
        self._settled_at = settled_at
        self._closed = dict(closed or {})
        self._source = source
        self._lock = threading.Lock()
        self.last_day: Final = last_day
        known = sorted(sessions, key=lambda session: session.open)
        self.first_day: Final = known[0].day
        self._reached = last_day
        self._known_count = len(known)
        self._lay_out(known)

    @property
    def known_until(self) -> datetime:
        """The end of the last day that is known, exclusive."""
        return self._midnight(self.last_day + timedelta(days=1))

    def bar_close(self, open_time: datetime, timeframe: Timeframe) -> datetime:
        day = self._day(open_time)
        self._reach(day + timedelta(days=7))
        if timeframe is Timeframe.W1:
            week = [s for s in (self._by_day.get(day + timedelta(days=n)) for n in range(7)) if s]
            if week:
                return week[-1].end
        session = self._by_day.get(day)
        if session is None:
            raise InvalidInput(f"there is no session on {day}, so no bar opens at {open_time.isoformat()}")
        if timeframe is Timeframe.D1:
            return session.end
        if session.auction is not None and open_time >= session.close:
            return session.auction[1]
        return min(open_time + timeframe.delta, session.close)

    def final_at(self, open_time: datetime, timeframe: Timeframe) -> datetime:
        close = self.bar_close(open_time, timeframe)
        if timeframe.is_intraday:
            return close
        settled = datetime.combine(self._day(close), self._settled_at, self._zone).astimezone(UTC)
        return max(settled, close + _SETTLING)

    def bar_opens(self, timeframe: Timeframe, start: datetime, end: datetime) -> Iterator[datetime]:
        self._reach(self._day(end))
        previous: datetime | None = None
        first = bisect_right(self._ends, start - timedelta(days=7) if timeframe is Timeframe.W1 else start)
        for session in islice(self._sessions, first, None):
            for moment in self._opens_within(session, timeframe, start):
                if moment >= end:
                    return
                if moment >= start and moment != previous:
                    yield moment
                previous = moment

    def next_bar_close(self, timeframe: Timeframe, after: datetime) -> datetime:
        return self._next(timeframe, after, self.bar_close)

    def next_final(self, timeframe: Timeframe, after: datetime) -> datetime:
        return self._next(timeframe, after, self.final_at)

    def is_auction(self, open_time: datetime, timeframe: Timeframe) -> bool:
        if not timeframe.is_intraday:
            return False
        self._reach(self._day(open_time))
        session = self._by_day.get(self._day(open_time))
        return session is not None and session.auction is not None and open_time >= session.close

    def is_trading_day(self, moment: datetime) -> bool:
        day = self._known_or_assumed(moment)
        return day in self._by_day

    def next_trading_day(self, after: datetime) -> datetime:
        day = self._known_or_assumed(after)
        self._reach(day + _LONGEST_CLOSURE)
        return self._midnight(self._days[bisect_right(self._days, day)])

    def is_open(self, moment: datetime) -> bool:
        return self.first_open(moment) == moment

    def first_open(self, moment: datetime) -> datetime:
        self._reach(self._known_or_assumed(moment) + _LONGEST_CLOSURE)
        return max(moment, self._sessions[bisect_right(self._closes, moment)].open)

    def phase(self, moment: datetime) -> Phase | None:
        day = self._known_or_assumed(moment)
        session = self._by_day.get(day)
        return next((p for p in session.phases if p.start <= moment < p.end), None) if session is not None else None

    def next_entry(self, order_type: str, moment: datetime) -> Phase:
        day = self._known_or_assumed(moment)
        self._reach(day + _LONGEST_CLOSURE)
        for session in islice(self._sessions, bisect_left(self._days, day), None):
            for phase in session.phases:
                if phase.end > moment and phase.kind in TRADED_KINDS and order_type in phase.takes:
                    return phase
        raise InvalidInput(f"no phase after {moment.isoformat()} takes a {order_type} order")

    def day(self, day: date) -> Day:
        if day < self.first_day:
            raise self._unknown(day)
        self._reach(day)
        session = self._by_day.get(day)
        name, source = self._closed.get(day, ("", self._source)) if session is None else (session.name, session.source)
        if self._is_assumed(day):
            return Day(day, session, name, "the weekly rule", "assumed")
        return Day(day, session, name, source, "known")

    def is_assumed(self, moment: datetime) -> bool:
        return self._is_assumed(self._day(moment))

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
        return max(self._sessions[: self._known_count], key=lambda session: session.close - session.open)

    def _next(self, timeframe: Timeframe, after: datetime, when: Callable[[datetime, Timeframe], datetime]) -> datetime:
        """Return the first moment later than `after` that `when` has for a bar."""
        day = self._known_or_assumed(after)
        self._reach(day + _LONGEST_CLOSURE)
        # An intraday bar closes, and is final, within its session: what has ended by then has no later one.
        first = bisect_right(self._ends, after) if timeframe.is_intraday else bisect_left(self._days, day - timedelta(days=7))
        for row in range(first, len(self._sessions)):
            for open_time in self._opens_within(self._sessions[row], timeframe, since=after - timeframe.delta):
                moment = when(open_time, timeframe)
                if moment > after:
                    return moment
        raise InvalidInput(f"no bar of {timeframe} closes after {after.isoformat()}")

    def _opens_within(self, session: Session, timeframe: Timeframe, since: datetime | None = None) -> Iterator[datetime]:
        """Yield when the session's bars open; without those long before `since`."""
        if timeframe.is_intraday:
            moment = session.open
            if since is not None and since > moment:
                moment += (since - moment) // timeframe.delta * timeframe.delta
            while moment < session.close:
                yield moment
                moment += timeframe.delta
            if session.auction is not None:
                yield session.auction[0]
            return
        yield self._midnight(session.day - timedelta(days=session.day.weekday()) if timeframe is Timeframe.W1 else session.day)

    def _is_assumed(self, day: date) -> bool:
        """Return whether nobody has spoken of a day: beyond the last known one somebody may have written down single days."""
        if day <= self.last_day or day in self._closed:
            return False
        self._reach(day)
        session = self._by_day.get(day)
        return session is None or not session.is_known

    def _midnight(self, day: date) -> datetime:
        return datetime.combine(day, time(), self._zone).astimezone(UTC)

    def _day(self, moment: datetime) -> date:
        return moment.astimezone(self._zone).date()

    def _known_or_assumed(self, moment: datetime) -> date:
        """Return the day of `moment`, with its sessions laid out. Raises UnknownDays for one before the first."""
        day = self._day(moment)
        if day < self.first_day:
            raise self._unknown(day)
        self._reach(day)
        return day

    def _reach(self, day: date) -> None:
        """Lay out assumed sessions at least as far as `day`."""
        if day <= self._reached:
            return
        with self._lock:
            if day <= self._reached:
                return
            until = day + _STRETCH
            days = (self._reached + timedelta(days=n) for n in range(1, (until - self._reached).days + 1))
            more = [session for session in map(self._assume, days) if session is not None]
            self._lay_out([*self._sessions, *more])
            self._reached = until

    def _lay_out(self, sessions: list[Session]) -> None:
        # Others may be reading: longer lists take the place of shorter ones, no list ever changes, and what is found in the lists
        # of moments is there in the list of sessions already.
        self._sessions = sessions
        self._by_day = {session.day: session for session in sessions}
        self._ends = [session.end for session in sessions]
        self._closes = [session.close for session in sessions]
        self._days = [session.day for session in sessions]

    def _unknown(self, day: date) -> UnknownDays:
        return UnknownDays(f"the trading days before {self.first_day} are not known (asked for {day})", remedy="Start later.")
