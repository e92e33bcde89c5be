"""Where a deployment's process comes from. The supervisor knows only the protocol, so that another engine can stand in.

This file needs the standard library alone: the supervisor starts its fork server before it loads anything itself.
"""

from __future__ import annotations

import os
import select
import socket
import subprocess
import sys
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Final, Protocol

from algo_py.clock import monotonic_s
from algo_py.deployment.complaints import Complaints
from algo_py.deployment.fork_channel import Channel, ChannelClosed, Message
from algo_py.errors import Refused

# How a deployment's process ends: as it should, by an error, beside another one that lives it, or told to end by somebody else.
EXIT_DONE = 0
EXIT_FAILED = 1
EXIT_ALREADY_RUNNING = 75
EXIT_INTERRUPTED = 76

# Before the number of the open file by which a fork server is reached.
SUPERVISOR_CHANNEL: Final = "--supervisor="
# A process with more than one thread must not fork.
ONE_THREAD: Final[Mapping[str, str]] = dict.fromkeys(
    ("OPENBLAS_NUM_THREADS", "OMP_NUM_THREADS", "MKL_NUM_THREADS", "ARROW_IO_THREADS"), "1"
)
_LOAD_TIMEOUT_S: Final = 300.0  # the engine may have to be compiled
_ANSWER_TIMEOUT_S: Final = 5.0
_ASK_EVERY_S: Final = 2.0
_END_TIMEOUT_S: Final = 2.0
# Pauses before another server is started, when so many in a row have died before they had loaded.
_BACK_OFF_S: Final = (0.0, 0.5, 1.0, 2.0, 5.0, 30.0)


class Launcher(Protocol):
    """Starts processes and tells how they ended."""

    def start(self, deployment_id: str) -> int | None:
        """Start the deployment's process and return its pid; None when that is not possible yet: ask again.

        Raises Refused when the system does not allow it.
        """

    def ended(self) -> dict[str, int | None]:
        """Return the exit codes of processes that have ended since the last call; negative is a signal's number.

        None: nobody hears of its end any more. It may live; the deployment's lock tells.
        """

    def load(self, module: str) -> None:
        """Have a library loaded that deployments will use, where they can share it. Returns at once."""


@dataclass(slots=True)
class _Server:
    process: subprocess.Popen[bytes]
    channel: Channel
    has_loaded: bool = False
    open_questions: int = 1  # it says by itself when it has loaded
    asked_s: float = 0.0
    answer_by_s: float = 0.0


