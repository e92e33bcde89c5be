"""Changes what a person has written down about a market's days: pure functions from one `OwnMarket` to the next."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from datetime import date
from pathlib import Path
from typing import Final

from algo_py.errors import Conflict, InvalidInput, NotFound
from algo_py.market.calendars import AlwaysOpen, Calendar
from algo_py.market.holiday_file import HolidayFile
from algo_py.market.markets import Market
from algo_py.market.own_facts import OwnDay, OwnMarket, read_calendar, write_calendar

_SATURDAY: Final = 5


@dataclass(frozen=True, slots=True, kw_only=True)
class Imported:
    """What came of a list of holidays. added: days that are closed now. kept: days with a special session, which stay open.
    weekends: days that are closed anyway."""

    market: OwnMarket
    added: tuple[OwnDay, ...]
    kept: tuple[date, ...]
    weekends: int


def check_has_sessions(market: Market) -> None:
    """Refuse a market that trades round the clock: it has no days to write down."""
    if isinstance(market.calendar, AlwaysOpen):
        raise InvalidInput(f"{market.title} trades round the clock and has no trading days", remedy="Choose another market.")


def with_day(own: OwnMarket, day: OwnDay, *, replaces: bool) -> OwnMarket:
    """Return the market with one more day; Conflict for one that is written down already unless it `replaces` that."""
    known = next((one for one in own.days if one.day == day.day), None)
    if known is not None and not replaces:
        raise Conflict(f"{day.day} is written down already: {in_words(known)}", remedy="Add --replace to change it.")
    return replace(own, days=_sorted([one for one in own.days if one.day != day.day] + [day]))


def without_day(own: OwnMarket, day: date) -> OwnMarket:
    """Return the market without what is written down of a day. Raises NotFound."""
    if all(one.day != day for one in own.days):
        raise NotFound(f"nothing is written down of {day}", remedy="See what is: algo-py calendar check")
    return replace(own, days=_sorted([one for one in own.days if one.day != day]))


def with_holidays(own: OwnMarket, file: HolidayFile, calendar: Calendar, *, source: str) -> Imported:
    """Return the market with a list of holidays. A day with a special session, such as Muhurat trading, stays as it is.

    The last day that is known never moves back.
    """
    special = {one.day for one in own.days if not one.is_closed}
    kept = [one.day for one in file.holidays if one.day in special or _is_special(calendar, one.day)]
    weekends = [one.day for one in file.holidays if one.day.weekday() >= _SATURDAY and one.day not in kept]
    skipped = {*kept, *weekends}
    new = [OwnDay(day=one.day, name=one.name, source=source) for one in file.holidays if one.day not in skipped]
    known = [moment for moment in (own.known_through, file.known_through) if moment is not None]
    days = _sorted([one for one in own.days if one.day not in {day.day for day in new}] + new)
    market = replace(own, days=days, known_through=max(known, default=None))
    return Imported(market=market, added=tuple(new), kept=tuple(kept), weekends=len(weekends))


def edit(path: Path, market: str, change: Callable[[OwnMarket], OwnMarket]) -> OwnMarket:
    """Carry out a change in a `calendar.toml`, at one stroke; a file that cannot be read is refused and stays as it is."""
    markets = read_calendar(path)
    changed = change(markets.get(market, OwnMarket()))
    write_calendar(path, {**markets, market: changed})
    return changed


def in_words(day: OwnDay) -> str:
    """Return `closed (Republic Day)` or `18:00 to 19:00 (Muhurat trading)`."""
    hours = "closed" if day.opens is None or day.closes is None else f"{day.opens:%H:%M} to {day.closes:%H:%M}"
    return f"{hours} ({day.name})" if day.name else hours


def _is_special(calendar: Calendar, day: date) -> bool:
    """Whether somebody has named a session of that day."""
    session = calendar.day(day).session
    return session is not None and session.is_known and bool(session.name)


def _sorted(days: Sequence[OwnDay]) -> tuple[OwnDay, ...]:
    return tuple(sorted(days, key=lambda one: one.day))
