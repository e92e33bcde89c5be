"""The orders that close what a deployment holds, when a person stops it and wants no position left."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime

from algo_py.orders.guard import Guard
from algo_py.orders.journal import Journal
from algo_py.orders.model import Leg, OrderRequest, OrderType, Side, client_order_id
from algo_py.orders.risk import in_lots

CLOSED_ON_STOPPING = "closed on stopping"
_TRIES = 5


def closing_orders(
    journal: Journal, guard: Guard, *, deployment_id: str, bar_time: datetime, tries: dict[str, int]
) -> Sequence[OrderRequest]:
    """Return a market order for each position that no order closes yet; none for one that was tried often enough.

    `tries` counts those of this closing, by symbol, and grows by what is returned: what an earlier closing has tried in vain, or
    the parts that a large order is sent in, say nothing of this one. The id counts what was ever tried, so that asking again
    after a crash gives the same order.
    """
    opened = journal.orders(only_open=True)
    busy = {
        order.request.symbol for order in opened if order.request.type is not OrderType.STOP and order.request.leg is Leg.EXIT
    }
    found = []
    for symbol, position in journal.positions().items():
        tried = journal.count_of(symbol, bar_time=bar_time, reason=CLOSED_ON_STOPPING)
        if position.quantity < 0 and not guard.can_short:
            continue  # a mistake in the books: nothing is there that could be closed
        if symbol in busy or tries.get(symbol, 0) >= _TRIES:
            continue
        tries[symbol] = tries.get(symbol, 0) + 1
        side = Side.SELL if position.quantity > 0 else Side.BUY
        quantity, rules = abs(position.quantity), guard.rules.get(symbol)
        found.append(
            OrderRequest(
                client_order_id=client_order_id(deployment_id, bar_time, symbol, side, Leg.EXIT, kind=f"close {tried}"),
                symbol=symbol,
                side=side,
                leg=Leg.EXIT,
                quantity=quantity if rules is None else in_lots(quantity, rules),
                bar_time=bar_time,
                reference_price=guard.closes.get(symbol, position.average_price),
                reason=CLOSED_ON_STOPPING,
            )
        )
    return found
