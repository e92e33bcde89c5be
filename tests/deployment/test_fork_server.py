"""Who has what: the supervisor, its fork server, and deployments, each with its own locks, whoever of them dies."""

from __future__ import annotations

import os
import random
import signal
import sqlite3
import subprocess
import sys
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

import psutil
import pytest

from algo_py.backtest import Snapshot
from algo_py.clock import SystemClock, monotonic_s
from algo_py.deployment import DeploymentManager
from algo_py.deployment.processes import is_locked
from algo_py.deployment.supervisor import lock_path
from algo_py.settings import Workspace
from tests.deployment.conftest import Save
from tests.deployment.strategies import write_strategy
from tests.deployment.test_lives import deploy, kill, reach, reach_another_process, run_on
from tests.deployment.test_replay import assert_equal
from tests.processes import deployment_processes, fork_servers, open_files, posix_locks, processes_of, supervisors

pytestmark = pytest.mark.shared_workspace

# Every way of ending a process; on ordinary days the two that differ most, all of them where deaths are counted (`make crash`).
SIGNALS = (
    (signal.SIGTERM, signal.SIGINT, signal.SIGKILL) if "ALGO_PY_CRASH_SEEDS" in os.environ else (signal.SIGTERM, signal.SIGKILL)
)
DATABASE = ("algo.db", "algo.db-wal", "algo.db-shm")
SHARED = "import random\nimport numpy as np\n"


@pytest.fixture
def saved(save: Save) -> Snapshot:
    return save()


def within(seconds: float, reached: Callable[[], object]) -> bool:
    deadline_s = monotonic_s() + seconds
    while not reached() and monotonic_s() < deadline_s:
        SystemClock().sleep(0.05)
    return bool(reached())


def send(process: psutil.Process, number: signal.Signals) -> None:
    """Send a signal and wait for the end."""
    process.send_signal(number)
    assert within(10, lambda: not process.is_running() or process.status() == psutil.STATUS_ZOMBIE)


def open_and_close(workspace: Workspace) -> int:
    """Be a command: open the database in a process of its own, count the orders, close it."""
    code = (
        "import sqlite3, sys\n"
        "connection = sqlite3.connect(sys.argv[1])\n"
        "print(connection.execute('SELECT count(*) FROM orders').fetchone()[0])\n"
        "connection.close()"
    )
    command = [sys.executable, "-c", code, str(workspace.database_file)]
    return int(subprocess.run(command, capture_output=True, check=True, text=True).stdout)


def venue_and_journal(workspace: Workspace, deployment_id: str) -> tuple[set[str], set[str]]:
    """Return the orders that the paper venue has taken, and those that the journal has, read from outside."""
    with closing(sqlite3.connect(workspace.database_file)) as connection:
        taken = connection.execute("SELECT client_order_id FROM paper_orders WHERE account = ?", (deployment_id,)).fetchall()
        meant = connection.execute("SELECT client_order_id FROM orders WHERE deployment_id = ?", (deployment_id,)).fetchall()
    return {row[0] for row in taken}, {row[0] for row in meant}


def files_of(workspace: Workspace) -> list[int]:
    return [(workspace.root / "database" / name).stat().st_ino for name in DATABASE]


@pytest.mark.parametrize("number", SIGNALS)
def test_a_deployment_holds_its_own_locks_and_loses_nothing_when_its_supervisor_ends(
    workspace: Workspace, manager: DeploymentManager, saved: Snapshot, number: signal.Signals
) -> None:
    deployment = run_on(manager, deploy(manager, bars_per_s=60), 20)
    pid, files = deployment.pid, files_of(workspace)
    assert pid is not None
    manager._database.close()  # this process must not be what keeps the files alive

    def holds_its_locks() -> bool:
        held = [posix_locks(pid, workspace.root / "database" / name) for name in ("algo.db", "algo.db-shm")]
        return held[0] == ["READ"] and "READ" in held[1]

    assert within(5, holds_its_locks)
    [supervisor] = supervisors(workspace)
    send(supervisor, number)
    assert within(5, lambda: not fork_servers(workspace)), "the fork server outlives its supervisor"
    before = open_and_close(workspace)
    for _ in range(20):
        after = open_and_close(workspace)
        assert files_of(workspace) == files, "the journal was deleted under the living deployment"
        SystemClock().sleep(0.1)
        if after > before + 2:
            break
    assert after > before, "what it writes is seen by nobody"
    assert within(5, holds_its_locks)
    assert psutil.pid_exists(pid)
    assert is_locked(workspace.deployments / deployment.id / "lock")

    os.kill(pid, signal.SIGKILL)
    manager.ensure_supervisor()
    ended = reach(manager, deployment, "finished", timeout_s=60)
    assert_equal(manager, ended, saved)
    taken, meant = venue_and_journal(workspace, deployment.id)
    assert len(taken) > 10
    assert taken <= meant


