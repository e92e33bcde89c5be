"""Which bars a market has: open times and closedness by its calendar, on arrays of microseconds."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

from algo_py.errors import InvalidInput
from algo_py.finstore.frames import from_us, to_us
from algo_py.market import Market, Timeframe
from algo_py.market.calendars import AlwaysOpen
from algo_py.market.sessions import SessionCalendar

_US = 1_000_000


def expected_opens(market: Market, timeframe: Timeframe, first_us: int, last_us: int) -> NDArray[np.int64]:
    """Return the open times of all bars that the market has from `first_us` to `last_us`, both included."""
    calendar = market.calendar
    if isinstance(calendar, AlwaysOpen):
        first = to_us(timeframe.floor(from_us(first_us)))
        step = timeframe.seconds * _US
        return np.arange(first if first >= first_us else first + step, last_us + 1, step, dtype=np.int64)
    if not isinstance(calendar, SessionCalendar) or from_us(last_us) >= calendar.known_until:
        opens = calendar.bar_opens(timeframe, from_us(first_us), from_us(last_us) + timedelta(microseconds=1))
        return np.fromiter((to_us(moment) for moment in opens), dtype=np.int64)
    years = range(from_us(first_us).year, from_us(last_us).year + 1)
    known = np.concatenate([np.empty(0, dtype=np.int64), *(_opens_of_year(calendar, timeframe, year) for year in years)])
    return known[np.searchsorted(known, first_us) : np.searchsorted(known, last_us, side="right")]


@lru_cache(maxsize=512)
def _opens_of_year(calendar: SessionCalendar, timeframe: Timeframe, year: int) -> NDArray[np.int64]:
    """Return the open times of one year's bars; to list them day by day takes longer than everything else about them."""
    start, end = datetime(year, 1, 1, tzinfo=UTC), min(datetime(year + 1, 1, 1, tzinfo=UTC), calendar.known_until)
    opens = calendar.bar_opens(timeframe, start, end) if start < end else iter(())
    found = np.fromiter((to_us(moment) for moment in opens), dtype=np.int64)
    found.flags.writeable = False
    return found


def expected_rows(market: Market, timeframe: Timeframe, first_us: int, last_us: int) -> int:
    """Return how many bars the market has from the bar `first_us` to the bar `last_us`, both included."""
    if isinstance(market.calendar, AlwaysOpen):
        return (last_us - first_us) // (timeframe.seconds * _US) + 1
    return len(expected_opens(market, timeframe, first_us, last_us))


def off_calendar(market: Market, timeframe: Timeframe, times: NDArray[np.int64]) -> NDArray[np.bool_]:
    """Return which of these open times are not those of a bar of this market."""
    if isinstance(market.calendar, AlwaysOpen):
        origin = to_us(timeframe.floor(from_us(int(times.min()))))
        return np.asarray((times - origin) % (timeframe.seconds * _US) != 0)
    return ~np.isin(times, expected_opens(market, timeframe, int(times.min()), int(times.max())))


def closed(market: Market, timeframe: Timeframe, times: NDArray[np.int64], now_us: int) -> NDArray[np.bool_]:
    """Return which of these bars have closed by `now_us`. Every time must be on the calendar."""
    result = np.asarray(times + timeframe.seconds * _US <= now_us)  # no bar lasts longer than its timeframe
    if not isinstance(market.calendar, AlwaysOpen):
        # A session may end its last bar early. A bar that opens after now is forming whatever the calendar says.
        for us in np.unique(times[~result & (times < now_us)]):
            if to_us(market.calendar.bar_close(from_us(us), timeframe)) <= now_us:
                result |= times == us
    return result


def off_calendar_error(market: Market, timeframe: Timeframe, symbol: str, us: int) -> InvalidInput:
    """Return the refusal of a bar that the market's calendar does not have."""
    zone = market.time_zone
    moment = from_us(us)
    calendar = market.calendar
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
