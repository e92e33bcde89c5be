"""The engine's account of a deployment: the fold of what is recorded and of the bars that were handled, and of nothing else."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from datetime import datetime
from decimal import Decimal

import pandas as pd

from algo_py.database import Database
from algo_py.engine import Account, PortfolioConfig
from algo_py.engine.auctions import traded_bars
from algo_py.orders.entries import LedgerEntry
from algo_py.orders.journal import Journal
from algo_py.orders.ledger import apply_entry, apply_fill
from algo_py.orders.model import Fill, Leg, OrderType, Side, from_float
from algo_py.orders.records import events_of, orders_by_id, turns_of
from algo_py.strategy import Bars

# Within one moment: what came without a trade, exits at the open, entries at the open, stops inside the bar.
_ENTRY_TURN, _EXIT_TURN, _ENTER_TURN, _STOP_TURN = range(-1, 3)


class AccountFold:
    """An account, and what it was folded from. `journal` is asked for what was recorded."""

    def __init__(
        self, symbols: tuple[str, ...], config: PortfolioConfig, *, journal: Journal, database: Database, deployment_id: str
    ) -> None:
        self._symbols = symbols
        self._config = config
        self._journal = journal
        self._database = database
        self._deployment_id = deployment_id
        self._rank = {symbol: position for position, symbol in enumerate(symbols)}
        self.account = Account(symbols, config)
        self._held: dict[str, Decimal] = {}
        self._folded = 0

    @property
    def is_behind(self) -> bool:
        """Whether something was recorded that was not folded: by a person, or by a run that broke off."""
        return self._journal.ledger.count != self._folded

    def held(self, symbol: str) -> Decimal:
        """Return the units held of a symbol."""
        return self._held.get(symbol, Decimal(0))

    @property
    def positions(self) -> dict[str, Decimal]:
        """Return the units of each symbol that is held."""
        return {symbol: quantity for symbol, quantity in self._held.items() if quantity}

    def take(self, events: Sequence[Fill | LedgerEntry]) -> None:
        """Fold what was just recorded, in the order in which the engine executes it."""
        if len(events) > 1:
            ids = {event.client_order_id for event in events if isinstance(event, Fill)}
            orders = orders_by_id(self._database, ids)
            turns = {own_id: (order.type, order.leg) for own_id, order in orders.items()}
            events = self._in_engine_order(events, turns)
        for event in events:
            self._fold(event)

    def mark(self, bars: Bars, row: int) -> None:
        """Take over the closes of a bar of `traded_bars`."""
        self.account.mark(bars.array("close")[row], bars.array("high")[row], bars.array("low")[row])

    def rebuild(self, bars: Bars | None, first_new_row: int) -> None:
        """Fold the account anew: everything recorded and the handled bars (those before `first_new_row`), by their times."""
        self.account = Account(self._symbols, self._config)
        self._held, self._folded = {}, 0
        events = events_of(self._database, self._deployment_id)
        events = self._in_engine_order(events, turns_of(self._database, self._deployment_id))
        if bars is not None:
            bars = traded_bars(bars.head(first_new_row), self._config) if first_new_row else bars
            closes = bars.close_times()
            first = 0 if not events else int(closes.searchsorted(pd.Timestamp(events[0].time), side="right"))
            place = 0
            for row in range(first, first_new_row):
                while place < len(events) and events[place].time < closes[row]:
                    self._fold(events[place])
                    place += 1
                self.mark(bars, row)
            events = events[place:]
        for event in events:
            self._fold(event)

    def _fold(self, event: Fill | LedgerEntry) -> None:
        """Apply one event. What ends a position by the ledger ends it in the account, whatever floats make of it."""
        self._folded += 1
        is_sale = isinstance(event, Fill) and event.side is Side.SELL
        signed = -event.quantity if is_sale else event.quantity
        held = self._held.get(event.symbol, Decimal(0)) + signed
        self._held[event.symbol] = held
        if event.symbol not in self._rank:
            return
        whole = self.account.position(event.symbol)
        ends = not held and bool(whole)
        if isinstance(event, Fill):
            apply_fill(self.account, replace(event, quantity=from_float(abs(whole))) if ends else event)
        else:
            apply_entry(self.account, replace(event, quantity=from_float(-whole)) if ends else event)

    def _in_engine_order(
        self, events: Sequence[Fill | LedgerEntry], turns: dict[str, tuple[OrderType, Leg]]
    ) -> list[Fill | LedgerEntry]:
        """Sort events as the engine executes them, so that folding them gives its state to the last bit."""

        def key(event: Fill | LedgerEntry) -> tuple[datetime, int, int]:
            turn = _turn(*turns[event.client_order_id]) if isinstance(event, Fill) else _ENTRY_TURN
            return event.time, turn, self._rank.get(event.symbol, len(self._rank))

        return sorted(events, key=key)


def _turn(type_: OrderType, leg: Leg) -> int:
    if type_ is OrderType.STOP:
        return _STOP_TURN
    return _EXIT_TURN if leg is Leg.EXIT else _ENTER_TURN
