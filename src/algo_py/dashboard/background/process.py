"""The process of one piece of work: `python -m algo_py.dashboard.background.process FD`, where FD is its end of a pipe.

It reads an Order, sends progress now and then, and at last the result or the AlgoPyError that refused it. Anything more that
arrives, or the other end closing, cancels it: work that heeds that never outlives the dashboard.
"""

from __future__ import annotations

import os
import sys
from contextlib import suppress
from multiprocessing.connection import Connection
from typing import Any

from algo_py.clock import monotonic_s
from algo_py.dashboard.background.order import Order, Told
from algo_py.errors import AlgoPyError

# Deployments and the page go first.
_NICENESS = 10
_EVERY_S = 0.1


def main() -> None:
    """Answer one order."""
    os.nice(_NICENESS)
    with Connection(int(sys.argv[1])) as pipe, suppress(BrokenPipeError, ConnectionResetError, EOFError):
        pipe.send(_answer(pipe, pipe.recv()))


def _answer(pipe: Connection, order: Order[Any, Any]) -> Any:
    try:
        return order.carry_out(_Teller(pipe).tell, lambda: pipe.poll(0))
    except AlgoPyError as error:
        return error


class _Teller:
    """Passes progress on, but not more often than a person can read."""

    def __init__(self, pipe: Connection) -> None:
        self._pipe = pipe
        self._next_s = 0.0

    def tell(self, progress: object) -> None:
        now_s = monotonic_s()
        if now_s >= self._next_s:
            self._next_s = now_s + _EVERY_S
            self._pipe.send(Told(progress))


if __name__ == "__main__":
    main()
