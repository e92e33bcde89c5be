"""The deployments of the workspace, looked at anew every second: the table, Stop and Clear, and the selected one in detail.

Only cheap questions are asked here: rows of the database, locks, the end of one log.
"""

from __future__ import annotations

from collections.abc import Sequence

import streamlit as st

from algo_py.dashboard.clients import Clients, clients
from algo_py.dashboard.components.errors import page_border, shown_as_a_line
from algo_py.dashboard.components.table import table
from algo_py.dashboard.format import counted, plain
from algo_py.dashboard.screens.deployment import state
from algo_py.dashboard.screens.deployment.detail import show_detail
from algo_py.dashboard.screens.deployment.rows import COLUMNS, row_of
from algo_py.deployment import Deployment
from algo_py.deployment.status import Status, Wanted

_EVERY_S = 1.0


@st.fragment(run_every=_EVERY_S)
def watch() -> None:
    """Show the deployments; runs by itself every second."""
    with page_border():
        _watch(clients())


def _watch(ours: Clients) -> None:
    _tell()
    actions = st.container(horizontal=True, vertical_alignment="center")
    deployments = list(reversed(ours.deployments.list()))
    chosen = _selected(deployments)
    with actions:
        st.subheader(f"Deployments ({len(deployments)})", anchor=False)
        if _actions(ours, deployments, chosen):
            st.rerun(scope="fragment")
    if chosen is None:
        st.info("Nothing is deployed. Load a saved backtest above and press **Deploy Strategy**.")
        return
    table(
        "Deployments",
        COLUMNS,
        [row_of(deployment) for deployment in deployments],
        key="deployment.table",
        selected=chosen.id,
        on_select=state.select,
        height=300,
    )
    show_detail(ours, chosen)


def _selected(deployments: Sequence[Deployment]) -> Deployment | None:
    """Return the deployment that is looked at: the one chosen, else the newest."""
    wanted = state.selected()
    found = next((deployment for deployment in deployments if deployment.id == wanted), None)
    if found is None and deployments:
        found = deployments[0]
        state.select(found.id)
    return found


def _actions(ours: Clients, deployments: Sequence[Deployment], chosen: Deployment | None) -> bool:
    """Show the buttons; do what was pressed and return True once it is done."""
    may_stop = chosen is not None and chosen.row.wanted is not Wanted.STOPPED and not chosen.row.state.has_ended
    may_clear = chosen is not None and chosen.row.state.has_ended and chosen.status is not Status.STOPPING
    ended = [deployment for deployment in deployments if deployment.row.state.has_ended]
    stop = st.button("Stop", disabled=not may_stop, key="deployment.stop", help="Ends the selected one; its positions are kept")
    clear = st.button("Clear", disabled=not may_clear, key="deployment.clear", help="Takes the selected one off the list")
    clear_all = st.button("Clear all ended", disabled=not ended, key="deployment.clear_all", type="tertiary")
    done = False
    with shown_as_a_line():
        if stop and chosen is not None:
            ours.deployments.stop(chosen.id)
            state.tell(state.Notice("info", f"Stopping {chosen.name}. Its orders, fills and positions are kept."))
            done = True
        elif clear and chosen is not None:
            ours.deployments.clear(chosen.id)
            state.tell(state.Notice("success", f"Cleared {chosen.name}."))
            done = True
        elif clear_all:
            cleared = ours.deployments.clear()
            state.tell(state.Notice("success", f"Cleared {counted(len(cleared), 'deployment')}."))
            done = True
    return done


def _tell() -> None:
    notice = state.notice()
    if notice is None:
        return
    show = st.success if notice.kind == "success" else st.info
    show(plain(notice.text))
