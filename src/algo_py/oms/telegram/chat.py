"""The bot's side of the Bot API, through python-telegram-bot: one call at a time, each with an end, and no secret in an error."""

from __future__ import annotations

import asyncio
import logging
import os
from collections.abc import Awaitable, Callable, Sequence
from datetime import timedelta
from ssl import SSLContext
from typing import TYPE_CHECKING, Final, TypeVar

from pydantic import SecretStr

from algo_py.clock import Clock, monotonic_s
from algo_py.errors import AuthFailed, OutcomeUnknown, RateLimited, Rejected, VenueDown
from algo_py.finstore.sources.limits import SharedLimit
from algo_py.oms.telegram.books import Place
from algo_py.oms.telegram.moves import Moves

if TYPE_CHECKING:
    from telegram import Bot, InlineKeyboardMarkup, Update

_T = TypeVar("_T")

_API = "https://api.telegram.org"
_CONNECT_S, _ANSWER_S = 5.0, 10.0
_REMEDY = "Look at TELEGRAM_BOT_TOKEN and TELEGRAM_CHAT_ID in config/.env, and whether the bot is in the chat."
_MOVES_MOST: Final = 3
_NOT_MODIFIED: Final = "message is not modified"
# What the client trips over when an answer is not built as it expects.
_MISREAD = (ValueError, LookupError, TypeError, AttributeError, ArithmeticError, RecursionError)


class ChatMoved(VenueDown):
    """The chat has another id; nothing came of the request. `moved_to` is empty where Telegram's word cannot be used."""

    def __init__(self, moved_to: str) -> None:
        super().__init__("the Telegram group has become a supergroup", remedy="It is tried again there.")
        self.moved_to = moved_to


