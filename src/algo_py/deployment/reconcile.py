"""Are the ledgers covered by what the account holds? The sum over all deployments of one account, compared with the venue.

What a venue holds beyond the ledgers is the trader's own affair. What it lacks was sold by hand, or an order went wrong: then the
deployments that believe to hold it must not go on.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal

import sqlalchemy as sa

from algo_py.database import Database
from algo_py.deployment.tables import deployments
from algo_py.oms import OMS
from algo_py.orders.model import OrderStatus, OrderType, Side
from algo_py.orders.tables import fills, orders


@dataclass(frozen=True, slots=True, kw_only=True)
class Shortfall:
    """A symbol of which the account holds less than the ledgers of `deployments` (ids) say together.

    `may_be_a_stop`: a stop rests at the venue, and may just have fired without its deployment having looked.
    """

    symbol: str
    ledgers: Decimal
    venue: Decimal
    deployments: tuple[str, ...]
    may_be_a_stop: bool

    def __str__(self) -> str:
        return (
            f"{self.symbol}: the deployments hold {self.ledgers.normalize():f} by their ledgers, "
            f"the account {self.venue.normalize():f}"
        )


@dataclass(frozen=True, slots=True)
class _Books:
    """What an account's deployments hold by their ledgers, who holds it, and which symbols have orders under way or stops."""

    held: Mapping[str, Decimal]
    holders: Mapping[str, tuple[str, ...]]
    moving: frozenset[str]
    stops: frozenset[str]


def shortfalls(database: Database, oms: OMS, *, account: str, lots: Mapping[str, Decimal]) -> Sequence[Shortfall]:
    """Return what the account lacks by more than a lot; nothing where the venue cannot say, or while orders are under way.

    An order that fills between the two looks would be taken for a shortfall: so the ledgers are read before and after the venue.
    """
    before = _books(database, oms.name, account)
    if not before.held:
        return []
    reported = oms.positions()
    if reported is None:
        return []
    after = _books(database, oms.name, account)
    there = {position.symbol: position.quantity for position in reported}
    return [
        Shortfall(
            symbol=symbol,
            ledgers=held,
            venue=there.get(symbol, Decimal(0)),
            deployments=after.holders[symbol],
            may_be_a_stop=symbol in before.stops,
        )
        for symbol, held in after.held.items()
        if held == before.held.get(symbol)
        and symbol not in before.moving | after.moving
        and there.get(symbol, Decimal(0)) + lots.get(symbol, Decimal(0)) < held
    ]


def _books(database: Database, venue: str, account: str) -> _Books:
    mine = (orders.c.venue == venue) & (orders.c.account == account) & deployments.c.cleared_at.is_(None)
    joined = orders.join(deployments, deployments.c.id == orders.c.deployment_id)
    filled = (
        sa.select(fills.c.symbol, fills.c.deployment_id, fills.c.side, fills.c.quantity)
        .select_from(fills.join(joined, orders.c.client_order_id == fills.c.client_order_id))
        .where(mine)
    )
    under_way = (
        sa.select(orders.c.symbol, orders.c.type, orders.c.status)
        .select_from(joined)
        .where(mine, orders.c.status.in_([status for status in OrderStatus if status.is_open]))
        .distinct()
    )
    by_holder: dict[tuple[str, str], Decimal] = {}
    with database.read() as connection:
        for symbol, deployment_id, side, quantity in connection.execute(filled):
            signed = quantity if side == Side.BUY else -quantity
            by_holder[symbol, deployment_id] = by_holder.get((symbol, deployment_id), Decimal(0)) + signed
        opened = connection.execute(under_way).all()
    resting = {row.symbol for row in opened if row.type == OrderType.STOP and row.status == OrderStatus.ACCEPTED}
    moving = {row.symbol for row in opened if not (row.type == OrderType.STOP and row.status == OrderStatus.ACCEPTED)}
    held: dict[str, Decimal] = {}
    holders: dict[str, list[str]] = {}
    for (symbol, deployment_id), quantity in by_holder.items():
        if quantity > 0:
            held[symbol] = held.get(symbol, Decimal(0)) + quantity
            holders.setdefault(symbol, []).append(deployment_id)
    return _Books(held, {symbol: tuple(ids) for symbol, ids in holders.items()}, frozenset(moving), frozenset(resting))
