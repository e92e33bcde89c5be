"""The trading days of a market: the next sessions and holidays with their source, and the forms that write down others."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import date, time, timedelta
from typing import Final

import streamlit as st

from algo_py.dashboard.clients import Clients, forget_coverage
from algo_py.dashboard.components.errors import shown_as_a_line
from algo_py.dashboard.components.horizon import show_calendar_problem
from algo_py.dashboard.components.table import Cell, Column, Row, table
from algo_py.dashboard.format import counted, plain
from algo_py.dashboard.screens.data import state
from algo_py.errors import InvalidInput
from algo_py.market import Market, get_market, market_names
from algo_py.market.calendars import Day
from algo_py.market.day_report import days_of, hours_in_words
from algo_py.market.holiday_file import read_holidays
from algo_py.market.horizon import REMEDY, horizon_of
from algo_py.market.own_days import edit, in_words, with_day, with_holidays, without_day
from algo_py.market.own_facts import OwnDay, OwnMarket, own_facts, read_calendar

COLUMNS: Final = (Column("Day"), Column("Hours"), Column("What"), Column("Known"), Column("Source"))
_DAYS = 45
_HEIGHT = 560
_MOST_MB = 1
_CLOSED, _SPECIAL = "Closed", "Special session"


def market_of_days() -> Market:
    """Return the market whose days are shown: of those that have sessions the chosen one."""
    having = [name for name in market_names() if get_market(name).calendar.known_until is not None]
    name = st.selectbox("Market", having, format_func=lambda one: get_market(one).title, key="data.days.market")
    return get_market(name)


def show_days(clients: Clients, market: Market) -> None:
    """Show how far the days are known, and what the next ones are."""
    show_calendar_problem()
    now = clients.clock.now()
    horizon = horizon_of(market, now)
    if horizon is not None:
        text = f"{str(horizon)[0].upper()}{str(horizon)[1:]}."
        st.info(plain(text if horizon.threshold is None else f"{text} {REMEDY}."), icon=":material/event:")
    first = now.astimezone(market.time_zone).date()
    days = days_of(market.calendar, first, first + timedelta(days=_DAYS))
    table("Trading days", COLUMNS, day_rows(days, market), key="data.days.table", height=_HEIGHT)
    st.caption(
        f"Times are of {market.time_zone.key}. Shares with derivatives have other hours: `algo-py calendar show --symbol TCS`. "
        "*Assumed* days are those of which nobody has said yet whether the market trades."
    )


def day_rows(days: Sequence[Day], market: Market) -> list[Row]:
    """Return a line for each day but ordinary weekends."""
    shown = (day for day in days if day.session is not None or day.name or day.day.weekday() < 5)
    return [
        Row(
            day.day.isoformat(),
            (
                Cell(f"{day.day:%a %d %b %Y}"),
                Cell(hours_in_words(day, market.time_zone)),
                Cell(day.name or ("holiday" if day.session is None else "")),
                Cell(day.known, tone="busy" if day.known == "assumed" else "plain"),
                Cell(day.source),
            ),
        )
        for day in shown
    ]


def days_form(clients: Clients, market: Market) -> None:
    """Show the forms: a day, a list of holidays, and what is written down."""
    _day_form(clients, market)
    _import_form(clients, market)
    _written(clients, market)


def _day_form(clients: Clients, market: Market) -> None:
    st.markdown("**A day**")
    today = clients.clock.now().astimezone(market.time_zone).date()
    day = st.date_input("Day", today, key="data.days.day")
    kind = st.segmented_control("Kind", [_CLOSED, _SPECIAL], default=_CLOSED, required=True, key="data.days.kind")
    opens = closes = None
    if kind == _SPECIAL:
        opens = st.time_input("Opens", time(18, 15), step=300, key="data.days.opens")
        closes = st.time_input("Closes", time(19, 15), step=300, key="data.days.closes")
    name = st.text_input("What it is", placeholder="Muhurat trading", key="data.days.name")
    source = st.text_input("Who says so", placeholder="a circular's number", key="data.days.source")
    replaces = st.checkbox("Replace what is written down of it", key="data.days.replace")
    if st.button("Write the day down", type="primary", width="stretch", key="data.days.add"):
        with shown_as_a_line():
            if not isinstance(day, date):
                raise InvalidInput("a day must be chosen")
            written = OwnDay(day=day, opens=opens, closes=closes, name=name.strip(), source=source.strip())
            edit(clients.workspace.calendar_file, market.name, lambda own: with_day(own, written, replaces=replaces))
            _tell(f"{written.day}: {in_words(written)}.")


def _import_form(clients: Clients, market: Market) -> None:
    st.markdown("**The exchange's list of holidays**")
    file = st.file_uploader(
        "CSV, JSON or a list of days",
        type=("csv", "json", "txt"),
        max_upload_size=_MOST_MB,
        key="data.days.file",
        help="NSE offers its holidays as a CSV file; a whole year's list makes that year known.",
    )
    if st.button("Bring the list in", width="stretch", disabled=file is None, key="data.days.import") and file is not None:
        with shown_as_a_line():
            try:
                read = read_holidays(file.getvalue().decode("utf-8-sig"))
            except UnicodeDecodeError:
                raise InvalidInput(f"{file.name} is not a text file") from None
            path = clients.workspace.calendar_file
            before = read_calendar(path).get(market.name, OwnMarket())
            done = with_holidays(before, read, market.calendar, source=file.name)
            edit(path, market.name, lambda own: with_holidays(own, read, market.calendar, source=file.name).market)
            known = "" if read.known_through is None else f" The days are known to {done.market.known_through}."
            _tell(f"Understood as {read.understood}: {counted(len(done.added), 'holiday')} written down.{known}")


def _written(clients: Clients, market: Market) -> None:
    own = own_facts().of(market.name).days
    if not own:
        return
    chosen = st.selectbox(
        "Written down", own, format_func=lambda one: f"{one.day}: {in_words(one)}", index=None, key="data.days.written"
    )
    if st.button("Take it out", width="stretch", disabled=chosen is None, key="data.days.remove") and chosen is not None:
        with shown_as_a_line():
            edit(clients.workspace.calendar_file, market.name, lambda before: without_day(before, chosen.day))
            _tell(f"{chosen.day} is taken out; what is shipped counts again.")


def _tell(text: str) -> None:
    forget_coverage()
    state.tell(text)
    st.rerun()
