"""What must be true of every position at every moment, seen from outside: from the database and the venue's own books alone.

For each held quantity with a stop configured a stop of that quantity rests at the venue, or an exit is under way, or a reason is
recorded that a person is shown; and the ledgers hold what the venue holds.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass
from decimal import Decimal

from algo_py.database import Database
from algo_py.deployment.protection_rows import ProtectedBy, protection_of
from algo_py.oms.binance.placing import own_id, symbol_id
from algo_py.orders.ledger import Ledger, fold
from algo_py.orders.model import Leg, OrderStatus, OrderType, Side
from algo_py.orders.records import JournaledOrder, entries_of, events_of, orders_of
from tests.venues.binance_matching import Matching
from tests.venues.binance_rules import STOPS

Numbers = Mapping[str, Decimal]


@dataclass(frozen=True, slots=True, kw_only=True)
class VenueBooks:
    """What a venue has of one account: by our order ids what stops still cover and all that was traded, by its own ids how often
    an order was taken, by asset what the account has, and by symbol its step of quantities."""

    stops: Numbers
    traded: Numbers
    taken: Mapping[str, int]
    balances: Numbers
    steps: Numbers

    def written(self) -> str:
        """Write them as JSON."""
        return json.dumps(asdict(self), default=str)

    @classmethod
    def read(cls, text: str) -> VenueBooks:
        """Read what `written` wrote."""
        found = json.loads(text)
        numbers = {name: {key: Decimal(value) for key, value in found[name].items()} for name in found if name != "taken"}
        return cls(taken=found["taken"], **numbers)


def books_of(matching: Matching, symbol: str | None = None) -> VenueBooks:
    """Return the books of an account at the local Binance, of one symbol or all; of a pair of stops the wider one counts."""
    orders = [order for order in matching.orders if symbol is None or order.symbol == symbol_id(symbol)]
    stops: dict[str, Decimal] = {}
    traded: dict[str, Decimal] = {}
    for order in orders:
        own = own_id(order.client_id)
        traded[own] = traded.get(own, Decimal(0)) + order.executed
        if order.is_open and order.type in STOPS:
            stops[own] = max(stops.get(own, Decimal(0)), order.rest)
    return VenueBooks(
        stops=stops,
        traded=traded,
        taken=dict(Counter(order.client_id for order in orders)),
        balances={asset: balance.free + balance.locked for asset, balance in matching.balances.items()},
        steps={f"{rules.base}/{rules.quote}": Decimal(rules.step_size) for rules in matching.rules.values()},
    )


def unprotected(database: Database, deployment_id: str, books: VenueBooks) -> list[str]:
    """Return, in words, each position of a deployment with stops that neither a stop, an exit nor a recorded reason looks after.

    What a stop has sold at the venue and the journal has not heard of yet is protected: it is gone.
    """
    return [problem for problem in _unprotected(database, deployment_id, books) if problem]


def _unprotected(database: Database, deployment_id: str, books: VenueBooks) -> Iterator[str]:
    rows = {row.symbol: row for row in protection_of(database, deployment_id)}
    orders = orders_of(database, deployment_id)
    for symbol, position in fold(Decimal(0), events_of(database, deployment_id)).positions.items():
        row, mine = rows.get(symbol), [order for order in orders if order.request.symbol == symbol]
        step = books.steps.get(symbol, Decimal(0))
        needed = position.quantity // step * step if step else position.quantity
        covered = sum((_covered(order, books) for order in mine if order.request.type is OrderType.STOP), Decimal(0))
        if covered >= needed:
            continue
        if any(_is_working_exit(order) for order in mine):
            continue
        held = f"of {position.quantity.normalize():f} {symbol} stops cover {covered.normalize():f}, no exit is under way"
        if row is None:
            yield f"{held}, and nothing is said about it"
        elif row.by in (ProtectedBy.VENUE_STOP, ProtectedBy.EXIT) or not row.reason:
            yield f"{held}, and it is said to be protected by {row.by}"
        elif row.quantity != position.quantity:
            yield f"{held}, and what is said is about {row.quantity.normalize():f}"


def _covered(order: JournaledOrder, books: VenueBooks) -> Decimal:
    own = order.request.client_order_id
    unheard = books.traded.get(own, Decimal(0)) - order.filled_quantity
    return books.stops.get(own, Decimal(0)) + max(unheard, Decimal(0))


def _is_working_exit(order: JournaledOrder) -> bool:
    return order.request.leg is Leg.EXIT and order.request.type is not OrderType.STOP and order.status.is_open


def differing(database: Database, deployment_id: str, books: VenueBooks, *, cash: Decimal, before: Numbers) -> list[str]:
    """Return, in words, where the ledger of the account's only deployment and the venue differ.

    `cash` is what the deployment began with, `before` what else was in the account by asset: nothing of it may be touched. Orders
    that are open can make a difference; so this is for moments at which none is but stops that rest.
    """
    return list(_differing(database, deployment_id, books, cash, before))


def _differing(database: Database, deployment_id: str, books: VenueBooks, cash: Decimal, before: Numbers) -> Iterator[str]:
    ledger = fold(cash, events_of(database, deployment_id))
    orders = {order.request.client_order_id: order for order in orders_of(database, deployment_id)}
    for venue_id, times in books.taken.items():
        if times > 1:
            yield f"the venue has taken {venue_id} {times} times"
        if own_id(venue_id) not in orders:
            yield f"the venue has an order {venue_id} that was never meant"
    for own, order in orders.items():
        yield from _order_differs(order, books.traded.get(own, Decimal(0)))
    written_off = {entry.symbol: Decimal(0) for entry in entries_of(database, deployment_id)}
    for entry in entries_of(database, deployment_id):
        written_off[entry.symbol] -= entry.quantity
    for symbol in books.steps:
        asset, quote = symbol.split("/")
        there = books.balances.get(asset, Decimal(0)) - before.get(asset, Decimal(0))
        held = _held(ledger, symbol) + written_off.get(symbol, Decimal(0))
        if there != held:
            yield f"of {symbol} the ledger holds {held}, the account {there}"
        paid = books.balances.get(quote, Decimal(0)) - before.get(quote, Decimal(0))
        if paid != ledger.cash - cash:
            yield f"by the ledger {ledger.cash - cash} {quote} came in, in the account {paid}"


def _order_differs(order: JournaledOrder, traded: Decimal) -> Iterator[str]:
    request = order.request
    told = f"{request.type} {request.side} {request.quantity} {request.client_order_id}"
    if traded != order.filled_quantity:
        yield f"of {told} the venue has traded {traded}, the journal has {order.filled_quantity}"
    if order.status is OrderStatus.FILLED and not order.filled_quantity:
        yield f"{told} is filled by nothing"
    if order.filled_quantity > request.quantity:
        yield f"{told} has filled {order.filled_quantity}"


def _held(ledger: Ledger, symbol: str) -> Decimal:
    return ledger.positions[symbol].quantity if symbol in ledger.positions else Decimal(0)


def sold_beyond(database: Database, deployment_id: str) -> list[str]:
    """Return the symbols of which a deployment has sold more than it had bought at any time, in words."""
    held: dict[str, Decimal] = {}
    found = []
    for event in events_of(database, deployment_id):
        signed = event.quantity if getattr(event, "side", Side.BUY) is Side.BUY else -event.quantity
        held[event.symbol] = held.get(event.symbol, Decimal(0)) + signed
        if held[event.symbol] < 0:
            found.append(f"{event.symbol} was sold below nothing: {held[event.symbol]}")
    return found
