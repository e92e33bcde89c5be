"""What can be traded, and when."""

from algo_py.market.calendars import Calendar, latest_closed_open, latest_final_open
from algo_py.market.instruments import Instrument
from algo_py.market.markets import Market, get_market, market_names
from algo_py.market.timeframes import Timeframe

__all__ = [
    "Calendar",
    "Instrument",
    "Market",
    "Timeframe",
    "get_market",
    "latest_closed_open",
    "latest_final_open",
    "market_names",
]
