"""NSE's calendar, made of its sources in order: exchange-calendars, the records shipped here, the workspace's own file.

The later source wins, and each day says where it comes from. Beyond the last day that they know, Monday to Friday are assumed.
"""

from __future__ import annotations

import warnings
from dataclasses import dataclass, replace
from datetime import UTC, date, datetime, time, timedelta
from functools import lru_cache
from typing import Final
from zoneinfo import ZoneInfo

from algo_py.market.calendars import Session
from algo_py.market.derivatives import Listed
from algo_py.market.facts import record_on
from algo_py.market.own_facts import OwnDay, own_facts
from algo_py.market.phases import (
    CAS_FIRST_DAY,
    NSE_SHARE,
    NSE_SHARE_WITH_DERIVATIVES,
    DayRule,
    Phase,
    PhaseKind,
    PhaseRule,
)
from algo_py.market.sessions import SessionCalendar

MARKET_NAME: Final = "indian_equity"
ZONE: Final = ZoneInfo("Asia/Kolkata")
_FIRST_DAY: Final = date(2015, 1, 1)
_FRIDAY: Final = 4
_OWN_FILE: Final = "config/calendar.toml"
_WEEKLY_RULE: Final = "the weekly rule"

# Sessions a year, the mean of 2021 to 2025 with the extra ones.
SESSIONS_PER_YEAR: Final = 248.0

# Brokers show a day's official close after the exchange's end-of-day files, which come out in the evening.
SETTLED_AT: Final = time(20)


@dataclass(frozen=True, slots=True)
class _Hours:
    """A day of continuous trading outside of the ordinary rules; None: closed."""

    name: str
    source: str
    hours: tuple[time, time] | None


_WHOLE_DAY: Final = (time(9, 15), time(15, 30))


def _muhurat(circular: str, opens: time, closes: time) -> _Hours:
    return _Hours("Muhurat trading", circular, (opens, closes))


_SEEN: Final = "NSE, circular of the special session; the day is in NSE's daily bars"
_BUDGET: Final = "Union Budget"
_RECOVERY: Final = "session from the disaster-recovery site"

# Sessions that exchange-calendars lacks: Muhurat trading (an hour on Diwali, Laxmi Pujan), the Union Budget on a weekend, and the
# Saturdays on which NSE moved to its disaster-recovery site.
_EXTRA_SESSIONS: Final[dict[date, _Hours]] = {
    date(2015, 2, 28): _Hours(_BUDGET, _SEEN, _WHOLE_DAY),
    date(2015, 11, 11): _muhurat(_SEEN, time(17, 45), time(18, 45)),
    date(2016, 10, 30): _muhurat(_SEEN, time(18, 30), time(19, 30)),
    date(2017, 10, 19): _muhurat(_SEEN, time(18, 30), time(19, 30)),
    date(2018, 11, 7): _muhurat(_SEEN, time(17, 30), time(18, 30)),
    date(2019, 10, 27): _muhurat(_SEEN, time(18, 15), time(19, 15)),
    date(2020, 2, 1): _Hours(_BUDGET, _SEEN, _WHOLE_DAY),
    date(2020, 11, 14): _muhurat(_SEEN, time(18, 15), time(19, 15)),
    date(2021, 11, 4): _muhurat(_SEEN, time(18, 15), time(19, 15)),
    date(2022, 10, 24): _muhurat(_SEEN, time(18, 15), time(19, 15)),
    date(2023, 11, 12): _muhurat(_SEEN, time(18, 15), time(19, 15)),
    date(2024, 1, 20): _Hours("special session", _SEEN, _WHOLE_DAY),
    date(2024, 3, 2): _Hours(_RECOVERY, _SEEN, (time(9, 15), time(12, 30))),
    date(2024, 5, 18): _Hours(_RECOVERY, _SEEN, (time(9, 15), time(12, 30))),
    date(2024, 11, 1): _muhurat(_SEEN, time(18), time(19)),
    date(2025, 2, 1): _Hours(_BUDGET, _SEEN, _WHOLE_DAY),
    date(2025, 10, 21): _muhurat("NSE, circular of 2025-09-22", time(13, 45), time(14, 45)),
    date(2026, 2, 1): _Hours(_BUDGET, _SEEN, _WHOLE_DAY),
    # The circular names the day and leaves the hours to a later one; those of most years are taken.
    date(2026, 11, 8): _muhurat("NSE/FAOP/71777 of 2025-12-12 (the day; its hours as in most years)", time(18, 15), time(19, 15)),
}


def nse_calendar(symbol: str | None = None) -> SessionCalendar:
    """Return NSE's calendar for a share, or the one of shares without derivatives.

    The same object for shares that trade alike, as long as no file of facts changes. Its first use costs half a second, for
    exchange-calendars.
    """
    facts = own_facts()
    stretches = () if symbol is None else facts.listings.get(symbol, ())
    # What was before closing auctions began makes no difference, and shares that differ in nothing else share a calendar.
    auctioned = tuple(s for s in stretches if s.until is None or s.until >= CAS_FIRST_DAY)
    own = facts.of(MARKET_NAME)
    return _built(own.days, own.known_through, tuple(_clipped(stretch) for stretch in auctioned))


