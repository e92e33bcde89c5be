"""The deployments of the workspace, looked at anew every second: the table, Stop and Clear, and the selected one in detail.

Only cheap questions are asked here: rows of the database, locks, the end of one log.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager

import streamlit as st

from algo_py.dashboard.clients import Clients, clients
from algo_py.dashboard.components.errors import page_border
from algo_py.dashboard.components.table import table
from algo_py.dashboard.format import counted, plain
from algo_py.dashboard.screens.deployment import state
from algo_py.dashboard.screens.deployment.detail import show_detail
from algo_py.dashboard.screens.deployment.rows import COLUMNS, row_of
from algo_py.deployment import Deployment
from algo_py.deployment.status import Status, Wanted
from algo_py.errors import AlgoPyError

_EVERY_S = 1.0


@st.fragment(run_every=_EVERY_S)
def watch() -> None:
    """Show the deployments; runs by itself every second."""
    with page_border():
        _watch(clients())


def _watch(ours: Clients) -> None:
    _show_notice()
    deployments = list(reversed(ours.deployments.list()))
    chosen = _selected(deployments)
    with st.container(horizontal=True, vertical_alignment="center"):
        st.subheader(f"Deployments ({len(deployments)})", anchor=False)
        _actions(deployments, chosen)
    if not deployments:
        st.info("Nothing is deployed. Load a saved backtest above and press **Deploy Strategy**.")
        return
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
        show_detail(ours, chosen)


def _selected(deployments: Sequence[Deployment]) -> Deployment | None:
    """Return the deployment that is looked at: the chosen one, or the newest as long as nothing was chosen."""
    wanted = state.selected()
    if wanted is None and deployments:
        return deployments[0]
    return next((deployment for deployment in deployments if deployment.id == wanted), None)


def _actions(deployments: Sequence[Deployment], chosen: Deployment | None) -> None:
    """Show the buttons. Each belongs to the deployment that it was shown for: a click never acts on one selected meanwhile."""
    name, id_ = ("", "") if chosen is None else (chosen.name, chosen.id)
    has_ended = chosen is not None and chosen.status.has_ended
    may_stop = chosen is not None and not has_ended and chosen.row.wanted is not Wanted.STOPPED
    may_clear = chosen is not None and has_ended and chosen.status is not Status.STOPPING
    if chosen is not None:
        st.caption(plain(name), width="content")
    st.button(
        "Stop",
        disabled=not may_stop,
        key=f"deployment.stop.{id_}",
        help=f"Ends {name} after the run that it is in; its positions are kept" if may_stop else None,
        on_click=_stop,
        args=(id_, name),
    )
    st.button(
        "Clear",
        disabled=not may_clear,
        key=f"deployment.clear.{id_}",
        help=f"Takes {name} off the list; its orders and fills are kept" if may_clear else None,
        on_click=_clear,
        args=(id_, name),
    )
    ended = any(deployment.status.has_ended for deployment in deployments)
    st.button("Clear all ended", disabled=not ended, key="deployment.clear_all", type="tertiary", on_click=_clear_all)


def _stop(deployment_id: str, name: str) -> None:
    with _told():
        clients().deployments.stop(deployment_id, close_positions=False)
        state.tell(f"Stopping {name}. Its orders, fills and positions are kept.")


def _clear(deployment_id: str, name: str) -> None:
    with _told():
        clients().deployments.clear(deployment_id)
        state.select("")
        state.tell(f"Cleared {name}.")


def _clear_all() -> None:
    with _told():
        cleared = clients().deployments.clear()
        state.tell(f"Cleared {counted(len(cleared), 'deployment')}.")


@contextmanager
def _told() -> Iterator[None]:
    """Turn a refusal into what the next look at the page tells: a click is handled before there is a page to write on."""
    try:
        yield
    except AlgoPyError as error:
        state.tell(str(error), kind="error")


def _show_notice() -> None:
    notice = state.notice()
    if notice is not None:
        show = st.success if notice.kind == "success" else st.error
        show(plain(notice.text))
