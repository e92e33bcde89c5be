"""Strategy Deployment: load a saved backtest, deploy it, watch it trade, stop it, clear it."""

from algo_py.dashboard.screens.deployment.page import show

__all__ = ["show"]
