"""Chats that have moved: a group that becomes a supergroup gets another id, and the old one is refused from then on.

Core.telegram.org/bots/api, ResponseParameters.migrate_to_chat_id and Message.migrate_to_chat_id.
"""

from __future__ import annotations

import re
from datetime import datetime

import sqlalchemy as sa

from algo_py.database import Database
from algo_py.oms.telegram.tables import telegram_chats, telegram_orders

_MOVES_MOST = 8
_CHAT_ID = re.compile(r"-?[0-9]{1,32}")


class Moves:
    """Where the chats of one bot are now; shared by all processes of a workspace."""

    def __init__(self, database: Database, bot: str) -> None:
        self._database = database
        self._bot = bot

    def ids(self, chat_id: str) -> list[str]:
        """Return every id that a chat has had since it was `chat_id`, that one first and today's last."""
        found = [chat_id]
        with self._database.read() as connection:
            while len(found) <= _MOVES_MOST:
                query = sa.select(telegram_chats.c.moved_to).where(
                    telegram_chats.c.bot == self._bot, telegram_chats.c.chat_id == found[-1]
                )
                following = connection.execute(query).scalar()
                if following is None or following in found:
                    break
                found.append(str(following))
        return found

    def remember(self, chat_id: str, moved_to: str, *, at: datetime) -> bool:
        """Write down, durably, that a chat has another id; False for one that cannot be, or is known.

        Messages count anew there: so a question that was asked in the old chat is not listened to any more.
        """
        if not _CHAT_ID.fullmatch(moved_to) or moved_to == chat_id or chat_id in self.ids(moved_to):
            return False
        this = (telegram_chats.c.bot == self._bot) & (telegram_chats.c.chat_id == chat_id)
        with self._database.write() as connection:
            known = connection.execute(sa.select(telegram_chats.c.moved_to).where(this)).scalar()
            if known == moved_to:
                return False
            connection.execute(telegram_chats.delete().where(this))
            connection.execute(telegram_chats.insert().values(bot=self._bot, chat_id=chat_id, moved_to=moved_to, at=at))
            connection.execute(telegram_orders.update().values(question_id=None))
        return True
