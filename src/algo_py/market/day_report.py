"""A trading day as plain values: the shape that programs outside read, and the words that people do."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta
from typing import Any
from zoneinfo import ZoneInfo

from algo_py.market.calendars import Calendar, Day


def days_of(calendar: Calendar, first: date, last: date) -> list[Day]:
    """Return what is known of each day from the first to the last, both included."""
    return [calendar.day(first + timedelta(days=n)) for n in range((last - first).days + 1)]


def day_json(day: Day) -> dict[str, Any]:
    """Return one object of `calendar show --json`; moments are UTC."""
    session = day.session
    sessions = [] if session is None else [{"open": _utc(session.open), "close": _utc(session.close)}]
    if session is not None and session.auction is not None:
        sessions[0] |= {"auction_open": _utc(session.auction[0]), "auction_close": _utc(session.auction[1])}
    return {
        "day": day.day.isoformat(),
        "name": day.name or None,
        "sessions": sessions,
        "phases": [
            {
                "name": phase.name,
                "kind": str(phase.kind),
                "start": _utc(phase.start),
                "end": _utc(phase.end),
                "takes": sorted(phase.takes),
                "matching": str(phase.matching),
                "random_end_from": None if phase.random_end_from is None else _utc(phase.random_end_from),
            }
            for phase in ([] if session is None else session.phases)
        ],
        "source": day.source,
        "known": day.known,
    }


def hours_in_words(day: Day, zone: ZoneInfo) -> str:
    """Return `09:15 to 15:30`, with the closing auction's matching where there is one, or `closed`."""
    session = day.session
    if session is None:
        return "closed"
    continuous = f"{_clock(session.open, zone)} to {_clock(session.close, zone)}"
    return continuous if session.auction is None else f"{continuous}, closing auction to {_clock(session.auction[1], zone)}"


def _clock(moment: datetime, zone: ZoneInfo) -> str:
    return f"{moment.astimezone(zone):%H:%M}"


def _utc(moment: datetime) -> str:
    return moment.astimezone(UTC).isoformat().replace("+00:00", "Z")
