"""The dashboard's main script: Streamlit runs it for every visit and every click. `algo-py up` starts the server."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial

import streamlit as st
from streamlit.navigation.page import Page

from algo_py.dashboard import theme
from algo_py.dashboard.clients import clients
from algo_py.dashboard.components.errors import page_border
from algo_py.dashboard.context import BACKTEST, DATA, DEPLOYMENT, OVERVIEW, SWEEP, Context
from algo_py.dashboard.screens import backtest, data, deployment, overview, sweep


@dataclass(frozen=True, slots=True)
class _Entry:
    path: str
    title: str
    show: Callable[[Context], None]


_PAGES = (
    _Entry(OVERVIEW, "Overview", overview.show),
    _Entry(DATA, "Data", data.show),
    _Entry(BACKTEST, "Strategy Backtest", backtest.show),
    _Entry(SWEEP, "Parameter Sweep", sweep.show),
    _Entry(DEPLOYMENT, "Strategy Deployment", deployment.show),
)


def main() -> None:
    """Show the page that was asked for."""
    theme.set_up_page()
    links: dict[str, Page] = {}
    for place, entry in enumerate(_PAGES):
        links[entry.path] = st.Page(partial(_show, entry, links), title=entry.title, url_path=entry.path, default=place == 0)
    st.navigation(list(links.values()), position="top").run()


def _show(entry: _Entry, links: dict[str, Page]) -> None:
    with page_border():
        entry.show(Context(clients(), links))


main()
