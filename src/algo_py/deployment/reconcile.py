"""Are the ledgers covered by what the account holds? The sum over all deployments of one account, compared with the venue.

What a venue holds beyond the ledgers is the trader's own affair. What it lacks was sold by hand, taken as a fee, or an order went
wrong. Before that is said, everything that the ledgers have not heard yet is asked for: an order of another deployment may have
filled a moment ago, and its process looks when its own time comes. Archived deployments count: what they hold is held.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import KW_ONLY, dataclass, field
from decimal import Decimal

import sqlalchemy as sa

from algo_py.database import Database
from algo_py.deployment.tables import deployments
from algo_py.errors import OutcomeUnknown
from algo_py.market import Market
from algo_py.oms import OMS
from algo_py.orders.entries import EntryKind
from algo_py.orders.model import Side
from algo_py.orders.records import JournaledOrder, open_orders_at
from algo_py.orders.tables import fills, ledger_entries, orders

_FEE_ENTRY = "fee-"


@dataclass(frozen=True, slots=True, kw_only=True)
class Shortfall:
    """A symbol of whose asset the account holds less than the ledgers of `deployments` (ids) and others say together.

    symbols: all that the ledgers hold the asset under; ETH/USDT and ETH/BTC are the same coins.
    """

    symbol: str
    symbols: tuple[str, ...] = ()
    ledgers: Decimal
    venue: Decimal
    deployments: tuple[str, ...]

    def __str__(self) -> str:
        return (
            f"{' and '.join(self.symbols) or self.symbol}: the deployments hold {self.ledgers.normalize():f} by their ledgers, "
            f"the account {self.venue.normalize():f}"
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class TakenFee:
    """A fee that a trade of the account paid in units of what a ledger may hold.

    `value` is what the trade was charged for it, in `currency`, which it was quoted in.
    """

    fill_id: int
    quantity: Decimal
    value: Decimal
    currency: str

    @property
    def entry_id(self) -> str:
        """The id of the entry that takes it out of a ledger: each fee is taken once."""
        return f"{_FEE_ENTRY}{self.fill_id}"


@dataclass(slots=True)
class AccountBooks:
    """The ledgers of all deployments of one account; each look reads what was recorded since the one before.

    quote_currency is that of whoever looks: the account's balance of it is cash to them, and not compared with ledgers.
    """

    database: Database
    venue: str
    account: str
    _: KW_ONLY
    market: Market
    quote_currency: str
    held: dict[tuple[str, str], Decimal] = field(default_factory=dict)  # by symbol and deployment
    fees: dict[str, list[TakenFee]] = field(default_factory=dict)  # by asset, those that no ledger has taken yet
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
        """Return what all ledgers hold of each asset but the quote currency."""
        found: dict[str, Decimal] = {}
        for (symbol, _), quantity in self.held.items():
            asset = self.market.asset_of(symbol)
            if quantity > 0 and asset != self.quote_currency:
                found[asset] = found.get(asset, Decimal(0)) + quantity
        return found

    def symbols_of(self, asset: str) -> tuple[str, ...]:
        """Return the symbols that an asset is held under."""
        held = (symbol for (symbol, _), quantity in self.held.items() if quantity > 0)
        return tuple(dict.fromkeys(symbol for symbol in held if self.market.asset_of(symbol) == asset))

    def fees_in(self, symbol: str) -> Sequence[TakenFee]:
        """Return the fees that were paid in units of a symbol, and that no ledger has taken yet."""
        return self.fees.get(self.market.asset_of(symbol), [])

    def coins_of_others(self, currency: str) -> Decimal:
        """Return how much of the free balance of a currency ledgers hold as coins: BTC of BTC/USDT is no cash for ETH/BTC.

        What a resting sale has locked is not in the free balance, so it is not counted.
        """
        self.update()
        held: dict[str, Decimal] = {}  # by deployment
        for (symbol, deployment_id), quantity in self.held.items():
            if quantity > 0 and self.market.asset_of(symbol) == currency:
                held[deployment_id] = held.get(deployment_id, Decimal(0)) + quantity
        if not held:
            return Decimal(0)
        locked: dict[tuple[str, str], Decimal] = {}  # of several sales of one symbol, those that exclude one another lock once
        for order in open_orders_at(self.database, self.venue, self.account):
            if order.request.side is Side.SELL and self.market.asset_of(order.request.symbol) == currency:
                key = (order.deployment_id, order.request.symbol)
                locked[key] = max(locked.get(key, Decimal(0)), order.request.quantity - order.filled_quantity)
        for (deployment_id, _), quantity in locked.items():
            if deployment_id in held:
                held[deployment_id] = max(Decimal(0), held[deployment_id] - quantity)
        return sum(held.values(), Decimal(0))

    def _take_fill(self, row: sa.Row[tuple[object, ...]]) -> None:
        self._last_fill = row.id
        self._members.add(row.deployment_id)
        self._add(row.symbol, row.deployment_id, row.quantity if row.side == Side.BUY else -row.quantity)
        if row.fee_asset and row.fee_quantity and f"{_FEE_ENTRY}{row.id}" not in self._taken:
            currency = self.market.quote_of(row.symbol)
            fee = TakenFee(fill_id=row.id, quantity=row.fee_quantity, value=row.fee, currency=currency)
            self.fees.setdefault(row.fee_asset, []).append(fee)

    def _take_entry(self, row: sa.Row[tuple[object, ...]]) -> None:
        self._last_entry = row.id
        key = (row.symbol, row.deployment_id)
        self._booked[key] = self._booked.get(key, Decimal(0)) + row.quantity
        if row.kind == EntryKind.FEE:
            self._taken.add(row.entry_id)
            self.fees[self.market.asset_of(row.symbol)] = [
                fee for fee in self.fees_in(row.symbol) if fee.entry_id != row.entry_id
            ]

    def _add(self, symbol: str, deployment_id: str, quantity: Decimal) -> None:
        self.held[symbol, deployment_id] = self.held.get((symbol, deployment_id), Decimal(0)) + quantity


def shortfalls(books: AccountBooks, oms: OMS, *, lots: Mapping[str, Decimal]) -> Sequence[Shortfall]:
    """Return what the account lacks by more than a lot, with everything counted that has filled and is not recorded yet.

    Compared are assets: of one that is held under several symbols, each of them is returned. Nothing for an asset of which an
    order's outcome is open, and where the venue cannot say. An order that fills between two looks would be taken for a shortfall:
    so the ledgers are read before and after the venue. Raises RateLimited, VenueDown.
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
    asset_of = books.market.asset_of
    there: dict[str, Decimal] = {}
    for position in reported:
        asset = asset_of(position.symbol)
        there[asset] = there.get(asset, Decimal(0)) + position.quantity
    lot_of: dict[str, Decimal] = {}
    for symbol, lot in lots.items():
        lot_of[asset_of(symbol)] = max(lot, lot_of.get(asset_of(symbol), Decimal(0)))

    def is_missing(asset: str, held: Decimal) -> bool:
        return there.get(asset, Decimal(0)) + lot_of.get(asset, Decimal(0)) < held

    suspected = {asset for asset, held in after.items() if held == before.get(asset) and is_missing(asset, held)}
    if not suspected:
        return []
    opened = open_orders_at(books.database, books.venue, books.account)
    unheard, unsure = _not_recorded(oms, opened, suspected, asset_of)
    books.update()
    return [
        Shortfall(
            symbol=symbol,
            symbols=books.symbols_of(asset),
            ledgers=held,
            venue=there.get(asset, Decimal(0)),
            deployments=books.holders(symbol),
        )
        for asset, held in books.together().items()
        if asset in suspected - unsure and held == after[asset] and is_missing(asset, held + unheard.get(asset, Decimal(0)))
        for symbol in books.symbols_of(asset)
    ]


def _not_recorded(
    oms: OMS, opened: Iterable[JournaledOrder], assets: set[str], asset_of: Callable[[str], str]
) -> tuple[dict[str, Decimal], set[str]]:
    """Return what open orders have filled beyond what is recorded, signed, by asset; and assets of which that is not known."""
    unheard: dict[str, Decimal] = {}
    unsure: set[str] = set()
    for order in opened:
        asset = asset_of(order.request.symbol)
        if asset not in assets - unsure:
            continue
        try:
            report = oms.find(order.request, order.planned_at)
        except OutcomeUnknown:
            unsure.add(asset)
            continue
        if report is None:
            continue  # it is not there, so it has filled nothing
        filled = sum((fill.quantity for fill in report.fills), Decimal(0)) - order.filled_quantity
        unheard[asset] = unheard.get(asset, Decimal(0)) + (filled if order.request.side is Side.BUY else -filled)
    return unheard, unsure