@pytest.mark.parametrize("number", SIGNALS)
def test_when_the_fork_server_dies_deployments_go_on_and_another_one_forks(
    workspace: Workspace, manager: DeploymentManager, saved: Snapshot, number: signal.Signals
) -> None:
    deployment = deploy(manager, bars_per_s=60)
    [supervisor], [server] = supervisors(workspace), fork_servers(workspace)
    send(server, number)
    after = run_on(manager, deployment, 10)
    assert after.pid == deployment.pid
    assert within(10, lambda: [one for one in fork_servers(workspace) if one.pid != server.pid])
    assert supervisors(workspace) == [supervisor]

    kill(after)  # nobody is its parent any more: its lock tells
    reach_another_process(manager, after)
    [second] = fork_servers(workspace)
    assert psutil.Process(manager.show(deployment.id).pid).ppid() == second.pid
    assert_equal(manager, reach(manager, deployment, "finished", timeout_s=60), saved)


def test_a_fork_server_that_does_not_answer_is_replaced(
    workspace: Workspace, manager: DeploymentManager, saved: Snapshot
) -> None:
    deployment = deploy(manager, bars_per_s=20)
    [server] = fork_servers(workspace)
    server.suspend()
    other = deploy(manager, bars_per_s=20, name="other")
    assert within(5, lambda: not server.is_running())
    assert manager.show(deployment.id).pid == deployment.pid
    [second] = fork_servers(workspace)
    assert psutil.Process(other.pid).ppid() == second.pid


@pytest.mark.parametrize("number", [signal.SIGTERM])
def test_a_signal_to_the_supervisors_whole_group_leaves_deployments_alone(
    workspace: Workspace, manager: DeploymentManager, saved: Snapshot, number: signal.Signals
) -> None:
    deployment = deploy(manager, bars_per_s=20)
    [supervisor] = supervisors(workspace)
    group = os.getpgid(supervisor.pid)
    assert group != os.getpgrp()
    os.killpg(group, number)
    assert within(5, lambda: processes_of(workspace) == deployment_processes(workspace))
    after = run_on(manager, deployment, 5)
    assert after.pid == deployment.pid


def test_nothing_that_is_open_is_handed_on(workspace: Workspace, manager: DeploymentManager, saved: Snapshot) -> None:
    deployment, second = deploy(manager, bars_per_s=5), deploy(manager, bars_per_s=5, name="second")
    [supervisor], [server] = supervisors(workspace), fork_servers(workspace)

    opened = open_files(server.pid)
    assert opened[0] == "/dev/null"
    assert {opened[1], opened[2]} == {str(lock_path(workspace).with_suffix(".log"))}
    others = [name for number, name in opened.items() if number > 2]
    assert len(others) == 3, others
    assert all(name.startswith("socket:") for name in others), others
    assert not any(posix_locks(server.pid, workspace.root / "database" / name) for name in DATABASE)

    for one, other in ((deployment, second), (second, deployment)):
        assert one.pid is not None
        names = list(open_files(one.pid).values())
        assert not any(name.startswith(("socket:", "pipe:")) for name in names), names
        assert str(lock_path(workspace)) not in names
        assert not any(other.id in name for name in names), names
        assert len([name for name in names if name.endswith("/crash.log")]) == 1
        assert str(workspace.deployments / one.id / "lock") in names
        assert str(workspace.database_file) in names
    assert str(lock_path(workspace)) in open_files(supervisor.pid).values()


def test_the_supervisor_loads_no_more_than_it_needs(workspace: Workspace, manager: DeploymentManager, saved: Snapshot) -> None:
    deploy(manager, bars_per_s=5)
    [supervisor], [server] = supervisors(workspace), fork_servers(workspace)
    heavy = ("/pandas/", "/numpy/", "/llvmlite/", "/pyarrow/")
    mapped = {process.pid: Path(f"/proc/{process.pid}/maps").read_text() for process in (supervisor, server)}
    assert [name for name in heavy if name in mapped[supervisor.pid]] == []
    assert [name for name in heavy if name in mapped[server.pid]] == list(heavy)


