"""A local Telegram: one bot, one chat, a person who presses buttons and answers messages.

What it keeps to was looked up: core.telegram.org/bots/api (getUpdates, ResponseParameters, InlineKeyboardButton), and the open
source of Telegram's own server for what the page leaves open (an offset far beyond the newest update is not heeded).
"""

from __future__ import annotations

import json
import re
from dataclasses import dataclass, field
from typing import Any

from tests.venues.server import Fault, Reply, Request, Server

TOKEN = "424242:the-token-of-this-bot-is-long-enough"
CHAT = "-1001"
SUPERGROUP = "-1009000000001"
_LONGEST = 4_096
_DATA_BYTES = 64
_AT_ONCE = 100
_KEPT_S = 86_400.0
_AHEAD_MOST = 10
_TAGS = re.compile(r"</?(b|i|u|s|code|pre)>")


@dataclass
class Message:
    """What stands in a chat; `buttons` maps a button's text to its data. Numbers count within a chat."""

    id: int
    text: str
    buttons: dict[str, str] = field(default_factory=dict)
    wants_reply: bool = False
    edits: int = 0
    chat: str = CHAT


class TelegramServer(Server):
    """The Bot API. Updates are kept for a day, or until a later offset confirms them.

    `repeats_updates` hands each out twice. `moved` says where a chat has gone.
    """

    def __init__(self) -> None:
        super().__init__()
        self.chat = CHAT
        self.moved: dict[str, str] = {}
        self.messages: list[Message] = []
        self.answers: list[str] = []
        self.updates: list[dict[str, Any]] = []
        self.repeats_updates = False
        self.presses_at_once = ""  # the symbol whose orders somebody does as soon as they appear
        self._arrived_s: dict[int, float] = {}
        self._next_update = 7_000
        self._presses = 0
        self._counts: dict[str, int] = {}

    def press(self, message: Message, button: str, *, chat: str | None = None) -> None:
        """Press the button whose text begins so."""
        data = next(data for text, data in message.buttons.items() if text.startswith(button))
        shown = {"message_id": message.id, "date": 0, "chat": _chat(chat or message.chat), "text": message.text}
        self._presses += 1
        query = {"id": f"q{self._presses}", "from": _PERSON, "message": shown, "chat_instance": "1", "data": data}
        self._add({"callback_query": query})

    def write(self, text: str, *, to: Message | None = None, chat: str | None = None) -> None:
        """Write into the chat, as an answer to a message or not."""
        place = chat or (to.chat if to is not None else self.chat)
        content = self._content(place) | {"text": text}
        if to is not None:
            content["reply_to_message"] = {"message_id": to.id, "date": 0, "chat": _chat(to.chat), "text": to.text}
        self._add({"message": content})

    def upgrade(self, new_id: str = SUPERGROUP, *, tells: bool = True) -> None:
        """Make the group a supergroup: it has another id, and messages count anew. `tells`: a service message says so in both."""
        old_id, self.chat = self.chat, new_id
        self.moved[old_id] = new_id
        if tells:
            self._add({"message": self._content(old_id) | {"migrate_to_chat_id": int(new_id)}})
            self._add({"message": self._content(new_id) | {"migrate_from_chat_id": int(old_id)}})

    def begin_ids_anew(self, first: int) -> None:
        """Have the next update have this number, as after a week without any."""
        self._next_update = first

    def stop_listening(self) -> None:
        """Be gone: whoever connects from now on is refused."""
        self._http.shutdown()
        self._http.server_close()

    def lose_answer(self) -> None:
        """The next message is sent, and the connection breaks before the answer."""
        self.fail(Fault(applies=is_sending, drop=True, late=True))

    def respond(self, request: Request) -> Reply:
        _, token, method = request.path.split("/", maxsplit=2)
        if token != f"bot{TOKEN}":
            return _no(401, "Unauthorized")
        chat_id = request.values.get("chat_id", self.chat)
        if chat_id in self.moved:
            parameters = {"migrate_to_chat_id": int(self.moved[chat_id])}
            return _no(400, "Bad Request: group chat was upgraded to a supergroup chat", parameters=parameters)
        if chat_id != self.chat:
            return _no(400, "Bad Request: chat not found")
        known = {
            "getMe": self._get_me,
            "getChat": self._get_chat,
            "sendMessage": self._send,
            "editMessageText": self._edit,
            "answerCallbackQuery": self._answer,
            "getUpdates": self._get_updates,
        }
        return known[method](request.values) if method in known else _no(404, "Not Found")

    def _get_me(self, _values: Any) -> Reply:
        return _yes({"id": 424242, "is_bot": True, "first_name": "Algo", "username": "algo_bot"})

    def _get_chat(self, _values: Any) -> Reply:
        limits = {"accent_color_id": 0, "max_reaction_count": 11, "accepted_gift_types": _GIFTS}
        return _yes(_chat(self.chat) | {"title": "Trading"} | limits)

    def _send(self, values: Any) -> Reply:
        problem = _problem(values["text"])
        if problem is not None:
            return problem
        markup = json.loads(values.get("reply_markup") or "{}")
        buttons = {one["text"]: one["callback_data"] for row in markup.get("inline_keyboard", []) for one in row}
        if any(not 1 <= len(data.encode()) <= _DATA_BYTES for data in buttons.values()):
            return _no(400, "Bad Request: BUTTON_DATA_INVALID")
        message = Message(self._number(self.chat), values["text"], buttons, bool(markup.get("force_reply")), chat=self.chat)
        self.messages.append(message)
        if self.presses_at_once and self.presses_at_once in message.text and message.buttons:
            self.press(message, "Done at")
        return _yes(_shown(message))

    def _edit(self, values: Any) -> Reply:
        problem = _problem(values["text"])
        if problem is not None:
            return problem
        here = (one for one in self.messages if one.chat == self.chat and str(one.id) == values["message_id"])
        message = next(here, None)
        if message is None:
            return _no(400, "Bad Request: message to edit not found")
        if message.text == values["text"] and not message.buttons:
            return _no(
                400,
                "Bad Request: message is not modified: specified new message content and reply markup are exactly the same as a "
                "current content and reply markup of the message",
            )
        message.text, message.buttons, message.edits = values["text"], {}, message.edits + 1
        return _yes(_shown(message))

    def _answer(self, values: Any) -> Reply:
        if values["callback_query_id"] not in {f"q{number}" for number in range(1, self._presses + 1)}:
            return _no(400, "Bad Request: query is too old and response timeout expired or query ID is invalid")
        self.answers.append(values["text"])
        return _yes(True)

    def _get_updates(self, values: Any) -> Reply:
        """Hand out what waits from an offset on, and forget what lies before it; one that cannot be is taken for none."""
        oldest_s = self.now_s() - _KEPT_S
        waiting = [update for update in self.updates if self._arrived_s[update["update_id"]] >= oldest_s]
        offset, limit = int(values.get("offset") or 0), int(values.get("limit") or _AT_ONCE)
        if offset < 0:
            waiting = waiting[offset:]
        elif offset <= self._next_update + _AHEAD_MOST:
            waiting = [update for update in waiting if update["update_id"] >= offset]
        self.updates = waiting
        return _yes(waiting[: max(1, min(limit, _AT_ONCE))] * (2 if self.repeats_updates else 1))

    def _content(self, chat: str) -> dict[str, Any]:
        return {"message_id": self._number(chat), "date": int(self.now_s()), "chat": _chat(chat), "from": _PERSON}

    def _number(self, chat: str) -> int:
        self._counts[chat] = self._counts.get(chat, 99) + 1
        return self._counts[chat]

    def _add(self, content: dict[str, Any]) -> None:
        self.updates.append({"update_id": self._next_update, **content})
        self._arrived_s[self._next_update] = self.now_s()
        self._next_update += 1


