"""The calm word on trading days: a market's are known no further than soon, or the file that a person wrote cannot be read."""

from __future__ import annotations

from collections.abc import Iterable

import streamlit as st

from algo_py.clock import Clock
from algo_py.dashboard.format import plain
from algo_py.deployment import Deployment
from algo_py.market import get_market
from algo_py.market.horizon import REMEDY, Horizon, horizon_of
from algo_py.market.own_facts import own_facts


def show_horizons(deployments: Iterable[Deployment], clock: Clock) -> None:
    """Say for each market with living deployments when its known days end soon; nothing where there is nothing to say."""
    show_calendar_problem()
    for horizon in near(deployments, clock):
        text = str(horizon)
        st.info(plain(f"{text[0].upper()}{text[1:]}. {REMEDY}."), icon=":material/event:")


def near(deployments: Iterable[Deployment], clock: Clock) -> list[Horizon]:
    """Return the horizons that are near, of the markets on which a deployment lives on the machine's clock."""
    living = (one for one in deployments if not one.status.has_ended and not one.row.is_replay)
    markets = dict.fromkeys(one.config.backtest.market for one in living)
    found = (horizon_of(get_market(name), clock.now()) for name in markets)
    return [horizon for horizon in found if horizon is not None and horizon.threshold is not None]


def show_calendar_problem() -> None:
    """Say that `config/calendar.toml` or the list of shares cannot be read, as long as that is so."""
    problem = own_facts().problem
    if problem:
        st.warning(f"**{plain(problem)}** What was read before goes on to hold.")
