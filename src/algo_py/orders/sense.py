"""The one gate between what a venue says of an order and the journal: numbers that cannot be are never booked.

What is booked is permanent, and every later run stands on it. So a report passes only as a whole: finite numbers above 0, at most
what was ordered, of the order's id, symbol and side, at a time and a price that are possible. The bounds are wide on purpose:
they are to catch nonsense (a comma lost, another order's fill, a venue that counts from zero), not bad luck. What does not
pass is an order of unknown outcome, which a person settles.
"""

from __future__ import annotations

from datetime import datetime, timedelta
from decimal import Decimal
from typing import Final

from algo_py.orders.model import Fill, OrderReport, OrderRequest, OrderStatus, OrderType, Side

# A price may be this many times the order's own prices, or this part of them: between a decision and a fill lie days at most.
_PRICE_FACTOR: Final = Decimal(10)
_TOLERANCE: Final = Decimal("1e-9")
# The clock of this machine may be wrong by years, and the venue's is not to blame for that; 1970 and 9999 are told from it.
_CLOCKS_APART: Final = timedelta(days=5 * 365)
# A rebate or a fee above the whole value of a trade is none; minimum fees of small trades are given room.
_FEE_MOST_OF_VALUE: Final = Decimal(1)


def nonsense(
    request: OrderRequest, report: OrderReport, *, planned_at: datetime, now: datetime, filled: Decimal = Decimal(0)
) -> str:
    """Return why a report cannot be true of an order, empty when it can; `filled` is how much of it is recorded already."""
    if report.client_order_id != request.client_order_id:
        return f"it is about the order {report.client_order_id}"
    if report.traded is not None and not (report.traded.is_finite() and report.traded >= 0):
        return f"the traded quantity {report.traded} is no quantity"
    for fill in report.fills:
        why = _nonsense_of(request, fill, planned_at=planned_at, now=now)
        if why:
            return f"its fill {fill.trade_id!r} {why}"
    total = max(sum((fill.quantity for fill in report.fills), Decimal(0)), report.traded or Decimal(0), filled)
    if total > request.quantity * (1 + _TOLERANCE):
        return f"{total:f} have filled of {request.quantity:f}"
    if report.status is OrderStatus.FILLED and not (report.fills or filled):
        return "it is filled, by no fill"
    return ""


def _nonsense_of(request: OrderRequest, fill: Fill, *, planned_at: datetime, now: datetime) -> str:
    if (fill.client_order_id, fill.symbol, fill.side) != (request.client_order_id, request.symbol, request.side):
        return f"is a {fill.side} of {fill.symbol} for the order {fill.client_order_id}"
    if not _is_amount(fill.quantity):
        return f"has the quantity {fill.quantity}"
    if not _is_amount(fill.price):
        return f"has the price {fill.price}"
    if not fill.fee.is_finite() or abs(fill.fee) > _FEE_MOST_OF_VALUE * fill.quantity * fill.price:
        return f"has a fee of {fill.fee}"
    if not planned_at - _CLOCKS_APART <= fill.time <= now + _CLOCKS_APART:
        return f"is of {fill.time.isoformat()}"
    return _odd_price(request, fill.price)


def _odd_price(request: OrderRequest, price: Decimal) -> str:
    references = (request.reference_price, request.limit_price, request.stop_price, request.target_price)
    known = [reference for reference in references if reference]
    if known and not any(reference / _PRICE_FACTOR <= price <= reference * _PRICE_FACTOR for reference in known):
        return f"has the price {price:f}, and the order's is {known[0]:f}"
    limit = request.limit_price
    if request.type is OrderType.LIMIT and limit:
        is_worse = price > limit * (1 + _TOLERANCE) if request.side is Side.BUY else price < limit * (1 - _TOLERANCE)
        if is_worse:
            return f"has the price {price:f}, worse than its limit {limit:f}"
    return ""


def _is_amount(value: Decimal) -> bool:
    return value.is_finite() and value > 0
