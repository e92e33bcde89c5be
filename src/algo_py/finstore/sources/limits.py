"""Limits on requests that all processes of this host keep together.

A service counts by address, not by process. So each limit is a small file in a folder that all processes of this user share. It
holds when the next request may leave and until when the service has asked for silence, on the machine's monotonic clock.
"""

from __future__ import annotations

import json
import os
import re
import tempfile
from contextlib import AbstractContextManager
from dataclasses import dataclass
from pathlib import Path

from algo_py.clock import Clock, SystemClock, monotonic_s
from algo_py.errors import RateLimited
from algo_py.finstore.durable import locked, write_hint

_LOCK_TIMEOUT_S = 10.0
# Silence that a service asks for without saying how long; Binance's first ban lasts two minutes.
_SILENCE_S = 60.0
_SILENCE_MOST_S = 3 * 86_400.0


@dataclass(frozen=True, slots=True)
class _State:
    """free_at: when all that was let through will have been paid off. silent_until: when the service wants to be asked again."""

    free_at: float = 0.0
    silent_until: float = 0.0


class SharedLimit:
    """At most `per_s` units of cost a second on average, at most `burst` units at once; shared by name."""

    def __init__(self, name: str, *, per_s: float, burst: float, folder: Path | None = None, clock: Clock | None = None) -> None:
        root = shared_folder() if folder is None else folder
        self._name = name
        self._file = root / f"{re.sub(r'[^A-Za-z0-9.-]', '_', name)}.json"
        self._lock = self._file.with_suffix(".lock")
        self._per_s = per_s
        self._burst = burst
        self._clock: Clock = SystemClock() if clock is None else clock

    def acquire(self, cost: float, *, deadline_s: float) -> None:
        """Wait until a request of this cost may leave. Raises RateLimited at once when that is later than `deadline_s`."""
        with self._locked():
            now = monotonic_s()
            state = self._read(now)
            paid_at = max(state.free_at, now)
            leave_at = max(now, state.silent_until, paid_at + (cost - self._burst) / self._per_s)
            if leave_at > deadline_s:
                wait_s = leave_at - now
                why = "asked to be left alone" if state.silent_until >= leave_at else "is at its limit of requests"
                raise RateLimited(f"{self._name} {why} for another {wait_s:.1f} s", remedy="Wait.", retry_after_s=wait_s)
            self._write(_State(max(paid_at, leave_at) + cost / self._per_s, state.silent_until))
        if leave_at > now:
            self._clock.sleep(leave_at - now)

    def silence(self, duration_s: float | None) -> None:
        """Have everybody wait: the service has said so (Retry-After), or None when it did not say how long."""
        wait_s = _SILENCE_S if duration_s is None else min(max(duration_s, 0.0), _SILENCE_MOST_S)
        with self._locked():
            now = monotonic_s()
            state = self._read(now)
            self._write(_State(state.free_at, max(state.silent_until, now + wait_s)))

    def _locked(self) -> AbstractContextManager[None]:
        self._file.parent.mkdir(parents=True, exist_ok=True)
        return locked(self._lock, timeout_s=_LOCK_TIMEOUT_S)

    def _read(self, now: float) -> _State:
        """Return what holds. After a restart of the machine its clock begins anew, and what was written before is void."""
        try:
            values = json.loads(self._file.read_text(encoding="utf-8"))
            written, state = float(values["written"]), _State(float(values["free_at"]), float(values["silent_until"]))
        except (OSError, ValueError, KeyError, TypeError):
            return _State()
        return state if written <= now else _State()

    def _write(self, state: _State) -> None:
        values = {"written": monotonic_s(), "free_at": state.free_at, "silent_until": state.silent_until}
        write_hint(self._file, json.dumps(values))


def shared_folder() -> Path:
    """Return the folder in which processes of this user on this host meet."""
    return Path(tempfile.gettempdir()) / f"algo-py-{os.getuid()}" / "limits"
