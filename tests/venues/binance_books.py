"""What an account at Binance has and does, and the rows that the API writes of it.

Balances, orders, lists of two orders, trades, and what a client wants of one order.
"""

from __future__ import annotations

from dataclasses import dataclass
from decimal import Decimal
from typing import Any

from .binance_rules import STOPS

LIMITS = ("LIMIT", "LIMIT_MAKER")
_RESTING = ("NEW", "PARTIALLY_FILLED")


@dataclass(slots=True)
class Balance:
    free: Decimal = Decimal(0)
    locked: Decimal = Decimal(0)


@dataclass(slots=True, kw_only=True)
class Order:
    """An order as the exchange keeps it. `held` is what it locks: an asset and how much of it."""

    id: int
    list_id: int
    symbol: str
    client_id: str
    side: str
    type: str
    time_in_force: str
    quantity: Decimal
    price: Decimal
    stop_price: Decimal
    time: int
    updated: int
    status: str = "NEW"
    executed: Decimal = Decimal(0)
    traded: Decimal = Decimal(0)
    is_triggered: bool = False
    held: tuple[str, Decimal] | None = None

    @property
    def is_open(self) -> bool:
        return self.status in _RESTING

    @property
    def rest(self) -> Decimal:
        return self.quantity - self.executed


@dataclass(frozen=True, slots=True, kw_only=True)
class Trade:
    """One execution; `commission` in units of `commission_asset`."""

    id: int
    order_id: int
    list_id: int
    symbol: str
    price: Decimal
    quantity: Decimal
    commission: Decimal
    commission_asset: str
    time: int
    is_buyer: bool
    is_maker: bool


@dataclass(slots=True, kw_only=True)
class OrderList:
    """Two orders of which one takes the other's place."""

    id: int
    client_id: str
    symbol: str
    time: int
    orders: tuple[Order, Order]


@dataclass(frozen=True, slots=True, kw_only=True)
class Ticket:
    """What a client wants of one order. Prices that do not belong to the type are 0."""

    symbol: str
    client_id: str
    side: str
    type: str
    quantity: Decimal
    time_in_force: str = "GTC"
    price: Decimal = Decimal(0)
    stop_price: Decimal = Decimal(0)


def order_state(order: Order) -> dict[str, Any]:
    """Return what all answers about an order have in common."""
    state: dict[str, Any] = {
        "price": eight(order.price),
        "origQty": eight(order.quantity),
        "executedQty": eight(order.executed),
        "origQuoteOrderQty": "0.00000000",
        "cummulativeQuoteQty": eight(order.traded),
        "status": order.status,
        "timeInForce": order.time_in_force,
        "type": order.type,
        "side": order.side,
        "selfTradePreventionMode": "EXPIRE_MAKER",
    }
    return {**state, "stopPrice": eight(order.stop_price)} if order.type in STOPS else state


def fill_row(trade: Trade) -> dict[str, Any]:
    """Return a trade as the answer to placing an order lists it."""
    return {
        "price": eight(trade.price),
        "qty": eight(trade.quantity),
        "commission": eight(trade.commission),
        "commissionAsset": trade.commission_asset,
        "tradeId": trade.id,
    }


def trade_row(trade: Trade) -> dict[str, Any]:
    """Return a trade as the account's list has it."""
    return {
        "symbol": trade.symbol,
        "id": trade.id,
        "orderId": trade.order_id,
        "orderListId": trade.list_id,
        "price": eight(trade.price),
        "qty": eight(trade.quantity),
        "quoteQty": eight(trade.price * trade.quantity),
        "commission": eight(trade.commission),
        "commissionAsset": trade.commission_asset,
        "time": trade.time,
        "isBuyer": trade.is_buyer,
        "isMaker": trade.is_maker,
        "isBestMatch": True,
    }


def eight(value: Decimal) -> str:
    """Write an amount with eight decimals."""
    return f"{value:.8f}"
