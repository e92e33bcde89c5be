"""Which strategy: those of the workspace, of the library and of plugins; broken ones are named and hurt no other."""

from __future__ import annotations

import streamlit as st

from algo_py.dashboard.clients import Clients, strategies
from algo_py.dashboard.format import counted, plain
from algo_py.strategy.registry import StrategyEntry


def strategy_picker(clients: Clients, *, key: str) -> StrategyEntry | None:
    """Show the picker; None where no strategy can be loaded."""
    entries = strategies(clients.workspace).entries
    usable = {entry.name: entry for entry in entries if entry.error is None}
    broken = [entry for entry in entries if entry.error is not None]
    if broken:
        st.warning(
            f"{counted(len(broken), 'strategy file')} cannot be loaded:\n"
            + "\n".join(f"- {plain(entry.error or '')}" for entry in broken)
        )
    if not usable:
        st.info("There is no strategy that can be loaded. Put one into `strategies/` of the workspace.")
        return None
    name = st.selectbox("Strategy", list(usable), key=f"{key}.strategy", persist_state="session")
    st.caption(plain(usable[name].title))
    return usable[name]
