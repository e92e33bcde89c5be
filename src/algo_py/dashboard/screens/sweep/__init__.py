"""Parameter Sweep: try many parameter sets, look at all of them, save one as a backtest."""

from algo_py.dashboard.screens.sweep.page import show

__all__ = ["show"]