class Chat:
    """One chat of one bot. Telegram lets a bot send about one message a second to a chat (core.telegram.org/bots/faq)."""

    def __init__(
        self, token: SecretStr, chat_id: str, *, base_url: str | None, limit: SharedLimit, moves: Moves, clock: Clock
    ) -> None:
        self._token = token
        self._configured_id = chat_id
        self._base_url = base_url
        self._limit = limit
        self._moves = moves
        self._clock = clock
        self._trusted: SSLContext | None = None
        # httpx logs addresses, and Telegram's hold the token.
        for name in ("httpx", "httpcore", "telegram"):
            logging.getLogger(name).setLevel(logging.WARNING)

    @property
    def ids(self) -> Sequence[str]:
        """The ids that the chat has had: the configured one first, today's last."""
        return self._moves.ids(self._configured_id)

    def has_moved(self, chat_id: str, moved_to: object) -> bool:
        """Note that a chat has another id, which Telegram has said; False where that is known or cannot be."""
        return self._moves.remember(chat_id, str(moved_to), at=self._clock.now())

    def check(self) -> str:
        """Return the bot's name; raises AuthFailed where bot or chat is not what it should be."""

        async def ask(bot: Bot, chat_id: str) -> str:
            me = await bot.get_me()
            await bot.get_chat(chat_id)
            return str(me.username or me.id)

        return self._in_chat(ask)

    def send(self, text: str, keyboard: InlineKeyboardMarkup | None = None, *, wants_reply: bool = False) -> Place:
        """Send a message and return where it stands. Raises OutcomeUnknown when it may or may not be in the chat."""
        from telegram import ForceReply
        from telegram.constants import ParseMode

        async def post(bot: Bot, chat_id: str) -> Place:
            markup = ForceReply() if wants_reply else keyboard
            message = await bot.send_message(chat_id, text, parse_mode=ParseMode.HTML, reply_markup=markup)
            if not isinstance(message.message_id, int):
                raise TypeError("the message has no number")
            return Place(chat_id=chat_id, message_id=message.message_id)

        return self._in_chat(post, is_order=True)

    def edit(self, place: Place, text: str) -> None:
        """Change a message, and take its buttons away; one that says so already is left.

        Raises ChatMoved for one of the old chat: nobody can change that any more.
        """
        from telegram.constants import ParseMode

        async def change(bot: Bot) -> None:
            await bot.edit_message_text(text, chat_id=place.chat_id, message_id=place.message_id, parse_mode=ParseMode.HTML)

        try:
            self._call(change)
        except Rejected as error:
            if _NOT_MODIFIED not in error.message:
                raise

    def answer(self, callback_id: str, text: str) -> None:
        """Tell a person who has pressed a button what came of it."""

        async def tell(bot: Bot) -> None:
            await bot.answer_callback_query(callback_id, text)

        self._call(tell)

    def updates(self, offset: int | None) -> Sequence[Update]:
        """Return what came in from update `offset` on; what was before is thereby confirmed, and gone at Telegram.

        None: from the oldest that is not confirmed, at most a hundred, and nothing is confirmed.
        """

        async def ask(bot: Bot) -> Sequence[Update]:
            return await bot.get_updates(offset=offset, timeout=0, allowed_updates=["message", "callback_query"])

        return self._call(ask)

    def _in_chat(self, work: Callable[[Bot, str], Awaitable[_T]], *, is_order: bool = False) -> _T:
        """Do something in the chat wherever it is now. What met the old chat certainly was not done, so it is done in the new."""
        for _ in range(_MOVES_MOST):
            chat_id = self.ids[-1]
            try:
                return self._call(_there(work, chat_id), is_order=is_order)
            except ChatMoved as moved:
                self.has_moved(chat_id, moved.moved_to)
                if self.ids[-1] == chat_id:
                    break
        raise VenueDown("Telegram says that the chat has moved, but not where to", remedy=_REMEDY)

    def _certificates(self) -> SSLContext:
        """Return whom to trust; reading that takes longer than a request, so it is done once."""
        if self._trusted is None:
            import httpx

            self._trusted = httpx.create_ssl_context(trust_env=False)
        return self._trusted

    def _call(self, work: Callable[[Bot], Awaitable[_T]], *, is_order: bool = False) -> _T:
        # It costs nothing: an order has paid before it was written into the books, and the rest does not count as messages.
        self._limit.acquire(0.0, deadline_s=monotonic_s() + _CONNECT_S, urgent=True)
        return asyncio.run(self._run(work, is_order=is_order))

    async def _run(self, work: Callable[[Bot], Awaitable[_T]], *, is_order: bool) -> _T:
        # The library's own switch to spans of time that are timedeltas; without it, it warns of each.
        os.environ.setdefault("PTB_TIMEDELTA", "1")
        from telegram import Bot
        from telegram.error import (
            BadRequest,
            ChatMigrated,
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
            httpx_kwargs={"trust_env": False, "verify": self._certificates()},
        )
        base_url = f"{self._base_url or _API}/bot"
        bot = Bot(self._token.get_secret_value(), base_url=base_url, request=request, get_updates_request=request)
        try:
            return await work(bot)
        except RetryAfter as error:
            wait_s = _seconds(error.retry_after)
            self._limit.silence(wait_s)
            how_long = "a while" if wait_s is None else f"{wait_s:g} s"
            raise RateLimited(f"Telegram asks to wait for {how_long}", remedy="Wait.", retry_after_s=wait_s) from None
        except ChatMigrated as error:
            raise ChatMoved(str(error.new_chat_id)) from None
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
            raise _odd(_safe(error), is_order=is_order) from None
        except _MISREAD as error:
            raise _odd(type(error).__name__, is_order=is_order) from None
        finally:
            await request.shutdown()


def _seconds(wait: object) -> float | None:
    """Return how long Telegram wants to be left alone, None where it does not say so in a number."""
    if isinstance(wait, timedelta):
        return max(0.0, wait.total_seconds())
    return max(0.0, float(wait)) if isinstance(wait, (int, float)) and not isinstance(wait, bool) else None


def _there(work: Callable[[Bot, str], Awaitable[_T]], chat_id: str) -> Callable[[Bot], Awaitable[_T]]:
    return lambda bot: work(bot, chat_id)


def _odd(said: str, *, is_order: bool) -> OutcomeUnknown | VenueDown:
    if is_order:
        return OutcomeUnknown(f"Telegram answered oddly: {said}", remedy="Look at the chat.")
    return VenueDown(f"Telegram answered oddly: {said}", remedy="It is tried again.")


def _never_left(error: BaseException) -> bool:
    """Return whether the connection was never made, so that nothing can have arrived."""
    import httpx

    cause = error.__cause__ or error.__context__
    return isinstance(cause, (httpx.ConnectError, httpx.ConnectTimeout, httpx.PoolTimeout))


def _safe(error: BaseException) -> str:
    """Return the error's own words; they are the API's description, and shortened in case they are not."""
    return str(error).split("http", maxsplit=1)[0][:200].strip() or type(error).__name__