class ForkServerLauncher:
    """Has deployments forked by a process of its own (`algo_py.deployment.fork_server`), which has loaded every library and has
    opened nothing: quick to start, small in memory, and free of what the supervisor has open.

    A server that dies or does not answer is replaced by another one, and what it has forked goes on.
    """

    def __init__(self, workspace: Path) -> None:
        self._workspace = workspace
        self._children: dict[str, int] = {}
        self._ended: dict[str, int | None] = {}
        self._modules: list[str] = []
        self._complaints = Complaints()
        self._failures = 0
        self._not_before_s = 0.0
        self._server = self._new_server()

    def start(self, deployment_id: str) -> int | None:
        """As the protocol says. Waits for the answer at most 5 s; a server that does not give one is replaced."""
        server = self._server
        if server is None or server.open_questions:
            return None
        self._ask({"do": "start", "id": deployment_id}, within_s=_ANSWER_TIMEOUT_S)
        while self._awaits(server):
            left_s = server.answer_by_s - monotonic_s()
            if left_s > 0:
                select.select([server.channel], [], [], left_s)
            for message in self._receive():
                if message.get("is") == "not started":
                    raise Refused(f"no process can be started: {message.get('reason')}", remedy="Free memory or processes.")
        return self._children.get(deployment_id)

    def ended(self) -> dict[str, int | None]:
        self._receive()
        self._see_to_server()
        ended, self._ended = self._ended, {}
        return ended

    def load(self, module: str) -> None:
        self._modules.append(module)
        self._ask({"do": "load", "module": module}, within_s=_LOAD_TIMEOUT_S)

    def close(self) -> None:
        """End the server and wait for that; what it has forked goes on."""
        if self._server is not None:
            self._end(self._server)

    def _ask(self, question: Message, *, within_s: float) -> None:
        server = self._server
        if server is None:
            return
        try:
            server.channel.send(question)
        except ChannelClosed:
            self._lose(server)
            return
        server.asked_s = monotonic_s()
        patience_ends_s = server.asked_s + within_s
        server.answer_by_s = max(server.answer_by_s, patience_ends_s) if server.open_questions else patience_ends_s
        server.open_questions += 1

    def _awaits(self, server: _Server) -> bool:
        """Return whether this server has still to answer; it may have been lost since it was asked."""
        return self._server is server and server.open_questions > 0

    def _receive(self) -> list[Message]:
        """Take note of what the server has said, and give it up when it has gone or has not answered for too long."""
        server, messages = self._server, []
        if server is None:
            return []
        try:
            while found := server.channel.receive():
                messages += found
        except ChannelClosed:
            self._note(server, messages)
            self._lose(server)
            return messages
        self._note(server, messages)
        if server.open_questions and monotonic_s() > server.answer_by_s:
            self._lose(server)
        return messages

    def _note(self, server: _Server, messages: list[Message]) -> None:
        for message in messages:
            match message:
                case {"is": "ended", "id": str(deployment_id), "pid": int(pid), "code": int(code)}:
                    if self._children.get(deployment_id) == pid:
                        del self._children[deployment_id]
                    self._ended[deployment_id] = code
                    continue
                case {"is": "started", "id": str(deployment_id), "pid": int(pid)}:
                    self._children[deployment_id] = pid
                case {"is": "ready"}:
                    server.has_loaded, self._failures = True, 0
            server.open_questions -= 1

    def _see_to_server(self) -> None:
        """Have a server, and ask it now and then whether it still answers."""
        if self._server is None:
            if monotonic_s() >= self._not_before_s:
                self._server = self._new_server()
                for module in self._modules:
                    self._ask({"do": "load", "module": module}, within_s=_LOAD_TIMEOUT_S)
        elif not self._server.open_questions and monotonic_s() - self._server.asked_s > _ASK_EVERY_S:
            self._ask({"do": "answer"}, within_s=_ANSWER_TIMEOUT_S)

    def _lose(self, server: _Server) -> None:
        """Go on without a server that has gone or does not answer. It has nothing to put in order, and its children go on."""
        how = "does not answer" if server.process.poll() is None else f"has ended with exit code {server.process.returncode}"
        self._complaints.say(f"warning: fork server {server.process.pid} {how}; another one is started")
        self._end(server)
        self._failures = 0 if server.has_loaded else self._failures + 1
        self._pause()

    def _end(self, server: _Server) -> None:
        self._server = None
        server.channel.close()
        server.process.kill()
        with suppress(subprocess.TimeoutExpired):
            server.process.wait(_END_TIMEOUT_S)
        self._ended |= dict.fromkeys(self._children, None)
        self._children.clear()

    def _pause(self) -> None:
        self._not_before_s = monotonic_s() + _BACK_OFF_S[min(self._failures, len(_BACK_OFF_S) - 1)]

    def _new_server(self) -> _Server | None:
        try:
            ours, theirs = socket.socketpair()
            with theirs:
                channel = f"{SUPERVISOR_CHANNEL}{theirs.fileno()}"
                process = subprocess.Popen(
                    [sys.executable, "-m", "algo_py.deployment.fork_server", channel, str(self._workspace)],
                    env=os.environ | ONE_THREAD,
                    stdin=subprocess.DEVNULL,
                    pass_fds=[theirs.fileno()],
                    start_new_session=True,  # what is sent to the supervisor's terminal or group is not for this one
                )
        except OSError as error:
            self._complaints.say(f"warning: no fork server can be started: {error}")
            self._failures += 1
            self._pause()
            return None
        now_s = monotonic_s()
        return _Server(process, Channel(ours), asked_s=now_s, answer_by_s=now_s + _LOAD_TIMEOUT_S)
