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

from algo_py.amounts import read_amount
from algo_py.errors import InvalidInput
from algo_py.market import Market
from algo_py.oms.protocol import PositionReport

_EXCHANGES: Final = ("NSE", "BSE")
_PAISA: Final = Decimal("0.01")
DELIVERY: Final = "CNC"


def held(
    holdings: Iterable[Mapping[str, Any]], positions: Mapping[str, Any], *, product: str, market: Market
) -> list[PositionReport]:
    """Return what is held under a product. Raises LookupError, TypeError or ValueError when the rows make no sense."""
    quantities: dict[str, Decimal] = {}
    if product == DELIVERY:
        for row in _of(holdings, product):
            quantities[row["tradingsymbol"]] = quantities.get(row["tradingsymbol"], Decimal(0)) + _over_night(row)
    for row in _of(positions["net"], product):
        today = _shares(row, "day_buy_quantity") - _shares(row, "day_sell_quantity")
        quantities[row["tradingsymbol"]] = quantities.get(row["tradingsymbol"], Decimal(0)) + today
    return [
        PositionReport(symbol=symbol, quantity=quantity)
        for symbol, quantity in quantities.items()
        if quantity and market.symbol_pattern.fullmatch(symbol)
    ]


def free_cash(margins: Mapping[str, Any]) -> Decimal:
    """Return what is free, in rupees; it may be below 0. Raises LookupError, TypeError or ValueError when it makes no sense."""
    return _number(margins["available"]["live_balance"], "live_balance").quantize(_PAISA)


def _of(rows: Iterable[Mapping[str, Any]], product: str) -> list[Mapping[str, Any]]:
    return [row for row in rows if row["exchange"] in _EXCHANGES and row["product"] == product]


def _over_night(row: Mapping[str, Any]) -> Decimal:
    """Return the free shares of a holding as they were this morning.

    Kite does not say whether `quantity` falls on the day of a sale, or `used_quantity` alone tells of it, nor whether
    `opening_quantity` counts pledged shares. The smaller of the two sums is right in each of these cases.
    """
    still = _shares(row, "quantity") + _shares(row, "t1_quantity")
    return min(_shares(row, "opening_quantity"), still + _shares(row, "used_quantity"))


def _shares(row: Mapping[str, Any], name: str) -> Decimal:
    number = _number(row[name], name)
    if number != number.to_integral_value():
        raise ValueError(f"{name} is not whole shares")
    return number


def _number(value: object, name: str) -> Decimal:
    try:
        return read_amount(value, name=name, allow_zero=True, allow_negative=True)
    except InvalidInput as error:
        raise ValueError(error.message) from None
