"""The ledger: cash and positions as folds of fills. Nothing here is ever edited in place."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from decimal import Decimal
from typing import Literal

from algo_py.engine import Account
from algo_py.orders.model import Fill, Side


@dataclass(frozen=True, slots=True, kw_only=True)
class Position:
    """What is held of one symbol. A negative quantity is a short position; `average_price` is what it was opened at."""

    symbol: str
    quantity: Decimal
    average_price: Decimal


@dataclass(frozen=True, slots=True, kw_only=True)
class Ledger:
    """Cash in quote currency and the open positions, in the order in which they were first traded."""

    cash: Decimal
    fees_paid: Decimal
    positions: Mapping[str, Position]


def fold(initial_cash: Decimal, fills: Iterable[Fill]) -> Ledger:
    """Return cash and positions after `fills`, oldest first."""
    cash, fees_paid = initial_cash, Decimal(0)
    positions: dict[str, Position] = {}
    for fill in fills:
        signed = fill.quantity if fill.side is Side.BUY else -fill.quantity
        cash -= signed * fill.price + fill.fee
        fees_paid += fill.fee
        held = positions.get(fill.symbol) or Position(symbol=fill.symbol, quantity=Decimal(0), average_price=Decimal(0))
        positions[fill.symbol] = _after(held, signed, fill.price)
    return Ledger(cash=cash, fees_paid=fees_paid, positions={s: p for s, p in positions.items() if p.quantity})


def apply_fill(account: Account, fill: Fill) -> None:
    """Hand a recorded fill to the engine's account: the one place where amounts become floats, bit for bit."""
    side: Literal["BUY", "SELL"] = "BUY" if fill.side is Side.BUY else "SELL"
    account.apply(fill.symbol, side, float(fill.quantity), float(fill.price), float(fill.fee))


def _after(held: Position, signed: Decimal, price: Decimal) -> Position:
    quantity = held.quantity + signed
    grows = held.quantity * signed > 0
    turns = held.quantity * quantity < 0
    if grows:
        average = (held.quantity * held.average_price + signed * price) / quantity
    elif turns or not held.quantity:
        average = price
    else:
        average = held.average_price
    return Position(symbol=held.symbol, quantity=quantity, average_price=average)
