"""Choosing a saved backtest and loading it."""

from __future__ import annotations

import streamlit as st

from algo_py.backtest import SnapshotSummary
from algo_py.dashboard.components.errors import shown_as_a_line
from algo_py.dashboard.components.parameter_form import fields_of
from algo_py.dashboard.context import BACKTEST, Context
from algo_py.dashboard.format import counted, listed, moment, percent, plain
from algo_py.dashboard.screens.deployment import state
from algo_py.dashboard.screens.deployment.request import fill_request


def loaded_backtest(context: Context) -> state.Loaded | None:
    """Show the picker; return the backtest that is loaded, or None."""
    summaries = {summary.id: summary for summary in context.clients.backtests.list()}
    damaged = [summary for summary in summaries.values() if summary.error is not None]
    usable = {id_: summary for id_, summary in summaries.items() if summary.error is None}
    if damaged:
        st.warning(
            f"{counted(len(damaged), 'saved backtest')} cannot be used:\n"
            + "\n".join(f"- {plain(one.error or '')}" for one in damaged)
        )
    if not usable:
        st.info("There is no saved backtest to deploy yet. Run one and save it.")
        context.link(BACKTEST, "Strategy Backtest")
        return None
    with st.container(border=True):
        left, right = st.columns([4, 1], vertical_alignment="bottom")
        chosen = left.selectbox(
            "Saved backtest",
            list(usable),
            format_func=lambda id_: _described(usable[id_]),
            key="deployment.backtest",
            persist_state="session",
        )
        if right.button(
            "Load Backtest", type="secondary" if state.loaded() else "primary", width="stretch", key="deployment.load"
        ):
            with shown_as_a_line():
                _load(context, chosen)
    return state.loaded()


def _load(context: Context, backtest_id: str) -> None:
    context.clients.deployments.ensure_supervisor()  # it loads while the form is filled in, and is ready at the click
    snapshot = context.clients.backtests.load(backtest_id)
    loaded = state.Loaded(snapshot, fields_of(type(snapshot.strategy_instance())))
    fill_request(loaded)
    state.set_loaded(loaded)
    state.tell_nothing()


def _described(summary: SnapshotSummary) -> str:
    config, metrics = summary.config, summary.metrics
    if config is None or metrics is None:
        return summary.id
    gain = percent(metrics["total_return_fraction"], signed=True)
    universe = f"{listed(config.symbols)} {config.timeframe}"
    return f"{summary.name}  ·  {config.strategy}, {universe}, {gain}  ·  saved {moment(summary.created_at)}"