_PERSON = {"id": 5, "is_bot": False, "first_name": "Trader"}
_GIFTS = {
    "unlimited_gifts": False,
    "limited_gifts": False,
    "unique_gifts": False,
    "premium_subscription": False,
    "gifts_from_channels": False,
}


def is_sending(request: Request) -> bool:
    """Return whether a request wants a message sent."""
    return request.path.endswith("/sendMessage")


def too_many(retry_after_s: int) -> Reply:
    """Return the answer to a bot that sends too much."""
    return _no(429, "Too Many Requests", parameters={"retry_after": retry_after_s})


def _chat(chat_id: str) -> dict[str, Any]:
    return {"id": int(chat_id), "type": "supergroup" if len(chat_id) > 10 else "group"}


def _problem(text: str) -> Reply | None:
    plain = _TAGS.sub("", text)
    if "<" in plain or ">" in plain or re.search(r"&(?!(lt|gt|amp|quot|#\w+);)", plain):
        return _no(400, "Bad Request: can't parse entities: unsupported start tag")
    if len(re.sub(r"&(\w+|#\w+);", "x", plain)) > _LONGEST:
        return _no(400, "Bad Request: message is too long")
    return None


def _shown(message: Message) -> dict[str, Any]:
    return {"message_id": message.id, "date": 0, "chat": _chat(message.chat), "text": message.text}


def _yes(result: Any) -> Reply:
    return Reply(body=json.dumps({"ok": True, "result": result}).encode())


def _no(code: int, description: str, *, parameters: dict[str, int] | None = None) -> Reply:
    content: dict[str, Any] = {"ok": False, "error_code": code, "description": description}
    if parameters is not None:
        content["parameters"] = parameters
    return Reply(status=code, body=json.dumps(content).encode())
