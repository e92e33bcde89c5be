"""The ledger: cash and positions as folds of fills and entries. Nothing here is ever edited in place."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from decimal import Decimal
from typing import Literal

from algo_py.engine import Account
from algo_py.orders.entries import EntryKind, LedgerEntry
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


def fold(initial_cash: Decimal, events: Iterable[Fill | LedgerEntry]) -> Ledger:
    """Return cash and positions after `events`, oldest first."""
    ledger = RunningFold(initial_cash)
    for event in events:
        ledger.add(event)
    return ledger.ledger


class RunningFold:
    """A ledger that grows by one event at a time; what it costs does not depend on how many there were."""

    def __init__(self, initial_cash: Decimal) -> None:
        self._cash = initial_cash
        self._fees_paid = Decimal(0)
        self._positions: dict[str, Position] = {}

    @property
    def ledger(self) -> Ledger:
        return Ledger(cash=self._cash, fees_paid=self._fees_paid, positions=dict(self._positions))

    @property
    def cash(self) -> Decimal:
        return self._cash

    def quantity(self, symbol: str) -> Decimal:
        """Return the units held, below 0 when short."""
        held = self._positions.get(symbol)
        return Decimal(0) if held is None else held.quantity

    def add(self, event: Fill | LedgerEntry) -> None:
        """Take over what happened next."""
        held = self._positions.get(event.symbol)
        if held is None:
            held = Position(symbol=event.symbol, quantity=Decimal(0), average_price=Decimal(0))
        if isinstance(event, Fill):
            signed = event.quantity if event.side is Side.BUY else -event.quantity
            self._cash -= signed * event.price + event.fee
            self._fees_paid += event.fee
            after = _after(held, signed, event.price)
        else:
            self._cash += event.cash
            after = _after_entry(held, event)
        if after.quantity:
            self._positions[event.symbol] = after
        else:
            self._positions.pop(event.symbol, None)


def apply_fill(account: Account, fill: Fill) -> None:
    """Hand a recorded fill to the engine's account: the one place where amounts become floats, bit for bit."""
    side: Literal["BUY", "SELL"] = "BUY" if fill.side is Side.BUY else "SELL"
    account.apply(fill.symbol, side, float(fill.quantity), float(fill.price), float(fill.fee))


def apply_entry(account: Account, entry: LedgerEntry) -> None:
    """Hand an entry to the engine's account; `fold` does the same to the ledger."""
    ratio = float(entry.ratio) if entry.kind is EntryKind.SPLIT and entry.ratio else 1.0
    price = None if entry.price is None else float(entry.price)
    account.adjust(entry.symbol, units=float(entry.quantity), cash=float(entry.cash), ratio=ratio, price=price)


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


def _after_entry(held: Position, entry: LedgerEntry) -> Position:
    if entry.kind is EntryKind.SPLIT and entry.ratio:
        return replace(held, quantity=held.quantity + entry.quantity, average_price=held.average_price / entry.ratio)
    return _after(held, entry.quantity, held.average_price if entry.price is None else entry.price)
