"""The bot's side of the Bot API, through python-telegram-bot: one call at a time, each with an end, and no secret in an error."""

from __future__ import annotations

import asyncio
import logging
import os
from collections.abc import Awaitable, Callable, Sequence
from datetime import timedelta
from typing import TYPE_CHECKING, TypeVar

from pydantic import SecretStr

from algo_py.errors import AuthFailed, OutcomeUnknown, RateLimited, Rejected, VenueDown
from algo_py.finstore.sources.limits import SharedLimit

if TYPE_CHECKING:
    from telegram import Bot, InlineKeyboardMarkup, Message, Update

_T = TypeVar("_T")

_API = "https://api.telegram.org"
_CONNECT_S, _ANSWER_S = 5.0, 10.0
_REMEDY = "Look at TELEGRAM_BOT_TOKEN and TELEGRAM_CHAT_ID in config/.env, and whether the bot is in the chat."


class Chat:
    """One chat of one bot. Telegram lets a bot send about one message a second to a chat (core.telegram.org/bots/faq)."""

    def __init__(self, token: SecretStr, chat_id: str, *, base_url: str | None, limit: SharedLimit) -> None:
        self._token = token
        self.chat_id = chat_id
        self._base_url = base_url
        self._limit = limit
        # httpx logs addresses, and Telegram's hold the token.
        for name in ("httpx", "httpcore", "telegram"):
            logging.getLogger(name).setLevel(logging.WARNING)

    @property
    def bot(self) -> str:
        """The bot's public number: the part of the token that is no secret."""
        return self._token.get_secret_value().partition(":")[0][:32]

    def check(self) -> str:
        """Return the bot's name; raises AuthFailed where bot or chat is not what it should be."""

        async def ask(bot: Bot) -> str:
            me = await bot.get_me()
            await bot.get_chat(self.chat_id)
            return str(me.username or me.id)

        return self._call(ask)

    def send(self, text: str, keyboard: InlineKeyboardMarkup | None = None, *, wants_reply: bool = False) -> int:
        """Send a message and return its number. Raises OutcomeUnknown when it may or may not be in the chat."""
        from telegram import ForceReply
        from telegram.constants import ParseMode

        async def post(bot: Bot) -> Message:
            markup = ForceReply() if wants_reply else keyboard
            return await bot.send_message(self.chat_id, text, parse_mode=ParseMode.HTML, reply_markup=markup)

        return int(self._call(post, is_order=True).message_id)

    def edit(self, message_id: int, text: str) -> None:
        """Change a message, and take its buttons away."""
        from telegram.constants import ParseMode

        async def change(bot: Bot) -> None:
            await bot.edit_message_text(text, chat_id=self.chat_id, message_id=message_id, parse_mode=ParseMode.HTML)

        self._call(change)

    def answer(self, callback_id: str, text: str) -> None:
        """Tell a person who has pressed a button what came of it."""

        async def tell(bot: Bot) -> None:
            await bot.answer_callback_query(callback_id, text)

        self._call(tell)

    def updates(self, offset: int | None) -> Sequence[Update]:
        """Return what came in from update `offset` on; what was before is thereby confirmed, and gone at Telegram."""

        async def ask(bot: Bot) -> Sequence[Update]:
            return await bot.get_updates(offset=offset, timeout=0, allowed_updates=["message", "callback_query"])

        return self._call(ask)

    def _call(self, work: Callable[[Bot], Awaitable[_T]], *, is_order: bool = False) -> _T:
        return asyncio.run(self._run(work, is_order=is_order))

    async def _run(self, work: Callable[[Bot], Awaitable[_T]], *, is_order: bool) -> _T:
        # The library's own switch to spans of time that are timedeltas; without it, it warns of each.
        os.environ.setdefault("PTB_TIMEDELTA", "1")
        from telegram import Bot
        from telegram.error import (
            BadRequest,
            Conflict,
            Forbidden,
            InvalidToken,
            NetworkError,
            RetryAfter,
            TelegramError,
            TimedOut,
        )
        from telegram.request import HTTPXRequest

        request = HTTPXRequest(
            connection_pool_size=1,
            connect_timeout=_CONNECT_S,
            read_timeout=_ANSWER_S,
            write_timeout=_ANSWER_S,
            httpx_kwargs={"trust_env": False},
        )
        base_url = f"{self._base_url or _API}/bot"
        bot = Bot(self._token.get_secret_value(), base_url=base_url, request=request, get_updates_request=request)
        try:
            return await work(bot)
        except RetryAfter as error:
            wait = error.retry_after
            wait_s = wait.total_seconds() if isinstance(wait, timedelta) else float(wait)
            self._limit.silence(wait_s)
            raise RateLimited("Telegram asks to wait", remedy=f"It is sent in {wait_s:g} s.", retry_after_s=wait_s) from None
        except (InvalidToken, Forbidden) as error:
            raise AuthFailed(f"Telegram does not let the bot: {_safe(error)}", remedy=_REMEDY) from None
        except BadRequest as error:
            if "chat not found" in str(error).lower():
                raise AuthFailed("Telegram does not know the chat", remedy=_REMEDY) from None
            raise Rejected(f"Telegram refused the message: {_safe(error)}") from None
        except Conflict:
            raise VenueDown("another program reads this bot's messages", remedy="Give Algo.Py a bot of its own.") from None
        except (TimedOut, NetworkError) as error:
            if is_order and not _never_left(error):
                raise OutcomeUnknown("Telegram did not say whether it has sent the message", remedy="Look at the chat.") from None
            raise VenueDown("Telegram cannot be reached", remedy="It is tried again.") from None
        except TelegramError as error:
            if is_order:
                raise OutcomeUnknown(f"Telegram answered oddly: {_safe(error)}", remedy="Look at the chat.") from None
            raise VenueDown(f"Telegram answered oddly: {_safe(error)}", remedy="It is tried again.") from None
        finally:
            await request.shutdown()


def _never_left(error: BaseException) -> bool:
    """Return whether the connection was never made, so that nothing can have arrived."""
    import httpx

    cause = error.__cause__ or error.__context__
    return isinstance(cause, (httpx.ConnectError, httpx.ConnectTimeout, httpx.PoolTimeout))


def _safe(error: BaseException) -> str:
    """Return the error's own words; they are the API's description, and shortened in case they are not."""
    return str(error).split("http", maxsplit=1)[0][:200].strip() or type(error).__name__
