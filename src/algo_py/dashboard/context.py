"""What every page is given: the clients of its workspace, and the way to the other pages."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import streamlit as st
from streamlit.navigation.page import Page

from algo_py.dashboard.clients import Clients

OVERVIEW, DATA, BACKTEST, SWEEP, DEPLOYMENT = "overview", "data", "backtest", "sweep", "deployment"


@dataclass(frozen=True, slots=True)
class Context:
    """`links` holds the pages by the names above."""

    clients: Clients
    links: Mapping[str, Page]

    def link(self, page: str, label: str) -> None:
        """Show a link to another page."""
        st.page_link(self.links[page], label=label, icon=":material/arrow_forward:")
