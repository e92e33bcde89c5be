"""A bound for code of others that runs in this process: a strategy that does not come back ends its run, not its deployment."""

from __future__ import annotations

import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType

from algo_py.errors import StrategyBroken


@contextmanager
def time_limit(limit_s: float, *, what: str) -> Iterator[None]:
    """Break off what runs inside after `limit_s` with StrategyBroken.

    It works by a signal: Python code and sleeps are broken off at once, a call into a compiled library when it returns. Off the
    main thread, where no signal arrives, there is no limit.
    """
    if threading.current_thread() is not threading.main_thread():
        yield
        return

    def break_off(_number: int, _frame: FrameType | None) -> None:
        raise StrategyBroken(f"{what} took longer than {limit_s:g} s and was broken off", remedy="Make it faster.")

    before = signal.signal(signal.SIGALRM, break_off)
    signal.setitimer(signal.ITIMER_REAL, limit_s)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)
