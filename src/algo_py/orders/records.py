"""Reading what the journal holds: orders, fills and ledger entries, as they were recorded."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from typing import Any

import sqlalchemy as sa
from sqlalchemy.engine import Connection

from algo_py.database import Database
from algo_py.orders import tables
from algo_py.orders.entries import EntryKind, LedgerEntry
from algo_py.orders.model import Fill, Leg, OrderRequest, OrderStatus, OrderType, Side, TimeInForce

OPEN_STATUSES = tuple(status for status in OrderStatus if status.is_open)


# The reason of an order that rests, from before its cancel is sent until the venue has said what became of it.
CANCEL_ASKED = "its cancel was asked for; what became of it is not known"


@dataclass(frozen=True, slots=True, kw_only=True)
class JournaledOrder:
    """An intent and where it stands. `average_fill_price` is None as long as nothing has filled."""

    request: OrderRequest
    deployment_id: str
    venue_order_id: str
    status: OrderStatus
    reason: str
    planned_at: datetime
    updated_at: datetime
    filled_quantity: Decimal
    average_fill_price: Decimal | None
    fee: Decimal

    @property
    def is_leaving(self) -> bool:
        """Whether its cancel was asked for, and nobody knows yet what became of it."""
        return self.reason == CANCEL_ASKED

    def __str__(self) -> str:
        request = self.request
        return f"{request.type} {request.side} {request.quantity.normalize():f} {request.symbol} ({self.status})"


@dataclass(frozen=True, slots=True, kw_only=True)
class LedgerRow:
    """A fill or an entry with its place among all of them. Of a fill, `leg`, `bar_time` and `sequence` are its order's."""

    place: tuple[int, int]
    event: Fill | LedgerEntry
    leg: Leg | None = None
    bar_time: datetime | None = None
    sequence: int = 0


def orders_of(database: Database, deployment_id: str, *, only_open: bool = False) -> list[JournaledOrder]:
    """Return the orders of a deployment in the order in which they were decided."""
    query = sa.select(tables.orders).where(tables.orders.c.deployment_id == deployment_id)
    # Open orders are few and sorted here: asked to sort them, SQLite would walk along all orders instead of their index.
    query = query.where(tables.orders.c.status.in_(OPEN_STATUSES)) if only_open else query.order_by(tables.orders.c.sequence)
    with database.read() as connection:
        rows = connection.execute(query).all()
        return _with_fills(connection, _in_sequence(rows) if only_open else rows, None if only_open else deployment_id)


def order_of(database: Database, client_order_id: str) -> JournaledOrder | None:
    """Return one order, None where there is none with this id."""
    query = sa.select(tables.orders).where(tables.orders.c.client_order_id == client_order_id)
    with database.read() as connection:
        found = _with_fills(connection, connection.execute(query).all(), None)
    return found[0] if found else None


def newest_of(database: Database, deployment_id: str, symbol: str) -> JournaledOrder | None:
    """Return the newest order of a symbol that is no stop, None where there is none."""
    of_it = (tables.orders.c.deployment_id == deployment_id) & (tables.orders.c.symbol == symbol)
    query = sa.select(tables.orders).where(of_it, tables.orders.c.type != OrderType.STOP)
    with database.read() as connection:
        rows = connection.execute(query.order_by(tables.orders.c.sequence.desc()).limit(1)).all()
        found = _with_fills(connection, rows, None)
    return found[0] if found else None


def venue_of(database: Database, deployment_id: str) -> tuple[str, str] | None:
    """Return venue and account of a deployment's newest order, None where it has none yet."""
    query = sa.select(tables.orders.c.venue, tables.orders.c.account).where(tables.orders.c.deployment_id == deployment_id)
    with database.read() as connection:
        row = connection.execute(query.order_by(tables.orders.c.sequence.desc()).limit(1)).first()
    return None if row is None else (str(row.venue), str(row.account))


def open_orders_at(database: Database, venue: str, account: str) -> list[JournaledOrder]:
    """Return the open orders of every deployment of an account, whichever it is."""
    where = (tables.orders.c.venue == venue) & (tables.orders.c.account == account)
    query = sa.select(tables.orders).where(where, tables.orders.c.status.in_(OPEN_STATUSES))
    with database.read() as connection:
        return _with_fills(connection, _in_sequence(connection.execute(query).all()), None)


def has_open_orders(database: Database, deployment_id: str) -> bool:
    """Return whether more may still happen to any order of a deployment."""
    query = sa.select(tables.orders.c.client_order_id).where(
        tables.orders.c.deployment_id == deployment_id, tables.orders.c.status.in_(OPEN_STATUSES)
    )
    with database.read() as connection:
        return connection.execute(query.limit(1)).first() is not None


def orders_by_id(database: Database, ids: Iterable[str]) -> dict[str, OrderRequest]:
    """Return the intents with these ids."""
    with database.read() as connection:
        rows = connection.execute(sa.select(tables.orders).where(tables.orders.c.client_order_id.in_(list(ids)))).all()
    return {row.client_order_id: _request(row) for row in rows}


def turns_of(database: Database, deployment_id: str) -> dict[str, tuple[OrderType, Leg]]:
    """Return type and leg of each order of a deployment, by its id."""
    columns = (tables.orders.c.client_order_id, tables.orders.c.type, tables.orders.c.leg)
    with database.read() as connection:
        rows = connection.execute(sa.select(*columns).where(tables.orders.c.deployment_id == deployment_id)).all()
    return {row.client_order_id: (OrderType(row.type), Leg(row.leg)) for row in rows}


