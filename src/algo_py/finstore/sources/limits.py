"""Limits on requests that all processes of this host keep together.

A service counts by address, not by process. So each limit is a small file in a folder that all processes of this user share. It
holds when the next request may leave and until when the service has asked for silence, on the machine's monotonic clock.
"""

from __future__ import annotations

import json
import math
import os
import re
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from algo_py.clock import Clock, SystemClock, monotonic_s
from algo_py.errors import Conflict, RateLimited, Refused
from algo_py.finstore.durable import locked, write_hint

_LOCK_TIMEOUT_S = 10.0
# Silence that a service asks for without saying how long; Binance's first ban lasts two minutes.
_SILENCE_S = 60.0
_SILENCE_MOST_S = 3 * 86_400.0
# Another one after each start of the machine, at which its monotonic clock begins anew.
_BOOT_ID = Path("/proc/sys/kernel/random/boot_id")


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
        """Wait until a request of this cost may leave. Raises RateLimited at once when that is later than `deadline_s`.

        When the service asks for silence in the meantime, that is heeded too.
        """
        with self._locked(at_most_s=deadline_s - monotonic_s()):
            now = monotonic_s()
            state = self._read(now)
            heeded = state.silent_until
            paid_at = max(state.free_at, now)
            leave_at = max(now, heeded, paid_at + (cost - self._burst) / self._per_s)
            self._refuse_late(leave_at, heeded, now, deadline_s)
            self._write(_State(max(paid_at, leave_at) + cost / self._per_s, heeded))
        while leave_at > now:
            self._clock.sleep(leave_at - now)
            now = monotonic_s()
            silent_until = self._read(now).silent_until
            if silent_until <= heeded:
                return
            self._refuse_late(silent_until, silent_until, now, deadline_s)
            heeded = leave_at = silent_until

    def silence(self, duration_s: float | None) -> None:
        """Have everybody wait: the service has said so (Retry-After), or None when it did not say how long."""
        wait_s = _SILENCE_S if duration_s is None else min(max(duration_s, 0.0), _SILENCE_MOST_S)
        with self._locked(at_most_s=_LOCK_TIMEOUT_S):
            now = monotonic_s()
            state = self._read(now)
            self._write(_State(state.free_at, max(state.silent_until, now + wait_s)))

    def _refuse_late(self, leave_at: float, silent_until: float, now: float, deadline_s: float) -> None:
        if leave_at > deadline_s:
            wait_s = leave_at - now
            why = "asked to be left alone" if silent_until >= leave_at else "is at its limit of requests"
            raise RateLimited(f"{self._name} {why} for another {wait_s:.1f} s", remedy="Wait.", retry_after_s=wait_s)

    @contextmanager
    def _locked(self, *, at_most_s: float) -> Iterator[None]:
        folder = self._file.parent
        try:
            folder.mkdir(mode=0o700, parents=True, exist_ok=True)
            with locked(self._lock, timeout_s=min(max(at_most_s, 0.0), _LOCK_TIMEOUT_S)):
                yield
        except Conflict:
            raise RateLimited(f"{self._name} was not asked: another process holds its limit", remedy="Wait.") from None
        except OSError as error:
            remedy = "Make it writable, or name another folder with TMPDIR."
            raise Refused(f"limits of requests cannot be kept in {folder}: {error.strerror or error}", remedy=remedy) from None

    def _read(self, now: float) -> _State:
        """Return what holds. What another start of the machine wrote is void, and so is what nobody here can have written."""
        try:
            values = json.loads(self._file.read_text(encoding="utf-8"))
            written, state = float(values["written"]), _State(float(values["free_at"]), float(values["silent_until"]))
            boot = values["boot"]
        except (OSError, ValueError, KeyError, TypeError):
            return _State()
        sane = all(math.isfinite(moment) and moment <= now + _SILENCE_MOST_S for moment in (state.free_at, state.silent_until))
        return state if sane and written <= now and boot == _boot() else _State()

    def _write(self, state: _State) -> None:
        values = {"boot": _boot(), "written": monotonic_s(), "free_at": state.free_at, "silent_until": state.silent_until}
        write_hint(self._file, json.dumps(values))


def shared_folder() -> Path:
    """Return the folder in which processes of this user on this host meet."""
    return Path(tempfile.gettempdir()) / f"algo-py-{os.getuid()}" / "limits"


def _boot() -> str:
    """Return what names this start of the machine, nothing where the system does not tell."""
    try:
        return _BOOT_ID.read_text(encoding="ascii").strip()
    except OSError:
        return ""
