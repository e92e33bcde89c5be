"""What a deployment's status is: a truth table over what was wanted, what was recorded and what can be observed."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum


class Wanted(StrEnum):
    """What a person asked for."""

    RUNNING = "running"
    STOPPED = "stopped"


class State(StrEnum):
    """What the worker, or for a dead one the supervisor, recorded last."""

    NEW = "new"
    WAITING = "waiting"
    RUNNING = "running"
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
    HALTED = "halted"
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
class Observation:
    """Everything that the status depends on."""

    wanted: Wanted
    state: State
    reason: str
    process_is_alive: bool
    supervisor_is_alive: bool
    heartbeat_at: datetime | None
    now: datetime
    stalled_after: timedelta
    halt: str | None = None  # why it must not send orders


def judge(seen: Observation) -> tuple[Status, str]:
    """Return the status and its reason. What is recorded counts only as far as what is observed agrees."""
    status, reason = _judge_process(seen)
    is_pending = status in (Status.STARTING, Status.RESTARTING, Status.STOPPING)
    if is_pending and not seen.process_is_alive and not seen.supervisor_is_alive:
        reason = "no supervisor is running to see to it; start one with: algo-py up"
    return status, reason


def _judge_process(seen: Observation) -> tuple[Status, str]:
    if seen.state.has_ended and not seen.process_is_alive:
        return Status(seen.state), seen.reason
    if seen.wanted is Wanted.STOPPED:
        if seen.process_is_alive or seen.state is not State.NEW:
            return Status.STOPPING, seen.reason
        return Status.STOPPED, "stopped before it started"
    if not seen.process_is_alive:
        if seen.state is State.NEW:
            return Status.STARTING, seen.reason
        return Status.RESTARTING, seen.reason or "its process has died"
    silence = None if seen.heartbeat_at is None else seen.now - seen.heartbeat_at
    if silence is not None and silence > seen.stalled_after:
        return Status.STALLED, f"no heartbeat for {int(silence.total_seconds())} s"
    if seen.state is State.NEW or silence is None:
        return Status.STARTING, seen.reason
    if seen.state.has_ended:
        return Status.STOPPING, seen.reason
    if seen.halt is not None:
        return Status.HALTED, seen.halt
    return Status(seen.state), seen.reason
