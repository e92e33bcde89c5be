"""What a process without a log of its own says on its stderr, which is a file: briefly, and whatever becomes of it."""

from __future__ import annotations

import sys
from contextlib import suppress

from algo_py.clock import monotonic_s

_AGAIN_AFTER_S = 60.0


class Complaints:
    """Call `say` as often as there is reason: the same text is written down once a minute."""

    def __init__(self) -> None:
        self._last, self._again_s = "", 0.0

    def say(self, text: str) -> None:
        """Write a text down, unless it has just been. On a full disk it is lost: who complains must not end of that."""
        if text == self._last and monotonic_s() < self._again_s:
            return
        self._last, self._again_s = text, monotonic_s() + _AGAIN_AFTER_S
        with suppress(OSError):
            print(text, file=sys.stderr, flush=True)  # noqa: T201  the supervisor's log is its stderr