def shipped_calendar() -> SessionCalendar:
    """Return NSE's calendar as it is shipped, without what a person has written down."""
    return _built((), None, ())


def exchange_days() -> tuple[tuple[date, ...], date, str]:
    """Return the sessions that exchange-calendars has for NSE, the last day that it knows, and its name and version."""
    return _exchange_days()


def _clipped(stretch: Listed) -> Listed:
    return Listed(None if stretch.since is None or stretch.since <= CAS_FIRST_DAY else stretch.since, stretch.until)


@lru_cache(maxsize=1)
def _exchange_days() -> tuple[tuple[date, ...], date, str]:
    import exchange_calendars  # here because it costs half a second and only this market needs it
    from exchange_calendars.exchange_calendar_xbom import XBOMExchangeCalendar  # NSE keeps the holidays of BSE

    with warnings.catch_warnings():
        # It uses what pandas 3.1 deprecates; that is not for a trader to read.
        warnings.simplefilter("ignore", DeprecationWarning)
        # Its own end would be a year from today: a clock that is wrong would cut off what is known.
        last = XBOMExchangeCalendar.bound_max()
        known = exchange_calendars.get_calendar("XBOM", start=_FIRST_DAY.isoformat(), end=last)
    return tuple(day.date() for day in known.sessions), last.date(), f"exchange-calendars {exchange_calendars.__version__}"


@lru_cache(maxsize=16)
def _built(own_days: tuple[OwnDay, ...], own_known_through: date | None, with_derivatives: tuple[Listed, ...]) -> SessionCalendar:
    ordinary, last_day, library = _exchange_days()
    written_from = last_day + timedelta(days=1)
    if own_known_through is not None and own_known_through > last_day:
        # Somebody has written down all holidays up to that day: what is not among them is known to be an ordinary day.
        written = (last_day + timedelta(days=n) for n in range(1, (own_known_through - last_day).days + 1))
        ordinary = (*ordinary, *filter(_is_week_day, written))
        last_day = own_known_through
    special = _EXTRA_SESSIONS | {day.day: _own_hours(day) for day in own_days}

    def session_of(day: date) -> Session | None:
        hours = special.get(day)
        if hours is not None and hours.hours != _WHOLE_DAY:
            return None if hours.hours is None else _special(day, *hours.hours, hours)
        rules = NSE_SHARE_WITH_DERIVATIVES if any(stretch.holds_on(day) for stretch in with_derivatives) else NSE_SHARE
        rule = record_on(rules, day).value
        if hours is not None:
            return _ordinary(day, rule, hours.name, hours.source)
        if day > last_day:
            return _ordinary(day, rule, "", _WEEKLY_RULE, is_known=False)
        return _ordinary(day, rule, "", library if day < written_from else _OWN_FILE)

    days = sorted({*ordinary, *(day for day in special if day <= last_day)})
    return SessionCalendar(
        ZONE,
        [session for session in map(session_of, days) if session is not None],
        sessions_per_year=SESSIONS_PER_YEAR,
        last_day=last_day,
        assume=lambda day: session_of(day) if _is_week_day(day) or day in special else None,
        settled_at=SETTLED_AT,
        closed={day: (hours.name, hours.source) for day, hours in special.items() if hours.hours is None},
        source=library,
    )


def _is_week_day(day: date) -> bool:
    return day.weekday() <= _FRIDAY


def _own_hours(day: OwnDay) -> _Hours:
    hours = None if day.opens is None or day.closes is None else (day.opens, day.closes)
    return _Hours(day.name, day.source or _OWN_FILE, hours)


def _at(day: date, moment: time) -> datetime:
    return datetime.combine(day, moment, ZONE).astimezone(UTC)


def _ordinary(day: date, rule: DayRule, name: str, source: str, *, is_known: bool = True) -> Session:
    (continuous,) = rule.of_kind(PhaseKind.CONTINUOUS)
    auction = None
    if rule.auction is not None:
        matching = rule.of_kind(PhaseKind.CLOSING_AUCTION)[-1]
        auction = (_at(day, matching.start), _at(day, matching.end))
    phases = tuple(_phase(day, phase) for phase in rule.phases)
    return Session(
        day, _at(day, continuous.start), _at(day, continuous.end), phases, auction, name, source, is_known, rule.auction
    )


def _special(day: date, opens: time, closes: time, hours: _Hours) -> Session:
    """Return a session that is not a whole day: of its phases only continuous trading is known beforehand."""
    (continuous,) = NSE_SHARE[0].value.of_kind(PhaseKind.CONTINUOUS)
    phase = _phase(day, replace(continuous, start=opens, end=closes))
    return Session(day, phase.start, phase.end, (phase,), None, hours.name, hours.source)


def _phase(day: date, rule: PhaseRule) -> Phase:
    random_end = None if rule.random_end_from is None else _at(day, rule.random_end_from)
    return Phase(rule.name, rule.kind, _at(day, rule.start), _at(day, rule.end), rule.takes, rule.matching, random_end)
