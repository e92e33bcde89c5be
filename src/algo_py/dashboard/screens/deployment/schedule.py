"""The scheduler's part of the form: three ways to say when a deployment runs."""

from __future__ import annotations

from collections.abc import Callable
from datetime import time
from functools import partial
from typing import Final, Literal
from zoneinfo import available_timezones

import streamlit as st
from pydantic import ValidationError

from algo_py.deployment.schedule import WEEK_DAYS, AtTime, EveryInterval, OnBarClose, Schedule
from algo_py.errors import InvalidInput
from algo_py.market import Market
from algo_py.settings import first_problem

FIXED_INTERVAL, SPECIFIC_TIME, BAR_CLOSE = "Fixed interval", "Specific time", "On bar close"

_ALIGNMENTS: Final[dict[str, Literal["clock", "start"]]] = {"the clock": "clock", "the start": "start"}
_UNITS_S: Final = {"seconds": 1, "minutes": 60, "hours": 3_600, "days": 86_400}


def schedule_form(market: Market, *, key: str) -> Callable[[], Schedule]:
    """Show the scheduler and return what builds it; that raises InvalidInput where the scheduler cannot be used."""
    kind = st.segmented_control(
        "Scheduler",
        [FIXED_INTERVAL, SPECIFIC_TIME, BAR_CLOSE],
        default=BAR_CLOSE,
        required=True,
        key=f"{key}.kind",
        persist_state="session",
    )
    if kind == FIXED_INTERVAL:
        build = _interval(key)
    elif kind == SPECIFIC_TIME:
        build = _specific_time(market, key)
    else:
        build = _bar_close(key)
    return partial(_built, build)


def _built(build: Callable[[], Schedule]) -> Schedule:
    try:
        return build()
    except ValidationError as error:
        raise InvalidInput(first_problem(error)) from None


def _interval(key: str) -> Callable[[], Schedule]:
    left, middle, right = st.columns(3)
    count = left.number_input("Every", value=60, step=1, key=f"{key}.every", persist_state="session")
    unit = middle.selectbox("Unit", list(_UNITS_S), index=1, key=f"{key}.unit", persist_state="session")
    aligned_to = right.selectbox(
        "Aligned to",
        list(_ALIGNMENTS),
        key=f"{key}.align",
        help="The clock: at full hours or days, UTC. The start: counted from the start, or from deploying",
        persist_state="session",
    )
    return partial(EveryInterval, every_s=count * _UNITS_S[unit], align=_ALIGNMENTS[aligned_to])


def _specific_time(market: Market, key: str) -> Callable[[], Schedule]:
    left, right = st.columns(2)
    at = left.time_input("Time of day", value=time(9, 30), step=60, key=f"{key}.at", persist_state="session")
    zones = [market.time_zone.key, *sorted(available_timezones() - {market.time_zone.key})]
    zone = right.selectbox("Time zone", zones, key=f"{key}.tz", persist_state="session")
    days = st.pills(
        "Days",
        WEEK_DAYS,
        selection_mode="multi",
        default=list(WEEK_DAYS),
        format_func=str.capitalize,
        key=f"{key}.days",
        help="Days on which the market is closed are left out",
        persist_state="session",
    )
    return partial(AtTime, at=at, tz=zone, days=tuple(days or ()))


def _bar_close(key: str) -> Callable[[], Schedule]:
    delay_s = st.number_input(
        "Delay, seconds", value=0, step=1, key=f"{key}.delay", help="How long to wait after the close", persist_state="session"
    )
    return partial(OnBarClose, delay_s=delay_s)
