"""Are the ledgers covered by what the account holds? The sum over all deployments of one account, compared with the venue.

What a venue holds beyond the ledgers is the trader's own affair. What it lacks was sold by hand, taken as a fee, or an order went
wrong. Before that is said, everything that the ledgers have not heard yet is asked for: an order of another deployment may have
filled a moment ago, and its process looks when its own time comes. Archived deployments count: what they hold is held.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from decimal import Decimal

import sqlalchemy as sa

from algo_py.database import Database
from algo_py.deployment.tables import deployments
from algo_py.errors import OutcomeUnknown
from algo_py.oms import OMS
from algo_py.orders.entries import EntryKind
from algo_py.orders.model import Side
from algo_py.orders.records import JournaledOrder, open_orders_at
from algo_py.orders.tables import fills, ledger_entries, orders

_FEE_ENTRY = "fee-"


@dataclass(frozen=True, slots=True, kw_only=True)
class Shortfall:
    """A symbol of which the account holds less than the ledgers of `deployments` (ids) say together."""

    symbol: str
    ledgers: Decimal
    venue: Decimal
    deployments: tuple[str, ...]

    def __str__(self) -> str:
        return (
            f"{self.symbol}: the deployments hold {self.ledgers.normalize():f} by their ledgers, "
            f"the account {self.venue.normalize():f}"
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class TakenFee:
    """A fee that a trade of the account paid in units of what a ledger may hold; `value`: what it was charged, quote currency."""

    fill_id: int
    quantity: Decimal
    value: Decimal

    @property
    def entry_id(self) -> str:
        """The id of the entry that takes it out of a ledger: each fee is taken once."""
        return f"{_FEE_ENTRY}{self.fill_id}"


@dataclass(slots=True)
class AccountBooks:
    """The ledgers of all deployments of one account; each look reads what was recorded since the one before."""

    database: Database
    venue: str
    account: str
    quote_currency: str
    held: dict[tuple[str, str], Decimal] = field(default_factory=dict)  # by symbol and deployment
    fees: dict[str, list[TakenFee]] = field(default_factory=dict)  # by symbol, those that no ledger has taken yet
    _members: set[str] = field(default_factory=set)
    _booked: dict[tuple[str, str], Decimal] = field(default_factory=dict)
    _last_fill: int = 0
    _last_entry: int = 0
    _taken: set[str] = field(default_factory=set)

    def update(self) -> None:
        """Take in what was recorded since."""
        of_account = (orders.c.venue == self.venue) & (orders.c.account == self.account)
        new_fills = (
            sa.select(fills)
            .join(orders, orders.c.client_order_id == fills.c.client_order_id)
            .where(of_account, fills.c.id > self._last_fill)
            .order_by(fills.c.id)
        )
        new_entries = sa.select(ledger_entries).where(ledger_entries.c.id > self._last_entry).order_by(ledger_entries.c.id)
        members = sa.select(deployments.c.id).where(deployments.c.account == self.account)
        with self.database.read() as connection:
            for row in connection.execute(new_fills):
                self._take_fill(row)
            for row in connection.execute(new_entries):
                self._take_entry(row)
            self._members.update(connection.execute(members).scalars())
        for (symbol, deployment_id), quantity in list(self._booked.items()):
            if deployment_id in self._members:
                self._add(symbol, deployment_id, quantity)
                del self._booked[symbol, deployment_id]

    def holders(self, symbol: str) -> tuple[str, ...]:
        """Return the deployments that hold a symbol by their ledgers."""
        return tuple(one for (held_symbol, one), quantity in self.held.items() if held_symbol == symbol and quantity > 0)

    def together(self) -> dict[str, Decimal]:
        """Return what all ledgers hold of each symbol."""
        found: dict[str, Decimal] = {}
        for (symbol, _), quantity in self.held.items():
            if quantity > 0:
                found[symbol] = found.get(symbol, Decimal(0)) + quantity
        return found

    def _take_fill(self, row: sa.Row[tuple[object, ...]]) -> None:
        self._last_fill = row.id
        self._members.add(row.deployment_id)
        self._add(row.symbol, row.deployment_id, row.quantity if row.side == Side.BUY else -row.quantity)
        if row.fee_asset and row.fee_quantity and f"{_FEE_ENTRY}{row.id}" not in self._taken:
            symbol = f"{row.fee_asset}/{self.quote_currency}"
            self.fees.setdefault(symbol, []).append(TakenFee(fill_id=row.id, quantity=row.fee_quantity, value=row.fee))

    def _take_entry(self, row: sa.Row[tuple[object, ...]]) -> None:
        self._last_entry = row.id
        key = (row.symbol, row.deployment_id)
        self._booked[key] = self._booked.get(key, Decimal(0)) + row.quantity
        if row.kind == EntryKind.FEE:
            self._taken.add(row.entry_id)
            self.fees[row.symbol] = [fee for fee in self.fees.get(row.symbol, []) if fee.entry_id != row.entry_id]

    def _add(self, symbol: str, deployment_id: str, quantity: Decimal) -> None:
        self.held[symbol, deployment_id] = self.held.get((symbol, deployment_id), Decimal(0)) + quantity


def shortfalls(books: AccountBooks, oms: OMS, *, lots: Mapping[str, Decimal]) -> Sequence[Shortfall]:
    """Return what the account lacks by more than a lot, with everything counted that has filled and is not recorded yet.

    Nothing for a symbol of which an order's outcome is open, and where the venue cannot say. An order that fills between two
    looks would be taken for a shortfall: so the ledgers are read before and after the venue. Raises RateLimited, VenueDown.
    """
    books.update()
    before = books.together()
    if not before:
        return []
    reported = oms.positions()
    if reported is None:
        return []
    books.update()
    after = books.together()
    there = {position.symbol: position.quantity for position in reported}
    suspected = {
        symbol
        for symbol, held in after.items()
        if held == before.get(symbol) and there.get(symbol, Decimal(0)) + lots.get(symbol, Decimal(0)) < held
    }
    if not suspected:
        return []
    unheard, unsure = _not_recorded(oms, open_orders_at(books.database, books.venue, books.account), suspected)
    books.update()
    return [
        Shortfall(symbol=symbol, ledgers=held, venue=there.get(symbol, Decimal(0)), deployments=books.holders(symbol))
        for symbol, held in books.together().items()
        if symbol in suspected - unsure
        and held == after[symbol]
        and there.get(symbol, Decimal(0)) + lots.get(symbol, Decimal(0)) < held + unheard.get(symbol, Decimal(0))
    ]


def _not_recorded(oms: OMS, opened: Iterable[JournaledOrder], symbols: set[str]) -> tuple[dict[str, Decimal], set[str]]:
    """Return what open orders have filled beyond what is recorded, signed, by symbol; and symbols of which that is not known."""
    unheard: dict[str, Decimal] = {}
    unsure: set[str] = set()
    for order in opened:
        symbol = order.request.symbol
        if symbol not in symbols - unsure:
            continue
        try:
            report = oms.find(order.request, order.planned_at)
        except OutcomeUnknown:
            unsure.add(symbol)
            continue
        if report is None:
            continue  # it is not there, so it has filled nothing
        filled = sum((fill.quantity for fill in report.fills), Decimal(0)) - order.filled_quantity
        unheard[symbol] = unheard.get(symbol, Decimal(0)) + (filled if order.request.side is Side.BUY else -filled)
    return unheard, unsure
