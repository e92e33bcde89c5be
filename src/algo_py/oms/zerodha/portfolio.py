"""What the account holds, from Kite's holdings and positions. Pure functions on what its client returns.

Shares bought for delivery show among the positions on that day and among the holdings from the next one, first as `t1_quantity`,
once delivered as `quantity`. Shares sold from the holdings show among the positions as sold. So what is held now is what was
carried over the night, and what was bought and sold today. Pledged shares (`collateral_quantity`) and those of the margin
facility (`mtf`) are left out: an order of ours cannot sell them. A share is the same on NSE and BSE, and Kite lists a holding
under one of the two. kite.trade/docs/connect/v3/portfolio; kite.trade/forum/discussion/7724 (quantity + t1_quantity).
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from decimal import Decimal
from typing import Any, Final

from algo_py.market import Market
from algo_py.oms.protocol import PositionReport

_EXCHANGES: Final = ("NSE", "BSE")
DELIVERY: Final = "CNC"


def held(
    holdings: Iterable[Mapping[str, Any]], positions: Mapping[str, Any], *, product: str, market: Market
) -> list[PositionReport]:
    """Return what is held under a product. Raises LookupError, TypeError or ValueError when the rows make no sense."""
    quantities: dict[str, int] = {}
    if product == DELIVERY:
        for row in _of(holdings, product):
            quantities[row["tradingsymbol"]] = quantities.get(row["tradingsymbol"], 0) + _over_night(row)
    for row in _of(positions["net"], product):
        today = int(row["day_buy_quantity"]) - int(row["day_sell_quantity"])
        quantities[row["tradingsymbol"]] = quantities.get(row["tradingsymbol"], 0) + today
    return [
        PositionReport(symbol=symbol, quantity=Decimal(quantity))
        for symbol, quantity in quantities.items()
        if quantity and market.symbol_pattern.fullmatch(symbol)
    ]


def _of(rows: Iterable[Mapping[str, Any]], product: str) -> list[Mapping[str, Any]]:
    return [row for row in rows if row["exchange"] in _EXCHANGES and row["product"] == product]


def _over_night(row: Mapping[str, Any]) -> int:
    """Return the free shares of a holding as they were this morning.

    Kite does not say whether `quantity` falls on the day of a sale, or `used_quantity` alone tells of it, nor whether
    `opening_quantity` counts pledged shares. The smaller of the two sums is right in each of these cases.
    """
    still = int(row["quantity"]) + int(row["t1_quantity"])
    return min(int(row["opening_quantity"]), still + int(row["used_quantity"]))
