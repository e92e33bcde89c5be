"""The page itself: the form, the run with its progress, and the result that stays until the next one."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import streamlit as st

from algo_py.backtest import BacktestConfig, BacktestResult, run_backtest
from algo_py.backtest.curves import Curves
from algo_py.dashboard.clients import Clients
from algo_py.dashboard.components.errors import shown_as_a_line
from algo_py.dashboard.components.heading import heading
from algo_py.dashboard.context import Context
from algo_py.dashboard.screens.backtest.form import BacktestForm, backtest_form
from algo_py.dashboard.screens.backtest.result import show_result
from algo_py.errors import AlgoPyError

_HELP = Path(__file__).parent / "help.md"
_KEY = "backtest.ran"


@dataclass(frozen=True, slots=True)
class _Ran:
    """A result with its curves, and what was asked for: with it a later form is compared."""

    asked: BacktestConfig
    result: BacktestResult
    curves: Curves


def show(context: Context) -> None:
    """Show the page."""
    heading("Strategy Backtest", _HELP)
    left, right = st.columns([1, 2.7], gap="medium")
    with left, st.container(border=True, gap="xsmall"):
        form = backtest_form(context.clients)
        place = st.container()  # beside the button that was pressed: there a person is looking
        if form is not None and st.button("Run Backtest", type="primary", width="stretch", key="backtest.run"):
            with place, shown_as_a_line():
                _run(context.clients, form.config())
    with right:
        ran: _Ran | None = st.session_state.get(_KEY)
        if ran is None:
            st.info("Choose a strategy and what to run it on, then press **Run Backtest**. The result appears here.")
        else:
            show_result(context, ran.result, ran.curves, is_outdated=form is None or _differs(form, ran))


def _run(clients: Clients, config: BacktestConfig) -> None:
    bar = st.progress(0.0, text="Starting")

    def tell(stage: str, done: float) -> None:
        bar.progress(done, text=stage.capitalize())

    try:
        result = run_backtest(clients.workspace, config, tell)
    finally:
        bar.empty()
    st.session_state[_KEY] = _Ran(config, result, Curves.of_portfolio(result.bars, result.portfolio))


def _differs(form: BacktestForm, ran: _Ran) -> bool:
    """Whether the form, or the strategy's file, is no longer what the result is of."""
    try:
        return form.config() != ran.asked or dict(form.entry.sources) != dict(ran.result.entry.sources)
    except AlgoPyError:
        return True
