"""The hours of several symbols at once, where they differ: a universe trades while one of its symbols does."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from datetime import date, datetime, timedelta
from heapq import merge

from algo_py.errors import InvalidInput
from algo_py.market.calendars import Calendar, Day
from algo_py.market.phases import Phase
from algo_py.market.timeframes import Timeframe


class UniverseCalendar:
    """The union of calendars of one market. A bar that several of them have closes as the last of them does.

    `phase` and `next_entry` are the earliest of any symbol; what an order may do is asked of its own symbol's calendar.
    """

    def __init__(self, calendars: Sequence[Calendar]) -> None:
        self._calendars = tuple(calendars)

    def bar_close(self, open_time: datetime, timeframe: Timeframe) -> datetime:
        return max(calendar.bar_close(open_time, timeframe) for calendar in self._having(open_time, timeframe))

    def final_at(self, open_time: datetime, timeframe: Timeframe) -> datetime:
        return max(calendar.final_at(open_time, timeframe) for calendar in self._having(open_time, timeframe))

    def bar_opens(self, timeframe: Timeframe, start: datetime, end: datetime) -> Iterator[datetime]:
        previous: datetime | None = None
        for moment in merge(*(calendar.bar_opens(timeframe, start, end) for calendar in self._calendars)):
            if moment != previous:
                yield moment
            previous = moment

    def next_bar_close(self, timeframe: Timeframe, after: datetime) -> datetime:
        return self._next(timeframe, after, self.bar_close)

    def next_final(self, timeframe: Timeframe, after: datetime) -> datetime:
        return self._next(timeframe, after, self.final_at)

    def is_auction(self, open_time: datetime, timeframe: Timeframe) -> bool:
        return all(calendar.is_auction(open_time, timeframe) for calendar in self._having(open_time, timeframe))

    def is_trading_day(self, moment: datetime) -> bool:
        return any(calendar.is_trading_day(moment) for calendar in self._calendars)

    def next_trading_day(self, after: datetime) -> datetime:
        return min(calendar.next_trading_day(after) for calendar in self._calendars)

    def is_open(self, moment: datetime) -> bool:
        return any(calendar.is_open(moment) for calendar in self._calendars)

    def first_open(self, moment: datetime) -> datetime:
        return min(calendar.first_open(moment) for calendar in self._calendars)

    def phase(self, moment: datetime) -> Phase | None:
        phases = [phase for calendar in self._calendars if (phase := calendar.phase(moment)) is not None]
        return next((phase for phase in phases if phase.takes), phases[0] if phases else None)

    def next_entry(self, order_type: str, moment: datetime) -> Phase:
        return min((calendar.next_entry(order_type, moment) for calendar in self._calendars), key=lambda phase: phase.start)

    def day(self, day: date) -> Day:
        return self._calendars[0].day(day)

    def is_assumed(self, moment: datetime) -> bool:
        return any(calendar.is_assumed(moment) for calendar in self._calendars)

    @property
    def known_until(self) -> datetime | None:
        known = [calendar.known_until for calendar in self._calendars]
        return min((moment for moment in known if moment is not None), default=None)

    def periods_per_year(self, timeframe: Timeframe) -> float:
        return max(calendar.periods_per_year(timeframe) for calendar in self._calendars)

    def _having(self, open_time: datetime, timeframe: Timeframe) -> list[Calendar]:
        instant = timedelta(microseconds=1)
        having = [
            calendar
            for calendar in self._calendars
            if next(calendar.bar_opens(timeframe, open_time, open_time + instant), None) is not None
        ]
        if not having:
            raise InvalidInput(f"no symbol has a {timeframe} bar that opens at {open_time.isoformat()}")
        return having

    def _next(self, timeframe: Timeframe, after: datetime, when: Callable[[datetime, Timeframe], datetime]) -> datetime:
        # How long ago a bar may have opened that is not over; an auction's bar may be longer than the others.
        behind = timeframe.delta + timedelta(hours=1) if timeframe.is_intraday else timedelta(days=8)
        found: datetime | None = None
        for open_time in self.bar_opens(timeframe, after - behind, after + timedelta(days=35)):
            if found is not None and open_time >= found:
                return found  # what opens later closes later
            moment = when(open_time, timeframe)
            if moment > after and (found is None or moment < found):
                found = moment
        if found is not None:
            return found
        raise InvalidInput(f"no bar of {timeframe} closes after {after.isoformat()}")
