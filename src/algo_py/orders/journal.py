"""The journal: what we meant to do, written before it is done, and what came of it.

Every status change is checked against the table of transitions, leaves an event behind and is durable before the caller goes
on. A fill is stored once per (venue, symbol, trade_id), however often it is reported.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from typing import Any

import sqlalchemy as sa
from sqlalchemy.engine import Connection

from algo_py.clock import Clock
from algo_py.database import Database
from algo_py.errors import Conflict, NotFound
from algo_py.orders import tables
from algo_py.orders.ledger import Position, fold
from algo_py.orders.model import (
    Fill,
    Leg,
    OrderReport,
    OrderRequest,
    OrderStatus,
    OrderType,
    Side,
    TimeInForce,
    may_become,
)


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


class Journal:
    """The orders and fills of one deployment at one venue."""

    def __init__(self, database: Database, clock: Clock, *, deployment_id: str, venue: str, account: str = "") -> None:
        self._database = database
        self._clock = clock
        self._deployment_id = deployment_id
        self._venue = venue
        self._account = account

    def plan(self, connection: Connection, requests: Sequence[OrderRequest]) -> list[OrderRequest]:
        """Write intents as PLANNED inside the caller's transaction; return those that were not there before.

        An id that is already journaled is left as it is, so that deciding a bar twice changes nothing.
        """
        new = []
        now = self._clock.now()
        following = _scalar(
            connection,
            sa.select(sa.func.coalesce(sa.func.max(tables.orders.c.sequence), 0)).where(
                tables.orders.c.deployment_id == self._deployment_id
            ),
        )
        for request in requests:
            known = sa.select(sa.func.count()).where(tables.orders.c.client_order_id == request.client_order_id)
            if _scalar(connection, known):
                continue
            following += 1
            connection.execute(
                tables.orders.insert().values(
                    client_order_id=request.client_order_id,
                    sequence=following,
                    deployment_id=self._deployment_id,
                    venue=self._venue,
                    account=self._account,
                    venue_order_id="",
                    bar_time=request.bar_time,
                    symbol=request.symbol,
                    side=request.side,
                    leg=request.leg,
                    type=request.type,
                    time_in_force=request.time_in_force,
                    quantity=request.quantity,
                    reference_price=request.reference_price,
                    limit_price=request.limit_price,
                    stop_price=request.stop_price,
                    target_price=request.target_price,
                    intent_reason=request.reason,
                    status=OrderStatus.PLANNED,
                    reason="",
                    planned_at=now,
                    updated_at=now,
                )
            )
            self._event(connection, request.client_order_id, OrderStatus.PLANNED, "")
            new.append(request)
        return new

    def mark(
        self, client_order_id: str, status: OrderStatus, *, reason: str = "", following: Sequence[OrderRequest] = ()
    ) -> None:
        """Record a status; one that may not follow the present one is refused with Conflict.

        `following` are intents that take the order's place: they are journaled in the same transaction, or neither is.
        """
        with self._database.write() as connection:
            self._transition(connection, client_order_id, status, reason, venue_order_id=None)
            self.plan(connection, following)

    def record(self, report: OrderReport, *, following: Sequence[OrderRequest] = ()) -> list[Fill]:
        """Record what the venue said of an order, status and fills in one transaction; return the fills that are new.

        `following` is as in `mark`.
        """
        with self._database.write() as connection:
            self.plan(connection, following)
            new = [fill for fill in report.fills if self._store_fill(connection, fill)]
            current = self._status(connection, report.client_order_id)
            # A late answer never takes an order back to where it was before.
            if may_become(current, report.status):
                self._transition(
                    connection, report.client_order_id, report.status, report.reason, venue_order_id=report.venue_order_id
                )
        return new

    def orders(self, *, only_open: bool = False) -> list[JournaledOrder]:
        """Return the orders in the order in which they were decided."""
        return orders_of(self._database, self._deployment_id, only_open=only_open)

    def fills(self) -> list[Fill]:
        """Return all fills in the order in which they were recorded."""
        return fills_of(self._database, self._deployment_id)

    def positions(self) -> Mapping[str, Position]:
        """Return the open positions, folded from the fills."""
        return fold(Decimal(0), self.fills()).positions

    def held(self, symbol: str) -> Decimal:
        """Return the units held of a symbol, below 0 when short."""
        signed = sa.case((tables.fills.c.side == Side.BUY, 1), else_=-1)
        query = sa.select(tables.fills.c.quantity, signed).where(
            tables.fills.c.deployment_id == self._deployment_id, tables.fills.c.symbol == symbol
        )
        with self._database.read() as connection:
            return sum((quantity * sign for quantity, sign in connection.execute(query)), Decimal(0))

    def entry_bar(self, symbol: str) -> datetime | None:
        """Return the open time of the bar on which the newest entry was decided that has filled; None when there is none."""
        query = (
            sa.select(tables.orders.c.bar_time)
            .join(tables.fills, tables.fills.c.client_order_id == tables.orders.c.client_order_id)
            .where(
                tables.orders.c.deployment_id == self._deployment_id,
                tables.orders.c.symbol == symbol,
                tables.orders.c.leg == Leg.ENTRY,
            )
            .order_by(tables.orders.c.sequence.desc())
            .limit(1)
        )
        with self._database.read() as connection:
            found: datetime | None = connection.execute(query).scalar()
        return found

    def entries_sent_since(self, moment: datetime) -> int:
        """Return how many entries were sent at `moment` or later, whatever became of them."""
        query = (
            sa.select(sa.func.count(sa.distinct(tables.orders.c.client_order_id)))
            .join(tables.order_events, tables.order_events.c.client_order_id == tables.orders.c.client_order_id)
            .where(
                tables.orders.c.deployment_id == self._deployment_id,
                tables.orders.c.leg == Leg.ENTRY,
                tables.order_events.c.status == OrderStatus.SUBMITTING,
                tables.order_events.c.at >= moment,
            )
        )
        with self._database.read() as connection:
            return _scalar(connection, query)

    def plan_now(self, request: OrderRequest) -> bool:
        """Journal one intent in a transaction of its own; False when it was there before."""
        with self._database.write() as connection:
            return bool(self.plan(connection, [request]))

    def write_off(self, request: OrderRequest) -> list[Fill]:
        """Book what is too little to be sold: `request` closes it at its reference price, and its whole value is a fee.

        It is never sent. So the position ends, cash does not change, and the record says where it went. Return the fill if new.
        """
        fill = Fill(
            trade_id=f"{request.client_order_id}-dust",
            client_order_id=request.client_order_id,
            symbol=request.symbol,
            side=request.side,
            quantity=request.quantity,
            price=request.reference_price,
            fee=request.notional if request.side is Side.SELL else -request.notional,
            time=self._clock.now(),
        )
        with self._database.write() as connection:
            if not self.plan(connection, [request]):
                return []
            self._store_fill(connection, fill)
            values = {"status": OrderStatus.FILLED, "reason": request.reason, "updated_at": self._clock.now()}
            connection.execute(
                tables.orders.update().where(tables.orders.c.client_order_id == request.client_order_id).values(**values)
            )
            self._event(connection, request.client_order_id, OrderStatus.FILLED, request.reason)
        return [fill]

    def _store_fill(self, connection: Connection, fill: Fill) -> bool:
        key = (
            (tables.fills.c.venue == self._venue)
            & (tables.fills.c.symbol == fill.symbol)
            & (tables.fills.c.trade_id == fill.trade_id)
        )
        if _scalar(connection, sa.select(sa.func.count()).where(key)):
            return False
        connection.execute(
            tables.fills.insert().values(
                venue=self._venue,
                symbol=fill.symbol,
                trade_id=fill.trade_id,
                client_order_id=fill.client_order_id,
                deployment_id=self._deployment_id,
                side=fill.side,
                quantity=fill.quantity,
                price=fill.price,
                fee=fill.fee,
                time=fill.time,
                recorded_at=self._clock.now(),
            )
        )
        return True

    def _status(self, connection: Connection, client_order_id: str) -> OrderStatus:
        status = connection.execute(
            sa.select(tables.orders.c.status).where(tables.orders.c.client_order_id == client_order_id)
        ).scalar()
        if status is None:
            raise NotFound(f"the journal has no order {client_order_id}")
        return OrderStatus(status)

    def _transition(
        self, connection: Connection, client_order_id: str, status: OrderStatus, reason: str, *, venue_order_id: str | None
    ) -> None:
        current = self._status(connection, client_order_id)
        if not may_become(current, status):
            raise Conflict(f"order {client_order_id} is {current} and cannot become {status}")
        values: dict[str, Any] = {"status": status, "reason": reason, "updated_at": self._clock.now()}
        if venue_order_id is not None:
            values["venue_order_id"] = venue_order_id
        connection.execute(tables.orders.update().where(tables.orders.c.client_order_id == client_order_id).values(**values))
        if current is not status:
            self._event(connection, client_order_id, status, reason)

    def _event(self, connection: Connection, client_order_id: str, status: OrderStatus, reason: str) -> None:
        connection.execute(
            tables.order_events.insert().values(
                client_order_id=client_order_id, at=self._clock.now(), status=status, reason=reason
            )
        )


def orders_of(database: Database, deployment_id: str, *, only_open: bool = False) -> list[JournaledOrder]:
    """Return the orders of a deployment in the order in which they were decided."""
    query = sa.select(tables.orders).where(tables.orders.c.deployment_id == deployment_id).order_by(tables.orders.c.sequence)
    if only_open:
        query = query.where(tables.orders.c.status.in_([status for status in OrderStatus if status.is_open]))
    with database.read() as connection:
        rows = connection.execute(query).all()
        wanted = [tables.fills.c.client_order_id.in_([row.client_order_id for row in rows])] if only_open else []
        fills = _fills(connection, deployment_id, *wanted) if rows else []
    by_order: dict[str, list[Fill]] = {}
    for fill in fills:
        by_order.setdefault(fill.client_order_id, []).append(fill)
    return [_journaled(row, by_order.get(row.client_order_id, [])) for row in rows]


def fills_of(database: Database, deployment_id: str) -> list[Fill]:
    """Return the fills of a deployment in the order in which they were recorded."""
    with database.read() as connection:
        return _fills(connection, deployment_id)


def _fills(connection: Connection, deployment_id: str, *conditions: sa.ColumnElement[bool]) -> list[Fill]:
    query = sa.select(tables.fills).where(tables.fills.c.deployment_id == deployment_id, *conditions).order_by(tables.fills.c.id)
    return [
        Fill(
            trade_id=row.trade_id,
            client_order_id=row.client_order_id,
            symbol=row.symbol,
            side=Side(row.side),
            quantity=row.quantity,
            price=row.price,
            fee=row.fee,
            time=row.time,
        )
        for row in connection.execute(query)
    ]


def _journaled(row: Any, fills: list[Fill]) -> JournaledOrder:
    filled = sum((fill.quantity for fill in fills), Decimal(0))
    value = sum((fill.quantity * fill.price for fill in fills), Decimal(0))
    return JournaledOrder(
        request=OrderRequest(
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
        ),
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


def _scalar(connection: Connection, query: sa.Select[Any]) -> int:
    return int(connection.execute(query).scalar_one())
