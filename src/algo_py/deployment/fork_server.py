"""The fork server loads every library once and forks deployments: `python -m algo_py.deployment.fork_server --supervisor=N
WORKSPACE`, where N is the open file by which the supervisor is reached.

A child process of the supervisor that does nothing on its own. It never opens a database, a log or a lock, so that what it forks
inherits none of them; a deployment opens its own. It ends when the supervisor does, and what it has forked goes on.
"""

from __future__ import annotations

import faulthandler
import gc
import importlib
import os
import random
import select
import signal
import socket
import sys
import traceback
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Final

from algo_py.deployment.fork_channel import Channel, ChannelClosed, Message
from algo_py.deployment.launcher import EXIT_FAILED, SUPERVISOR_CHANNEL
from algo_py.settings import Workspace

_STDERR: Final = 2
_LOOK_S: Final = 10.0  # an end is noticed at once; this bounds what a lost signal costs
_COMM = Path("/proc/self/comm")


class ForkServer:
    """Answers the supervisor until the channel closes. The process must have one thread only."""

    def __init__(self, workspace: Workspace, channel: Channel) -> None:
        self._workspace = workspace
        self._channel = channel
        self._children: dict[int, str] = {}
        self._awake, self._waker = socket.socketpair()

    def serve(self) -> None:
        """Load, then do what is asked, and tell how children end."""
        self._heed_children()
        _load_libraries()
        with suppress(ChannelClosed):  # the supervisor has ended: what was forked needs nobody
            self._channel.send({"is": "ready"})
            while True:
                ready, _, _ = select.select([self._channel.fileno(), self._awake.fileno()], [], [], _LOOK_S)
                if self._awake.fileno() in ready:
                    self._awake.recv(4096)
                for message in self._ended():
                    self._channel.send(message)
                for message in self._channel.receive():
                    self._channel.send(self._answer(message))

    def _heed_children(self) -> None:
        """Have the end of a child wake this process up."""
        self._awake.setblocking(False)
        self._waker.setblocking(False)
        signal.signal(signal.SIGCHLD, lambda *_: None)  # without a handler the waker is not called
        signal.set_wakeup_fd(self._waker.fileno(), warn_on_full_buffer=False)

    def _answer(self, message: Message) -> Message:
        match message:
            case {"do": "start", "id": str(deployment_id)}:
                return self._start(deployment_id)
            case {"do": "load", "module": str(module)}:
                _load(module)
        return {"is": "ready"}

    def _start(self, deployment_id: str) -> Message:
        gc.collect()
        gc.freeze()  # the collector's marks would otherwise copy every shared page into each child
        try:
            pid = os.fork()
        except OSError as error:
            return {"is": "not started", "id": deployment_id, "reason": str(error)}
        if pid == 0:
            self._become(deployment_id)
        self._children[pid] = deployment_id
        return {"is": "started", "id": deployment_id, "pid": pid}

    def _ended(self) -> Iterator[Message]:
        for pid in list(self._children):
            done, status = os.waitpid(pid, os.WNOHANG)
            if done:
                yield {"is": "ended", "id": self._children.pop(pid), "pid": pid, "code": os.waitstatus_to_exitcode(status)}

    def _become(self, deployment_id: str) -> None:
        """Turn the forked child into a deployment; never returns."""
        code = EXIT_FAILED
        try:
            self._give_back()
            os.setsid()
            folder = self._workspace.deployments / deployment_id
            crash_log = os.open(folder / "crash.log", os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o644)
            os.dup2(crash_log, _STDERR)
            os.close(crash_log)
            faulthandler.enable(file=_STDERR)
            _name_process("algo-deployment")
            _begin_anew()
            from algo_py.deployment.resources import limit_resources
            from algo_py.deployment.worker import live

            limit_resources(self._workspace.settings().supervisor)
            code = live(self._workspace, deployment_id, pid=os.getpid())
        except BaseException:  # noqa: BLE001  the outermost border of the child: it must never run on into the server's code
            traceback.print_exc()
        finally:
            try:
                sys.stderr.flush()
            finally:  # even when the disk is too full for a last word
                os._exit(code)

    def _give_back(self) -> None:
        """Let go of what is the server's: its channel and its way of hearing of children."""
        signal.set_wakeup_fd(-1)
        signal.signal(signal.SIGCHLD, signal.SIG_DFL)
        for end in (self._channel, self._awake, self._waker):
            end.close()


def _begin_anew() -> None:
    """Seed what is random in the whole process: each child would have the same numbers as its siblings."""
    import numpy as np

    random.seed()
    np.random.seed()


def _load_libraries() -> None:
    """Import what every deployment needs, once; load the compiled step from its cache."""
    import algo_py.deployment.worker
    from algo_py.engine.warm_up import warm_up

    _load(algo_py.deployment.worker.__name__)
    warm_up()


def _load(module: str) -> None:
    """Import a library. What is not there is told where it is used."""
    try:
        importlib.import_module(module)
    except ImportError as error:
        print(f"warning: {module} is not loaded: {error}", file=sys.stderr)  # noqa: T201  the supervisor's log


def _name_process(name: str) -> None:
    """Give the process a name for `ps` and `top`, where the system lets it: the command is that of the server in all."""
    with suppress(OSError):
        _COMM.write_text(name, encoding="ascii")


def main(arguments: list[str]) -> int:
    """Serve the supervisor that has started this process, until it has gone."""
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, signal.SIG_DFL)  # nothing has to be put in order; who started us may have ignored them
    _name_process("algo-forkserver")
    handle = int(arguments[0].removeprefix(SUPERVISOR_CHANNEL))
    ForkServer(Workspace(Path(arguments[1])), Channel.of(handle)).serve()
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
