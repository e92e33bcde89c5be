"""A bound for code of others that runs in this process: a strategy that does not come back ends its run, not its deployment."""

from __future__ import annotations

import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType

from algo_py.errors import StrategyBroken

_AGAIN_S = 1.0


@contextmanager
def time_limit(limit_s: float, *, what: str) -> Iterator[None]:
    """Break off what runs inside after `limit_s` with StrategyBroken.

    It works by a signal, which comes again should the code have caught its error: Python code and sleeps are broken off at once,
    a call into a compiled library when it returns. Off the main thread, where no signal arrives, there is no limit.
    """
    if threading.current_thread() is not threading.main_thread():
        yield
        return

    is_inside = True

    def break_off(_number: int, _frame: FrameType | None) -> None:
        if is_inside:
            raise StrategyBroken(f"{what} took longer than {limit_s:g} s and was broken off", remedy="Make it faster.")

    before = signal.signal(signal.SIGALRM, break_off)
    signal.setitimer(signal.ITIMER_REAL, limit_s, _AGAIN_S)
    try:
        try:
            yield
        finally:
            is_inside = False
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)
