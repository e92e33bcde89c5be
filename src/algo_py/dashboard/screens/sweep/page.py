"""The page itself: the form, the sweep that runs, and the results of the last one."""

from __future__ import annotations

from pathlib import Path

import streamlit as st

from algo_py.dashboard.components.errors import show as show_error
from algo_py.dashboard.components.errors import shown_as_a_line
from algo_py.dashboard.components.heading import heading
from algo_py.dashboard.context import Context
from algo_py.dashboard.screens.sweep import run
from algo_py.dashboard.screens.sweep.form import SweepForm, sweep_form
from algo_py.dashboard.screens.sweep.result import show_result
from algo_py.errors import AlgoPyError

_HELP = Path(__file__).parent / "help.md"


def show(context: Context) -> None:
    """Show the page."""
    heading("Parameter Sweep", _HELP)
    root = context.clients.workspace.root
    left, right = st.columns([1, 2.7], gap="medium")
    with left, st.container(border=True, gap="xsmall"):
        form = sweep_form(context.clients)
        place = st.container()
        wanted = form is not None and st.button(
            "Run Sweep", type="primary", width="stretch", disabled=run.is_running(), key="sweep.run"
        )
        if form is not None and wanted:
            with place, shown_as_a_line():
                run.start(form.order(root))
                st.rerun()
    with right:
        if run.is_running():
            run.watch()
        error, swept = run.error(), run.swept()
        if error is not None:
            show_error(error)
        if swept is not None:
            show_result(context, swept, is_outdated=form is None or _differs(form, swept, root))
        elif error is None and not run.is_running():
            st.info("Choose a strategy, the values to try and what to run them on, then press **Run Sweep**.")


def _differs(form: SweepForm, swept: run.Swept, root: Path) -> bool:
    try:
        return form.order(root) != swept.order
    except AlgoPyError:
        return True
