"""What calls a person in the lives of real deployments: each thing once, by the supervisor's sender; no secret is shown."""

from __future__ import annotations

import signal
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest

from algo_py.clock import SystemClock, monotonic_s
from algo_py.deployment import Deployment, DeploymentManager, DeploymentRequest
from algo_py.deployment.alert_sender import sender_lock
from algo_py.deployment.alerts import AlertKind
from algo_py.deployment.config import Replay
from algo_py.deployment.processes import is_locked
from algo_py.deployment.schedule import EveryInterval, OnBarClose
from algo_py.orders.risk import Limits
from algo_py.settings import Workspace
from tests.deployment.conftest import House, Save, furnish
from tests.deployment.postbox import SECRET, PostBox
from tests.deployment.test_lives import kill, kill_supervisor, reach, run_on
from tests.processes import NO_NETWORK, processes_of
from tests.venues.server import Fault, Reply

SUPERVISOR = "[supervisor]\nheartbeat_s = 0.2\nstalled_after_s = 3\nstop_grace_s = 3\nrestart_limit = 1\n"
STRATEGY = """
from pathlib import Path
import os
from algo_py.strategy import Bars, Signals, Strategy

class Own(Strategy):
    def run(self, bars: Bars) -> Signals:
        if 'supervisor' in Path('/proc/self/cmdline').read_text():
            {act}
        up = bars.close > bars.open
        return Signals(entries=up, exits=~up)
"""

# With a file `hold` in the workspace: takes the write lock and stops itself.
HOLD = """
            import signal, sqlite3
            root = Path(Path('/proc/self/cmdline').read_text().rstrip(chr(0)).split(chr(0))[-1])
            if (root / 'hold').exists():
                connection = sqlite3.connect(root / 'database' / 'algo.db', isolation_level=None)
                connection.execute('BEGIN IMMEDIATE')
                os.kill(os.getpid(), signal.SIGSTOP)
"""


pytestmark = pytest.mark.shared_workspace


@pytest.fixture(scope="module")
def post() -> Iterator[PostBox]:
    with PostBox() as post:
        yield post


@pytest.fixture(scope="module")
def house(tmp_path_factory: pytest.TempPathFactory, sample_folder: Path, post: PostBox) -> Iterator[House]:
    def make() -> Workspace:
        workspace = furnish(tmp_path_factory.mktemp("house"), sample_folder)
        configure(workspace, post)
        return workspace

    house = House(make)
    yield house
    end_sender(house.enter())
    house.tear_down()


def configure(workspace: Workspace, post: PostBox) -> None:
    workspace.settings_file.write_text(SUPERVISOR + NO_NETWORK)
    workspace.credentials_file.write_text(f"ALERT_URLS={post.address}\n")
    workspace.credentials_file.chmod(0o600)


def end_sender(workspace: Workspace) -> None:
    """Wait until the sender has ended, which must be before its workspace goes."""
    for process in processes_of(workspace):
        process.suspend()  # it would start another one
    deadline_s = monotonic_s() + 20
    while is_locked(sender_lock(workspace)) and monotonic_s() < deadline_s:
        SystemClock().sleep(0.05)


@pytest.fixture
def box(request: pytest.FixtureRequest, workspace: Workspace, manager: DeploymentManager, post: PostBox) -> Iterator[PostBox]:
    """Somebody who is told, and has been told nothing yet."""
    configure(workspace, post)
    post.forget()
    post.messages.clear()
    yield post
    if request.node.get_closest_marker("own_workspace"):
        end_sender(workspace)
    else:
        wait_for_sender(manager, timeout_s=5)  # nothing of this test is told in the next


def own_strategy(workspace: Workspace, save: Save, act: str) -> None:
    workspace.strategies.mkdir()
    (workspace.strategies / "own.py").write_text(STRATEGY.format(act=act))
    save(strategy="own", params={})


def replay(manager: DeploymentManager, *, limits: Limits | None = None, bars_per_s: float | None = None) -> Deployment:
    clock = Replay(bars_per_s=bars_per_s)
    request = DeploymentRequest(backtest="saved", schedule=OnBarClose(), clock=clock, name="try", limits=limits or Limits())
    return manager.deploy(request)


def kinds(manager: DeploymentManager) -> list[AlertKind]:
    return [alert.kind for alert in reversed(manager.alerts())]


def settle(manager: DeploymentManager, *, timeout_s: float = 30) -> None:
    """Wait until nothing waits to be sent: all is."""
    wait_for_sender(manager, timeout_s=timeout_s)
    assert {alert.state for alert in manager.alerts()} == {"sent"}


