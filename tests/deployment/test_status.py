from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest

from algo_py.deployment.status import Observation, State, Status, Wanted, judge

NOW = datetime(2025, 1, 1, 12, tzinfo=UTC)


def status(
    state: State,
    *,
    wanted: Wanted = Wanted.RUNNING,
    alive: bool = True,
    silent_s: float | None = 1.0,
    reason: str = "",
    supervised: bool = True,
) -> tuple[Status, str]:
    return judge(
        Observation(
            wanted=wanted,
            state=state,
            reason=reason,
            process_is_alive=alive,
            supervisor_is_alive=supervised,
            heartbeat_at=None if silent_s is None else NOW - timedelta(seconds=silent_s),
            now=NOW,
            stalled_after=timedelta(seconds=30),
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
    assert status(state, wanted=wanted, alive=alive, silent_s=silent_s)[0] is expected


@pytest.mark.parametrize("state", State)
@pytest.mark.parametrize("wanted", Wanted)
def test_nothing_is_shown_as_running_whose_process_is_dead(state: State, wanted: Wanted) -> None:
    assert status(state, wanted=wanted, alive=False)[0] not in (Status.RUNNING, Status.WAITING, Status.STALLED)


def test_silence_is_told_with_its_length() -> None:
    assert status(State.RUNNING, silent_s=75)[1] == "no heartbeat for 75 s"


@pytest.mark.parametrize(("state", "wanted"), [(State.NEW, Wanted.RUNNING), (State.RUNNING, Wanted.STOPPED)])
def test_what_nobody_sees_to_says_so(state: State, wanted: Wanted) -> None:
    assert "no supervisor is running" in status(state, wanted=wanted, alive=False, supervised=False)[1]
    assert "no supervisor is running" not in status(state, wanted=wanted, alive=False)[1]


def test_the_reason_is_what_was_recorded() -> None:
    assert status(State.ERROR, alive=False, reason="the key is not valid") == (Status.ERROR, "the key is not valid")
