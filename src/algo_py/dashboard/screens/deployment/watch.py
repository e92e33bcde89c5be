"""The deployments of the workspace, looked at anew every second: the table, what can be done, and the selected one in detail.

Only cheap questions are asked here: rows of the database, locks, the end of one log.
"""

from __future__ import annotations

from collections.abc import Sequence

import streamlit as st

from algo_py.dashboard.clients import Clients, clients
from algo_py.dashboard.components.errors import page_border
from algo_py.dashboard.components.table import table
from algo_py.dashboard.format import plain
from algo_py.dashboard.screens.deployment import state
from algo_py.dashboard.screens.deployment.actions import actions, archive_actions, asked_about_clearing, notices
from algo_py.dashboard.screens.deployment.dangers import show_unprotected, unprotected
from algo_py.dashboard.screens.deployment.detail import show_detail
from algo_py.dashboard.screens.deployment.rows import COLUMNS, row_of
from algo_py.deployment import Deployment

CURRENT, ARCHIVE = "Current", "Archive"
_EVERY_S = 1.0


@st.fragment(run_every=_EVERY_S)
def watch() -> None:
    """Show the deployments; runs by itself every second."""
    with page_border():
        _watch(clients())


def _watch(ours: Clients) -> None:
    _show_notice()
    shelf = st.session_state.get("deployment.shelf", CURRENT)
    deployments = list(reversed(ours.deployments.list(cleared=shelf == ARCHIVE)))
    chosen = _selected(deployments)
    found = unprotected(ours) if shelf == CURRENT else []
    if shelf == CURRENT:
        notices(ours, deployments)
        show_unprotected(found)
    with st.container(horizontal=True, vertical_alignment="center"):
        st.subheader(f"Deployments ({len(deployments)})", anchor=False, width="content")
        st.segmented_control(
            "Deployments shown",
            [CURRENT, ARCHIVE],
            default=CURRENT,
            required=True,
            key="deployment.shelf",
            label_visibility="collapsed",
            persist_state="session",
        )
    if not deployments:
        nothing = "Nothing is deployed. Load a saved backtest above and press **Deploy Strategy**."
        st.info(nothing if shelf == CURRENT else "Nothing was cleared.")
        return
    with st.container(horizontal=True, vertical_alignment="center"):
        if shelf == CURRENT:
            actions(ours, deployments, chosen)
        else:
            archive_actions(chosen)
    asked_about_clearing()
    table(
        "Deployments",
        COLUMNS,
        [row_of(deployment) for deployment in deployments],
        key="deployment.table",
        selected=None if chosen is None else chosen.id,
        on_select=state.select,
        height=300,
    )
    if chosen is None:
        st.caption("Select a deployment to see its log, orders, positions and equity.")
    else:
        if len({row.id for row, _ in found}) > 1:  # above the table they stand among those of others
            show_unprotected([(row, one) for row, one in found if row.id == chosen.id])
        show_detail(ours, chosen)


def _selected(deployments: Sequence[Deployment]) -> Deployment | None:
    """Return the deployment that is looked at: the chosen one, or the newest as long as nothing was chosen."""
    wanted = state.selected()
    if wanted is None and deployments:
        return deployments[0]
    return next((deployment for deployment in deployments if deployment.id == wanted), None)


def _show_notice() -> None:
    notice = state.notice()
    if notice is not None:
        show = st.success if notice.kind == "success" else st.error
        show(plain(notice.text))