def wait_for_sender(manager: DeploymentManager, *, timeout_s: float) -> None:
    deadline_s = monotonic_s() + timeout_s
    while any(alert.state == "waiting" for alert in manager.alerts()) and monotonic_s() < deadline_s:
        SystemClock().sleep(0.1)


def test_a_crash_loop_calls_once_and_the_address_is_seen_nowhere(
    workspace: Workspace, manager: DeploymentManager, save: Save, box: PostBox
) -> None:
    own_strategy(workspace, save, "os._exit(3)")
    deployment = replay(manager)
    seen: list[str] = []
    deadline_s = monotonic_s() + 60
    while not box.messages and monotonic_s() < deadline_s:
        seen += visible(workspace)
    told = box.wait_for("try: given up")
    assert told.body.startswith("crashed 2 times within 600 s; last: its process ended with exit code 3")
    assert f"algo-py restart {deployment.id}" in told.body
    kill_supervisor(workspace, manager)
    manager.ensure_supervisor()
    SystemClock().sleep(4)
    assert (len(box.messages), kinds(manager)) == (1, [AlertKind.CRASH_LOOP])

    assert any("alert_sender" in text for text in seen), "the sender was never looked at: it proves nothing"
    assert [text for text in seen if SECRET in text] == []
    written = [path for path in workspace.root.rglob("*") if path.is_file() and path != workspace.credentials_file]
    assert {"algo.db", "supervisor.log"} <= {path.name for path in written}
    assert [path for path in written if SECRET.encode() in path.read_bytes()] == []


def visible(workspace: Workspace) -> list[str]:
    """Return command line and environment of every process of the workspace."""
    found = []
    for process in psutil.process_iter():
        try:
            command = process.cmdline()
            if str(workspace.root) in command:
                found.append("\n".join([*command, *process.environ().values()]))
        except psutil.Error:
            continue
    return found


def test_a_halt_by_a_limit_calls_once_and_one_by_a_person_never(
    workspace: Workspace, manager: DeploymentManager, save: Save, box: PostBox
) -> None:
    save(fees=0.01, size=0.5)
    deployment = replay(manager, limits=Limits(max_drawdown_fraction=0.05))
    told = box.wait_for("try: halted")
    assert "drawdown" in told.body
    assert f"algo-py resume {deployment.id}" in told.body
    reach(manager, deployment, "finished", timeout_s=60)
    manager.resume(deployment.id)
    manager.halt(deployment.id, reason="on holiday")
    SystemClock().sleep(3)
    settle(manager)
    assert box.titles == ["Algo.Py: try: halted"]
    assert kinds(manager) == [AlertKind.HALTED]


def test_a_deployment_that_does_not_answer_calls_once(manager: DeploymentManager, save: Save, box: PostBox) -> None:
    save()
    deployment = run_on(manager, replay(manager, bars_per_s=20), 3)
    kill(deployment, signal.SIGSTOP)
    assert "no heartbeat since" in box.wait_for("try: stalled").body
    manager.wait_until(deployment.id, lambda d: d.status == "running" and d.pid != deployment.pid, timeout_s=30)
    settle(manager)
    assert kinds(manager) == [AlertKind.STALLED]


def test_one_that_is_stopped_while_it_holds_the_database_keeps_nobody_from_ending_it(
    workspace: Workspace, manager: DeploymentManager, save: Save, box: PostBox
) -> None:
    """The alert waits, since nobody can write; the process is killed all the same, and does not wait for the alert."""
    own_strategy(workspace, save, HOLD)
    deployment = run_on(manager, replay(manager, bars_per_s=20), 3)
    (workspace.root / "hold").touch()
    stalled = manager.wait_until(deployment.id, lambda d: d.status == "stalled", timeout_s=30)
    assert stalled.status == "stalled"
    (workspace.root / "hold").unlink()
    manager.wait_until(deployment.id, lambda d: d.pid not in (None, deployment.pid), timeout_s=12)
    assert manager.show(deployment.id).pid != deployment.pid


def test_the_first_failure_of_a_row_calls(workspace: Workspace, manager: DeploymentManager, save: Save, box: PostBox) -> None:
    own_strategy(workspace, save, "if len(bars.index) < 50 or 100 < len(bars.index) < 150: raise RuntimeError('not in the mood')")
    deployment = replay(manager)
    reach(manager, deployment, "finished", timeout_s=60)
    assert [run.outcome for run in manager.runs(deployment.id, last=1000)].count("failed") > 90
    settle(manager)
    assert kinds(manager) == [AlertKind.RUN_FAILED] * 2
    assert "RuntimeError: not in the mood" in box.wait_for("try: a run failed").body


