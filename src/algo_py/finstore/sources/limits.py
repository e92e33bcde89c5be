"""Limits on requests that all processes of this host keep together.

A service counts by address, not by process. So each limit is a small file in a folder that all processes of this user share. It
holds when the next request may leave and until when the service has asked for silence, on the machine's monotonic clock.

How long a silence lasts is the service's wish and our decision: `Retry-After: 99999999` must not silence a host for days. Past
our own bound one request goes out; when it is refused the silence begins anew, otherwise it is over. A request that makes a
position safe (an exit, a cancel, a look-up of these) is urgent: it waits for a silence only a short while.
"""

from __future__ import annotations

import json
import math
import os
import re
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import asdict, dataclass, fields, replace
from pathlib import Path

from algo_py.clock import Clock, SystemClock, monotonic_s
from algo_py.errors import Conflict, RateLimited, Refused
from algo_py.finstore.durable import locked, write_hint

_LOCK_TIMEOUT_S = 10.0
# Silence that a service asks for without saying how long.
_SILENCE_S = 60.0
# What it asks for is heeded so long, then it is asked once. Binance's first ban lasts two minutes, its longest three days
# (Binance Spot API, REST, "IP Limits"): one request in five minutes is no reason to prolong it.
SILENCE_MOST_S = 300.0
# How long everybody else waits for what becomes of that one request.
_PROBE_S = 15.0
# How long an urgent request waits for a silence, since it was last asked for.
URGENT_MOST_S = 30.0
# How long a wish is remembered, so that the first request after our bound goes alone.
_WANTED_MOST_S = 7 * 86_400.0
_URGENT_LOCK_S = 1.0
_MOST_BYTES = 4_096
# Another one after each start of the machine, at which its monotonic clock begins anew.
_BOOT_ID = Path("/proc/sys/kernel/random/boot_id")


@dataclass(frozen=True, slots=True)
class _State:
    """free_at: when all that was let through will have been paid off. silent_until: when the service is asked again.

    asked_at: when it last asked for silence. wanted_until: until when it wants it, which may lie beyond our bound.
    """

    free_at: float = 0.0
    silent_until: float = 0.0
    asked_at: float = 0.0
    wanted_until: float = 0.0

    def heeded_until(self, *, urgent: bool) -> float:
        """Return until when a request heeds the silence."""
        return min(self.silent_until, self.asked_at + URGENT_MOST_S) if urgent else self.silent_until

    def asked(self, now: float, wanted_s: float) -> _State:
        """Return what holds once the service has asked for silence."""
        if not wanted_s:
            return self
        until = max(self.silent_until, now + min(wanted_s, SILENCE_MOST_S))
        wanted_until = max(self.wanted_until, now + min(wanted_s, _WANTED_MOST_S))
        return replace(self, silent_until=until, asked_at=now, wanted_until=wanted_until)

    def passed(self, leave_at: float) -> _State:
        """Return what holds once a request leaves then. One that leaves before the service wanted it goes alone for a while."""
        if not 0.0 < self.silent_until <= leave_at < self.wanted_until:
            return self
        return replace(self, silent_until=leave_at + _PROBE_S, wanted_until=0.0)

    def is_sane(self, written: float) -> bool:
        """Return whether it can have been written here at that moment."""
        bounds = (
            (self.free_at, SILENCE_MOST_S),
            (self.silent_until, 2 * SILENCE_MOST_S),
            (self.asked_at, 0.0),
            (self.wanted_until, _WANTED_MOST_S),
        )
        return all(math.isfinite(moment) and moment <= written + ahead_s for moment, ahead_s in bounds)


class _Busy(RateLimited):
    """Another process holds the file."""


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

    def acquire(self, cost: float, *, deadline_s: float, urgent: bool = False) -> None:
        """Wait until a request of this cost may leave. Raises RateLimited at once when that is later than `deadline_s`.

        When the service asks for silence in the meantime, that is heeded too. An `urgent` request waits for a silence no longer
        than `URGENT_MOST_S` after it was asked for, and leaves too where the limit cannot be kept.
        """
        try:
            self._acquire(cost, deadline_s=deadline_s, urgent=urgent)
        except (_Busy, Refused):
            if not urgent:
                raise

    def silence(self, duration_s: float | None) -> None:
        """Have everybody wait: the service has said so (Retry-After), or None when it did not say how long.

        Where the limit cannot be kept nobody else learns of it; the caller is told by the answer that it has.
        """
        wanted_s = _SILENCE_S if duration_s is None or math.isnan(duration_s) else max(duration_s, 0.0)
        with suppress(_Busy, Refused), self._locked(at_most_s=_LOCK_TIMEOUT_S):
            now = monotonic_s()
            state = self._read(now)
            self._write(state.asked(now, wanted_s))

    def _acquire(self, cost: float, *, deadline_s: float, urgent: bool) -> None:
        lock_s = deadline_s - monotonic_s()
        with self._locked(at_most_s=min(lock_s, _URGENT_LOCK_S) if urgent else lock_s):
            now = monotonic_s()
            state = self._read(now)
            heeded = state.heeded_until(urgent=urgent)
            paid_at = max(state.free_at, now)
            leave_at = max(now, heeded, paid_at + (cost - self._burst) / self._per_s)
            self._refuse_late(leave_at, heeded, now, deadline_s)
            paid = replace(state, free_at=max(paid_at, leave_at) + cost / self._per_s)
            self._write(paid if urgent else paid.passed(leave_at))
        asked_at = state.asked_at
        while leave_at > now:
            self._clock.sleep(leave_at - now)
            now = monotonic_s()
            state = self._read(now)
            if state.asked_at <= asked_at:
                return  # nobody has asked for silence in the meantime
            asked_at, leave_at = state.asked_at, state.heeded_until(urgent=urgent)
            self._refuse_late(leave_at, leave_at, now, deadline_s)

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
            raise _Busy(f"{self._name} was not asked: another process holds its limit", remedy="Wait.") from None
        except OSError as error:
            remedy = "Make it writable, or name another folder with TMPDIR."
            raise Refused(f"limits of requests cannot be kept in {folder}: {error.strerror or error}", remedy=remedy) from None

    def _read(self, now: float) -> _State:
        """Return what holds. What another start of the machine wrote is void, and so is what nobody here can have written."""
        try:
            with self._file.open("rb") as file:
                values = json.loads(file.read(_MOST_BYTES))
            written, boot = float(values["written"]), values["boot"]
            state = _State(*(float(values[field.name]) for field in fields(_State)))
        except (OSError, ValueError, KeyError, TypeError, OverflowError, RecursionError):
            return _State()
        return state if written <= now and state.is_sane(written) and boot == _boot() else _State()

    def _write(self, state: _State) -> None:
        write_hint(self._file, json.dumps({"boot": _boot(), "written": monotonic_s()} | asdict(state)))


def shared_folder() -> Path:
    """Return the folder in which processes of this user on this host meet."""
    return Path(tempfile.gettempdir()) / f"algo-py-{os.getuid()}" / "limits"


def _boot() -> str:
    """Return what names this start of the machine, nothing where the system does not tell."""
    try:
        return _BOOT_ID.read_text(encoding="ascii").strip()
    except OSError:
        return ""
