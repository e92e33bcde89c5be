"""What came of the last fetch."""

from __future__ import annotations

from typing import Final

import streamlit as st

from algo_py.dashboard.components.table import Cell, Column, Row, table
from algo_py.dashboard.format import counted, listed, plain
from algo_py.dashboard.screens.data import work
from algo_py.finstore.fill_report import FillProgress, FillReport, SymbolFill

_COLUMNS: Final = (
    Column("Symbol"),
    Column("Missing before", is_number=True),
    Column("Fetched", is_number=True),
    Column("Not at the source", is_number=True),
    Column("Revised", is_number=True),
    Column("Requests", is_number=True),
    Column("Outcome"),
)
_HEIGHT = 240


def show_fetched(done: work.Fetched) -> None:
    """Show it, with what is wrong in words, until it is dismissed."""
    order, result = done.order, done.result
    what = f"{order.timeframe} bars of {listed(order.symbols)} from {result.source}"
    with st.container(border=True):
        head, close = st.columns([6, 1], vertical_alignment="center")
        head.markdown(f"**Fetch of {plain(what)}**")
        close.button("Dismiss", type="tertiary", width="stretch", key="data.dismiss", on_click=work.dismiss)
        if result.report is None:
            st.warning(cancelled_in_words(result.progress))
            return
        if result.report.is_complete:
            st.success(in_words(result.report))
        else:
            for problem in result.report.problems:
                st.error(plain(problem))
            st.markdown(in_words(result.report))
        table("Fetched symbols", _COLUMNS, fill_rows(result.report), key="data.fetched.table", height=_HEIGHT)
        if result.rules_problem:
            st.warning(f"The order rules could not be read: {plain(result.rules_problem)}")


def in_words(report: FillReport) -> str:
    """Return what was fetched, and what there is to know about it."""
    parts = [f"{counted(report.fetched, 'bar')} fetched with {counted(report.requests, 'request')}"]
    if report.absent:
        parts.append(f"{report.absent:,} not at the source")
    if report.revised:
        parts.append(f"{report.revised:,} with other values than stored, which were kept (see Revisions)")
    unexpected = sum(fill.unexpected for fill in report.by_symbol.values())
    if unexpected:
        parts.append(f"{unexpected:,} at times that the market's calendar does not have, left out")
    return f"{', '.join(parts)}."


def cancelled_in_words(progress: FillProgress | None) -> str:
    """Return how far a cancelled fetch came."""
    if progress is None:
        return "Cancelled before anything was stored."
    return (
        f"Cancelled: {progress.done:,} of {counted(progress.total, 'missing bar')} are done and kept. "
        "Fetch again for the rest: nothing is asked for twice."
    )


def fill_rows(report: FillReport) -> list[Row]:
    """Return a line for each symbol."""
    return [_row(symbol, fill) for symbol, fill in report.by_symbol.items()]


def _row(symbol: str, fill: SymbolFill) -> Row:
    numbers = (fill.missing, fill.fetched, fill.absent, fill.revised, fill.requests)
    return Row(symbol, (Cell(symbol), *(Cell(f"{number:,}") for number in numbers), _outcome(fill)))


def _outcome(fill: SymbolFill) -> Cell:
    if fill.problem:
        return Cell("not complete", note=fill.problem, tone="bad")
    if fill.awaited:
        return Cell("not complete", note="the newest bar is not there yet", tone="busy")
    return Cell("complete", tone="good")
