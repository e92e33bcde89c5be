"""What a trade costs. Kite does not say it per trade, so it comes from the market's dated schedule, as in a backtest.

The schedule is that of the product: deliveries (CNC), or intraday trades (MIS), whose brokerage is at most Rs 20 an order. That
is reckoned trade by trade, so an order that fills in several trades errs against us. The depository's charge for shares that
leave the account (about Rs 15 per share and day) is not part of it.
"""

from __future__ import annotations

from datetime import datetime
from decimal import Decimal
from typing import Final

from algo_py.engine import PortfolioConfig
from algo_py.engine.config import CostSchedule
from algo_py.engine.costs import cost_table
from algo_py.oms.zerodha.portfolio import DELIVERY
from algo_py.orders.model import Side, from_float

_PRECISION: Final = Decimal("0.0001")


class TradeCharges:
    """The charges of NSE's trades of one product by side and date."""

    def __init__(self, product: str = DELIVERY) -> None:
        schedule: CostSchedule = "nse_delivery" if product == DELIVERY else "nse_intraday"
        self._table = cost_table(PortfolioConfig(initial_cash=1.0, cost_schedule=schedule))

    def fee(self, side: Side, value: Decimal, moment: datetime) -> Decimal:
        """Return the charges of a trade of this value, rupees."""
        rates = self._table.rates[self._table.segment_at(moment)]
        brokerage = min(value * from_float(rates[6]), from_float(rates[7]))
        return (value * from_float(rates[0 if side is Side.BUY else 1]) + brokerage).quantize(_PRECISION)
