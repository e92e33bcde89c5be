"""What a deployment's status is: a truth table over what was wanted, what was recorded and what can be observed."""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from enum import StrEnum


class Wanted(StrEnum):
    """What a person asked for."""

    RUNNING = "running"
    PAUSED = "paused"  # a replay whose clock stands still
    STOPPED = "stopped"
    CLOSED = "closed"  # stopped, with no position left

    @property
    def is_an_end(self) -> bool:
        return self in (Wanted.STOPPED, Wanted.CLOSED)


class Condition(StrEnum):
    """Why the last run of a deployment could not do its work, or on what its next one stands."""

    NO_DATA = "no data"
    FAILING = "failing"
    ASSUMED_DAYS = "assumed days"  # nobody has said yet whether the market trades then

    @property
    def is_bad(self) -> bool:
        return self is not Condition.ASSUMED_DAYS


class State(StrEnum):
    """What the worker, or for a dead one the supervisor, recorded last.

    WATCHING: a person has stopped it, and it looks after what is still open: stops that rest, orders without an outcome.
    """

    NEW = "new"
    WAITING = "waiting"
    RUNNING = "running"
    PAUSED = "paused"
    WATCHING = "watching"
    RESTARTING = "restarting"
    STOPPED = "stopped"
    FINISHED = "finished"
    ERROR = "error"

    @property
    def has_ended(self) -> bool:
        return self in (State.STOPPED, State.FINISHED, State.ERROR)


class Status(StrEnum):
    """What a person is shown."""

    STARTING = "starting"
    WAITING = "waiting"
    RUNNING = "running"
    PAUSED = "paused"
    UNPROTECTED = "unprotected"
    HALTED = "halted"
    FAILING = "failing"
    NO_DATA = "no data"
    ASSUMED_DAYS = "assumed days"
    WATCHING = "watching"
    LATE = "late"
    STALLED = "stalled"
    RESTARTING = "restarting"
    STOPPING = "stopping"
    STOPPED = "stopped"
    FINISHED = "finished"
    ERROR = "error"

    @property
    def has_ended(self) -> bool:
        """Whether no process lives any more, nor will unless somebody restarts it."""
        return self in (Status.STOPPED, Status.FINISHED, Status.ERROR)


@dataclass(frozen=True, slots=True, kw_only=True)
class Trouble:
    """What keeps a deployment from doing all of its work, and since when."""

    reason: str
    at: datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class Observation:
    """Everything that the status depends on.

    `since` is when `state` was recorded. `run_due_at` is on the machine's clock; None for a replay, or where no run is due.
    `unprotected`: a position that should be protected and is not. `trouble` goes with `condition`.
    """

    wanted: Wanted
    state: State
    reason: str
    since: datetime
    process_is_alive: bool
    supervisor_is_alive: bool
    heartbeat_at: datetime | None
    run_due_at: datetime | None
    now: datetime
    stalled_after: timedelta
    late_after: timedelta
    unprotected: Trouble | None = None
    halt: Trouble | None = None
    condition: Condition | None = None
    trouble: Trouble | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Verdict:
    """A status, why, and since when."""

    status: Status
    reason: str
    since: datetime


def judge(seen: Observation) -> Verdict:
    """Return the status, its reason and since when. What is recorded counts only as far as what is observed agrees."""
    verdict = _judge_process(seen)
    is_pending = verdict.status in (Status.STARTING, Status.RESTARTING, Status.STOPPING)
    if is_pending and not seen.process_is_alive and not seen.supervisor_is_alive:
        return replace(verdict, reason="no supervisor is running to see to it; start one with: algo-py up")
    return verdict


def _judge_process(seen: Observation) -> Verdict:
    if seen.state.has_ended and not seen.process_is_alive:
        return _verdict(seen, Status(seen.state))
    if seen.wanted.is_an_end and seen.state is State.WATCHING and seen.wanted is Wanted.STOPPED:
        if not seen.process_is_alive:
            return _verdict(seen, Status.RESTARTING, "its process has died while it was watching")
        return _judge_living(seen)
    if seen.wanted.is_an_end:
        if seen.process_is_alive or seen.state is not State.NEW or seen.wanted is Wanted.CLOSED:
            return _verdict(seen, Status.STOPPING)
        return _verdict(seen, Status.STOPPED, "stopped before it started")
    if not seen.process_is_alive:
        if seen.state is State.NEW:
            return _verdict(seen, Status.STARTING)
        return _verdict(seen, Status.RESTARTING, seen.reason if seen.state is State.RESTARTING else "its process has died")
    return _judge_living(seen)


def _judge_living(seen: Observation) -> Verdict:
    if seen.heartbeat_at is None:
        return _verdict(seen, Status.STARTING)
    silence = seen.now - seen.heartbeat_at
    if silence > seen.stalled_after:
        return _verdict(seen, Status.STALLED, f"no heartbeat for {_seconds(silence)}", since=seen.heartbeat_at)
    if -silence > seen.stalled_after:  # a living loop would have beaten anew since the clock was set back
        return _verdict(
            seen, Status.STALLED, f"its last heartbeat is {_seconds(-silence)} ahead of the clock, which was set back"
        )
    if seen.state.has_ended:
        return _verdict(seen, Status.STOPPING)
    troubles = ((Status.UNPROTECTED, seen.unprotected), (Status.HALTED, seen.halt))
    for status, trouble in troubles:
        if trouble is not None:  # also while it starts: what keeps it from starting may be just that
            return _verdict(seen, status, trouble.reason, since=trouble.at)
    if seen.state is State.NEW:
        return _verdict(seen, Status.STARTING)
    if seen.condition is not None and seen.condition.is_bad and seen.trouble is not None:
        return _verdict(seen, Status(seen.condition), seen.trouble.reason, since=seen.trouble.at)
    overdue = timedelta(0) if seen.run_due_at is None else seen.now - seen.run_due_at
    if seen.run_due_at is not None and overdue > seen.late_after:
        reason = f"the run of {seen.run_due_at:%Y-%m-%d %H:%M:%S} UTC has not ended after {_seconds(overdue)}"
        return _verdict(seen, Status.LATE, reason, since=seen.run_due_at)
    if seen.condition is not None and seen.trouble is not None and seen.state in (State.RUNNING, State.WAITING):
        return _verdict(seen, Status(seen.condition), seen.trouble.reason, since=seen.trouble.at)
    return _verdict(seen, Status(seen.state))


def _verdict(seen: Observation, status: Status, reason: str | None = None, *, since: datetime | None = None) -> Verdict:
    return Verdict(status=status, reason=seen.reason if reason is None else reason, since=since or seen.since)


def _seconds(duration: timedelta) -> str:
    return f"{int(duration.total_seconds())} s"
