"""The set that a person has chosen, at first the best one, and saving it as a backtest."""

from __future__ import annotations

import math
from collections.abc import Sequence

import pandas as pd
import streamlit as st

from algo_py.backtest import BacktestResult, run_backtest
from algo_py.dashboard.clients import Clients
from algo_py.dashboard.components.errors import shown_as_a_line
from algo_py.dashboard.context import DEPLOYMENT, Context
from algo_py.dashboard.format import plain
from algo_py.dashboard.screens.sweep.rows import heading, parameters_of, set_words, worded
from algo_py.dashboard.screens.sweep.run import Swept
from algo_py.engine.sweep import plain as python_value
from algo_py.engine.sweep_rank import METRICS
from algo_py.errors import Conflict

_CHOSEN, _SAVED = "sweep.chosen", "sweep.saved"


def choose(swept: Swept, number: int) -> None:
    """Choose the set with this number in the search."""
    st.session_state[_CHOSEN] = (swept, number)


def chosen_set(swept: Swept) -> pd.Series | None:
    """Return the chosen set, at first the best; None as long as there is none and nothing was chosen."""
    kept: tuple[Swept, int] | None = st.session_state.get(_CHOSEN)
    if kept is not None and kept[0] is swept:
        return swept.result.results.iloc[kept[1]]
    first = swept.result.ranked().iloc[0]
    return None if python_value(first[swept.result.rank]) is None else first


def save_chosen(context: Context, swept: Swept, chosen: pd.Series | None, names: Sequence[str]) -> None:
    """Show the chosen set and the button that runs and saves it; `names` are the parameters that are said."""
    if chosen is None:
        st.info(f"No set has a {heading(swept.result.rank)}. The table says why; another metric may be defined.")
        return
    failed = chosen["status"] != "ok"
    if failed:
        st.error(f"**{plain(set_words(chosen, names))}** failed: {plain(str(chosen['error']))}")
    else:
        value = worded(swept.result.rank, python_value(chosen[swept.result.rank]), swept.result.config.quote_label)
        st.markdown(f"Chosen set **{plain(set_words(chosen, names))}**: {plain(heading(swept.result.rank))} {plain(value)}")
    saved: tuple[Swept, object, str] | None = st.session_state.get(_SAVED)
    saved_as = saved[2] if saved is not None and saved[0] is swept and saved[1] == chosen.name else None
    with st.container(horizontal=True, vertical_alignment="bottom"):
        name = st.text_input(
            "Backtest name", key="sweep.name", placeholder="Leave empty to have it named", max_chars=80, width=320
        ).strip()
        is_there = saved_as is not None and name in ("", saved_as)
        wanted = st.button("Save the chosen set as a backtest", key="sweep.save", disabled=failed or is_there)
        if saved_as is not None:
            st.markdown(f"Saved as **{plain(saved_as)}**")
            context.link(DEPLOYMENT, "Deploy it")
    if wanted:
        with shown_as_a_line():
            snapshot = context.clients.backtests.save(_run(context.clients, swept, chosen), name or None)
            st.session_state[_SAVED] = (swept, chosen.name, snapshot.name)
            st.rerun()


def _run(clients: Clients, swept: Swept, chosen: pd.Series) -> BacktestResult:
    """Run the set as a backtest. What the sweep did not see, a changed strategy or other bars, is not saved under its figures."""
    params = {name: python_value(chosen[name]) for name in parameters_of(swept.result.results)}
    with st.spinner("Running the backtest"):
        result = run_backtest(clients.workspace, swept.result.config.model_copy(update={"params": params}))
    for name in METRICS:
        now, then = result.portfolio.metrics[name], python_value(chosen[name])
        if (now is None) != (then is None) or (now is not None and not math.isclose(now, then, rel_tol=1e-9, abs_tol=1e-12)):
            has, had = (worded(name, value, result.config.quote_label) for value in (now, then))
            raise Conflict(
                f"a backtest of this set now has {heading(name)} {has}, in the sweep it was {had}",
                remedy="The strategy or the bars have changed since: run the sweep again.",
            )
    return result
