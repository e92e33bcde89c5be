"""An order in Kite's words, and the orders that are refused before anything is sent.

Refused is only what Kite could not be told, or would take for something else; how much may be risked is judged elsewhere.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from algo_py.errors import Rejected, RuleBroken
from algo_py.finstore.sources.kite_listing import QUANTITY_MAX
from algo_py.orders.model import OrderRequest, OrderType, TimeInForce

EXCHANGE: Final = "NSE"
VARIETY: Final = "regular"
ORDER_TYPES: Final = frozenset({OrderType.MARKET, OrderType.LIMIT})
# Kite sets the band itself. Without one, market orders are refused since 2026-04-01 (kite.trade/forum/discussion/15912).
_AUTOMATIC_PROTECTION: Final = -1
# NSE has nothing that outlives the day: what is left of a GTC order in the evening is canceled, and reported so.
_VALIDITY: Final = {TimeInForce.GTC: "DAY", TimeInForce.DAY: "DAY", TimeInForce.IOC: "IOC"}


def parameters(order: OrderRequest, *, product: str) -> Mapping[str, Any]:
    """Return what kiteconnect's `place_order` takes. Raises Rejected."""
    if order.type not in ORDER_TYPES:
        raise Rejected(f"Zerodha is not sent {order.type} orders: they would end with the day")
    if order.time_in_force not in _VALIDITY:
        raise Rejected(f"Zerodha has no orders that are {order.time_in_force}")
    if not order.quantity.is_finite() or order.quantity != order.quantity.to_integral_value() or order.quantity < 1:
        raise RuleBroken(f"the quantity must be whole shares (was {order.quantity})")
    if order.quantity > QUANTITY_MAX:  # one intent stays one order, so it is not sliced here
        raise RuleBroken(f"an order at Zerodha has at most {QUANTITY_MAX:,} shares (was {order.quantity:f})")
    if (order.limit_price is not None) is not (order.type is OrderType.LIMIT):
        raise Rejected("a LIMIT order must have a limit_price, and a MARKET order none")
    if order.limit_price is None:
        of_type: dict[str, Any] = {"market_protection": _AUTOMATIC_PROTECTION}
    else:
        of_type = {"price": f"{order.limit_price.normalize():f}"}
    return of_type | {
        "variety": VARIETY,
        "exchange": EXCHANGE,
        "tradingsymbol": order.symbol,
        "transaction_type": order.side.value,
        "quantity": int(order.quantity),
        "product": product,
        "order_type": order.type.value,
        "validity": _VALIDITY[order.time_in_force],
        "tag": order.client_order_id,
    }
