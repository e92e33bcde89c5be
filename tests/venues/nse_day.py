"""NSE's trading day as a literal table, written down a second time for tests: what the exchange takes when, by class of share.

From SEBI's circulars of 2026-01-16 and 2026-10-15 and NSE's list of holidays of 2026. Nothing here is read from the product, so
that a mistake in its records shows. Times are India's.
"""

from __future__ import annotations

import random
from dataclasses import dataclass
from datetime import date, datetime, time, timedelta

from .kite import INDIA

CONTINUOUS, AUCTION, QUIET = "continuous", "auction", "quiet"
_ALL = frozenset({"MARKET", "LIMIT", "SL", "SL-M"})
_BOTH = frozenset({"MARKET", "LIMIT"})
_LIMIT = frozenset({"LIMIT"})


@dataclass(frozen=True)
class Stretch:
    """A stretch of a day, [start, end), and what it takes. QUIET: no order may be entered, changed or cancelled."""

    start: time
    end: time
    kind: str
    takes: frozenset[str] = frozenset()
    may_end_from: time | None = None


_WHOLE_DAY = (Stretch(time(9, 15), time(15, 30), CONTINUOUS, _ALL),)
# From each date on, for shares that have derivatives.
_WITH_DERIVATIVES = (
    (date(2015, 1, 1), _WHOLE_DAY),
    (
        date(2026, 8, 3),
        (
            Stretch(time(9, 15), time(15, 15), CONTINUOUS, _ALL),
            Stretch(time(15, 15), time(15, 20), QUIET),
            Stretch(time(15, 20), time(15, 25), AUCTION, _BOTH),
            Stretch(time(15, 25), time(15, 30), AUCTION, _LIMIT, time(15, 28)),
            Stretch(time(15, 30), time(15, 35), QUIET),
        ),
    ),
    (
        date(2026, 12, 7),
        (
            Stretch(time(9, 15), time(15, 30), CONTINUOUS, _ALL),
            Stretch(time(15, 30), time(15, 31), QUIET),
            Stretch(time(15, 31), time(15, 36), AUCTION, _BOTH),
            Stretch(time(15, 36), time(15, 40), AUCTION, _LIMIT, time(15, 38)),
            Stretch(time(15, 40), time(15, 45), QUIET),
        ),
    ),
)
# Holidays of 2026 on which NSE would else trade, from August on, and its one session on a weekend.
HOLIDAYS = frozenset(
    {
        date(2026, 9, 14),
        date(2026, 10, 2),
        date(2026, 10, 20),
        date(2026, 11, 10),
        date(2026, 11, 24),
        date(2026, 12, 25),
    }
)
_MUHURAT = date(2026, 11, 8)
_MUHURAT_HOUR = (Stretch(time(18, 15), time(19, 15), CONTINUOUS, _ALL),)


def stretches(day: date, *, has_derivatives: bool) -> tuple[Stretch, ...]:
    """Return what a day consists of, ascending; nothing where NSE is closed."""
    if day == _MUHURAT:
        return _MUHURAT_HOUR
    if day.weekday() > 4 or day in HOLIDAYS:
        return ()
    if not has_derivatives:
        return _WHOLE_DAY
    return [table for since, table in _WITH_DERIVATIVES if since <= day][-1]


def stretch_at(moment: datetime, *, has_derivatives: bool) -> Stretch | None:
    """Return the stretch that a moment falls into."""
    local = moment.astimezone(INDIA)
    found = stretches(local.date(), has_derivatives=has_derivatives)
    return next((one for one in found if one.start <= local.time() < one.end), None)


def entry_ends_at(day: date, seed: int, symbol: str) -> time | None:
    """Return when the exchange ends the auction's order entry on a day: anywhere in its last two minutes. None without one."""
    last = next((one for one in stretches(day, has_derivatives=True) if one.may_end_from is not None), None)
    if last is None or last.may_end_from is None:
        return None
    first, end = (datetime.combine(day, moment) for moment in (last.may_end_from, last.end))
    after = random.Random(f"{seed} {day} {symbol}").uniform(0, (end - first).total_seconds())
    return (first + timedelta(seconds=after)).time()


def boundaries(after: datetime, until: datetime, *, has_derivatives: bool) -> list[datetime]:
    """Return the moments in (after, until] at which a stretch ends, ascending."""
    first, last = after.astimezone(INDIA).date(), until.astimezone(INDIA).date()
    days = (first + timedelta(days=n) for n in range((last - first).days + 1))
    ends = [datetime.combine(day, one.end, INDIA) for day in days for one in stretches(day, has_derivatives=has_derivatives)]
    return [moment for moment in ends if after < moment <= until]
