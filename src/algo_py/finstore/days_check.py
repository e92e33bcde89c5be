"""Stored daily bars beside the market's calendar: where they contradict each other one of them is wrong."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date, timedelta

import pandas as pd

from algo_py.errors import Damaged, NoData
from algo_py.finstore.store import FinStore
from algo_py.market import Market, Timeframe


@dataclass(frozen=True, slots=True, kw_only=True)
class Contradiction:
    """A day on which bars and calendar do not agree. symbols: who has a bar although the market is closed; empty: it is open, and
    no symbol has one."""

    day: date
    symbols: tuple[str, ...]

    def __str__(self) -> str:
        if not self.symbols:
            return f"{self.day} is a trading day, and no symbol has a bar of it"
        more = f" and {len(self.symbols) - 3} more" if len(self.symbols) > 3 else ""
        return f"{self.day} is closed, and {', '.join(self.symbols[:3])}{more} have a bar of it"


def contradictions(store: FinStore, market: Market) -> list[Contradiction]:
    """Compare each symbol's stored daily bars with the calendar, ascending by day; bars that cannot be read are left out."""
    bars: dict[date, list[str]] = {}
    spans: list[tuple[date, date]] = []
    for symbol in store.symbols(market.name, Timeframe.D1):
        try:
            opens = pd.DatetimeIndex(store.read(market.name, Timeframe.D1, symbol).index)
        except (NoData, Damaged):
            continue
        days = [moment.date() for moment in opens.tz_convert(market.time_zone)]
        spans.append((days[0], days[-1]))
        for day in days:
            bars.setdefault(day, []).append(symbol)
    calendar = market.calendar
    found = [
        Contradiction(day=day, symbols=tuple(sorted(symbols)))
        for day, symbols in bars.items()
        if (known := calendar.day(day)).session is None and known.known == "known"
    ]
    for day in _covered(spans):
        known = calendar.day(day)
        if day not in bars and known.session is not None and known.known == "known":
            found.append(Contradiction(day=day, symbols=()))
    return sorted(found, key=lambda one: one.day)


def _covered(spans: list[tuple[date, date]]) -> set[date]:
    """Return the days between some symbol's first and last bar."""
    return {first + timedelta(days=n) for first, last in set(spans) for n in range((last - first).days + 1)}
