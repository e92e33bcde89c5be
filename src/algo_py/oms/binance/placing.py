"""How an order of ours is written for Binance, and which ones are never sent.

| ours | Binance's |
|---|---|
| MARKET | MARKET by base quantity, never by an amount of quote currency |
| LIMIT | LIMIT with GTC, IOC or FOK |
| STOP with a stop price | STOP_LOSS: at the market once the price is reached |
| STOP with a target price | TAKE_PROFIT: likewise |
| STOP with both | a list of these two (OCO): the first to be reached ends the other |

Quantities and prices go out digit by digit as they were asked for: Binance's own methods are called, since ccxt's unified
`create_order` cuts amounts to the symbol's step and turns a market buy with a price into an amount of quote currency.

A single order has our id at Binance. Of a list, the list has our id and each order our id with its role behind it.
Source: Binance Spot API, REST, "New order" and "New Order list - OCO".
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from decimal import Decimal
from typing import Final

from algo_py.errors import InvalidInput, Rejected
from algo_py.market import Market
from algo_py.oms.protocol import Capabilities
from algo_py.orders.model import OrderRequest, OrderType, Side, TimeInForce

_STOP, _TARGET = "-stop", "-target"
_TIMES_IN_FORCE: Final = {
    OrderType.MARKET: frozenset(TimeInForce) - {TimeInForce.DAY},  # it ends at once, whichever of them is written on it
    OrderType.LIMIT: frozenset({TimeInForce.GTC, TimeInForce.IOC, TimeInForce.FOK}),
    OrderType.STOP: frozenset({TimeInForce.GTC}),
}


@dataclass(frozen=True, slots=True)
class Placing:
    """The name of ccxt's method, and what it is given."""

    method: str
    parameters: Mapping[str, str]


def placing_of(order: OrderRequest, market: Market, capabilities: Capabilities, *, name: str) -> Placing:
    """Write an order for Binance. Raises Rejected for one that it could not mean the same by."""
    why = _why_not(order, market, capabilities)
    if why is not None:
        raise Rejected(f"{name} cannot take the order for {order.symbol}: {why}")
    common = {"symbol": symbol_id(order.symbol), "side": order.side.value, "quantity": plain(order.quantity)}
    if is_pair(order):
        return Placing("private_post_orderlist_oco", common | _pair(order))
    own = common | {"newClientOrderId": order.client_order_id, "newOrderRespType": "FULL"}
    if order.type is OrderType.MARKET:
        return Placing("private_post_order", own | {"type": "MARKET"})
    if order.limit_price is not None and order.type is OrderType.LIMIT:
        limit = {"type": "LIMIT", "timeInForce": order.time_in_force.value, "price": plain(order.limit_price)}
        return Placing("private_post_order", own | limit)
    kind, price = ("STOP_LOSS", order.stop_price) if order.stop_price is not None else ("TAKE_PROFIT", order.target_price)
    return Placing("private_post_order", own | {"type": kind, "stopPrice": plain(price or Decimal(0))})


def replacing(old: OrderRequest, new: OrderRequest, market: Market, capabilities: Capabilities, *, name: str) -> Placing:
    """Write the request that puts a single stop in the place of another. Raises Rejected for anything else.

    STOP_ON_FAILURE: where the old one cannot be canceled the new one is not tried, so there are never two. Binance has no such
    request for a pair. Source: Binance Spot API, REST, "Cancel an Existing Order and Send a New Order".
    """
    placing = placing_of(new, market, capabilities, name=name)
    if is_pair(old) or is_pair(new) or old.type is not OrderType.STOP or new.type is not OrderType.STOP:
        raise Rejected(
            f"{name} replaces a single stop by a single stop only", remedy="Cancel the old one, then place the new one."
        )
    if (old.symbol, old.side) != (new.symbol, new.side) or old.client_order_id == new.client_order_id:
        raise Rejected(f"{name} replaces a stop by another one of the same symbol and side, with an id of its own")
    of_old = {"cancelReplaceMode": "STOP_ON_FAILURE", "cancelOrigClientOrderId": old.client_order_id}
    return Placing("private_post_order_cancelreplace", {**placing.parameters, **of_old})


def is_pair(order: OrderRequest) -> bool:
    """Return whether it takes two orders at Binance."""
    return order.type is OrderType.STOP and order.stop_price is not None and order.target_price is not None


def venue_ids(order: OrderRequest) -> tuple[str, ...]:
    """Return the ids under which Binance knows an order: one, or that of the stop and that of the target."""
    own = order.client_order_id
    return (own + _STOP, own + _TARGET) if is_pair(order) else (own,)


def own_id(venue_client_id: str) -> str:
    """Return our id of what Binance calls so."""
    return venue_client_id.removesuffix(_STOP).removesuffix(_TARGET)


def symbol_id(symbol: str) -> str:
    """Return how Binance spells `BTC/USDT`."""
    return symbol.replace("/", "")


def is_of(symbol: str, market: Market) -> bool:
    """Return whether a symbol is spelled as the market's are: it names what is bought and what it is paid for in."""
    try:
        return bool(market.check_symbol(symbol))
    except InvalidInput:
        return False


def plain(number: Decimal) -> str:
    """Write a number with all its digits and no power of ten."""
    return f"{number:f}"


def _pair(order: OrderRequest) -> dict[str, str]:
    stop_id, target_id = venue_ids(order)
    stop = ("STOP_LOSS", stop_id, plain(order.stop_price or Decimal(0)))
    target = ("TAKE_PROFIT", target_id, plain(order.target_price or Decimal(0)))
    above, below = (target, stop) if order.side is Side.SELL else (stop, target)
    written = {"listClientOrderId": order.client_order_id, "newOrderRespType": "RESULT"}
    for name, (kind, client_id, price) in (("above", above), ("below", below)):
        written |= {f"{name}Type": kind, f"{name}ClientOrderId": client_id, f"{name}StopPrice": price}
    return written


def _why_not(order: OrderRequest, market: Market, capabilities: Capabilities) -> str | None:
    if order.type not in capabilities.order_types:
        return f"it has no {order.type} orders here"
    if order.time_in_force not in _TIMES_IN_FORCE[order.type]:
        return f"a {order.type} order cannot be {order.time_in_force}"
    if not is_of(order.symbol, market):
        return f"it is not spelled like {market.symbol_example}"
    prices: dict[str, Decimal | None] = {"quantity": order.quantity}
    if order.type is OrderType.LIMIT:
        prices["limit_price"] = order.limit_price
    if order.type is OrderType.STOP:
        if order.target_price is not None and not capabilities.holds_targets:
            return "it holds no targets here"
        if order.stop_price is not None or order.target_price is None:
            prices["stop_price"] = order.stop_price
        if order.target_price is not None:
            prices["target_price"] = order.target_price
    for what, value in prices.items():
        if value is None or not value.is_finite() or value <= 0:
            return f"{what} must be above 0 (was {value})"
    stop, target = prices.get("stop_price"), prices.get("target_price")
    if stop is not None and target is not None and (stop < target) is not (order.side is Side.SELL):
        side = "below" if order.side is Side.SELL else "above"
        return f"stop_price must lie {side} target_price (was {stop}, target_price {target})"
    return None
