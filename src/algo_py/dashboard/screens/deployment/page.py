"""The page itself: what can be deployed, and under it what has been."""

from __future__ import annotations

from pathlib import Path

from algo_py.dashboard.components.heading import heading
from algo_py.dashboard.context import Context
from algo_py.dashboard.screens.deployment.load import loaded_backtest
from algo_py.dashboard.screens.deployment.request import request_form
from algo_py.dashboard.screens.deployment.watch import watch

_HELP = Path(__file__).parent / "help.md"


def show(context: Context) -> None:
    """Show the page."""
    heading("Strategy Deployment", _HELP)
    loaded = loaded_backtest(context)
    if loaded is not None:
        request_form(context.clients, loaded)
    watch()
