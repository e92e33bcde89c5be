"""A local service that takes alerts as a webhook would, and remembers them."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import Any

from algo_py.clock import monotonic_s
from tests.venues.server import Reply, Request, Server

SECRET = "s3cret-of-the-address"


@dataclass(frozen=True)
class Message:
    """What somebody has been told."""

    title: str
    body: str


class PostBox(Server):
    """Takes every message, apart from those whose title contains `refuses`."""

    def __init__(self) -> None:
        super().__init__()
        self.messages: list[Message] = []
        self.refuses: str | None = None

    @property
    def address(self) -> str:
        """Return the address in Apprise's words, with a password in it."""
        return f"json://user:{SECRET}@{self.url.removeprefix('http://')}/{SECRET}"

    @property
    def titles(self) -> list[str]:
        return [message.title for message in self.messages]

    def respond(self, request: Request) -> Reply:
        told: dict[str, Any] = json.loads(request.body)
        if self.refuses is not None and self.refuses in told["title"]:
            return Reply(status=400, body=b"{}")
        self.messages.append(Message(told["title"], told["message"]))
        return Reply(body=b"{}")

    def wait_for(self, title: str, *, timeout_s: float = 30.0) -> Message:
        """Return the first message whose title contains this, once it is there."""
        deadline_s = monotonic_s() + timeout_s
        while monotonic_s() < deadline_s:
            for message in list(self.messages):
                if title in message.title:
                    return message
            self.pause(0.05)
        raise AssertionError(f"nobody was told of {title!r}, but of {self.titles}")
