"""Time as somebody lives it who may be asleep: a suspended machine, a paused container, a frozen process."""

from __future__ import annotations

from algo_py.clock import monotonic_s


class AwakeClock:
    """Seconds in which this process was awake, looked at again and again.

    Between two looks at most `longest_look_s` pass: what is longer was slept through, or waited for something that others wait
    for too. Nobody's silence is judged by it.
    """

    def __init__(self, longest_look_s: float) -> None:
        self._longest_look_s = longest_look_s
        self._last_s = monotonic_s()
        self._awake_s = 0.0

    def look(self) -> float:
        """Return the seconds awake so far."""
        now_s = monotonic_s()
        self._awake_s += min(now_s - self._last_s, self._longest_look_s)
        self._last_s = now_s
        return self._awake_s
