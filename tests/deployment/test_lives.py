"""Deployments and the deaths around them: of the worker, of the supervisor, of both; stops, hangs, crash loops."""

from __future__ import annotations

import os
import signal
from collections.abc import Callable

import psutil
import pytest

from algo_py.backtest import Snapshot
from algo_py.deployment import Deployment, DeploymentManager, DeploymentRequest
from algo_py.deployment.config import Replay
from algo_py.deployment.processes import is_same_process
from algo_py.deployment.schedule import OnBarClose
from algo_py.settings import Workspace
from tests.deployment.conftest import Save
from tests.deployment.test_replay import assert_equal
from tests.processes import supervisors

pytestmark = pytest.mark.shared_workspace


def deploy(manager: DeploymentManager, *, bars_per_s: float | None = 40.0, name: str | None = None) -> Deployment:
    request = DeploymentRequest(backtest="saved", schedule=OnBarClose(), clock=Replay(bars_per_s=bars_per_s), name=name)
    return reach(manager, manager.deploy(request), "running")


def reach(manager: DeploymentManager, deployment: Deployment, status: str, *, timeout_s: float = 30) -> Deployment:
    found = manager.wait_until(deployment.id, lambda d: d.status == status, timeout_s=timeout_s)
    assert found.status == status, (found.status, found.reason, manager.logs(deployment.id, last=5))
    return found


def reach_another_process(manager: DeploymentManager, dead: Deployment) -> None:
    found = manager.wait_until(dead.id, lambda d: d.status == "running" and d.pid != dead.pid, timeout_s=30)
    assert (found.status, found.pid != dead.pid) == ("running", True), found.reason


def run_on(manager: DeploymentManager, deployment: Deployment, runs: int) -> Deployment:
    """Wait until the deployment has made that many more runs."""
    goal = manager.show(deployment.id).row.runs + runs
    found = manager.wait_until(deployment.id, lambda d: d.row.runs >= goal, timeout_s=30)
    assert found.row.runs >= goal, (found.status, found.reason)
    return found


def kill(deployment: Deployment, number: signal.Signals = signal.SIGKILL) -> None:
    assert deployment.pid is not None
    os.kill(deployment.pid, number)


def kill_supervisor(workspace: Workspace, manager: DeploymentManager) -> None:
    workers = {deployment.pid for deployment in manager.list()}
    [supervisor] = [process for process in supervisors(workspace) if process.pid not in workers]
    supervisor.kill()
    psutil.wait_procs([supervisor], timeout=10)


@pytest.fixture
def saved(save: Save) -> Snapshot:
    return save()


@pytest.fixture
def until_the_end(manager: DeploymentManager, saved: Snapshot) -> Callable[[Deployment], None]:
    """Wait for the end of a replay and hold it against the backtest: what happened on the way must not show."""

    def check(deployment: Deployment) -> None:
        assert_equal(manager, reach(manager, deployment, "finished", timeout_s=60), saved)

    return check


def test_it_runs_in_a_process_of_its_own_that_nobody_here_is_the_parent_of(manager: DeploymentManager, saved: Snapshot) -> None:
    deployment = deploy(manager)
    assert deployment.pid is not None
    ancestors = {process.pid for process in psutil.Process(deployment.pid).parents()}
    assert os.getpid() not in ancestors
    assert deployment.row.heartbeat_at is not None


def test_a_killed_worker_is_restarted_and_goes_on_where_it_was(
    manager: DeploymentManager, saved: Snapshot, until_the_end: Callable[[Deployment], None]
) -> None:
    deployment = deploy(manager, bars_per_s=100)
    for _ in range(3):
        deployment = run_on(manager, deployment, 40)
        kill(deployment)
        reach_another_process(manager, deployment)
    until_the_end(deployment)


def test_a_killed_supervisor_leaves_the_deployment_trading_and_its_successor_adopts_it(
    workspace: Workspace, manager: DeploymentManager, saved: Snapshot
) -> None:
    deployment = deploy(manager)
    kill_supervisor(workspace, manager)
    deployment = run_on(manager, deployment, 10)
    manager.ensure_supervisor()
    after = run_on(manager, deployment, 10)
    assert after.pid == deployment.pid, "the successor started it a second time"
    manager.stop(deployment.id, close_positions=False)
    reach(manager, deployment, "stopped")


def test_after_the_death_of_everything_a_new_supervisor_brings_back_what_should_run(
    workspace: Workspace,
    manager: DeploymentManager,
    saved: Snapshot,
    until_the_end: Callable[[Deployment], None],
) -> None:
    wanted, unwanted = deploy(manager, bars_per_s=100, name="wanted"), deploy(manager, name="unwanted")
    manager.stop(unwanted.id, close_positions=False)
    reach(manager, unwanted, "stopped")
    run_on(manager, wanted, 20)
    kill_supervisor(workspace, manager)
    kill(manager.show(wanted.id))
    reach(manager, wanted, "restarting")
    manager.ensure_supervisor()
    until_the_end(wanted)
    assert manager.show(unwanted.id).status == "stopped"


