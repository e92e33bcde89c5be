"""Reads an exchange's list of holidays as people have it.

NSE offers its holidays as a CSV download and, to its own page, as JSON by segment; others keep a plain list of dates. A file is
read strictly: what is not understood refuses the whole of it, with the line.
"""

from __future__ import annotations

import csv
import json
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import date, datetime
from typing import Any, Final

from algo_py.errors import InvalidInput

# Segments of NSE's JSON that hold the holidays of shares, the first that is there.
_SEGMENTS: Final = ("CM", "FO")
_FORMATS: Final = ("%Y-%m-%d", "%d-%b-%Y", "%d-%B-%Y", "%d %b %Y", "%d %B %Y", "%d %B, %Y", "%B %d, %Y")
# NSE has had twelve and more each year; a list with fewer than this is a part of one.
_WHOLE_YEAR: Final = 8
_WEEK_DAYS: Final = ("monday", "tuesday", "wednesday", "thursday", "friday", "saturday", "sunday")
_LONGEST: Final = 1_000


@dataclass(frozen=True, slots=True)
class Holiday:
    """A day on which the exchange is closed, and what for."""

    day: date
    name: str


@dataclass(frozen=True, slots=True, kw_only=True)
class HolidayFile:
    """What a file says: the days, ascending, and how it was understood.

    known_through: the end of the last year that it has whole; None where it is a part of a year.
    """

    holidays: tuple[Holiday, ...]
    understood: str
    known_through: date | None


def read_holidays(text: str) -> HolidayFile:
    """Understand the text of a file. Raises InvalidInput by line for what is not understood, or stands there twice."""
    stripped = text.lstrip("\ufeff").strip()
    if not stripped:
        raise InvalidInput("the file is empty")
    found, understood = _of_json(stripped) if stripped.startswith(("{", "[")) else _of_lines(stripped)
    if not found:
        raise InvalidInput("the file names no day")
    twice = [day for day, count in Counter(one.day for one in found).items() if count > 1]
    if twice:
        raise InvalidInput(f"{twice[0]} stands there twice")
    holidays = tuple(sorted(found, key=lambda one: one.day))
    return HolidayFile(holidays=holidays, understood=understood, known_through=_whole_to(holidays))


def _whole_to(holidays: Sequence[Holiday]) -> date | None:
    """Return the end of the last year, if each year from the first to the last looks whole."""
    counts = Counter(one.day.year for one in holidays)
    years = range(holidays[0].day.year, holidays[-1].day.year + 1)
    return date(years[-1], 12, 31) if all(counts[year] >= _WHOLE_YEAR for year in years) else None


def _of_json(text: str) -> tuple[list[Holiday], str]:
    try:
        content = json.loads(text)
    except ValueError as error:
        raise InvalidInput(f"the file is not JSON: {error}") from None
    what = "a list of days, as JSON"
    if isinstance(content, dict):
        segment = next((name for name in _SEGMENTS if name in content), None)
        if segment is None:
            raise InvalidInput(f"the file has none of the segments {', '.join(_SEGMENTS)}; it has {', '.join(content) or 'none'}")
        content, what = content[segment], f"NSE's list of holidays, segment {segment}, as JSON"
    if not isinstance(content, list) or len(content) > _LONGEST:
        raise InvalidInput("the file holds no list of days")
    return [_entry(entry, number) for number, entry in enumerate(content, start=1)], what


def _entry(entry: Any, number: int) -> Holiday:
    if isinstance(entry, str):
        return Holiday(_day(entry, f"entry {number}"), "")
    if not isinstance(entry, dict) or not isinstance(entry.get("tradingDate"), str):
        raise InvalidInput(f"entry {number} has no tradingDate (was {str(entry)[:60]})")
    day = _day(entry["tradingDate"], f"entry {number}")
    _check_week_day(day, str(entry.get("weekDay") or ""), f"entry {number}")
    return Holiday(day, _name(str(entry.get("description") or "")))


def _of_lines(text: str) -> tuple[list[Holiday], str]:
    lines = [line for line in text.splitlines() if line.strip() and not line.lstrip().startswith("#")]
    if len(lines) > _LONGEST:
        raise InvalidInput(f"the file has more than {_LONGEST} lines")
    rows = list(csv.reader(lines, skipinitialspace=True))
    heading = [cell.strip().lower() for cell in rows[0]]
    if "date" in heading or "trading date" in heading:
        return list(_of_columns(rows[1:], heading)), "a CSV file with a heading, as NSE offers it"
    found = []
    for number, row in enumerate(rows, start=1):
        day = _day(row[0], f"line {number}")
        found.append(Holiday(day, _name(row[1] if len(row) > 1 else "")))
    return found, "a list of days, one a line"


def _of_columns(rows: Sequence[Sequence[str]], heading: Sequence[str]) -> Iterator[Holiday]:
    dates = heading.index("date" if "date" in heading else "trading date")
    days = heading.index("day") if "day" in heading else None
    names = next((place for place, name in enumerate(heading) if name in ("description", "holiday", "name")), None)
    for number, row in enumerate(rows, start=2):
        if len(row) != len(heading):
            raise InvalidInput(f"line {number} has {len(row)} fields, the heading has {len(heading)}")
        day = _day(row[dates], f"line {number}")
        _check_week_day(day, "" if days is None else row[days], f"line {number}")
        yield Holiday(day, _name("" if names is None else row[names]))


def _day(text: str, where: str) -> date:
    cleaned = " ".join(text.split())
    for form in _FORMATS:
        try:
            found = datetime.strptime(cleaned, form).date()  # noqa: DTZ007 - a day of the market has no zone
        except ValueError:
            continue
        if not 2000 <= found.year < 2100:
            raise InvalidInput(f"{where}: the year must be from 2000 to 2099 (was {found.year})")
        return found
    raise InvalidInput(f"{where}: {cleaned[:40]!r} is not a day", remedy="Write it like 2026-01-26 or 26-Jan-2026.")


def _check_week_day(day: date, told: str, where: str) -> None:
    told = told.strip().lower()
    if told and not _WEEK_DAYS[day.weekday()].startswith(told[:3]):
        raise InvalidInput(f"{where}: {day} is a {_WEEK_DAYS[day.weekday()].title()}, not a {told.title()}")


def _name(text: str) -> str:
    return " ".join(text.split())[:100]
