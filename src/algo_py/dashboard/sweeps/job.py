"""A sweep that a session has started: how far it is, what came of it, and its end.

The session holds a SweepJob. A thread reads what the process sends and holds only the _Run, so that a session that is gone takes
its sweep with it.
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
from typing import Final

from algo_py.backtest.sweep import SweepResult
from algo_py.clock import monotonic_s
from algo_py.dashboard.sweeps.order import SweepOrder
from algo_py.engine.sweep import SweepProgress
from algo_py.errors import AlgoPyError, Refused, StrategyBroken

Outcome = SweepResult | AlgoPyError

_LOOK_S: Final = 0.2
# A sweep that is cancelled hands over what it has; a strategy that does not return is ended after this long.
GRACE_S: Final = 5.0


class SweepJob:
    """A running or ended sweep. Starts on construction; without anybody holding it, it is cancelled."""

    def __init__(self, order: SweepOrder, *, grace_s: float = GRACE_S) -> None:
        self.order = order
        self._run = _Run(order, grace_s)
        weakref.finalize(self, self._run.cancel)

    @property
    def pid(self) -> int:
        return self._run.process.pid

    @property
    def progress(self) -> SweepProgress | None:
        """How far it is; None before the first parameter set is done."""
        return self._run.progress

    @property
    def is_cancelled(self) -> bool:
        """Whether it was told to end."""
        return self._run.stop_by_s is not None

    @property
    def outcome(self) -> Outcome | None:
        """The result, of a cancelled sweep with the sets that are done, or why there is none; None while it runs."""
        return self._run.outcome

    def cancel(self) -> None:
        """Have it end; its outcome follows within a few seconds. Ended already, nothing happens."""
        self._run.cancel()


class _Run:
    """The process and what it has said so far."""

    def __init__(self, order: SweepOrder, grace_s: float) -> None:
        self._grace_s = grace_s
        self.progress: SweepProgress | None = None
        self.outcome: Outcome | None = None
        self.stop_by_s: float | None = None
        ours, theirs = Pipe()
        with theirs:
            self.process = subprocess.Popen(
                [sys.executable, "-m", "algo_py.dashboard.sweeps.process", str(theirs.fileno())],
                pass_fds=[theirs.fileno()],
                stdin=subprocess.DEVNULL,
                start_new_session=True,
            )
        self._pipe = ours
        ours.send(order)
        threading.Thread(target=self._listen, name="sweep", daemon=True).start()

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
            self.outcome = self.outcome or self._without_answer(code)

    def _read(self, pipe: Connection) -> Outcome | None:
        while self.stop_by_s is None or monotonic_s() < self.stop_by_s:
            if pipe.poll(_LOOK_S):
                message: SweepProgress | Outcome = pipe.recv()
                if not isinstance(message, SweepProgress):
                    return message
                self.progress = message
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
            return Refused("the sweep was cancelled while its strategy was busy, so that it has no results")
        how = signal.Signals(-code).name if code < 0 else f"exit code {code}"
        return StrategyBroken(
            f"the process of the sweep ended without a result ({how})", remedy="What it wrote is in the output of the dashboard."
        )