def test_a_row_of_failures_calls_once_though_its_process_dies(
    workspace: Workspace, manager: DeploymentManager, save: Save, box: PostBox
) -> None:
    own_strategy(workspace, save, "raise RuntimeError('never')")
    deployment = run_on(manager, replay(manager, bars_per_s=20), 10)
    kill(deployment)
    manager.wait_until(deployment.id, lambda d: d.status == "failing" and d.pid != deployment.pid, timeout_s=30)
    run_on(manager, deployment, 10)
    manager.stop(deployment.id, close_positions=False)
    reach(manager, deployment, "stopped")
    settle(manager)
    assert kinds(manager) == [AlertKind.RUN_FAILED]


def test_a_deployment_that_cannot_go_on_calls(workspace: Workspace, manager: DeploymentManager, save: Save, box: PostBox) -> None:
    save()
    deployment = reach(manager, replay(manager, bars_per_s=20), "running")
    manager.stop(deployment.id, close_positions=False)
    reach(manager, deployment, "stopped")
    for file in (workspace.deployments / deployment.id / "strategy").rglob("*.py"):
        file.write_text("not python")
    manager.restart(deployment.id)
    reach(manager, deployment, "error")
    assert box.wait_for("try: ended with an error").body.startswith(manager.show(deployment.id).reason)
    assert kinds(manager) == [AlertKind.ERROR]


def test_missed_runs_call_once_for_a_row_of_them(manager: DeploymentManager, save: Save, box: PostBox) -> None:
    save()
    deployment = manager.deploy(DeploymentRequest(backtest="saved", schedule=EveryInterval(every_s=1), name="try"))
    deployment = run_on(manager, deployment, 2)
    for _ in range(2):
        kill(deployment, signal.SIGSTOP)
        SystemClock().sleep(2.5)  # not long enough to be taken for stalled
        kill(deployment, signal.SIGCONT)
        run_on(manager, deployment, 2)
    settle(manager)
    assert set(kinds(manager)) == {AlertKind.MISSED_RUNS, AlertKind.NO_DATA}  # the sample's bars are old
    assert kinds(manager).count(AlertKind.MISSED_RUNS) <= 2
    assert kinds(manager).count(AlertKind.NO_DATA) == 1
    assert " since " in box.wait_for("try: runs were missed").body


@pytest.mark.own_workspace
def test_what_happened_during_an_outage_arrives_later_though_everything_has_stopped(
    workspace: Workspace, manager: DeploymentManager, save: Save, box: PostBox
) -> None:
    workspace.settings_file.write_text(SUPERVISOR + "idle_exit_s = 2\n" + NO_NETWORK + "[alerts]\nretry_after_s = 4\n")
    box.fail(Fault(reply=Reply(status=500)), times=1)
    own_strategy(workspace, save, "assert len(bars.index) <= 100, 'no more'")
    deployment = replay(manager)
    reach(manager, deployment, "finished", timeout_s=60)
    assert box.wait_for("try: a run failed", timeout_s=60)
    settle(manager)
    assert [alert.attempts for alert in manager.alerts()] == [2]


@pytest.mark.own_workspace
def test_the_summary_comes_once_a_day(workspace: Workspace, manager: DeploymentManager, save: Save, box: PostBox) -> None:
    save()
    finished = reach(manager, replay(manager), "finished", timeout_s=60)
    workspace.settings_file.write_text(SUPERVISOR + NO_NETWORK + '[alerts]\ndaily_summary_at = "00:00"\n')
    told = box.wait_for("summary")  # a change of the settings is seen within ten seconds
    assert told.title.endswith(": 1 deployment, 0 running")
    equity = finished.row.equity
    assert equity is not None
    filled = sum(order.status == "FILLED" for order in manager.orders(finished.id))
    assert told.body.startswith(
        f"try: finished ({finished.reason}). Since its start: {finished.row.runs} runs; equity {equity:,.2f} "
    )
    assert f"({equity - 10_000:+,.2f}); orders " in told.body
    assert f"{filled} FILLED. Missed runs in all: 0. Holds " in told.body
    kill_supervisor(workspace, manager)
    manager.ensure_supervisor()
    SystemClock().sleep(4)
    assert (len(box.messages), kinds(manager)) == (1, [AlertKind.SUMMARY])
