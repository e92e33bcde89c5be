"""The report of a backtest, and the figures in it as pure functions of data, for whoever else shows them."""

from algo_py.backtest.report.costs import Costs, costs_of
from algo_py.backtest.report.data import ReportData
from algo_py.backtest.report.exposure import Exposure, exposure_of
from algo_py.backtest.report.file import file_name, write_page
from algo_py.backtest.report.page import render_report
from algo_py.backtest.report.returns import (
    DrawdownEpisode,
    Window,
    drawdown,
    drawdown_episodes,
    monthly_returns,
    returns,
    rolling_sharpe,
    rolling_window,
)
from algo_py.backtest.report.trades import (
    Bin,
    TradeGroup,
    TradeStatistics,
    duration_histogram,
    return_histogram,
    trade_groups,
    trade_statistics,
)

__all__ = [
    "Bin",
    "Costs",
    "DrawdownEpisode",
    "Exposure",
    "ReportData",
    "TradeGroup",
    "TradeStatistics",
    "Window",
    "costs_of",
    "drawdown",
    "drawdown_episodes",
    "duration_histogram",
    "exposure_of",
    "file_name",
    "monthly_returns",
    "render_report",
    "return_histogram",
    "returns",
    "rolling_sharpe",
    "rolling_window",
    "trade_groups",
    "trade_statistics",
    "write_page",
]
