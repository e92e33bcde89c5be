"""The books of the local Kite: orders, trades, holdings and a day's dealings, each with the row that Kite shows of it.

The rows have the fields of Kite's own samples (kiteconnect-mocks: orders, trades, holdings, positions, virtual_contract_note).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from decimal import Decimal
from typing import Any

from .kite import INDIA

INTERIM = ("PUT ORDER REQ RECEIVED", "VALIDATION PENDING", "OPEN PENDING")
_ENDED = ("COMPLETE", "CANCELLED", "REJECTED")


@dataclass(kw_only=True)
class Order:
    """An order as the server keeps it. looks: how many times the book still shows it on its way to the exchange."""

    order_id: str
    symbol: str
    side: str
    type: str
    product: str
    validity: str
    quantity: int
    price: Decimal
    tag: str | None
    placed_at: datetime
    trigger: Decimal = Decimal(0)
    looks: int = 0
    status: str = INTERIM[0]
    message: str | None = None
    filled: int = 0
    cancelled: int = 0
    value: Decimal = Decimal(0)
    history: list[dict[str, Any]] = field(default_factory=list)

    @property
    def pending(self) -> int:
        return self.quantity - self.filled - self.cancelled

    @property
    def has_ended(self) -> bool:
        return self.status in _ENDED


@dataclass(frozen=True, kw_only=True)
class Trade:
    trade_id: str
    order: Order
    quantity: int
    price: Decimal
    at: datetime


@dataclass(kw_only=True)
class Holding:
    """Shares carried over the night: delivered, still on their way (T+1), and pledged ones, which are neither."""

    settled: int = 0
    t1: int = 0
    pledged: int = 0
    price: Decimal = Decimal(100)
    exchange: str = "NSE"


@dataclass(kw_only=True)
class Day:
    """What was bought and sold of one share under one product today."""

    bought: int = 0
    sold: int = 0
    bought_value: Decimal = Decimal(0)
    sold_value: Decimal = Decimal(0)


def stamp(moment: datetime) -> str:
    """Write a time as Kite does: India's, without saying so."""
    return f"{moment.astimezone(INDIA):%Y-%m-%d %H:%M:%S}"


def order_row(order: Order, *, user_id: str, token: int, hides_tag: bool, at: datetime) -> dict[str, Any]:
    at_exchange = order.status not in (*INTERIM, "REJECTED")
    protected = ["mktp", "mktp:2.00"] if order.type == "MARKET" else []
    return {
        "placed_by": user_id,
        "order_id": order.order_id,
        "exchange_order_id": f"13{order.order_id}" if at_exchange else None,
        "parent_order_id": None,
        "status": order.status,
        "status_message": order.message,
        "status_message_raw": None,
        "order_timestamp": stamp(order.placed_at),
        "exchange_timestamp": stamp(at) if at_exchange else None,
        "variety": "regular",
        "exchange": "NSE",
        "tradingsymbol": order.symbol,
        "instrument_token": token,
        "order_type": order.type,
        "transaction_type": order.side,
        "validity": order.validity,
        "product": order.product,
        "quantity": order.quantity,
        "price": float(order.price),
        "trigger_price": float(order.trigger),
        "average_price": float(order.value / order.filled) if order.filled else 0,
        "filled_quantity": order.filled,
        "pending_quantity": order.pending,
        "cancelled_quantity": order.cancelled,
        "meta": {},
        "tag": None if hides_tag else order.tag,
        "tags": [*([order.tag] if order.tag else []), *protected],
        "guid": "XXXXX",
    }


def trade_row(trade: Trade, *, token: int) -> dict[str, Any]:
    return {
        "trade_id": trade.trade_id,
        "order_id": trade.order.order_id,
        "exchange": "NSE",
        "tradingsymbol": trade.order.symbol,
        "instrument_token": token,
        "product": trade.order.product,
        "average_price": float(trade.price),
        "quantity": trade.quantity,
        "exchange_order_id": f"13{trade.order.order_id}",
        "transaction_type": trade.order.side,
        "fill_timestamp": stamp(trade.at),
        "order_timestamp": stamp(trade.at)[11:],
        "exchange_timestamp": stamp(trade.at),
    }


def holding_row(
    symbol: str, holding: Holding, day: Day, *, token: int, last_price: Decimal, shows_sold_as_held: bool
) -> dict[str, Any]:
    used = max(0, day.sold - day.bought)
    gone = 0 if shows_sold_as_held else used
    return {
        "tradingsymbol": symbol,
        "exchange": holding.exchange,
        "instrument_token": token,
        "product": "CNC",
        "quantity": max(0, holding.settled - gone),
        "used_quantity": used,
        "t1_quantity": holding.t1 - max(0, gone - holding.settled),
        "realised_quantity": holding.settled,
        "authorised_quantity": 0,
        "opening_quantity": holding.settled + holding.t1,
        "short_quantity": 0,
        "collateral_quantity": holding.pledged,
        "collateral_type": "WC" if holding.pledged else "",
        "average_price": float(holding.price),
        "last_price": float(last_price),
        "mtf": {"quantity": 0, "used_quantity": 0, "average_price": 0, "value": 0, "initial_margin": 0},
    }


def position_row(symbol: str, product: str, day: Day, *, token: int, last_price: Decimal) -> dict[str, Any]:
    return {
        "tradingsymbol": symbol,
        "exchange": "NSE",
        "instrument_token": token,
        "product": product,
        "quantity": day.bought - day.sold,
        "overnight_quantity": 0,
        "multiplier": 1,
        "last_price": float(last_price),
        "buy_quantity": day.bought,
        "sell_quantity": day.sold,
        "day_buy_quantity": day.bought,
        "day_buy_value": float(day.bought_value),
        "day_sell_quantity": day.sold,
        "day_sell_value": float(day.sold_value),
    }


def contract_note(order: Mapping[str, Any]) -> dict[str, Any]:
    """Return the charges of a delivery order in rupees, by the rates since 2024-10-01, as Kite's contract note lists them."""
    value = float(order["quantity"]) * float(order["price"])
    stt, exchange, sebi = value * 0.001, value * (0.0000297 + 0.000001), value * 0.000001
    stamp = value * 0.00015 if order["transaction_type"] == "BUY" else 0.0
    gst = 0.18 * (exchange + sebi)
    return {
        "transaction_tax": stt,
        "transaction_tax_type": "stt",
        "exchange_turnover_charge": exchange,
        "sebi_turnover_charge": sebi,
        "brokerage": 0,
        "stamp_duty": stamp,
        "gst": {"igst": gst, "cgst": 0, "sgst": 0, "total": gst},
        "total": stt + exchange + sebi + stamp + gst,
    }
