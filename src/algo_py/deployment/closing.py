"""The orders that close what a deployment holds, when a person stops it and wants no position left."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime

from algo_py.market import Instrument
from algo_py.orders.journal import Journal
from algo_py.orders.model import Leg, OrderRequest, OrderType, Side, client_order_id
from algo_py.orders.risk import in_lots

CLOSED_ON_STOPPING = "closed on stopping"
_TRIES = 5


def closing_orders(
    journal: Journal, rules: Mapping[str, Instrument], *, deployment_id: str, bar_time: datetime
) -> Sequence[OrderRequest]:
    """Return a market order for each position that has no order under way; none for one that was tried often enough.

    The id counts the tries that have ended, so that asking again after a crash gives the same order.
    """
    orders = journal.orders()
    busy = {order.request.symbol for order in orders if order.status.is_open and order.request.type is not OrderType.STOP}
    found = []
    for symbol, position in journal.positions().items():
        tried = sum(
            order.request.symbol == symbol and order.request.bar_time == bar_time and order.request.reason == CLOSED_ON_STOPPING
            for order in orders
        )
        if symbol in busy or tried >= _TRIES:
            continue
        side = Side.SELL if position.quantity > 0 else Side.BUY
        quantity = abs(position.quantity)
        found.append(
            OrderRequest(
                client_order_id=client_order_id(deployment_id, bar_time, symbol, side, Leg.EXIT, kind=f"close {tried}"),
                symbol=symbol,
                side=side,
                leg=Leg.EXIT,
                quantity=in_lots(quantity, rules[symbol]) if symbol in rules else quantity,
                bar_time=bar_time,
                reference_price=position.average_price,
                reason=CLOSED_ON_STOPPING,
            )
        )
    return found
