"""From when until when: days of the market's own time zone, at first all that is stored."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta

import streamlit as st

from algo_py.dashboard.components.universe import Universe
from algo_py.finstore import FinStore
from algo_py.market import Market

_EARLIEST = date(1990, 1, 1)
_LATEST = date(2100, 1, 1)
_ONE_DAY = timedelta(days=1)


@dataclass(frozen=True, slots=True)
class Period:
    """[start, end), UTC."""

    start: datetime
    end: datetime


def period_picker(store: FinStore, universe: Universe, *, key: str) -> Period:
    """Ask for the period; at first it is all that is stored of the first symbol. Days begin at the market's own midnight."""
    market, timeframe = universe.market, universe.timeframe
    shown = store.symbols(market.name, timeframe)[0] if not universe.symbols else universe.symbols[0]
    stored = store.coverage(market.name, timeframe, shown)
    zone = market.time_zone
    left, right = st.columns(2)
    start = left.date_input(
        "Start",
        value=stored.first.astimezone(zone).date(),
        min_value=_EARLIEST,
        max_value=_LATEST,
        format="YYYY-MM-DD",
        key=f"{key}.start.{market.name}.{timeframe}",
        help=f"First day, included ({zone.key})",
        persist_state="session",
    )
    end = right.date_input(
        "End",
        value=stored.last.astimezone(zone).date() + _ONE_DAY,
        min_value=_EARLIEST,
        max_value=_LATEST,
        format="YYYY-MM-DD",
        key=f"{key}.end.{market.name}.{timeframe}",
        help=f"The day after the last one ({zone.key})",
        persist_state="session",
    )
    return Period(midnight(start, market), midnight(end, market))


def midnight(day: date, market: Market) -> datetime:
    """Return when a day begins in the market's own time zone."""
    return datetime.combine(day, time(), market.time_zone).astimezone(UTC)
