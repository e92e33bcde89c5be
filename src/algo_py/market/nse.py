"""NSE's calendar, made of its sources in order: exchange-calendars, the records shipped here, the workspace's own file.

The later source wins, and each day says where it comes from. Beyond the last day that they know, Monday to Friday are assumed.
"""

from __future__ import annotations

import warnings
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta
from functools import lru_cache
from typing import Final
from zoneinfo import ZoneInfo

from algo_py.market.calendars import Session
from algo_py.market.derivatives import Listed
from algo_py.market.facts import record_on
from algo_py.market.own_facts import OwnMarket, own_facts
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
    own = own_facts()
    stretches = () if symbol is None else own.listings.get(symbol, ())
    # What was before closing auctions began makes no difference, and shares that differ in nothing else share a calendar.
    auctioned = tuple(s for s in stretches if s.until is None or s.until >= CAS_FIRST_DAY)
    return _built(_Hashed(own.of(MARKET_NAME)), tuple(_clipped(stretch) for stretch in auctioned))


def exchange_days() -> tuple[tuple[date, ...], date, str]:
    """Return the sessions that exchange-calendars has for NSE, the last day that it knows, and its name and version."""
    return _exchange_days()


class _Hashed:
    """A market's own facts by identity: they are the same object until the file changes."""

    def __init__(self, own: OwnMarket) -> None:
        self.own = own
        self._key = (own.days, own.known_through)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, _Hashed) and other._key == self._key

    def __hash__(self) -> int:
        return hash(self._key)


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
def _built(hashed: _Hashed, with_derivatives: tuple[Listed, ...]) -> SessionCalendar:
    own = hashed.own
    days, last_day, source = _exchange_days()
    ordinary: dict[date, _Hours | None] = dict.fromkeys(days)
    special: dict[date, _Hours] = dict(_EXTRA_SESSIONS)
    for day in own.days:
        hours = None if day.opens is None or day.closes is None else (day.opens, day.closes)
        special[day.day] = _Hours(day.name, day.source or "config/calendar.toml", hours)
    if own.known_through is not None and own.known_through > last_day:
        # Somebody has written down all holidays up to that day: what is not among them is known to be an ordinary day.
        written = ((last_day + timedelta(days=n)) for n in range(1, (own.known_through - last_day).days + 1))
        ordinary.update(dict.fromkeys(day for day in written if day.weekday() <= _FRIDAY))
        last_day = own.known_through

    def session_of(day: date, known_source: str | None) -> Session | None:
        hours = special.get(day)
        if hours is not None and hours.hours is None:
            return None
        if hours is not None and hours.hours != _WHOLE_DAY:
            return _special(day, hours)
        name, source = (hours.name, hours.source) if hours is not None else ("", known_source or "the weekly rule")
        rules = NSE_SHARE_WITH_DERIVATIVES if any(stretch.holds_on(day) for stretch in with_derivatives) else NSE_SHARE
        is_known = known_source is not None or hours is not None
        return _ordinary(day, record_on(rules, day).value, name, source, is_known=is_known)

    written_source = {day.day for day in own.days}
    all_days = sorted({*ordinary, *(day for day in special if day <= last_day)})
    sessions = [
        session
        for day in all_days
        if (session := session_of(day, source if day not in written_source else "config/calendar.toml")) is not None
    ]

    def assume(day: date) -> Session | None:
        return session_of(day, None) if day.weekday() <= _FRIDAY or day in special else None

    return SessionCalendar(
        ZONE,
        sessions,
        sessions_per_year=SESSIONS_PER_YEAR,
        last_day=last_day,
        assume=assume,
        settled_at=SETTLED_AT,
        closed={day: (hours.name, hours.source) for day, hours in special.items() if hours.hours is None},
        source=source,
    )


def _at(day: date, moment: time) -> datetime:
    return datetime.combine(day, moment, ZONE).astimezone(UTC)


def _ordinary(day: date, rule: DayRule, name: str, source: str, *, is_known: bool) -> Session:
    (continuous,) = rule.of_kind(PhaseKind.CONTINUOUS)
    auction = None
    if rule.auction is not None:
        matching = rule.of_kind(PhaseKind.CLOSING_AUCTION)[-1]
        auction = (_at(day, matching.start), _at(day, matching.end))
    phases = tuple(_phase(day, phase) for phase in rule.phases)
    return Session(
        day, _at(day, continuous.start), _at(day, continuous.end), phases, auction, name, source, is_known, rule.auction
    )


def _special(day: date, hours: _Hours) -> Session:
    """Return a session that is not a whole day: of its phases only continuous trading is known beforehand."""
    (opens, closes) = hours.hours or _WHOLE_DAY
    (continuous,) = NSE_SHARE[0].value.of_kind(PhaseKind.CONTINUOUS)
    rule = PhaseRule(continuous.name, continuous.kind, opens, closes, continuous.takes, continuous.matching)
    return Session(day, _at(day, opens), _at(day, closes), (_phase(day, rule),), None, hours.name, hours.source)


def _phase(day: date, rule: PhaseRule) -> Phase:
    random_end = None if rule.random_end_from is None else _at(day, rule.random_end_from)
    return Phase(rule.name, rule.kind, _at(day, rule.start), _at(day, rule.end), rule.takes, rule.matching, random_end)
