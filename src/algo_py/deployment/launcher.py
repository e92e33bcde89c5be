"""Where a deployment's process comes from. The supervisor knows only the protocol, so that another engine can stand in."""

from __future__ import annotations

import faulthandler
import gc
import os
import signal
import sys
import traceback
from collections.abc import Callable
from typing import Protocol

from algo_py.deployment.resources import limit_resources
from algo_py.settings import Workspace

# How a deployment's process ends: as it should, by an error, beside another one that lives it, or told to end by somebody else.
EXIT_DONE = 0
EXIT_FAILED = 1
EXIT_ALREADY_RUNNING = 75
EXIT_INTERRUPTED = 76

_STDERR = 2


class Launcher(Protocol):
    """Starts processes and tells how they ended."""

    def start(self, deployment_id: str) -> int:
        """Start the deployment's process and return its pid."""

    def ended(self) -> dict[str, int]:
        """Return the exit codes of processes that have ended since the last call; negative is a signal's number."""


class ForkLauncher:
    """Forks deployments from this process, which has loaded every library already: quick to start and small in memory.

    The process must have one thread only; `release` is called in the child to give back what it must not inherit.
    """

    def __init__(self, workspace: Workspace, *, release: Callable[[], None]) -> None:
        self._workspace = workspace
        self._release = release
        self._children: dict[int, str] = {}

    def start(self, deployment_id: str) -> int:
        gc.collect()
        gc.freeze()  # the collector's marks would otherwise copy every shared page into each child
        pid = os.fork()
        if pid == 0:
            self._become(deployment_id)
        self._children[pid] = deployment_id
        return pid

    def ended(self) -> dict[str, int]:
        ended = {}
        for pid in list(self._children):
            done, status = os.waitpid(pid, os.WNOHANG)
            if done:
                ended[self._children.pop(pid)] = os.waitstatus_to_exitcode(status)
        return ended

    def _become(self, deployment_id: str) -> None:
        """Turn the forked child into a deployment; never returns."""
        code = EXIT_FAILED
        try:
            self._release()
            os.setsid()
            for number in (signal.SIGTERM, signal.SIGINT, signal.SIGCHLD):
                signal.signal(number, signal.SIG_DFL)
            folder = self._workspace.deployments / deployment_id
            crash_log = os.open(folder / "crash.log", os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o644)
            os.dup2(crash_log, _STDERR)
            faulthandler.enable(file=_STDERR)
            limit_resources(self._workspace.settings().supervisor)
            from algo_py.deployment.worker import live

            code = live(self._workspace, deployment_id, pid=os.getpid())
        except BaseException:  # noqa: BLE001  the outermost border of the child: it must never run on into the supervisor's code
            traceback.print_exc()
        finally:
            try:
                sys.stderr.flush()
            finally:  # even when the disk is too full for a last word
                os._exit(code)
