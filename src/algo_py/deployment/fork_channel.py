"""How the supervisor and its fork server talk: JSON objects, one a line, over a pair of sockets that nobody else has.

Only the standard library is needed here: both begin with this, and load what takes seconds afterwards.
"""

from __future__ import annotations

import json
import select
import socket
from collections.abc import Mapping
from typing import Any, Final, Self

_MESSAGE_MOST: Final = 4096
_BLOCK: Final = 64 * 1024
_SEND_TIMEOUT_S: Final = 5.0

Message = Mapping[str, Any]


class ChannelClosed(Exception):
    """The other end has gone, does not read, or says what cannot be understood."""


class Channel:
    """One end. Only `send` may wait; the owner asks the system when there is something to receive."""

    def __init__(self, end: socket.socket) -> None:
        self._end = end
        self._end.settimeout(_SEND_TIMEOUT_S)
        self._rest = b""

    @classmethod
    def of(cls, handle: int) -> Self:
        """Take over the end that whoever started this process has handed over as its open file `handle`."""
        end = socket.socket(fileno=handle)
        end.set_inheritable(False)
        return cls(end)

    def fileno(self) -> int:
        return self._end.fileno()

    def close(self) -> None:
        self._end.close()

    def send(self, message: Message) -> None:
        """Send a message; raises ChannelClosed, also when nobody has read for 5 s."""
        line = json.dumps(message).encode() + b"\n"
        if len(line) > _MESSAGE_MOST:
            raise ValueError(f"a message may have {_MESSAGE_MOST} bytes (was {len(line)})")
        try:
            self._end.sendall(line)
        except OSError as error:
            raise ChannelClosed(str(error)) from error

    def receive(self) -> list[Message]:
        """Return the messages that have come; none when there is nothing to read. Raises ChannelClosed at the end."""
        if not select.select([self._end], [], [], 0)[0]:
            return []
        try:
            block = self._end.recv(_BLOCK)
        except OSError as error:
            raise ChannelClosed(str(error)) from error
        if not block:
            raise ChannelClosed("the other end has gone")
        *lines, self._rest = (self._rest + block).split(b"\n")
        if len(self._rest) > _MESSAGE_MOST:
            raise ChannelClosed("a message is too long")
        try:
            messages = [json.loads(line) for line in lines]
        except ValueError as error:
            raise ChannelClosed("a message cannot be read") from error
        if not all(isinstance(message, dict) for message in messages):
            raise ChannelClosed("a message is not an object")
        return messages
