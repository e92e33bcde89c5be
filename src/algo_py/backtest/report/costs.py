"""What trading cost: fees, slippage, borrowing, and how the profit looks without them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import pandas as pd

from algo_py.backtest.config import BacktestConfig


@dataclass(frozen=True, slots=True, kw_only=True)
class Costs:
    """Quote currency, all fills together. `turnover` is the notional of all fills at their own prices.

    `gross_profit` is what the same fills would have earned at the bars' own prices and without fees; `net_profit` what they did.
    """

    gross_profit: float
    fees: float
    slippage: float
    borrowing: float
    net_profit: float
    turnover: float
    fills: int
    denied: int

    @property
    def total(self) -> float:
        """All costs together."""
        return self.fees + self.slippage + self.borrowing

    @property
    def total_fraction_of_turnover(self) -> float | None:
        """What a unit of turnover cost; None where nothing was traded."""
        return self.total / self.turnover if self.turnover > 0.0 else None

    @property
    def total_fraction_of_gross(self) -> float | None:
        """Which part of the gross profit went to costs; None where there was none."""
        return self.total / self.gross_profit if self.gross_profit > 0.0 else None


def costs_of(orders: pd.DataFrame, config: BacktestConfig, metrics: Mapping[str, float | int | None]) -> Costs:
    """Return the costs of a backtest. `orders` is as `Portfolio.orders`.

    Slippage follows from a fill's price p exactly: it bought at open * (1 + slippage) or sold at open * (1 - slippage), so it
    lost |p - p / (1 ± slippage)| a unit. Borrowing is what `fees_paid` holds beyond the orders' fees.
    """
    filled = orders[orders["status"] == "FILLED"]
    quantity, price = filled["quantity"].to_numpy(dtype=np.float64), filled["price"].to_numpy(dtype=np.float64)
    worse = np.where(filled["side"] == "BUY", 1.0 + config.slippage, 1.0 - config.slippage)
    slippage = float((quantity * np.abs(price - price / worse)).sum())
    fees = float(filled["fee"].sum())
    paid = float(metrics["fees_paid"] or 0.0)
    borrowing = max(paid - fees, 0.0) if config.borrow_rate_annual else 0.0
    net_profit = float(metrics["final_equity"] or 0.0) - config.initial_cash
    return Costs(
        gross_profit=net_profit + fees + slippage + borrowing,
        fees=fees,
        slippage=slippage,
        borrowing=borrowing,
        net_profit=net_profit,
        turnover=float((quantity * price).sum()),
        fills=len(filled),
        denied=len(orders) - len(filled),
    )
