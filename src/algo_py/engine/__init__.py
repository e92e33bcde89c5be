"""Signals become fills, fills become equity: one compiled step for the backtest and for the live worker.

Importing this package is cheap; numba and the compiled code are loaded by the first simulation or account.
"""

from algo_py.engine.account import Account, Decision, Execution
from algo_py.engine.config import PortfolioConfig
from algo_py.engine.portfolio import Portfolio
from algo_py.engine.simulation import simulate
from algo_py.engine.sweep import sweep

__all__ = ["Account", "Decision", "Execution", "Portfolio", "PortfolioConfig", "simulate", "sweep"]
