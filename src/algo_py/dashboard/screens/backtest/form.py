"""The form on the left: everything that a backtest depends on. It computes nothing; `config` is what the library checks."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from algo_py.backtest import BacktestConfig
from algo_py.dashboard.clients import Clients
from algo_py.dashboard.components.parameter_form import fields_of, parameter_form
from algo_py.dashboard.components.setup import Setup, setup_form
from algo_py.dashboard.components.strategy_picker import strategy_picker
from algo_py.strategy.registry import StrategyEntry


@dataclass(frozen=True, slots=True, kw_only=True)
class BacktestForm:
    """What a person has chosen, not checked yet. `entry` is the strategy as it is on the disk now."""

    entry: StrategyEntry
    params: dict[str, Any]
    setup: Setup

    def config(self) -> BacktestConfig:
        """Return the backtest's configuration; what cannot be used is refused by name."""
        return self.setup.config(self.entry.name, self.params)


def backtest_form(clients: Clients) -> BacktestForm | None:
    """Show the form; None where there is nothing to run or nothing to run it on."""
    entry = strategy_picker(clients, key="backtest")
    if entry is None:
        return None
    params = parameter_form(fields_of(entry.usable_class()), key=f"backtest.param.{entry.name}")
    setup = setup_form(clients.bars, key="backtest")
    return None if setup is None else BacktestForm(entry=entry, params=params, setup=setup)
