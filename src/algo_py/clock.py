"""All access to time. Nothing else in Algo.Py reads a clock or sleeps.

Moments are aware datetimes in UTC. A deployment on the live clock and one on the replay clock run the same code; only the
`Clock` that they were given differs.
"""

from __future__ import annotations

import time
from datetime import UTC, datetime, timedelta
from typing import Protocol

from algo_py.errors import InvalidInput


class Clock(Protocol):
    """What time it is, and how to wait for it."""

    def now(self) -> datetime:
        """Return the current moment, aware, in UTC."""

    def sleep(self, duration_s: float) -> None:
        """Wait real time, whatever the clock shows; for polling and back-off."""

    def sleep_toward(self, moment: datetime, at_most_s: float) -> bool:
        """Wait for `moment`, but no more than `at_most_s` of real time; True when it has come.

        The caller loops: between two slices it can write a heartbeat or obey a signal.
        """


class SystemClock:
    """The machine's own clock."""

    def now(self) -> datetime:
        return datetime.now(UTC)

    def sleep(self, duration_s: float) -> None:
        time.sleep(max(0.0, duration_s))

    def sleep_toward(self, moment: datetime, at_most_s: float) -> bool:
        remaining_s = (moment - self.now()).total_seconds()
        if remaining_s > 0:
            time.sleep(min(remaining_s, at_most_s))
        return self.now() >= moment


class ReplayClock:
    """A simulated clock that moves only while somebody waits for a later moment.

    `rate` is simulated seconds per real second; None moves at once. The time that work takes is not counted, so a replay
    takes the same decisions on a slow machine.
    """

    def __init__(self, start: datetime, *, rate: float | None) -> None:
        if rate is not None and rate <= 0:
            raise InvalidInput(f"the replay speed must be above 0 (was {rate})")
        self._now = as_utc(start)
        self._rate = rate

    def now(self) -> datetime:
        return self._now

    def sleep(self, duration_s: float) -> None:
        time.sleep(max(0.0, duration_s))

    def sleep_toward(self, moment: datetime, at_most_s: float) -> bool:
        remaining = moment - self._now
        if remaining <= timedelta(0):
            return True
        if self._rate is None:
            self._now = moment
            return True
        real_s = remaining.total_seconds() / self._rate
        if real_s <= at_most_s:
            time.sleep(real_s)
            self._now = moment
            return True
        time.sleep(at_most_s)
        self._now += timedelta(seconds=at_most_s * self._rate)
        return False


class FrozenClock:
    """A clock that stands still until it is told to move; for tests and pure calculations."""

    def __init__(self, moment: datetime) -> None:
        self._now = as_utc(moment)

    def now(self) -> datetime:
        return self._now

    def sleep(self, duration_s: float) -> None:
        self._now += timedelta(seconds=duration_s)

    def sleep_toward(self, moment: datetime, at_most_s: float) -> bool:
        self._now = min(max(moment, self._now), self._now + timedelta(seconds=at_most_s))
        return self._now >= moment


def monotonic_s() -> float:
    """Return seconds on a clock that never goes back; only differences have a meaning."""
    return time.monotonic()


def as_utc(moment: datetime) -> datetime:
    """Return `moment` in UTC; one without an offset is refused, since its meaning would be a guess."""
    if moment.tzinfo is None:
        raise InvalidInput(f"the time {moment.isoformat()} has no offset", remedy="Write it with one, such as +00:00.")
    return moment.astimezone(UTC)


def parse_time(text: str) -> datetime:
    """Read an ISO 8601 date or time as UTC; without an offset it is taken as UTC."""
    try:
        moment = datetime.fromisoformat(text.strip())
    except ValueError:
        raise InvalidInput(
            f"{text!r} is not a time", remedy="Write it as 2025-01-31 or 2025-01-31T09:30 (UTC unless an offset stands there)."
        ) from None
    return moment.replace(tzinfo=UTC) if moment.tzinfo is None else moment.astimezone(UTC)


_DURATION_UNITS_S = {"s": 1, "m": 60, "h": 3600, "d": 86_400}


def parse_duration(text: str) -> timedelta:
    """Read a duration such as `30s`, `15m`, `1h` or `1d`."""
    number, unit = text.strip()[:-1], text.strip()[-1:]
    if unit in _DURATION_UNITS_S and number.isdigit():
        return timedelta(seconds=int(number) * _DURATION_UNITS_S[unit])
    raise InvalidInput(f"{text!r} is not a duration", remedy="Write it as 30s, 15m, 1h or 1d.")


def format_duration(duration: timedelta) -> str:
    """Write a duration the way `parse_duration` reads it, in the largest whole unit."""
    seconds = int(duration.total_seconds())
    for unit, unit_s in reversed(_DURATION_UNITS_S.items()):
        if seconds % unit_s == 0 and seconds:
            return f"{seconds // unit_s}{unit}"
    return f"{seconds}s"


def format_time(moment: datetime | None) -> str | None:
    """Write a moment as ISO 8601 in UTC, seconds or finer as needed; None stays None."""
    return None if moment is None else moment.astimezone(UTC).isoformat().replace("+00:00", "Z")
