"""The stored files: looking at all of them, and what to do with damaged ones."""

from __future__ import annotations

import streamlit as st

from algo_py.dashboard.clients import Clients
from algo_py.dashboard.components.errors import shown_as_a_line
from algo_py.dashboard.components.table import table
from algo_py.dashboard.fetches.check import CheckOrder, CheckResult
from algo_py.dashboard.format import counted, moment, plain
from algo_py.dashboard.screens.data import work
from algo_py.dashboard.screens.data.file_rows import FINDING_COLUMNS, SET_ASIDE_COLUMNS, finding_row, set_aside_row

_HEIGHT = 240


def show_files(clients: Clients) -> None:
    """Show the button that checks all files, what it found, and what was set aside before."""
    root = clients.workspace.root
    with st.container(horizontal=True, vertical_alignment="center"):
        if st.button("Check all files", disabled=work.is_running(), key="data.check"):
            work.start(CheckOrder(root=root))
            st.rerun()
        st.caption("Reads every stored file and compares it with the checksums it was written with.", width="content")
    result = work.checked()
    if result is not None:
        _result(clients, result)
    with shown_as_a_line():
        moved = clients.bars.damaged_files()
        if moved:
            st.markdown("**Set aside earlier**")
            rows = [set_aside_row(one) for one in reversed(moved)]
            table("Files set aside", SET_ASIDE_COLUMNS, rows, key="data.set_aside_files", height=_HEIGHT)
            st.caption(f"Times are UTC. The files lie in {plain(str(clients.bars.folder / '_damaged'))}, as they were found.")


def _result(clients: Clients, result: CheckResult) -> None:
    at = f"checked {moment(result.at)} UTC"
    if result.moved:
        lost = any(one.lost for one in result.moved)
        fate = "What was lost with it is listed below; fill the gaps to have it back." if lost else "No bar was lost."
        st.success(f"{counted(len(result.moved), 'damaged file')} set aside. {fate}")
    if not result.findings:
        st.success(f"All {'other ' if result.moved else ''}stored files are as they were written ({at}).")
        return
    count = counted(len(result.findings), "file")
    st.error(f"{count} {'is' if len(result.findings) == 1 else 'are'} not as written ({at}).")
    table(
        "Damaged files",
        FINDING_COLUMNS,
        [finding_row(finding, str(clients.bars.folder)) for finding in result.findings],
        key="data.findings",
        height=_HEIGHT,
    )
    if any(finding.is_damaged for finding in result.findings):
        with st.container(horizontal=True, vertical_alignment="center"):
            if st.button("Set aside", disabled=work.is_running(), key="data.set_aside"):
                work.start(CheckOrder(root=clients.workspace.root, set_aside=True))
                st.rerun()
            st.caption(
                "Moves the damaged files to _damaged in the store and deletes nothing. What is sound in them stays in use; what "
                "is lost becomes a gap, which can be fetched again.",
                width="stretch",
            )
