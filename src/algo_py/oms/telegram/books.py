"""Each order's message and its outcome. An order has one outcome: whoever records it first."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from typing import Any

import sqlalchemy as sa

from algo_py.database import Database
from algo_py.oms.telegram.tables import telegram_orders
from algo_py.orders.model import OrderRequest

FILLED, CANCELED = "filled", "canceled"


@dataclass(frozen=True, slots=True, kw_only=True)
class Entry:
    """What the books hold of an order. message_id None: it is not certain that its message was sent."""

    client_order_id: str
    symbol: str
    side: str
    quantity: Decimal
    reference_price: Decimal
    text: str
    message_id: int | None
    sent_at: datetime
    outcome: str
    reason: str
    price: Decimal | None
    settled_at: datetime | None

    @property
    def told(self) -> str:
        """The outcome in words."""
        if self.outcome == FILLED and self.price is not None:
            return f"done at {self.price.normalize():f}{f' ({self.reason})' if self.reason else ''}"
        return self.reason or self.outcome


class Books:
    """The orders of all accounts that use the database."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def begin(self, order: OrderRequest, *, account: str, text: str, at: datetime) -> bool:
        """Write down, durably, that an order's message is about to be sent; False when its id is there already."""
        with self._database.write() as connection:
            known = sa.select(telegram_orders.c.client_order_id).where(telegram_orders.c.client_order_id == order.client_order_id)
            if connection.execute(known).scalar() is not None:
                return False
            connection.execute(
                telegram_orders.insert().values(
                    client_order_id=order.client_order_id,
                    account=account,
                    symbol=order.symbol,
                    side=order.side,
                    quantity=order.quantity,
                    reference_price=order.reference_price,
                    text=text,
                    sent_at=at,
                    outcome="",
                    reason="",
                )
            )
        return True

    def forget(self, client_order_id: str) -> None:
        """Take back what was begun: the message was certainly not sent."""
        with self._database.write() as connection:
            connection.execute(telegram_orders.delete().where(telegram_orders.c.client_order_id == client_order_id))

    def sent(self, client_order_id: str, message_id: int) -> None:
        """Record that the message is in the chat."""
        self._change(client_order_id, message_id=message_id)

    def asked(self, client_order_id: str, question_id: int) -> None:
        """Record which message asks for the order's price; an earlier one is not listened to any more."""
        self._change(client_order_id, question_id=question_id)

    def settle(
        self, client_order_id: str, *, at: datetime, price: Decimal | None, reason: str, message_id: int | None = None
    ) -> Entry | None:
        """Record the outcome (filled where there is a price) unless there is one; return the order when this was the one."""
        with self._database.write() as connection:
            values: dict[str, Any] = {
                "outcome": CANCELED if price is None else FILLED,
                "price": price,
                "reason": reason,
                "settled_at": at,
            }
            if message_id is not None:
                values["message_id"] = message_id
            done = connection.execute(
                telegram_orders.update()
                .where(telegram_orders.c.client_order_id == client_order_id, telegram_orders.c.outcome == "")
                .values(**values)
            )
        return self.get(client_order_id) if done.rowcount else None

    def get(self, client_order_id: str) -> Entry | None:
        """Return an order, None when it was never begun."""
        return self._one(telegram_orders.c.client_order_id == client_order_id)

    def by_question(self, question_id: int) -> Entry | None:
        """Return the open order whose price a message asks for."""
        return self._one((telegram_orders.c.question_id == question_id) & (telegram_orders.c.outcome == ""))

    def filled_since(self, account: str, moment: datetime) -> list[Entry]:
        """Return the orders of an account that were filled at `moment` or later, oldest first."""
        query = (
            sa.select(telegram_orders)
            .where(
                telegram_orders.c.account == account, telegram_orders.c.outcome == FILLED, telegram_orders.c.settled_at >= moment
            )
            .order_by(telegram_orders.c.settled_at)
        )
        with self._database.read() as connection:
            return [_entry(row) for row in connection.execute(query)]

    def _one(self, condition: sa.ColumnElement[bool]) -> Entry | None:
        with self._database.read() as connection:
            row = connection.execute(sa.select(telegram_orders).where(condition)).first()
        return None if row is None else _entry(row)

    def _change(self, client_order_id: str, **values: object) -> None:
        with self._database.write() as connection:
            connection.execute(
                telegram_orders.update().where(telegram_orders.c.client_order_id == client_order_id).values(**values)
            )


def _entry(row: Any) -> Entry:
    return Entry(
        client_order_id=row.client_order_id,
        symbol=row.symbol,
        side=row.side,
        quantity=row.quantity,
        reference_price=row.reference_price,
        text=row.text,
        message_id=row.message_id,
        sent_at=row.sent_at,
        outcome=row.outcome,
        reason=row.reason,
        price=row.price,
        settled_at=row.settled_at,
    )
