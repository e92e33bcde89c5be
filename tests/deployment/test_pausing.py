"""A replay that a person pauses: its clock stands still, its process lives, and nothing of it shows in the end."""

from __future__ import annotations

import pytest

from algo_py.clock import SystemClock
from algo_py.deployment import DeploymentManager, DeploymentRequest
from algo_py.deployment.schedule import EveryInterval
from algo_py.errors import Conflict, Refused
from algo_py.settings import Workspace
from tests.deployment.conftest import Save
from tests.deployment.test_lives import deploy, kill, kill_supervisor, reach, run_on
from tests.deployment.test_replay import assert_equal

pytestmark = pytest.mark.shared_workspace


def test_a_paused_replay_stands_still_and_goes_on_as_if_nothing_had_been(
    workspace: Workspace, manager: DeploymentManager, save: Save
) -> None:
    snapshot = save()
    deployment = run_on(manager, deploy(manager, bars_per_s=100), 30)
    manager.pause(deployment.id)
    paused = reach(manager, deployment, "paused")
    SystemClock().sleep(1.0)
    later = manager.show(deployment.id)
    assert later.row.runs == paused.row.runs
    assert (later.row.heartbeat_at or later.row.created_at) > (paused.row.heartbeat_at or later.row.created_at)
    kill_supervisor(workspace, manager)
    kill(later)
    manager.ensure_supervisor()
    manager.wait_until(deployment.id, lambda d: d.pid not in (None, later.pid), timeout_s=30)
    back = reach(manager, deployment, "paused")
    assert back.row.runs == paused.row.runs
    assert manager.resume(deployment.id)
    assert_equal(manager, reach(manager, deployment, "finished", timeout_s=60), snapshot)


def test_a_paused_replay_can_be_stopped(manager: DeploymentManager, save: Save) -> None:
    save()
    deployment = deploy(manager)
    manager.pause(deployment.id)
    reach(manager, deployment, "paused")
    manager.stop(deployment.id, close_positions=False)
    reach(manager, deployment, "stopped")
    with pytest.raises(Conflict, match="Only what runs can be paused"):
        manager.pause(deployment.id)


def test_the_live_clock_cannot_be_paused(manager: DeploymentManager, save: Save) -> None:
    save()
    deployment = manager.deploy(DeploymentRequest(backtest="saved", schedule=EveryInterval(every_s=3600)))
    with pytest.raises(Refused, match="trades on the live clock"):
        manager.pause(deployment.id)
    assert not manager.resume(deployment.id)