def test_deployments_do_not_share_their_random_numbers(workspace: Workspace, manager: DeploymentManager, save: Save) -> None:
    body = (
        "        print(random.random(), np.random.random())\n"
        "        return Signals(entries=bars.close < 0, exits=bars.close < 0)\n"
    )
    write_strategy(workspace, "dice", body, imports=SHARED)
    save(strategy="dice", params={})

    def thrown(name: str) -> list[str]:
        deployment = run_on(manager, deploy(manager, bars_per_s=20, name=name), 3)
        prints = [entry["message"] for entry in manager.logs(deployment.id, last=1000) if entry["event"] == "strategy.print"]
        return str(prints[0]).split()

    first, second = thrown("first"), thrown("second")
    assert len(first) == len(second) == 2
    assert [a == b for a, b in zip(first, second, strict=True)] == [False, False]
    assert random.random() != random.random()


def test_what_a_strategy_forks_holds_neither_the_deployment_nor_its_journal(
    workspace: Workspace, manager: DeploymentManager, save: Save
) -> None:
    body = (
        "        mark = Path(__file__).parents[1] / 'forked'\n"
        "        if 'algo_py.deployment.fork_server' in Path('/proc/self/cmdline').read_text() and not mark.exists():\n"
        "            pid = os.fork()\n"
        "            if pid == 0:\n"
        "                time.sleep(120)\n"
        "                os._exit(0)\n"
        "            mark.write_text(str(pid))\n"
        "        return Signals(entries=bars.close > bars.open, exits=bars.close < bars.open)\n"
    )
    write_strategy(workspace, "forking", body, imports="import os\nimport time\nfrom pathlib import Path\n")
    save(strategy="forking", params={})
    deployment = run_on(manager, deploy(manager, bars_per_s=20), 3)
    [mark] = (workspace.deployments / deployment.id).rglob("forked")
    child = psutil.Process(int(mark.read_text()))
    try:
        assert str(workspace.deployments / deployment.id / "lock") not in open_files(child.pid).values()
        assert posix_locks(child.pid, workspace.database_file) == []
        assert deployment.pid is not None
        kill(deployment)
        reach_another_process(manager, deployment)
        assert child.is_running()
        run_on(manager, deployment, 3)
    finally:
        child.kill()


def put_back(workspace: Workspace) -> None:
    """Be a person who restores a backup while everything runs."""
    backup = workspace.root / "database" / "backup.db"
    with closing(sqlite3.connect(workspace.database_file)) as source, closing(sqlite3.connect(backup)) as copy:
        source.backup(copy)
    for name in DATABASE[1:]:
        (workspace.root / "database" / name).unlink(missing_ok=True)
    backup.replace(workspace.database_file)


def lose_log(workspace: Workspace) -> None:
    """Delete the write-ahead log, as another process does that believes to be the last."""
    with closing(sqlite3.connect(workspace.database_file)) as connection:
        connection.execute("PRAGMA wal_checkpoint(FULL)").fetchall()
    for name in DATABASE[1:]:
        (workspace.root / "database" / name).unlink(missing_ok=True)


@pytest.mark.own_workspace
@pytest.mark.parametrize("harm", [put_back, lose_log])
def test_who_works_on_a_database_that_is_no_longer_there_stops_says_so_and_starts_again(
    workspace: Workspace, manager: DeploymentManager, saved: Snapshot, harm: Callable[[Workspace], None]
) -> None:
    deployment = run_on(manager, deploy(manager, bars_per_s=40), 20)
    [supervisor], [server] = supervisors(workspace), fork_servers(workspace)
    manager._database.close()
    harm(workspace)
    assert deployment.pid is not None
    assert within(5, lambda: deployment.pid not in psutil.pids())
    again = DeploymentManager(workspace)
    after = run_on(again, deployment, 5)
    assert after.pid != deployment.pid
    crashed = [entry for entry in again.logs(deployment.id, last=1000) if entry["event"] == "deployment.crashed"]
    assert [("was replaced, moved or deleted" in entry["reason"]) for entry in crashed] == [True]
    assert "was replaced, moved or deleted" in lock_path(workspace).with_suffix(".log").read_text()
    assert within(10, lambda: len(fork_servers(workspace)) == 1 and fork_servers(workspace) != [server])
    assert supervisors(workspace) == [supervisor], "the supervisor's place was free for a while"
    assert after.pid is not None
    for pid in (supervisor.pid, after.pid):
        assert posix_locks(pid, workspace.database_file), "one of them still has the old file"
    assert_equal(again, reach(again, deployment, "finished", timeout_s=60), saved)
