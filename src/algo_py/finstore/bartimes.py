"""Which bars a symbol has: open times, closedness and finality by its calendar, on arrays of microseconds.

Shares that trade alike share one calendar object, and everything that is kept here is kept by calendar.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from datetime import UTC, date, datetime, timedelta
from functools import lru_cache
from zoneinfo import ZoneInfo

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from algo_py.errors import InvalidInput
from algo_py.finstore.frames import from_us, to_us
from algo_py.market import Calendar, Market, Timeframe
from algo_py.market.calendars import AlwaysOpen, Session
from algo_py.market.sessions import SessionCalendar

_US = 1_000_000
# No calendar is closed for longer than this, and no bar takes longer than a week and a day to be final.
_LONGEST_BREAK = timedelta(days=35)
_LONGEST_TO_FINAL = timedelta(days=15)
_LONGEST_AUCTION_US = 3_600 * _US
_YEARS_AHEAD = 10
_BARS_OF_A_DAY = 1_440

Times = NDArray[np.int64]


def expected_opens(calendar: Calendar, timeframe: Timeframe, first_us: int, last_us: int) -> Times:
    """Return the open times of all bars that the calendar has from `first_us` to `last_us`, both included.

    Beyond the days that are known those of assumed sessions are among them (`assumed`).
    """
    if isinstance(calendar, AlwaysOpen):
        first = to_us(timeframe.floor(from_us(first_us)))
        step = timeframe.seconds * _US
        return np.arange(first if first >= first_us else first + step, last_us + 1, step, dtype=np.int64)
    if not isinstance(calendar, SessionCalendar):
        opens = calendar.bar_opens(timeframe, from_us(first_us), from_us(last_us) + timedelta(microseconds=1))
        return np.fromiter((to_us(moment) for moment in opens), dtype=np.int64)
    years = years_of(calendar, first_us, last_us)
    known = np.concatenate([np.empty(0, dtype=np.int64), *(_opens_of_year(calendar, timeframe, year) for year in years)])
    return known[np.searchsorted(known, first_us) : np.searchsorted(known, last_us, side="right")]


def years_of(calendar: SessionCalendar, first_us: int, last_us: int) -> range:
    """Return the years (UTC) from one bar to another in which the calendar may have sessions."""
    # For a time that is nonsense no sessions are assumed up to it: nothing is expected so far ahead.
    last = min(from_us(last_us).year, calendar.known_until.year + _YEARS_AHEAD)
    return range(max(from_us(first_us).year, calendar.first_day.year), last + 1)


@lru_cache(maxsize=512)
def _opens_of_year(calendar: SessionCalendar, timeframe: Timeframe, year: int) -> Times:
    """Return the open times of one year's bars; to list them one by one takes longer than everything else about them.

    A calendar never changes its mind: when facts do, another object takes its place.
    """
    start, end = datetime(year, 1, 1, tzinfo=UTC), datetime(year + 1, 1, 1, tzinfo=UTC)
    if timeframe.is_intraday:
        parts = [np.empty(0, dtype=np.int64)]
        for session in sessions_of_year(calendar, year):
            parts.append(np.arange(to_us(session.open), to_us(session.close), timeframe.seconds * _US))
            if session.auction is not None:
                parts.append(np.array([to_us(session.auction[0])]))
        found = np.concatenate(parts)
    else:
        found = np.fromiter((to_us(moment) for moment in calendar.bar_opens(timeframe, start, end)), dtype=np.int64)
    found = found[(found >= to_us(start)) & (found < to_us(end))]
    found.flags.writeable = False
    return found


def sessions_of_year(calendar: SessionCalendar, year: int) -> Iterator[Session]:
    """Yield the sessions of a year's days, ascending, and those of a day before and after: a year ends at UTC's midnight."""
    first = max(date(year - 1, 12, 31), calendar.first_day)
    for number in range((date(year + 1, 1, 1) - first).days + 1):
        session = calendar.day(first + timedelta(days=number)).session
        if session is not None:
            yield session


def opens_of_any(calendars: Iterable[Calendar], timeframe: Timeframe, first_us: int, last_us: int) -> Times:
    """Return the open times that any of these calendars has from `first_us` to `last_us`, both included, ascending."""
    parts = [expected_opens(calendar, timeframe, first_us, last_us) for calendar in dict.fromkeys(calendars)]
    return parts[0] if len(parts) == 1 else np.unique(np.concatenate([np.empty(0, dtype=np.int64), *parts]))


def expected_rows(calendar: Calendar, timeframe: Timeframe, first_us: int, last_us: int) -> int:
    """Return how many bars the calendar has from the bar `first_us` to the bar `last_us`, both included."""
    if isinstance(calendar, AlwaysOpen):
        return (last_us - first_us) // (timeframe.seconds * _US) + 1
    return len(expected_opens(calendar, timeframe, first_us, last_us))


def off_calendar(calendar: Calendar, timeframe: Timeframe, times: Times) -> NDArray[np.bool_]:
    """Return which of these open times are not those of a bar of this calendar."""
    if isinstance(calendar, AlwaysOpen):
        origin = to_us(timeframe.floor(from_us(int(times.min()))))
        return np.asarray((times - origin) % (timeframe.seconds * _US) != 0)
    return ~np.isin(times, expected_opens(calendar, timeframe, int(times.min()), int(times.max())))


def closed(calendar: Calendar, timeframe: Timeframe, times: Times, now_us: int) -> NDArray[np.bool_]:
    """Return which of these bars have closed by `now_us`. Every time must be on the calendar."""
    result = np.asarray(times + timeframe.seconds * _US <= now_us)  # a bar lasts longer than its timeframe in an auction only
    if isinstance(calendar, AlwaysOpen):
        return result
    # A session may end its last bar early. A bar that opens after now is forming whatever the calendar says.
    doubtful = (times < now_us) & (times > now_us - timeframe.seconds * _US - _LONGEST_AUCTION_US)
    for row in np.flatnonzero(doubtful):
        result[row] = to_us(calendar.bar_close(from_us(times[row]), timeframe)) <= now_us
    return result


def provisional(calendar: Calendar, timeframe: Timeframe, times: Times, as_of_us: int) -> NDArray[np.bool_]:
    """Return which of these closed bars were not final yet at `as_of_us`. Every time must be on the calendar.

    Round the clock, and within a day, a bar is final as it closes.
    """
    result = np.zeros(len(times), dtype=np.bool_)
    if isinstance(calendar, AlwaysOpen) or timeframe.is_intraday:
        return result
    for row in np.flatnonzero(times > as_of_us - _LONGEST_TO_FINAL // timedelta(microseconds=1)):
        result[row] = to_us(calendar.final_at(from_us(times[row]), timeframe)) > as_of_us
    return result


def newest_closed_us(calendar: Calendar, timeframe: Timeframe, now_us: int) -> int:
    """Return the open time of the newest bar that has closed by `now_us`. Raises InvalidInput when none has in 35 days."""
    opens = expected_opens(calendar, timeframe, now_us - _LONGEST_BREAK // timedelta(microseconds=1), now_us - 1)
    for us in opens[::-1]:
        if to_us(calendar.bar_close(from_us(us), timeframe)) <= now_us:
            return int(us)
    raise InvalidInput(f"no bar of {timeframe} has closed in the 35 days before {from_us(now_us).isoformat()}")


def assumed(calendar: Calendar, times: Times) -> NDArray[np.bool_]:
    """Return which of these bars fall on days of which nobody has said yet whether the market trades on them."""
    known_until = calendar.known_until
    if known_until is None or not len(times) or times[-1] < to_us(known_until):
        return np.zeros(len(times), dtype=np.bool_)
    return np.asarray(times >= to_us(known_until))


def seemingly_closed(calendar: Calendar, zone: ZoneInfo, missing: Times, stored: Times) -> NDArray[np.bool_]:
    """Return which missing bars fall on an assumed day of which no bar is stored: the market seems to have been closed.

    Both ascending; days are those of `zone`, the market's.
    """
    result = assumed(calendar, missing)
    if result.any():
        since = max(0, int(np.searchsorted(stored, missing[np.argmax(result)])) - 1)
        result &= ~np.isin(_days(missing, zone), _days(stored[max(0, since - _BARS_OF_A_DAY) :], zone))
    return result


def off_calendar_error(market: Market, timeframe: Timeframe, symbol: str, us: int) -> InvalidInput:
    """Return the refusal of a bar that the symbol's calendar does not have."""
    zone = market.time_zone
    moment = from_us(us)
    calendar = market.calendar_of(symbol)
    if isinstance(calendar, SessionCalendar) and moment.astimezone(zone).date() < calendar.first_day:
        return InvalidInput(
            f"the sessions of {market.name} before {calendar.first_day} are not known (bar of {symbol} at {moment.isoformat()})",
            remedy="Leave earlier bars out.",
        )
    rule = {
        Timeframe.D1: f"Daily bars open at midnight {zone.key}, on trading days.",
        Timeframe.W1: f"Weekly bars open on Monday at midnight {zone.key}.",
    }.get(timeframe, f"{timeframe} bars open at whole steps from the start of the session.")
    return InvalidInput(
        f"{market.name} has no {timeframe} bar that opens at {moment.isoformat()} ({symbol})", remedy=f"{rule} Leave it out."
    )


def _days(times: Times, zone: ZoneInfo) -> NDArray[np.datetime64]:
    """Return the day of a time zone that each of these bars opens on."""
    local = pd.DatetimeIndex(times.view("M8[us]"), tz="UTC").tz_convert(zone).tz_localize(None)
    return np.asarray(local.to_numpy().astype("M8[D]"))
