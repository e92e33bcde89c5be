"""Each order's message and its outcome. An order has one outcome: whoever records it first."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from typing import Any

import sqlalchemy as sa

from algo_py.amounts import plain
from algo_py.database import Database
from algo_py.oms.telegram.tables import telegram_orders
from algo_py.orders.model import OrderRequest, OrderStatus
from algo_py.orders.tables import orders

FILLED, CANCELED = "filled", "canceled"


@dataclass(frozen=True, slots=True, kw_only=True)
class Place:
    """Where a message stands. A message's number counts within its chat."""

    chat_id: str
    message_id: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Entry:
    """What the books hold of an order. message_id None: it is not certain that its message was sent.

    asked_price: a price far from the reference, which was given once and is booked when it is given again.
    """

    client_order_id: str
    symbol: str
    side: str
    quantity: Decimal
    reference_price: Decimal
    text: str
    chat_id: str | None
    message_id: int | None
    sent_at: datetime
    outcome: str
    reason: str
    price: Decimal | None
    settled_at: datetime | None
    questions: int
    asked_price: Decimal | None

    @property
    def told(self) -> str:
        """The outcome in words."""
        if self.outcome == FILLED and self.price is not None:
            return f"done at {plain(self.price)}{f' ({self.reason})' if self.reason else ''}"
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

    def sent(self, client_order_id: str, place: Place) -> None:
        """Record that the message is in the chat."""
        self._change(client_order_id, message_id=place.message_id, chat_id=place.chat_id)

    def asked(self, client_order_id: str, question_id: int, *, price: Decimal | None) -> None:
        """Record which message asks for the order's price, and which price it wants confirmed.

        An earlier question is not listened to any more.
        """
        count = telegram_orders.c.questions + 1
        self._change(client_order_id, question_id=question_id, asked_price=price, questions=count)

    def settle(
        self, client_order_id: str, *, at: datetime, price: Decimal | None, reason: str, place: Place | None = None
    ) -> Entry | None:
        """Record the outcome (filled where there is a price) unless there is one; return the order when this was the one."""
        with self._database.write() as connection:
            values: dict[str, Any] = {
                "outcome": CANCELED if price is None else FILLED,
                "price": price,
                "reason": reason,
                "settled_at": at,
                "is_shown": False,
            }
            if place is not None:
                values |= {"message_id": place.message_id, "chat_id": place.chat_id}
            done = connection.execute(
                telegram_orders.update()
                .where(telegram_orders.c.client_order_id == client_order_id, telegram_orders.c.outcome == "")
                .values(**values)
            )
        return self.get(client_order_id) if done.rowcount else None

    def found(self, client_order_id: str, place: Place) -> None:
        """Record where the message of a settled order stands, which was not known: its outcome is to be shown there."""
        self._change(client_order_id, message_id=place.message_id, chat_id=place.chat_id, is_shown=False)

    def shown(self, client_order_id: str) -> None:
        """Record that an order's outcome stands in the chat, or never will."""
        self._change(client_order_id, is_shown=True)

    def to_show(self, *, most: int) -> list[Entry]:
        """Return orders of all accounts whose outcome does not stand in the chat yet, though their message is there."""
        t = telegram_orders.c
        query = (
            sa.select(telegram_orders).where(t.is_shown.is_(False), t.message_id.is_not(None)).order_by(t.settled_at).limit(most)
        )
        with self._database.read() as connection:
            return [_entry(row) for row in connection.execute(query)]

    def get(self, client_order_id: str) -> Entry | None:
        """Return an order, None when it was never begun."""
        return self._one(telegram_orders.c.client_order_id == client_order_id)

    def by_question(self, question_id: int) -> Entry | None:
        """Return the order whose price a message asks for or has asked for."""
        return self._one(telegram_orders.c.question_id == question_id)

    def ended_elsewhere(self, client_order_id: str) -> OrderStatus | None:
        """Return how the journal says that an order has ended; None while it is open there, or is not in it.

        A person may have settled it by hand: then nobody would ever ask what was pressed afterwards.
        """
        query = sa.select(orders.c.status).where(orders.c.client_order_id == client_order_id)
        with self._database.read() as connection:
            found = connection.execute(query).scalar()
        status = None if found is None else OrderStatus(found)
        return None if status is None or status.is_open else status

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
    return Entry(**{name: getattr(row, name) for name in Entry.__dataclass_fields__})
