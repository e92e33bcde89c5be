"""What a strategy is tried on, with which money and by which rules: the part that all forms of backtests share."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

import streamlit as st

from algo_py.backtest import BacktestConfig
from algo_py.dashboard.components.money import Money, money_form
from algo_py.dashboard.components.options import Options, chosen_schedule, options_form
from algo_py.dashboard.components.period import Period, period_picker
from algo_py.dashboard.components.universe import Universe, universe_picker
from algo_py.finstore import FinStore


@dataclass(frozen=True, slots=True, kw_only=True)
class Setup:
    """What a person has chosen, not checked yet: everything but the strategy and its parameters."""

    universe: Universe
    period: Period
    money: Money
    options: Options

    def config(self, strategy: str, params: Mapping[str, Any]) -> BacktestConfig:
        """Return a backtest's configuration; what cannot be used is refused by name."""
        values = {
            "strategy": strategy,
            "params": params,
            "market": self.universe.market.name,
            "timeframe": self.universe.timeframe,
            "symbols": self.universe.symbols,
            "start": self.period.start,
            "end": self.period.end,
        }
        return BacktestConfig.model_validate(values | asdict(self.money) | asdict(self.options))


def setup_form(store: FinStore, *, key: str) -> Setup | None:
    """Show the form; None where no bars are stored."""
    universe = universe_picker(store, key=key)
    if universe is None:
        st.info("No bars are stored in this workspace yet. `algo-py init` puts sample bars there.")
        return None
    period = period_picker(store, universe, key=key)
    market, currency = universe.market, universe.quote_label
    money = money_form(market, currency, key=key, has_schedule=chosen_schedule(market, key=key) is not None)
    return Setup(universe=universe, period=period, money=money, options=options_form(market, currency, key=key))
