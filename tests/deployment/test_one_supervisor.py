"""However many ask for a supervisor at once, one is started, and it holds its lock from the first moment on."""

from __future__ import annotations

import signal
import threading

from algo_py.clock import SystemClock
from algo_py.deployment import DeploymentManager
from algo_py.deployment.processes import is_locked
from algo_py.deployment.supervisor import lock_path
from algo_py.settings import Workspace
from tests.deployment.conftest import Save
from tests.deployment.test_lives import deploy, kill, reach, reach_another_process
from tests.processes import stop_everything, supervisors


def test_many_commands_in_a_row_start_one(workspace: Workspace, manager: DeploymentManager) -> None:
    for _ in range(20):
        manager.ensure_supervisor()
        assert is_locked(lock_path(workspace))
        assert len(supervisors(workspace)) == 1
    [starting] = supervisors(workspace)
    SystemClock().sleep(3)
    assert supervisors(workspace) == [starting]


def test_many_commands_at_once_start_one(workspace: Workspace, manager: DeploymentManager) -> None:
    asking = [threading.Thread(target=manager.ensure_supervisor) for _ in range(12)]
    for thread in asking:
        thread.start()
    for thread in asking:
        thread.join()
    assert len(supervisors(workspace)) == 1


def test_one_that_dies_while_it_starts_leaves_the_place_free(
    workspace: Workspace, manager: DeploymentManager, save: Save
) -> None:
    save()
    manager.ensure_supervisor()
    stop_everything(workspace)
    assert not is_locked(lock_path(workspace))
    reach(manager, deploy(manager, bars_per_s=5), "running")


def test_the_lock_ends_with_the_supervisor_and_not_with_its_deployments(
    workspace: Workspace, manager: DeploymentManager, save: Save
) -> None:
    save()
    deployment = deploy(manager, bars_per_s=5)
    [supervisor] = supervisors(workspace)
    supervisor.send_signal(signal.SIGKILL)
    supervisor.wait(timeout=10)
    assert not is_locked(lock_path(workspace))
    kill(deployment)
    manager.ensure_supervisor()
    reach_another_process(manager, deployment)
