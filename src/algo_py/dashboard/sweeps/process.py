"""The process of one sweep: `python -m algo_py.dashboard.sweeps.process FD`, where FD is its end of a pipe.

It reads a SweepOrder, sends SweepProgress now and then, and at last a SweepResult or the AlgoPyError that refused it. Anything
more that arrives, or the other end closing, cancels it: it never outlives the dashboard.
"""

from __future__ import annotations

import os
import sys
from contextlib import suppress
from multiprocessing.connection import Connection

from algo_py.backtest.sweep import SweepResult, run_sweep
from algo_py.clock import monotonic_s
from algo_py.dashboard.sweeps.order import SweepOrder
from algo_py.engine.sweep import SweepProgress
from algo_py.errors import AlgoPyError
from algo_py.settings import Workspace

# Deployments and the page go first.
_NICENESS = 10
_EVERY_S = 0.1


def main() -> None:
    """Answer one order."""
    os.nice(_NICENESS)
    with Connection(int(sys.argv[1])) as pipe, suppress(BrokenPipeError, ConnectionResetError, EOFError):
        pipe.send(_answer(pipe, pipe.recv()))


def _answer(pipe: Connection, order: SweepOrder) -> SweepResult | AlgoPyError:
    try:
        return run_sweep(
            Workspace(order.root),
            order.config,
            order.plan,
            folds=order.folds,
            progress=_Teller(pipe).tell,
            cancelled=lambda: pipe.poll(0),
        )
    except AlgoPyError as error:
        return error


class _Teller:
    """Passes progress on, but not more often than a person can read."""

    def __init__(self, pipe: Connection) -> None:
        self._pipe = pipe
        self._next_s = 0.0

    def tell(self, progress: SweepProgress) -> None:
        now_s = monotonic_s()
        if now_s >= self._next_s:
            self._next_s = now_s + _EVERY_S
            self._pipe.send(progress)


if __name__ == "__main__":
    main()
