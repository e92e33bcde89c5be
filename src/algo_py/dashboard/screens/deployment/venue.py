"""Under the choice of an OMS: whether its credentials are there, and a button that asks the venue."""

from __future__ import annotations

from typing import Any

import streamlit as st

from algo_py.credentials import Credentials, exposure_warning
from algo_py.dashboard.clients import Clients
from algo_py.dashboard.components.errors import shown_as_a_line
from algo_py.dashboard.format import plain
from algo_py.dashboard.screens.deployment import state
from algo_py.market import get_market
from algo_py.oms import oms_choice, try_connect
from algo_py.workspace_database import open_workspace_database


def credentials_state(place: Any, clients: Clients, loaded: state.Loaded, oms: str) -> None:
    """Show the state of an OMS's credentials, never a secret."""
    choice = oms_choice(oms)
    told = choice.state(Credentials.of(clients.workspace))
    place.caption(f"Credentials: {plain(told)}")
    if not choice.keys:
        return
    exposed = exposure_warning(clients.workspace)
    if exposed:
        place.warning(plain(exposed))
    if place.button("Check connection", key=loaded.key(f"check.{oms}"), disabled=told != "configured"):
        with place, shown_as_a_line(), st.spinner(f"Asking {choice.title}"):
            account = try_connect(
                oms,
                workspace=clients.workspace,
                database=open_workspace_database(clients.workspace),
                clock=clients.clock,
                market=get_market(loaded.snapshot.config.market),
            )
            st.success("; ".join((f"Connected, account {plain(account.account)}", *(plain(one) for one in account.warnings))))
