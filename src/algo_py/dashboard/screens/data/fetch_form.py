"""The form that fetches bars from a source."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date, datetime, timedelta

import streamlit as st

from algo_py.dashboard.clients import Clients
from algo_py.dashboard.components.errors import shown_as_a_line
from algo_py.dashboard.components.period import midnight
from algo_py.dashboard.fetches.fetch import FetchOrder
from algo_py.dashboard.format import counted
from algo_py.dashboard.screens.data import work
from algo_py.dashboard.screens.data.place import place_form
from algo_py.errors import InvalidInput
from algo_py.finstore.sources.registry import NO_SOURCE, source_names
from algo_py.market import Market, Timeframe

_EARLIEST, _LATEST = date(1990, 1, 1), date(2100, 1, 1)


@dataclass(frozen=True, slots=True, kw_only=True)
class FetchForm:
    """What a person has chosen, not checked yet. The period is [since, until); None is open."""

    market: Market
    timeframe: Timeframe
    symbols: str
    since: datetime | None
    until: datetime | None
    source: str | None
    again: bool

    def order(self, clients: Clients) -> FetchOrder:
        """Return the fetch to start; what cannot be fetched is refused by name."""
        now = clients.clock.now()
        if self.since is not None and self.until is not None and self.since >= self.until:
            raise InvalidInput("start must be before until", remedy="Until is the day after the last one.")
        if self.since is not None and self.since >= now:
            raise InvalidInput("start must be before today: no bar of it has closed")
        return FetchOrder(
            root=clients.workspace.root,
            market=self.market.name,
            timeframe=self.timeframe.value,
            symbols=symbols_in(self.symbols, self.market),
            source=checked_source(self.source, self.market),
            since=self.since,
            until=self.until,
            again=self.again,
        )


def symbols_in(text: str, market: Market) -> tuple[str, ...]:
    """Return the symbols in `A, B`, each once; none, and one that is not spelled like one, is refused."""
    symbols = tuple(dict.fromkeys(part.strip() for part in text.split(",") if part.strip()))
    if not symbols:
        raise InvalidInput("symbols must name at least one symbol", remedy=f"Write them like {market.symbol_example}.")
    for symbol in symbols:
        market.check_symbol(symbol)
    return symbols


def usual_source(clients: Clients, market: Market) -> str | None:
    """Return the source that the settings name for a market; None for none."""
    name = clients.workspace.settings().data.sources.get(market.name, NO_SOURCE)
    return None if name == NO_SOURCE else name


def checked_source(name: str | None, market: Market) -> str:
    """Return the name of a source; none is refused."""
    if name is None or not name.strip():
        raise InvalidInput(
            f"the bars of {market.title} have no source",
            remedy=f"Choose one ({', '.join(source_names(market))}), or name one in config/algo.toml under [data.sources].",
        )
    return name.strip()


def fetch_form(clients: Clients) -> None:
    """Show the form, and start what it asks for."""
    market, timeframe = place_form(key="data.fetch", first=Timeframe.H1)
    symbols = st.text_input(
        "Symbols",
        placeholder=f"{market.symbol_example}, ...",
        key=f"data.fetch.symbols.{market.name}",
        help="Separated by commas",
        persist_state="session",
    )
    left, right = st.columns(2)
    with left:
        since = _day("Start", market, "First day, included. Empty: from the first stored bar")
    with right:
        until = _day("Until", market, "The day after the last one. Empty: until now")
    usual = usual_source(clients, market)
    source = st.selectbox(
        "Source",
        tuple(dict.fromkeys([*([] if usual is None else [usual]), *source_names(market)])),
        index=None if usual is None else 0,
        placeholder="none: choose one",
        accept_new_options=True,
        key=f"data.fetch.source.{market.name}",
        help="At first the one of config/algo.toml. Others can be typed: ccxt:EXCHANGE, files:FOLDER, stored:TIMEFRAME",
        persist_state="session",
    )
    again = st.checkbox(
        "Ask for stored bars too",
        key="data.fetch.again",
        help="Then values that the source has changed since come to light, as revisions",
        persist_state="session",
    )
    form = FetchForm(market=market, timeframe=timeframe, symbols=symbols, since=since, until=until, source=source, again=again)
    st.caption(size(form, clients.clock.now()))
    place = st.container()
    if st.button("Fetch", type="primary", width="stretch", disabled=work.is_running(), key="data.fetch.start"):
        with place, shown_as_a_line():
            work.start(form.order(clients), then_look=True)
            st.rerun()


def size(form: FetchForm, now: datetime) -> str:
    """Say how many bars a symbol has in the period, at most; nothing without a start."""
    if form.since is None:
        return "Only what is not stored yet is asked for."
    years = (min(now, form.until or now) - form.since) / timedelta(days=365)
    bars = max(0, round(years * form.market.calendar.periods_per_year(form.timeframe)))
    return f"About {counted(bars, 'bar')} a symbol. Only what is not stored yet is asked for."


def _day(label: str, market: Market, about: str) -> datetime | None:
    zone = market.time_zone
    day = st.date_input(
        label,
        value=None,
        min_value=_EARLIEST,
        max_value=_LATEST,
        format="YYYY-MM-DD",
        key=f"data.fetch.{label.lower()}.{market.name}",
        help=f"{about} ({zone.key})",
        persist_state="session",
    )
    return None if day is None else midnight(day, market)
