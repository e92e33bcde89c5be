"""A local Telegram: one bot, one chat, a person who presses buttons and answers messages."""

from __future__ import annotations

import json
import re
from dataclasses import dataclass, field
from typing import Any

from tests.venues.server import Fault, Reply, Request, Server

TOKEN = "424242:the-token-of-this-bot-is-long-enough"
CHAT = "-1001"
_LONGEST = 4_096
_TAGS = re.compile(r"</?(b|i|u|s|code|pre)>")


@dataclass
class Message:
    """What stands in the chat; `buttons` maps a button's text to its data."""

    id: int
    text: str
    buttons: dict[str, str] = field(default_factory=dict)
    wants_reply: bool = False
    edits: int = 0


class TelegramServer(Server):
    """The Bot API. Updates are kept until a later offset confirms them. `repeats_updates` hands each out twice."""

    def __init__(self) -> None:
        super().__init__()
        self.messages: list[Message] = []
        self.answers: list[str] = []
        self.updates: list[dict[str, Any]] = []
        self.repeats_updates = False
        self.presses_at_once = ""  # the symbol whose orders somebody does as soon as they appear
        self._next_update = 7_000

    def press(self, message: Message, button: str, *, chat: str = CHAT) -> None:
        """Press the button whose text begins so."""
        data = next(data for text, data in message.buttons.items() if text.startswith(button))
        shown = {"message_id": message.id, "date": 0, "chat": {"id": int(chat), "type": "group"}, "text": message.text}
        query = {"id": f"q{self._next_update}", "from": _PERSON, "message": shown, "chat_instance": "1", "data": data}
        self._add({"callback_query": query})

    def write(self, text: str, *, to: Message | None = None, chat: str = CHAT) -> None:
        """Write into the chat, as an answer to a message or not."""
        place = {"id": int(chat), "type": "group"}
        content: dict[str, Any] = {
            "message_id": 9_000 + self._next_update,
            "date": 0,
            "chat": place,
            "from": _PERSON,
            "text": text,
        }
        if to is not None:
            content["reply_to_message"] = {"message_id": to.id, "date": 0, "chat": place, "text": to.text}
        self._add({"message": content})

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
        if "chat_id" in request.values and request.values["chat_id"] != CHAT:
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
        return _yes({"id": int(CHAT), "type": "group", "title": "Trading", **limits})

    def _send(self, values: Any) -> Reply:
        problem = _problem(values["text"])
        if problem is not None:
            return problem
        markup = json.loads(values.get("reply_markup") or "{}")
        buttons = {one["text"]: one["callback_data"] for row in markup.get("inline_keyboard", []) for one in row}
        message = Message(100 + len(self.messages), values["text"], buttons, bool(markup.get("force_reply")))
        self.messages.append(message)
        if self.presses_at_once and self.presses_at_once in message.text and message.buttons:
            self.press(message, "Done at")
        return _yes(_shown(message))

    def _edit(self, values: Any) -> Reply:
        problem = _problem(values["text"])
        if problem is not None:
            return problem
        message = next((one for one in self.messages if str(one.id) == values["message_id"]), None)
        if message is None:
            return _no(400, "Bad Request: message to edit not found")
        message.text, message.buttons, message.edits = values["text"], {}, message.edits + 1
        return _yes(_shown(message))

    def _answer(self, values: Any) -> Reply:
        self.answers.append(values["text"])
        return _yes(True)

    def _get_updates(self, values: Any) -> Reply:
        offset = int(values.get("offset") or 0)
        self.updates = [update for update in self.updates if update["update_id"] >= offset]
        return _yes(self.updates * (2 if self.repeats_updates else 1))

    def _add(self, content: dict[str, Any]) -> None:
        self.updates.append({"update_id": self._next_update, **content})
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
    body = {"ok": False, "error_code": 429, "description": "Too Many Requests", "parameters": {"retry_after": retry_after_s}}
    return Reply(status=429, body=json.dumps(body).encode())


def _problem(text: str) -> Reply | None:
    plain = _TAGS.sub("", text)
    if "<" in plain or ">" in plain or re.search(r"&(?!(lt|gt|amp|quot|#\w+);)", plain):
        return _no(400, "Bad Request: can't parse entities: unsupported start tag")
    if len(re.sub(r"&(\w+|#\w+);", "x", plain)) > _LONGEST:
        return _no(400, "Bad Request: message is too long")
    return None


def _shown(message: Message) -> dict[str, Any]:
    return {"message_id": message.id, "date": 0, "chat": {"id": int(CHAT), "type": "group"}, "text": message.text}


def _yes(result: Any) -> Reply:
    return Reply(body=json.dumps({"ok": True, "result": result}).encode())


def _no(code: int, description: str) -> Reply:
    return Reply(status=code, body=json.dumps({"ok": False, "error_code": code, "description": description}).encode())
