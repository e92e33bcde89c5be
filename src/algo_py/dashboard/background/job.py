"""A piece of work that a session has started: how far it is, what came of it, and its end.

The session holds a Job. A thread reads what the process sends and holds only the _Run, so that a session that is gone takes its
work with it.
"""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
import weakref
from contextlib import suppress
from multiprocessing import Pipe
from multiprocessing.connection import Connection
from typing import Final, Generic, cast

from algo_py.clock import monotonic_s
from algo_py.dashboard.background.order import Order, ProgressT, ResultT, Told
from algo_py.errors import AlgoPyError

_LOOK_S: Final = 0.2
# Work that is cancelled hands over what it has; what does not answer is ended after this long.
GRACE_S: Final = 5.0


class Job(Generic[ProgressT, ResultT]):
    """Running or ended work. Starts on construction; without anybody holding it, it is cancelled."""

    def __init__(self, order: Order[ProgressT, ResultT], *, grace_s: float = GRACE_S) -> None:
        self.order = order
        self._run = _Run(order, grace_s)
        weakref.finalize(self, self._run.cancel)

    @property
    def pid(self) -> int:
        return self._run.process.pid

    @property
    def progress(self) -> ProgressT | None:
        """How far it is; None as long as it has not said."""
        return self._run.progress

    @property
    def is_cancelled(self) -> bool:
        """Whether it was told to end."""
        return self._run.stop_by_s is not None

    @property
    def outcome(self) -> ResultT | AlgoPyError | None:
        """The result, of cancelled work what it has, or why there is none; None while it runs."""
        return self._run.outcome

    def cancel(self) -> None:
        """Have it end; its outcome follows within a few seconds. Ended already, nothing happens."""
        self._run.cancel()


class _Run(Generic[ProgressT, ResultT]):
    """The process and what it has said so far."""

    def __init__(self, order: Order[ProgressT, ResultT], grace_s: float) -> None:
        self._order = order
        self._grace_s = grace_s
        self.progress: ProgressT | None = None
        self.outcome: ResultT | AlgoPyError | None = None
        self.stop_by_s: float | None = None
        ours, theirs = Pipe()
        with theirs:
            self.process = subprocess.Popen(
                [sys.executable, "-m", "algo_py.dashboard.background.process", str(theirs.fileno())],
                pass_fds=[theirs.fileno()],
                stdin=subprocess.DEVNULL,
                start_new_session=True,
            )
        self._pipe = ours
        ours.send(order)
        threading.Thread(target=self._listen, name="background", daemon=True).start()

    def cancel(self) -> None:
        if self.stop_by_s is None:
            self.stop_by_s = monotonic_s() + self._grace_s
            with suppress(OSError):  # it has ended by itself
                self._pipe.send(None)

    def _listen(self) -> None:
        """Read until it has answered or is gone; whatever happens, leave no process and an outcome."""
        try:
            with self._pipe as pipe, suppress(EOFError, OSError):
                self.outcome = self._read(pipe)
        finally:
            code = self._end()
            if self.outcome is None:
                self.outcome = self._without_answer(code)

    def _read(self, pipe: Connection) -> ResultT | AlgoPyError | None:
        while self.stop_by_s is None or monotonic_s() < self.stop_by_s:
            if pipe.poll(_LOOK_S):
                message: object = pipe.recv()
                if not isinstance(message, Told):
                    return cast("ResultT | AlgoPyError", message)
                self.progress = message.progress
        return None

    def _end(self) -> int:
        """Wait a moment for the end of the process, then end it and all that it has started."""
        try:
            return self.process.wait(_LOOK_S if self.stop_by_s is not None else self._grace_s)
        except subprocess.TimeoutExpired:
            with suppress(ProcessLookupError):
                os.killpg(self.process.pid, signal.SIGKILL)
            return self.process.wait()

    def _without_answer(self, code: int) -> AlgoPyError:
        if self.stop_by_s is not None:
            return self._order.without_answer(None)
        return self._order.without_answer(signal.Signals(-code).name if code < 0 else f"exit code {code}")
