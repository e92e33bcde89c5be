"""Who takes the orders. One adapter a venue; they do not know one another."""

from algo_py.oms.paper import PaperOMS, PriceFeed
from algo_py.oms.protocol import OMS, AccountSummary, Capabilities, PhasedOMS, PositionReport, StopReplacer
from algo_py.oms.registry import OMSChoice, check_backtest, check_oms, oms_choice, oms_names, open_oms, try_connect

__all__ = [
    "OMS",
    "AccountSummary",
    "Capabilities",
    "OMSChoice",
    "PaperOMS",
    "PhasedOMS",
    "PositionReport",
    "PriceFeed",
    "StopReplacer",
    "check_backtest",
    "check_oms",
    "oms_choice",
    "oms_names",
    "open_oms",
    "try_connect",
]