def fills_of(database: Database, deployment_id: str) -> list[Fill]:
    """Return the fills of a deployment in the order in which they were recorded."""
    query = sa.select(tables.fills).where(tables.fills.c.deployment_id == deployment_id).order_by(tables.fills.c.id)
    with database.read() as connection:
        return [_fill(row) for row in connection.execute(query)]


def entries_of(database: Database, deployment_id: str) -> list[LedgerEntry]:
    """Return the ledger entries of a deployment that are no fills, oldest first."""
    query = sa.select(tables.ledger_entries).where(tables.ledger_entries.c.deployment_id == deployment_id)
    with database.read() as connection:
        return [_entry(row) for row in connection.execute(query.order_by(tables.ledger_entries.c.id))]


def events_of(database: Database, deployment_id: str) -> list[Fill | LedgerEntry]:
    """Return fills and entries of a deployment in the order in which they change its ledger."""
    return [row.event for row in ledger_rows(database, deployment_id)]


def ledger_rows(database: Database, deployment_id: str, *, after_fill: int = 0, after_entry: int = 0) -> list[LedgerRow]:
    """Return what changes a ledger, in its order, recorded after a fill and an entry with these numbers."""
    fills, orders, entries = tables.fills, tables.orders, tables.ledger_entries
    of_fills = (
        sa.select(fills, orders.c.leg, orders.c.bar_time, orders.c.sequence)
        .join(orders, orders.c.client_order_id == fills.c.client_order_id)
        .where(fills.c.deployment_id == deployment_id, fills.c.id > after_fill)
        .order_by(fills.c.id)
    )
    of_entries = sa.select(entries).where(entries.c.deployment_id == deployment_id, entries.c.id > after_entry)
    with database.read() as connection:
        found = [
            LedgerRow(place=(row.id, 0), event=_fill(row), leg=Leg(row.leg), bar_time=row.bar_time, sequence=row.sequence)
            for row in connection.execute(of_fills)
        ]
        booked = [LedgerRow(place=(row.after_fill_id, row.id), event=_entry(row)) for row in connection.execute(of_entries)]
    return sorted([*found, *booked], key=lambda row: row.place) if booked else found


def _in_sequence(rows: Sequence[Any]) -> list[Any]:
    return sorted(rows, key=lambda row: row.sequence)


def _with_fills(connection: Connection, rows: Sequence[Any], deployment_id: str | None) -> list[JournaledOrder]:
    """Return orders with what they have filled; `deployment_id` None asks for the fills of these orders alone."""
    if not rows:
        return []
    by_order: dict[str, list[Fill]] = {}
    for fill in _fills(connection, [row.client_order_id for row in rows], deployment_id):
        by_order.setdefault(fill.client_order_id, []).append(fill)
    return [_journaled(row, by_order.get(row.client_order_id, [])) for row in rows]


def _fills(connection: Connection, ids: Sequence[str], deployment_id: str | None) -> Iterator[Fill]:
    of_these = tables.fills.c.client_order_id.in_(ids) if deployment_id is None else tables.fills.c.deployment_id == deployment_id
    for row in connection.execute(sa.select(tables.fills).where(of_these).order_by(tables.fills.c.id)):
        yield _fill(row)


def _fill(row: Any) -> Fill:
    return Fill(
        trade_id=row.trade_id,
        client_order_id=row.client_order_id,
        symbol=row.symbol,
        side=Side(row.side),
        quantity=row.quantity,
        price=row.price,
        fee=row.fee,
        time=row.time,
        fee_asset=row.fee_asset,
        fee_quantity=row.fee_quantity,
    )


def _entry(row: Any) -> LedgerEntry:
    return LedgerEntry(
        entry_id=row.entry_id,
        symbol=row.symbol,
        kind=EntryKind(row.kind),
        quantity=row.quantity,
        cash=row.cash,
        price=row.price,
        ratio=row.ratio,
        reverses=row.reverses,
        note=row.note,
        by=row.by,
        time=row.time,
    )


def _request(row: Any) -> OrderRequest:
    return OrderRequest(
        client_order_id=row.client_order_id,
        symbol=row.symbol,
        side=Side(row.side),
        leg=Leg(row.leg),
        quantity=row.quantity,
        bar_time=row.bar_time,
        reference_price=row.reference_price,
        type=OrderType(row.type),
        time_in_force=TimeInForce(row.time_in_force),
        limit_price=row.limit_price,
        stop_price=row.stop_price,
        target_price=row.target_price,
        reason=row.intent_reason,
    )


def _journaled(row: Any, fills: list[Fill]) -> JournaledOrder:
    filled = sum((fill.quantity for fill in fills), Decimal(0))
    value = sum((fill.quantity * fill.price for fill in fills), Decimal(0))
    return JournaledOrder(
        request=_request(row),
        deployment_id=row.deployment_id,
        venue_order_id=row.venue_order_id,
        status=OrderStatus(row.status),
        reason=row.reason,
        planned_at=row.planned_at,
        updated_at=row.updated_at,
        filled_quantity=filled,
        average_fill_price=value / filled if filled else None,
        fee=sum((fill.fee for fill in fills), Decimal(0)),
    )
