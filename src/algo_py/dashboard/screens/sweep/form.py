"""The form on the left: the strategy, the values to try, on what, and how the sets are searched and compared."""

from __future__ import annotations

import math
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import streamlit as st

from algo_py.backtest.words import METRIC_WORDS
from algo_py.dashboard.clients import Clients
from algo_py.dashboard.components.parameter_form import fields_of
from algo_py.dashboard.components.setup import Setup, setup_form
from algo_py.dashboard.components.strategy_picker import strategy_picker
from algo_py.dashboard.format import counted
from algo_py.dashboard.screens.sweep.parameters import Parameters, parameters_form
from algo_py.dashboard.sweeps.order import SweepOrder
from algo_py.engine.sweep import SweepPlan
from algo_py.engine.sweep_rank import DEFAULT_RANK, DIRECTIONS
from algo_py.engine.sweep_search import DEFAULT_SAMPLES, SEARCHES, SearchName
from algo_py.errors import AlgoPyError
from algo_py.strategy.registry import StrategyEntry

SEARCH_WORDS: Final = {"grid": "Grid", "random": "Random", "tpe": "TPE"}
RANKS: Final = tuple(name for name, direction in DIRECTIONS.items() if direction)


@dataclass(frozen=True, slots=True, kw_only=True)
class SweepForm:
    """What a person has chosen, not checked yet."""

    entry: StrategyEntry
    parameters: Parameters
    setup: Setup
    search: SearchName
    samples: int | None
    seed: int
    rank: str
    folds: int | None

    def order(self, root: Path) -> SweepOrder:
        """Return the sweep to run; what cannot be used is refused by name."""
        plan = SweepPlan(grid=self.parameters.grid(), search=self.search, samples=self.samples, seed=self.seed, rank=self.rank)
        return SweepOrder(
            root=root, config=self.setup.config(self.entry.name, self.parameters.fixed), plan=plan, folds=self.folds
        )


def sweep_form(clients: Clients) -> SweepForm | None:
    """Show the form; None where there is nothing to run or nothing to run it on."""
    entry = strategy_picker(clients, key="sweep")
    if entry is None:
        return None
    parameters = parameters_form(fields_of(entry.usable_class()), key=f"sweep.param.{entry.name}")
    setup = setup_form(clients.bars, key="sweep")
    if setup is None:
        return None
    search = st.segmented_control(
        "Search",
        SEARCHES,
        default="grid",
        required=True,
        format_func=SEARCH_WORDS.__getitem__,
        key="sweep.search",
        help="Grid: every combination. Random: some of them. TPE: those that Optuna expects to do well",
        persist_state="session",
    )
    samples, seed = (None, 0) if search == "grid" else _sampling()
    left, right = st.columns([1, 1.3])
    rank = left.selectbox(
        "Rank by",
        RANKS,
        index=RANKS.index(DEFAULT_RANK),
        format_func=metric_name,
        key="sweep.rank",
        help="What is best; what cannot be computed for a set ranks behind",
        persist_state="session",
    )
    folds = right.number_input(
        "Walk-forward folds",
        value=None,
        min_value=1,
        step=1,
        placeholder="none",
        key="sweep.folds",
        help="Stretches of bars to choose the best set on, each looked at on the bars that follow",
        persist_state="session",
    )
    form = SweepForm(
        entry=entry, parameters=parameters, setup=setup, search=search, samples=samples, seed=seed, rank=rank, folds=folds
    )
    st.caption(_size(form))
    return form


def metric_name(metric: str) -> str:
    """Return a metric in a person's words, such as `Sharpe ratio`."""
    words = METRIC_WORDS[metric][0]
    return words[:1].upper() + words[1:]


def _sampling() -> tuple[int | None, int]:
    left, right = st.columns(2)
    samples = left.number_input(
        "Samples", value=DEFAULT_SAMPLES, step=10, key="sweep.samples", help="How many sets are tried", persist_state="session"
    )
    seed = right.number_input(
        "Seed", value=0, step=1, key="sweep.seed", help="The same one tries the same sets", persist_state="session"
    )
    return samples, seed


def _size(form: SweepForm) -> str:
    """Say how much work it is; what cannot be is said when it is run."""
    try:
        combinations = math.prod(len(values) for values in form.parameters.grid().values())
    except AlgoPyError:
        return ""
    count = combinations if form.samples is None else min(form.samples, combinations)
    tried = counted(count, "parameter set")
    if count < combinations:
        tried += f" of {combinations:,}"
    return tried if form.folds is None else f"{tried}, and again in each of {counted(form.folds, 'fold')}"
