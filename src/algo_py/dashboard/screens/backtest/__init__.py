"""Strategy Backtest: choose a strategy and bars, run it, look at the result, save it."""

from algo_py.dashboard.screens.backtest.page import show

__all__ = ["show"]
