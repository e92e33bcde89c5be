"""Orders, fills and a small venue for the tests of this folder."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime
from decimal import Decimal

from algo_py.errors import OutcomeUnknown
from algo_py.orders.model import Fill, Leg, OrderReport, OrderRequest, OrderStatus, Side, client_order_id

BAR = datetime(2025, 1, 1, tzinfo=UTC)


def request(
    *, symbol: str = "BTC/USDT", side: Side = Side.BUY, leg: Leg = Leg.ENTRY, quantity: str = "0.5", bar_time: datetime = BAR
) -> OrderRequest:
    return OrderRequest(
        client_order_id=client_order_id("d1", bar_time, symbol, side, leg),
        symbol=symbol,
        side=side,
        leg=leg,
        quantity=Decimal(quantity),
        bar_time=bar_time,
        reference_price=Decimal(100),
        reason="entry" if leg is Leg.ENTRY else "exit",
    )


def fill_of(order: OrderRequest, *, trade_id: str = "t1", price: str = "101", fee: str = "0.1") -> Fill:
    return Fill(
        trade_id=trade_id,
        client_order_id=order.client_order_id,
        symbol=order.symbol,
        side=order.side,
        quantity=order.quantity,
        price=Decimal(price),
        fee=Decimal(fee),
        time=BAR,
    )


def filled(order: OrderRequest, *, trade_id: str = "t1") -> OrderReport:
    return OrderReport(
        client_order_id=order.client_order_id,
        venue_order_id="v1",
        status=OrderStatus.FILLED,
        fills=(fill_of(order, trade_id=trade_id),),
    )


@dataclass
class Venue:
    """A venue with a memory. `answer` is called on each submit after the order was taken in, and may raise."""

    answer: Callable[[OrderRequest], None] = lambda order: None
    is_blind: bool = False
    taken: list[OrderRequest] = field(default_factory=list)
    canceled: list[str] = field(default_factory=list)

    def submit(self, order: OrderRequest) -> OrderReport:
        self.taken.append(order)
        self.answer(order)
        return OrderReport(client_order_id=order.client_order_id, venue_order_id="v1", status=OrderStatus.ACCEPTED)

    def find(self, order: OrderRequest, planned_at: datetime) -> OrderReport | None:
        if self.is_blind:
            return None
        for place, taken in enumerate(self.taken):
            if taken.client_order_id == order.client_order_id:
                return filled(taken, trade_id=f"t{place}")
        return None

    def cancel(self, order: OrderRequest, planned_at: datetime) -> None:
        self.canceled.append(order.client_order_id)


def time_out(_order: OrderRequest, *_: object) -> None:
    raise OutcomeUnknown("no answer within 10 s")


@dataclass
class Notebook:
    """A log that remembers its events."""

    events: list[tuple[str, dict[str, object]]] = field(default_factory=list)

    def info(self, event: str, **fields: object) -> None:
        self.events.append((event, fields))

    def warning(self, event: str, **fields: object) -> None:
        self.events.append((event, fields))

    def error(self, event: str, **fields: object) -> None:
        self.events.append((event, fields))
