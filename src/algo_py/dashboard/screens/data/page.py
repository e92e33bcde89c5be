"""The page itself: on the left what brings bars in, on the right what is stored."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from pathlib import Path

import streamlit as st

from algo_py.dashboard.clients import Clients, forget_coverage
from algo_py.dashboard.components.errors import show as show_error
from algo_py.dashboard.components.errors import shown_as_a_line
from algo_py.dashboard.components.heading import heading
from algo_py.dashboard.components.horizon import show_calendar_problem
from algo_py.dashboard.context import Context
from algo_py.dashboard.fetches.fetch import FetchOrder
from algo_py.dashboard.format import counted, plain
from algo_py.dashboard.screens.data import state, work
from algo_py.dashboard.screens.data.coverage import choose_stored, show_strips, show_symbols
from algo_py.dashboard.screens.data.detail import show_gaps, show_revisions
from algo_py.dashboard.screens.data.fetch_form import checked_source, fetch_form, usual_source
from algo_py.dashboard.screens.data.fetched import show_fetched
from algo_py.dashboard.screens.data.files import show_files
from algo_py.dashboard.screens.data.stored import Series, Stored
from algo_py.dashboard.screens.data.trading_days import days_form, market_of_days, show_days
from algo_py.dashboard.screens.data.upload_form import upload_form
from algo_py.errors import NoData
from algo_py.finstore.frames import from_us
from algo_py.finstore.sample import install_sample

_HELP = Path(__file__).parent / "help.md"
_FETCH, _UPLOAD, _DAYS = "Fetch", "Upload a file", "Trading days"


def show(context: Context) -> None:
    """Show the page."""
    clients = context.clients
    heading("Data", _HELP)
    left, right = st.columns([1, 2.7], gap="medium")
    with left, st.container(border=True, gap="xsmall"):
        way = st.segmented_control(
            "Bring bars in", [_FETCH, _UPLOAD, _DAYS], default=_FETCH, required=True, key="data.way", persist_state="session"
        )
        if way == _DAYS:
            market = market_of_days()
            days_form(clients, market)
        elif way == _UPLOAD:
            upload_form(clients)
        else:
            fetch_form(clients)
    with right:
        with st.container():
            _news()
        if way == _DAYS:
            show_days(clients, market)
            return
        show_calendar_problem()
        is_shown = False
        with shown_as_a_line():
            here = choose_stored(clients)
            if here is None:
                _nothing_yet(clients)
            else:
                is_shown = _look(clients, here)
        if not is_shown:
            show_files(clients)


def _news() -> None:
    """Show the work that runs, what came of the last one, and what was just done."""
    if work.is_running():
        work.watch()
    error, fetched, text = work.error(), work.fetched(), state.told()
    if error is not None:
        show_error(error)
    if fetched is not None:
        show_fetched(fetched)
    if text is not None:
        st.success(plain(text))


def _nothing_yet(clients: Clients) -> None:
    st.info(
        "No bars are stored in this workspace yet. Fetch some with the form on the left, upload a file of your own, or begin "
        "with the sample: hourly and daily bars of five pairs, and daily bars of ten shares. It needs no network."
    )
    if st.button("Store the sample bars", type="primary", key="data.sample"):
        with shown_as_a_line(), st.spinner("Storing"):
            installed = install_sample(clients.bars)
            forget_coverage()
            state.tell(f"{counted(sum(one.new for one in installed), 'bar')} of the sample stored.")
            st.rerun()


def _look(clients: Clients, here: Stored) -> bool:
    """Show the stored bars; return whether there was something to show."""
    shown, chosen = show_symbols(clients, here)
    if chosen is None:
        return False
    with st.container(horizontal=True, vertical_alignment="center"):
        st.markdown(summary(chosen), width="stretch")
        _fill(clients, here, "Fill gaps", [chosen], key="data.fill")
        readable = [one for one in here.series if one.coverage is not None]
        _fill(clients, here, "Fill gaps of all", readable, key="data.fill_all")
    over_time, gaps, revisions, files = st.tabs(["Over time", "Gaps", "Revisions", "Files"], key="data.tabs")
    with over_time:
        show_strips(here, shown)
    with gaps:
        show_gaps(here, chosen)
    with revisions:
        show_revisions(clients, here, chosen)
    with files:
        show_files(clients)
    return True


def summary(one: Series) -> str:
    """Return in a line what is to be known of the chosen symbol."""
    if one.coverage is None:
        return f"**{plain(one.symbol)}**: its bars {'are lost' if isinstance(one.problem, NoData) else 'cannot be read'}"
    parts = [counted(len(one.coverage.gaps), "gap") if one.coverage.gaps else "no gaps"]
    if one.missing:
        parts.append(f"{counted(one.missing, 'bar')} missing")
    if one.waiting:
        parts.append(counted(one.waiting, "revision"))
    return f"**{plain(one.symbol)}**: {', '.join(parts)}"


def _fill(clients: Clients, here: Stored, label: str, series: Sequence[Series], *, key: str) -> None:
    source = usual_source(clients, here.market)
    whose = series[0].symbol if len(series) == 1 else counted(len(series), "symbol")
    about = f"Fetches what {whose} lacks in between and up to now, from {source or 'the source of the market'}"
    if st.button(label, key=key, disabled=work.is_running() or not series, help=about):
        with shown_as_a_line():
            order = FetchOrder(
                root=clients.workspace.root,
                market=here.market.name,
                timeframe=here.timeframe.value,
                symbols=tuple(one.symbol for one in series),
                source=checked_source(source, here.market),
                since=_since(clients, here, series),
            )
            work.start(order)
            st.rerun()


def _since(clients: Clients, here: Stored, series: Sequence[Series]) -> datetime | None:
    """Return from when a symbol has to be fetched of which everything was lost; None: from its first stored bar."""
    if len(series) > 1 or not isinstance(series[0].problem, NoData):
        return None
    firsts = [first for first, _ in clients.bars.lost_ranges(here.market.name, here.timeframe.value, series[0].symbol)]
    known = [first for first in firsts if first is not None]
    return from_us(min(known)) if known and len(known) == len(firsts) else None
