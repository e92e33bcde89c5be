"""The journal: what we meant to do, written before it is done, and what came of it.

Every status change is checked against the table of transitions, leaves an event behind and is durable before the caller goes
on. A fill is stored once per (venue, symbol, trade_id), however often it is reported. Reading stands in `orders.records`.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import datetime
from decimal import Decimal
from typing import Any

import sqlalchemy as sa
from sqlalchemy.engine import Connection

from algo_py.clock import Clock
from algo_py.database import Database
from algo_py.errors import Conflict, NotFound
from algo_py.orders import tables
from algo_py.orders.entries import LedgerEntry
from algo_py.orders.ledger import Position
from algo_py.orders.model import Fill, Leg, OrderReport, OrderRequest, OrderStatus, may_become
from algo_py.orders.records import JournaledOrder, fills_of, newest_of, order_of, orders_of
from algo_py.orders.running import RunningLedger


class Journal:
    """The orders, fills and entries of one deployment at one venue. `initial_cash` is what its ledger began with."""

    def __init__(
        self,
        database: Database,
        clock: Clock,
        *,
        deployment_id: str,
        venue: str,
        account: str = "",
        initial_cash: Decimal = Decimal(0),
    ) -> None:
        self._database = database
        self._clock = clock
        self._deployment_id = deployment_id
        self._venue = venue
        self._account = account
        self.ledger = RunningLedger(database, deployment_id, initial_cash)

    def plan(self, connection: Connection, requests: Sequence[OrderRequest]) -> list[OrderRequest]:
        """Write intents as PLANNED inside the caller's transaction; return those that were not there before.

        An id that is already journaled is left as it is, so that deciding a bar twice changes nothing.
        """
        new: list[OrderRequest] = []
        if not requests:
            return new
        now = self._clock.now()
        following = self._newest_sequence(connection)
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

    def note(self, client_order_id: str, reason: str) -> None:
        """Record a reason beside the status that an order has."""
        with self._database.write() as connection:
            current, known, _ = self._standing(connection, client_order_id)
            if known == reason:
                return
            values = {"reason": reason, "updated_at": self._clock.now()}
            connection.execute(tables.orders.update().where(tables.orders.c.client_order_id == client_order_id).values(**values))
            self._event(connection, client_order_id, current, reason)

    def mark_if_possible(self, client_order_id: str, status: OrderStatus, *, reason: str) -> bool:
        """Record a status where it may follow the present one and says something new; return whether it was recorded."""
        with self._database.write() as connection:
            current, known, _ = self._standing(connection, client_order_id)
            if not may_become(current, status) or (current, known) == (status, reason):
                return False
            self._transition(connection, client_order_id, status, reason, venue_order_id=None)
        return True

    def record(self, report: OrderReport, *, following: Sequence[OrderRequest] = ()) -> list[Fill]:
        """Record what the venue said of an order, status and fills in one transaction; return the fills that are new.

        `following` is as in `mark`. What is recorded already costs no write.
        """
        if not following and self._is_known(report):
            return []
        with self._database.write() as connection:
            self.plan(connection, following)
            new = [stored for fill in report.fills if (stored := self._store_fill(connection, fill)) is not None]
            current, _, _ = self._standing(connection, report.client_order_id)
            # A late answer never takes an order back to where it was before.
            if may_become(current, report.status):
                self._transition(
                    connection, report.client_order_id, report.status, report.reason, venue_order_id=report.venue_order_id
                )
        return new

    def orders(self, *, only_open: bool = False) -> list[JournaledOrder]:
        """Return the orders in the order in which they were decided."""
        return orders_of(self._database, self._deployment_id, only_open=only_open)

    def order(self, client_order_id: str) -> JournaledOrder | None:
        """Return one order, None where there is none with this id."""
        return order_of(self._database, client_order_id)

    def count_of(self, symbol: str, *, bar_time: datetime, reason: str) -> int:
        """Return how many intents of a symbol were decided on a bar for a reason."""
        columns = tables.orders.c
        same = (columns.symbol == symbol) & (columns.bar_time == bar_time) & (columns.intent_reason == reason)
        query = sa.select(sa.func.count()).where(columns.deployment_id == self._deployment_id, same)
        with self._database.read() as connection:
            return _scalar(connection, query)

    def newest_of(self, symbol: str) -> JournaledOrder | None:
        """Return the newest order of a symbol that is no stop."""
        return newest_of(self._database, self._deployment_id, symbol)

    def fills(self) -> list[Fill]:
        """Return all fills in the order in which they were recorded."""
        return fills_of(self._database, self._deployment_id)

    def positions(self) -> Mapping[str, Position]:
        """Return the open positions."""
        return self.ledger.positions

    def held(self, symbol: str) -> Decimal:
        """Return the units held of a symbol, below 0 when short."""
        return self.ledger.held(symbol)

    def next_number(self) -> int:
        """Return a number that no order of the deployment has: for ids of orders that are decided anew each time."""
        with self._database.read() as connection:
            return self._newest_sequence(connection) + 1

    def entries_sent_since(self, moment: datetime) -> int:
        """Return how many entries were sent at `moment` or later, whatever became of them."""
        query = (
            sa.select(sa.func.count(sa.distinct(tables.orders.c.client_order_id)))
            .join(tables.order_events, tables.order_events.c.client_order_id == tables.orders.c.client_order_id)
            .where(
                tables.orders.c.deployment_id == self._deployment_id,
                tables.orders.c.updated_at >= moment,
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

    def book(self, entry: LedgerEntry) -> bool:
        """Record an entry that is no fill, durably; False when one with its id is there already."""
        with self._database.write() as connection:
            return self._book(connection, entry)

    def book_trade(self, request: OrderRequest, fill: Fill) -> list[Fill]:
        """Record a trade that was made elsewhere, by a person or by the broker: an order that was never sent, and its fill.

        Return the fill, nothing when the order was booked before.
        """
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

    def _book(self, connection: Connection, entry: LedgerEntry) -> bool:
        known = sa.select(sa.func.count()).where(tables.ledger_entries.c.entry_id == entry.entry_id)
        if _scalar(connection, known):
            return False
        newest = sa.select(sa.func.coalesce(sa.func.max(tables.fills.c.id), 0))
        connection.execute(
            tables.ledger_entries.insert().values(
                entry_id=entry.entry_id,
                deployment_id=self._deployment_id,
                symbol=entry.symbol,
                kind=entry.kind,
                quantity=entry.quantity,
                cash=entry.cash,
                price=entry.price,
                ratio=entry.ratio,
                reverses=entry.reverses,
                note=entry.note,
                by=entry.by,
                after_fill_id=_scalar(connection, newest),
                time=entry.time,
                recorded_at=self._clock.now(),
            )
        )
        return True

    def _newest_sequence(self, connection: Connection) -> int:
        of_ours = tables.orders.c.deployment_id == self._deployment_id
        return _scalar(connection, sa.select(sa.func.coalesce(sa.func.max(tables.orders.c.sequence), 0)).where(of_ours))

    def _store_fill(self, connection: Connection, fill: Fill) -> Fill | None:
        """Store a fill under the venue's number and return it; None when it is there.

        A venue that has begun anew (a test network) counts its trades from 1 again: a number that belongs to another order is an
        older trade's, and the new one is told apart by its order.
        """
        for trade_id in (fill.trade_id, f"{fill.trade_id}@{fill.client_order_id}"):
            key = (
                (tables.fills.c.venue == self._venue)
                & (tables.fills.c.symbol == fill.symbol)
                & (tables.fills.c.trade_id == trade_id)
            )
            holder = connection.execute(sa.select(tables.fills.c.client_order_id).where(key)).scalar()
            if holder == fill.client_order_id:
                return None
            if holder is None:
                break
        stored = replace(fill, trade_id=trade_id)
        connection.execute(
            tables.fills.insert().values(
                venue=self._venue,
                symbol=stored.symbol,
                trade_id=stored.trade_id,
                client_order_id=stored.client_order_id,
                deployment_id=self._deployment_id,
                side=stored.side,
                quantity=stored.quantity,
                price=stored.price,
                fee=stored.fee,
                time=stored.time,
                recorded_at=self._clock.now(),
                fee_asset=stored.fee_asset,
                fee_quantity=stored.fee_quantity,
            )
        )
        return stored

    def _is_known(self, report: OrderReport) -> bool:
        ids = [fill.trade_id for fill in report.fills] + [f"{fill.trade_id}@{fill.client_order_id}" for fill in report.fills]
        with self._database.read() as connection:
            if self._standing(connection, report.client_order_id) != (report.status, report.reason, report.venue_order_id):
                return False
            of_order = tables.fills.c.client_order_id == report.client_order_id
            return _scalar(connection, sa.select(sa.func.count()).where(of_order, tables.fills.c.trade_id.in_(ids))) == len(
                report.fills
            )

    def _standing(self, connection: Connection, client_order_id: str) -> tuple[OrderStatus, str, str]:
        """Return an order's status, its reason and the venue's id."""
        columns = (tables.orders.c.status, tables.orders.c.reason, tables.orders.c.venue_order_id)
        row = connection.execute(sa.select(*columns).where(tables.orders.c.client_order_id == client_order_id)).first()
        if row is None:
            raise NotFound(f"the journal has no order {client_order_id}")
        return OrderStatus(row.status), str(row.reason), str(row.venue_order_id)

    def _transition(
        self, connection: Connection, client_order_id: str, status: OrderStatus, reason: str, *, venue_order_id: str | None
    ) -> None:
        current, _, _ = self._standing(connection, client_order_id)
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


def _scalar(connection: Connection, query: sa.Select[Any]) -> int:
    return int(connection.execute(query).scalar_one())
