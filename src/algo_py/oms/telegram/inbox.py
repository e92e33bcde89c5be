"""What people answer: read by one process at a time, kept in the database, and acted upon once.

Several deployments share a bot, and Telegram gives each update to one reader only. So whoever needs an answer reads for all, and
stores every update before it is confirmed.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from datetime import datetime
from decimal import Decimal, InvalidOperation
from pathlib import Path
from typing import Any

import sqlalchemy as sa

from algo_py.clock import Clock
from algo_py.database import Database
from algo_py.errors import Conflict, Rejected, VenueError
from algo_py.finstore.durable import locked
from algo_py.oms.telegram import texts
from algo_py.oms.telegram.books import Books
from algo_py.oms.telegram.chat import Chat
from algo_py.oms.telegram.tables import telegram_updates

_LOCK_S = 0.05


class Inbox:
    """The updates of one bot, shared by all processes of a workspace."""

    def __init__(self, database: Database, books: Books, chat: Chat, clock: Clock, *, lock: Path) -> None:
        self._database = database
        self._books = books
        self._chat = chat
        self._clock = clock
        self._lock = lock

    def read(self) -> None:
        """Take in what has arrived, and act on it. Another process that is doing so already is left to it.

        Raises VenueDown, RateLimited and AuthFailed when Telegram cannot be asked.
        """
        try:
            self._lock.parent.mkdir(parents=True, exist_ok=True)
            with locked(self._lock, timeout_s=_LOCK_S):
                self._store(self._chat.updates(self._next()))
                for update_id, content in self._unhandled():
                    self._act(update_id, content)
        except Conflict:
            return

    def _next(self) -> int | None:
        query = sa.select(sa.func.max(telegram_updates.c.update_id)).where(telegram_updates.c.bot == self._chat.bot)
        with self._database.read() as connection:
            last = connection.execute(query).scalar()
        return None if last is None else int(last) + 1

    def _store(self, updates: Any) -> None:
        if not updates:
            return
        with self._database.write() as connection:
            known = set(
                connection.execute(
                    sa.select(telegram_updates.c.update_id).where(
                        telegram_updates.c.bot == self._chat.bot,
                        telegram_updates.c.update_id.in_([update.update_id for update in updates]),
                    )
                ).scalars()
            )
            for update in updates:
                if update.update_id not in known:
                    known.add(update.update_id)
                    connection.execute(
                        telegram_updates.insert().values(
                            bot=self._chat.bot,
                            update_id=update.update_id,
                            received_at=self._clock.now(),
                            content=update.to_json(),
                            is_handled=False,
                        )
                    )

    def _unhandled(self) -> list[tuple[int, dict[str, Any]]]:
        query = (
            sa.select(telegram_updates.c.update_id, telegram_updates.c.content)
            .where(telegram_updates.c.bot == self._chat.bot, telegram_updates.c.is_handled.is_(False))
            .order_by(telegram_updates.c.update_id)
        )
        with self._database.read() as connection:
            return [(row.update_id, json.loads(row.content)) for row in connection.execute(query)]

    def _act(self, update_id: int, content: dict[str, Any]) -> None:
        """Act on one update. The order is settled before the update counts as handled: to act twice changes nothing."""
        if "callback_query" in content:
            self._pressed(content["callback_query"])
        elif "message" in content:
            self._written(content["message"])
        with self._database.write() as connection:
            connection.execute(
                telegram_updates.update()
                .where(telegram_updates.c.bot == self._chat.bot, telegram_updates.c.update_id == update_id)
                .values(is_handled=True)
            )

    def _pressed(self, query: dict[str, Any]) -> None:
        if not self._is_ours(query.get("message") or {}):
            self._quietly(lambda: self._chat.answer(query["id"], "This chat gives no orders here."))
            return
        kind, _, client_order_id = str(query.get("data", "")).partition(":")
        order = self._books.get(client_order_id)
        if order is None:
            self._quietly(lambda: self._chat.answer(query["id"], "This order is not known any more."))
            return
        if order.outcome:
            self._quietly(lambda: self._chat.answer(query["id"], f"It is settled already: {order.told}."))
            return
        if kind == texts.ASK:
            self._quietly(lambda: self._ask_price(client_order_id, order.symbol, order.side))
            self._quietly(lambda: self._chat.answer(query["id"], "At which price?"))
            return
        now = self._clock.now()
        message_id = (query.get("message") or {}).get("message_id")
        if kind == texts.FILL:
            self._settle(client_order_id, now, message_id, price=order.reference_price)
        elif kind == texts.SKIP:
            self._settle(client_order_id, now, message_id, reason="skipped by hand")
        self._quietly(lambda: self._chat.answer(query["id"], "Noted."))

    def _written(self, message: dict[str, Any]) -> None:
        asked = (message.get("reply_to_message") or {}).get("message_id")
        if not self._is_ours(message) or asked is None:
            return
        order = self._books.by_question(int(asked))
        if order is None:
            return
        given = str(message.get("text", ""))
        price = _price(given)
        if price is None:
            self._quietly(lambda: self._chat.send(texts.no_price_text(given)))
            self._quietly(lambda: self._ask_price(order.client_order_id, order.symbol, order.side))
        else:
            self._settle(order.client_order_id, self._clock.now(), None, price=price)

    def _settle(
        self, client_order_id: str, now: datetime, message_id: int | None, *, price: Decimal | None = None, reason: str = ""
    ) -> None:
        order = self._books.settle(client_order_id, at=now, price=price, reason=reason, message_id=message_id)
        if order is not None and order.message_id is not None:
            shown = order.message_id
            self._quietly(lambda: self._chat.edit(shown, texts.settled_text(order.text, order.told)))

    def _ask_price(self, client_order_id: str, symbol: str, side: str) -> None:
        question = self._chat.send(texts.question_text(client_order_id, symbol, side), wants_reply=True)
        self._books.asked(client_order_id, question)

    def _is_ours(self, message: dict[str, Any]) -> bool:
        return str((message.get("chat") or {}).get("id")) == self._chat.chat_id

    def _quietly(self, tell: Callable[[], object]) -> None:
        """Tell the person something; what was decided stands whether or not it reaches the chat."""
        try:
            tell()
        except (VenueError, Rejected):
            return


def _price(text: str) -> Decimal | None:
    try:
        price = Decimal(text.strip().replace(",", ""))
    except InvalidOperation:
        return None
    return price if price.is_finite() and price > 0 else None
