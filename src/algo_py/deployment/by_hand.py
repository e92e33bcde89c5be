"""What a person has found out about an order at the venue, where nobody else can: it ends an order whose outcome stays open."""

from __future__ import annotations

from datetime import datetime
from decimal import Decimal

from pydantic import BaseModel, ConfigDict, Field

from algo_py.orders.model import Fill, OrderReport, OrderStatus
from algo_py.orders.records import JournaledOrder

SETTLED_BY_HAND = "settled by hand"


class Outcome(BaseModel):
    """What became of an order: how many units have filled in all, at what average price, with what fees (quote currency)."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    filled_quantity: Decimal = Field(ge=0, allow_inf_nan=False)
    price: Decimal | None = Field(None, gt=0, allow_inf_nan=False)
    fee: Decimal = Field(Decimal(0), allow_inf_nan=False)


def report_by_hand(order: JournaledOrder, outcome: Outcome, *, at: datetime) -> OrderReport:
    """Return the report that records `outcome`; fills that are recorded already count as a part of it."""
    request = order.request
    new = outcome.filled_quantity - order.filled_quantity
    fills: tuple[Fill, ...] = ()
    if new > 0 and outcome.price is not None:
        fills = (
            Fill(
                trade_id=f"{request.client_order_id}-by-hand",
                client_order_id=request.client_order_id,
                symbol=request.symbol,
                side=request.side,
                quantity=new,
                price=outcome.price,
                fee=outcome.fee,
                time=at,
            ),
        )
    is_whole = outcome.filled_quantity >= request.quantity
    return OrderReport(
        client_order_id=request.client_order_id,
        venue_order_id=order.venue_order_id,
        status=OrderStatus.FILLED if is_whole else OrderStatus.CANCELED,
        reason=SETTLED_BY_HAND,
        fills=fills,
    )
