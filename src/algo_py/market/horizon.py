"""How far ahead the trading days of a market are known, and what a person is told of it.

Beyond the last known day the weekly rule is assumed and everything goes on: this is a calm word ahead of time, not an alarm.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date, datetime, timedelta
from typing import Final

from algo_py.market.calendars import Calendar
from algo_py.market.markets import Market

# A person is told when so many days are left, once each.
TOLD_DAYS: Final = (60, 30, 7)
REMEDY: Final = (
    "Upgrade exchange-calendars once it has them, or bring in the exchange's list of holidays: algo-py calendar import FILE"
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Horizon:
    """The last day of a market that is known, and how many days it is away; below 0 once it has passed."""

    market: str
    title: str
    known_through: date
    days_left: int

    @property
    def threshold(self) -> int | None:
        """The smallest of TOLD_DAYS that has been reached; None while more than all of them are left."""
        return min((days for days in TOLD_DAYS if self.days_left <= days), default=None)

    def __str__(self) -> str:
        known = f"the trading days of {self.title} are known to {self.known_through:%Y-%m-%d}"
        if self.days_left < 0:
            return f"{known}; since then Monday to Friday are assumed"
        left = "today" if not self.days_left else f"{self.days_left} day{'' if self.days_left == 1 else 's'} from now"
        return f"{known}, {left}; after that Monday to Friday are assumed, and everything goes on"


def horizon_of(market: Market, now: datetime, calendar: Calendar | None = None) -> Horizon | None:
    """Return how far a market, or a universe of it, is known as of `now`; None where every day is."""
    known_until = (calendar or market.calendar).known_until
    if known_until is None:
        return None
    last = (known_until - timedelta(microseconds=1)).astimezone(market.time_zone).date()
    days_left = (last - now.astimezone(market.time_zone).date()).days
    return Horizon(market=market.name, title=market.title, known_through=last, days_left=days_left)


def assumed_reason(horizon: Horizon) -> str:
    """Return why a deployment is shown with `assumed days`, and what makes that go away."""
    return f"its next run is on a day that is assumed: {horizon}. {REMEDY}"
