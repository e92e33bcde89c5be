"""What is stored of one market and timeframe: a line for each symbol, and a strip of how much of it is there over time."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pandas as pd
import streamlit as st

from algo_py.dashboard.clients import Clients
from algo_py.dashboard.components.table import Order, table
from algo_py.dashboard.figures import coverage_figure
from algo_py.dashboard.format import counted, plain
from algo_py.dashboard.screens.data import state
from algo_py.dashboard.screens.data.rows import COLUMNS, first_order, in_order, series_row
from algo_py.dashboard.screens.data.stored import Series, Stored, places, stored
from algo_py.market import get_market

_MOST_STRIPS = 60
_STRIPS_HEIGHT = 430


def choose_stored(clients: Clients) -> Stored | None:
    """Show the fields that say which bars are looked at; None where none are stored."""
    there = places(clients.bars)
    if not there:
        return None
    state.keep_within(state.MARKET, there)
    left, middle, _ = st.columns([2, 1, 2])
    market = left.selectbox(
        "Stored market", list(there), format_func=lambda name: get_market(name).title, key=state.MARKET, persist_state="session"
    )
    state.keep_within(state.timeframe_key(market), there[market])
    timeframe = middle.selectbox("Stored timeframe", there[market], key=state.timeframe_key(market), persist_state="session")
    return stored(clients, market, timeframe)


def show_symbols(clients: Clients, here: Stored) -> tuple[list[Series], Series | None]:
    """Show the table; return the symbols in its order, and the one that is chosen."""
    market, timeframe = here.market.name, here.timeframe.value
    ages = {one.symbol: clients.rules.age(market, one.symbol) for one in here.series}
    order = state.order()
    shown = in_order(here.series, ages, order)
    wanted = state.chosen(market, timeframe)
    chosen = next((one for one in shown if one.symbol == wanted), shown[0] if shown else None)

    def sort(column: int) -> None:
        first = first_order(column)
        state.sort_by(Order(column, is_ascending=not first.is_ascending) if order == first else first)

    table(
        "Stored symbols",
        COLUMNS,
        [series_row(one, ages[one.symbol], is_open=here.is_open) for one in shown],
        key="data.table",
        selected=None if chosen is None else chosen.symbol,
        on_select=lambda symbol: state.choose(market, timeframe, symbol),
        order=order,
        on_sort=sort,
        height=330,
    )
    for problem in here.problems:
        st.warning(plain(problem))
    return shown, chosen


def show_strips(here: Stored, shown: Sequence[Series]) -> None:
    """Show how much of each symbol is there over time, in the table's order."""
    readable = [one for one in shown if one.strip is not None][:_MOST_STRIPS]
    if not readable:
        st.info("None of these symbols can be read.")
        return
    names, periods = [one.symbol for one in readable], here.buckets.periods()
    strips = [one.strip for one in readable if one.strip is not None]
    figure = coverage_figure(
        pd.DataFrame(np.array([strip.shares() for strip in strips]), index=names, columns=periods),
        pd.DataFrame(np.array([strip.absent() for strip in strips]), index=names, columns=periods),
        pd.DataFrame([strip.words() for strip in strips], index=names, columns=periods),
        ticks=here.buckets.ticks(),
    )
    height = figure.layout.height
    with st.container(height=_STRIPS_HEIGHT if height > _STRIPS_HEIGHT else "content", border=False):
        st.plotly_chart(figure, key="data.strips", alt=_in_words(readable))
    more = (
        f"The first {_MOST_STRIPS} of {counted(len(shown), 'symbol')}, in the table's order. " if len(shown) > len(names) else ""
    )
    st.caption(f"{more}Stretches of equally many bars of the market's calendar. Times are UTC, when bars open.")


def _in_words(series: Sequence[Series]) -> str:
    lacking = [one.symbol for one in series if one.missing]
    return f"Stored bars over time of {counted(len(series), 'symbol')}; {len(lacking)} of them have gaps"
