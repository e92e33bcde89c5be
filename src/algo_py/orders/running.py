"""The ledger of a deployment while its process lives: each recorded row is read once, however long the history behind it."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from decimal import Decimal

from algo_py.database import Database
from algo_py.orders.entries import EntryKind, LedgerEntry
from algo_py.orders.ledger import Position, RunningFold
from algo_py.orders.model import Fill, Leg
from algo_py.orders.records import LedgerRow, ledger_rows


class RunningLedger:
    """Cash, positions and what was written off, brought up to date by reading what has been recorded since the last look.

    Another process may record too (a trade that a person books): that is seen like everything else.
    """

    def __init__(self, database: Database, deployment_id: str, initial_cash: Decimal) -> None:
        self._database = database
        self._deployment_id = deployment_id
        self._fold = RunningFold(initial_cash)
        self._last_fill = self._last_entry = 0
        self._entry_bars: dict[str, tuple[int, datetime]] = {}
        self._written_off: dict[str, Decimal] = {}
        self._count = 0

    def update(self) -> None:
        """Take in what was recorded since."""
        for row in ledger_rows(self._database, self._deployment_id, after_fill=self._last_fill, after_entry=self._last_entry):
            self._take(row)

    @property
    def count(self) -> int:
        """How many fills and entries there are; it grows with each."""
        self.update()
        return self._count

    @property
    def cash(self) -> Decimal:
        self.update()
        return self._fold.cash

    @property
    def positions(self) -> Mapping[str, Position]:
        self.update()
        return self._fold.ledger.positions

    def held(self, symbol: str) -> Decimal:
        """Return the units held of a symbol, below 0 when short."""
        self.update()
        return self._fold.quantity(symbol)

    def entry_bar(self, symbol: str) -> datetime | None:
        """Return the open time of the bar on which the newest entry was decided that has filled; None when there is none."""
        self.update()
        found = self._entry_bars.get(symbol)
        return None if found is None else found[1]

    def written_off(self) -> Mapping[str, Decimal]:
        """Return what was written off as too little to be sold and has not come back, units by symbol."""
        self.update()
        return {symbol: quantity for symbol, quantity in self._written_off.items() if quantity}

    def _take(self, row: LedgerRow) -> None:
        event = row.event
        self._fold.add(event)
        self._count += 1
        if isinstance(event, Fill):
            self._last_fill = max(self._last_fill, row.place[0])
            if row.leg is Leg.ENTRY and row.bar_time is not None:
                newest = self._entry_bars.get(event.symbol, (-1, row.bar_time))
                self._entry_bars[event.symbol] = max(newest, (row.sequence, row.bar_time))
        else:
            self._last_entry = max(self._last_entry, row.place[1])
            self._take_entry(event)

    def _take_entry(self, entry: LedgerEntry) -> None:
        if entry.kind is EntryKind.WRITE_OFF:
            self._written_off[entry.symbol] = self._written_off.get(entry.symbol, Decimal(0)) - entry.quantity
