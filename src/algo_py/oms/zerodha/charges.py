"""What a trade costs. Kite does not say it per trade, so it comes from the market's dated schedule, as in a backtest.

The schedule is that of delivery. Trades of the product MIS pay less (no STT on purchases), so for them it errs against us. The
depository's charge for shares that leave the account (about Rs 15 per share and day) is not part of it.
"""

from __future__ import annotations

from datetime import datetime
from decimal import Decimal
from typing import Final

from algo_py.engine import PortfolioConfig
from algo_py.engine.costs import cost_table
from algo_py.orders.model import Side, from_float

_PRECISION: Final = Decimal("0.0001")


class DeliveryCharges:
    """The charges of NSE's delivery trades by side and date."""

    def __init__(self) -> None:
        self._table = cost_table(PortfolioConfig(initial_cash=1.0, cost_schedule="nse_delivery"))

    def fee(self, side: Side, value: Decimal, moment: datetime) -> Decimal:
        """Return the charges of a trade of this value, rupees."""
        rates = self._table.rates[self._table.segment_at(moment)]
        return (value * from_float(rates[0 if side is Side.BUY else 1])).quantize(_PRECISION)
