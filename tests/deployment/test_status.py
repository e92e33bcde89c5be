from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest

from algo_py.deployment.status import Observation, State, Status, Trouble, Verdict, Wanted, judge

NOW = datetime(2025, 1, 1, 12, tzinfo=UTC)
SINCE = NOW - timedelta(hours=1)


def status(
    state: State,
    *,
    wanted: Wanted = Wanted.RUNNING,
    alive: bool = True,
    silent_s: float | None = 1.0,
    reason: str = "",
    supervised: bool = True,
    overdue_s: float | None = None,
    halt: Trouble | None = None,
) -> Verdict:
    return judge(
        Observation(
            wanted=wanted,
            state=state,
            reason=reason,
            since=SINCE,
            process_is_alive=alive,
            supervisor_is_alive=supervised,
            heartbeat_at=None if silent_s is None else NOW - timedelta(seconds=silent_s),
            run_due_at=None if overdue_s is None else NOW - timedelta(seconds=overdue_s),
            now=NOW,
            stalled_after=timedelta(seconds=30),
            late_after=timedelta(seconds=15),
            halt=halt,
        )
    )


@pytest.mark.parametrize(
    ("state", "wanted", "alive", "silent_s", "expected"),
    [
        (State.NEW, Wanted.RUNNING, False, None, Status.STARTING),
        (State.NEW, Wanted.RUNNING, True, 0.1, Status.STARTING),
        (State.WAITING, Wanted.RUNNING, True, 1, Status.WAITING),
        (State.RUNNING, Wanted.RUNNING, True, 1, Status.RUNNING),
        (State.RUNNING, Wanted.RUNNING, True, 31, Status.STALLED),
        (State.WAITING, Wanted.RUNNING, True, 31, Status.STALLED),
        (State.RUNNING, Wanted.RUNNING, False, 1, Status.RESTARTING),
        (State.RESTARTING, Wanted.RUNNING, False, 1, Status.RESTARTING),
        (State.RUNNING, Wanted.RUNNING, True, -31, Status.STALLED),
        (State.PAUSED, Wanted.PAUSED, True, 1, Status.PAUSED),
        (State.PAUSED, Wanted.PAUSED, False, 1, Status.RESTARTING),
        (State.NEW, Wanted.CLOSED, False, None, Status.STOPPING),
        (State.RUNNING, Wanted.CLOSED, True, 1, Status.STOPPING),
        (State.STOPPED, Wanted.CLOSED, False, 99, Status.STOPPED),
        (State.RUNNING, Wanted.STOPPED, True, 1, Status.STOPPING),
        (State.RUNNING, Wanted.STOPPED, True, 99, Status.STOPPING),
        (State.RUNNING, Wanted.STOPPED, False, 1, Status.STOPPING),
        (State.NEW, Wanted.STOPPED, False, None, Status.STOPPED),
        (State.STOPPED, Wanted.STOPPED, False, 99, Status.STOPPED),
        (State.STOPPED, Wanted.STOPPED, True, 1, Status.STOPPING),
        (State.FINISHED, Wanted.RUNNING, False, 99, Status.FINISHED),
        (State.ERROR, Wanted.RUNNING, False, 99, Status.ERROR),
    ],
)
def test_the_truth_table(state: State, wanted: Wanted, alive: bool, silent_s: float | None, expected: Status) -> None:
    assert status(state, wanted=wanted, alive=alive, silent_s=silent_s).status is expected


@pytest.mark.parametrize("state", State)
@pytest.mark.parametrize("wanted", Wanted)
def test_nothing_is_shown_as_running_whose_process_is_dead(state: State, wanted: Wanted) -> None:
    living = (Status.RUNNING, Status.WAITING, Status.PAUSED, Status.LATE, Status.STALLED, Status.HALTED)
    assert status(state, wanted=wanted, alive=False).status not in living


def test_silence_is_told_with_its_length() -> None:
    found = status(State.RUNNING, silent_s=75)
    assert (found.reason, found.since) == ("no heartbeat for 75 s", NOW - timedelta(seconds=75))


def test_a_run_that_is_overdue_makes_a_deployment_late() -> None:
    assert status(State.RUNNING, overdue_s=14).status is Status.RUNNING
    late = status(State.RUNNING, overdue_s=16)
    assert late == Verdict(
        status=Status.LATE,
        reason="the run of 2025-01-01 11:59:44 UTC has not ended after 16 s",
        since=NOW - timedelta(seconds=16),
    )
    assert status(State.RUNNING, overdue_s=31, silent_s=31).status is Status.STALLED


def test_a_halt_is_shown_since_it_began_and_only_of_what_lives() -> None:
    halt = Trouble(reason="max_daily_loss", at=NOW - timedelta(minutes=5))
    assert status(State.RUNNING, halt=halt) == Verdict(status=Status.HALTED, reason="max_daily_loss", since=halt.at)
    assert status(State.STOPPED, alive=False, halt=halt).status is Status.STOPPED


@pytest.mark.parametrize(("state", "wanted"), [(State.NEW, Wanted.RUNNING), (State.RUNNING, Wanted.STOPPED)])
def test_what_nobody_sees_to_says_so(state: State, wanted: Wanted) -> None:
    assert "no supervisor is running" in status(state, wanted=wanted, alive=False, supervised=False).reason
    assert "no supervisor is running" not in status(state, wanted=wanted, alive=False).reason


def test_the_reason_is_what_was_recorded() -> None:
    assert status(State.ERROR, alive=False, reason="the key is not valid") == Verdict(
        status=Status.ERROR, reason="the key is not valid", since=SINCE
    )
