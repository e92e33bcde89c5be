"""What people answer: read by one process at a time, kept in the database, and acted upon once.

Several deployments share a bot, and Telegram gives each update to one reader only. So whoever needs an answer reads for all, and
stores every update before it is confirmed.

Telegram forgets what lies before the offset of a request, and after a week without updates its numbers begin anew anywhere
(core.telegram.org/bots/api, getUpdates and Update.update_id). An offset from an earlier era would thus confirm what nobody has
read. So each reading begins without an offset, which confirms nothing, and only what has just been stored is confirmed. And an
update is known by what it holds, not by its number alone.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from datetime import timedelta
from pathlib import Path
from typing import Any, Final

import sqlalchemy as sa

from algo_py.clock import Clock
from algo_py.database import Database
from algo_py.errors import Conflict, VenueError
from algo_py.finstore.durable import locked
from algo_py.oms.telegram.chat import Chat
from algo_py.oms.telegram.tables import telegram_updates

_LOCK_S = 0.05
# A reading takes so many batches of a hundred; what is left is read next time.
_BATCHES_MOST: Final = 20
# Telegram hands out an update for a day; what is older need not be told from what is new any more.
_KEPT: Final = timedelta(days=7)


class Inbox:
    """The updates of one bot, shared by all processes of a workspace. `act` is told each of them, oldest first."""

    def __init__(
        self, database: Database, chat: Chat, clock: Clock, *, bot: str, lock: Path, act: Callable[[Mapping[str, Any]], None]
    ) -> None:
        self._database = database
        self._chat = chat
        self._clock = clock
        self._bot = bot
        self._lock = lock
        self._act = act

    def read(self) -> None:
        """Take in what has arrived, and act on it. Another process that is doing so already is left to it.

        Raises VenueDown, RateLimited and AuthFailed when Telegram cannot be asked.
        """
        try:
            self._lock.parent.mkdir(parents=True, exist_ok=True)
            with locked(self._lock, timeout_s=_LOCK_S):
                self._act_on_all()  # what somebody stored who then died
                self._take_in(self._chat.updates(None))
        except Conflict:
            return

    def _take_in(self, batch: Sequence[Any]) -> None:
        """Store batch after batch, each before the request for the next one confirms it; act on each as soon as it is stored."""
        for _ in range(_BATCHES_MOST):
            if not batch:
                return
            self._store(batch)
            self._act_on_all()
            try:
                batch = self._chat.updates(max(update.update_id for update in batch) + 1)
            except VenueError:
                return  # all that was read is stored; what is not confirmed comes once more

    def _store(self, updates: Sequence[Any]) -> None:
        now = self._clock.now()
        this_bot = telegram_updates.c.bot == self._bot
        numbers = [update.update_id for update in updates]
        with self._database.write() as connection:
            rows = connection.execute(
                sa.select(telegram_updates.c.update_id, telegram_updates.c.content).where(
                    this_bot, telegram_updates.c.update_id.in_(numbers)
                )
            )
            known = {row.update_id: _identity(json.loads(row.content)) for row in rows}
            for update in updates:
                content = update.to_json()
                identity = _identity(json.loads(content))
                if known.get(update.update_id) == identity:
                    continue
                known[update.update_id] = identity
                this = this_bot & (telegram_updates.c.update_id == update.update_id)
                connection.execute(telegram_updates.delete().where(this))  # of an earlier era, and handled
                connection.execute(
                    telegram_updates.insert().values(
                        bot=self._bot, update_id=update.update_id, received_at=now, content=content, is_handled=False
                    )
                )
            connection.execute(
                telegram_updates.delete().where(
                    this_bot, telegram_updates.c.is_handled.is_(True), telegram_updates.c.received_at < now - _KEPT
                )
            )

    def _act_on_all(self) -> None:
        """Act on what is stored. An order is settled before its update counts as handled: to act twice changes nothing."""
        this_bot = telegram_updates.c.bot == self._bot
        query = (
            sa.select(telegram_updates.c.update_id, telegram_updates.c.content)
            .where(this_bot, telegram_updates.c.is_handled.is_(False))
            .order_by(telegram_updates.c.received_at, telegram_updates.c.update_id)
        )
        with self._database.read() as connection:
            waiting = [(row.update_id, json.loads(row.content)) for row in connection.execute(query)]
        for update_id, content in waiting:
            self._act(content)
            with self._database.write() as connection:
                connection.execute(
                    telegram_updates.update().where(this_bot, telegram_updates.c.update_id == update_id).values(is_handled=True)
                )


def _identity(content: Mapping[str, Any]) -> tuple[str, ...]:
    """Return what tells an update from any other, whatever its number: the press's own id, or the message and its chat."""
    query, message = content.get("callback_query"), content.get("message")
    if isinstance(query, Mapping):
        return ("press", str(query.get("id")))
    if isinstance(message, Mapping):
        chat = message.get("chat")
        chat_id = chat.get("id") if isinstance(chat, Mapping) else None
        return ("message", str(chat_id), str(message.get("message_id")), str(message.get("date")))
    return ("other", json.dumps(content, sort_keys=True, default=str))
