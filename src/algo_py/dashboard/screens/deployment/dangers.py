"""What a person must see before anything else: what is held without the protection that it should have."""

from __future__ import annotations

from collections.abc import Sequence

import streamlit as st

from algo_py.clock import monotonic_s
from algo_py.dashboard.clients import Clients
from algo_py.dashboard.format import exact, plain
from algo_py.deployment.protection_rows import Protection
from algo_py.deployment.store import DeploymentRow

_EVERY_S = 2.0

Unprotected = Sequence[tuple[DeploymentRow, Protection]]


def unprotected(ours: Clients) -> Unprotected:
    """Return what is held without protection, with its deployment; looked at every two seconds, however many pages are open."""
    return _looked_at(int(monotonic_s() / _EVERY_S), ours)


def show_unprotected(found: Unprotected) -> None:
    """Say it in red, one line each; nothing where there is nothing to say."""
    told = [f"{plain(row.name)} holds **{exact(one.quantity)} {plain(one.symbol)}**: {plain(one.reason)}" for row, one in found]
    if len(told) == 1:
        st.error(f"**Not protected:** {told[0]}")
    elif told:
        st.error("**Not protected:**\n" + "\n".join(f"- {line}" for line in told))


@st.cache_resource(show_spinner=False, max_entries=2)
def _looked_at(reading: int, _ours: Clients) -> Unprotected:
    return _ours.deployments.unprotected()