def test_stopping_ends_the_process_and_keeps_what_it_did(manager: DeploymentManager, saved: Snapshot) -> None:
    deployment = run_on(manager, deploy(manager), 60)
    pid, born = deployment.row.pid, deployment.row.pid_created_s
    manager.stop(deployment.id, close_positions=False)
    stopped = reach(manager, deployment, "stopped")
    assert stopped.pid is None
    assert stopped.reason.startswith("stopped by request")
    assert not is_same_process(pid, born)
    assert manager.orders(deployment.id)
    events = [entry["event"] for entry in manager.logs(deployment.id)]
    assert events[-1] == "deployment.ended"


def test_a_stopped_deployment_can_be_restarted_and_finishes_as_if_never_stopped(
    manager: DeploymentManager, saved: Snapshot, until_the_end: Callable[[Deployment], None]
) -> None:
    deployment = run_on(manager, deploy(manager, bars_per_s=100), 50)
    manager.stop(deployment.id, close_positions=False)
    reach(manager, deployment, "stopped")
    manager.restart(deployment.id)
    until_the_end(deployment)


def test_a_hanging_worker_is_shown_as_stalled_and_can_still_be_stopped(manager: DeploymentManager, saved: Snapshot) -> None:
    deployment = deploy(manager)
    kill(deployment, signal.SIGSTOP)
    stalled = reach(manager, deployment, "stalled")
    assert stalled.reason.startswith("no heartbeat for")
    manager.stop(deployment.id, close_positions=False)
    reach(manager, deployment, "stopped")


def test_a_worker_that_somebody_suspends_for_long_is_killed_and_goes_on(
    manager: DeploymentManager, saved: Snapshot, until_the_end: Callable[[Deployment], None]
) -> None:
    """It may hold the database's write lock; left as it is, it would block everybody."""
    deployment = run_on(manager, deploy(manager, bars_per_s=100), 20)
    kill(deployment, signal.SIGSTOP)
    reach_another_process(manager, deployment)
    until_the_end(deployment)


@pytest.mark.own_workspace
def test_a_deployment_that_keeps_crashing_is_given_up_with_the_reason(
    workspace: Workspace, manager: DeploymentManager, save: Save
) -> None:
    workspace.settings_file.write_text("[supervisor]\nrestart_limit = 1\n")
    workspace.strategies.mkdir()
    (workspace.strategies / "deadly.py").write_text(
        "import os\nfrom pathlib import Path\n"
        "from algo_py.strategy import Bars, Signals, Strategy\n"
        "class Deadly(Strategy):\n"
        "    def run(self, bars: Bars) -> Signals:\n"
        "        if 'supervisor' in Path('/proc/self/cmdline').read_text():\n"
        "            os._exit(3)\n"
        "        up = bars.close > bars.open\n"
        "        return Signals(entries=up, exits=~up)\n"
    )
    save(strategy="deadly", params={})
    deployment = manager.deploy(DeploymentRequest(backtest="saved", schedule=OnBarClose(), clock=Replay(bars_per_s=None)))
    given_up = reach(manager, deployment, "error")
    assert "crashed 2 times" in given_up.reason
    assert "exit code 3" in given_up.reason


def test_an_error_in_the_strategy_ends_the_run_and_not_the_process(
    workspace: Workspace, manager: DeploymentManager, save: Save
) -> None:
    workspace.strategies.mkdir()
    (workspace.strategies / "moody.py").write_text(
        "from algo_py.strategy import Bars, Signals, Strategy\n"
        "class Moody(Strategy):\n"
        "    def run(self, bars: Bars) -> Signals:\n"
        "        print('looking at', len(bars.index), 'bars')\n"
        "        if len(bars.index) < 100:\n"
        "            raise RuntimeError('not in the mood')\n"
        "        up = bars.close > bars.open\n"
        "        return Signals(entries=up, exits=~up)\n"
    )
    save(strategy="moody", params={})
    deployment = manager.deploy(DeploymentRequest(backtest="saved", schedule=OnBarClose(), clock=Replay(bars_per_s=None)))
    reach(manager, deployment, "finished", timeout_s=60)
    outcomes = [run.outcome for run in manager.runs(deployment.id, last=1000)]
    assert outcomes[:99] == ["failed"] * 99
    assert set(outcomes[99:-1]) == {"ok"}
    log = manager.logs(deployment.id, last=10_000)
    failed = next(entry for entry in log if entry["event"] == "run.failed")
    assert failed["reason"] == "moody failed in moody.py line 6: RuntimeError: not in the mood"
    assert any(entry["event"] == "strategy.print" and entry["message"] == "looking at 1 bars" for entry in log)
