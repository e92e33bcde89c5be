"""Processes whose every word meets a full disk: they go on caring, or end, as they would have with words."""

from __future__ import annotations

import os
import sqlite3
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

from algo_py.clock import SystemClock, monotonic_s
from algo_py.deployment import DeploymentManager
from algo_py.deployment.processes import is_locked
from algo_py.deployment.supervisor import lock_path
from algo_py.settings import Workspace
from tests.deployment.conftest import Save
from tests.deployment.test_lives import deploy, reach
from tests.processes import processes_of

FULL = Path("/dev/full")


def _buffered() -> dict[str, str]:
    """Return an environment in which Python keeps what it could not write, as usual, and tries again when it flushes."""
    return {name: value for name, value in os.environ.items() if name != "PYTHONUNBUFFERED"}


def _within(seconds: float, reached: Callable[[], bool]) -> bool:
    deadline_s = monotonic_s() + seconds
    while not reached() and monotonic_s() < deadline_s:
        SystemClock().sleep(0.05)
    return reached()


def test_a_supervisor_that_cannot_complain_goes_on_caring(workspace: Workspace, manager: DeploymentManager, save: Save) -> None:
    save()
    command = [sys.executable, "-m", "algo_py.deployment.supervisor", str(workspace.root)]
    with FULL.open("wb") as full:
        supervisor = subprocess.Popen(command, env=_buffered(), stderr=full)
    try:
        assert _within(20, lambda: is_locked(lock_path(workspace)))
        deployment = deploy(manager, bars_per_s=5)
        with sqlite3.connect(workspace.database_file, timeout=20) as database:
            database.execute("ALTER TABLE halts RENAME TO elsewhere")  # alerts cannot be looked after
        SystemClock().sleep(2.5)
        with sqlite3.connect(workspace.database_file, timeout=20) as database:
            database.execute("ALTER TABLE deployments RENAME TO nowhere")  # and nothing else can
        assert not _within(3, lambda: supervisor.poll() is not None)
        with sqlite3.connect(workspace.database_file, timeout=20) as database:
            database.execute("ALTER TABLE nowhere RENAME TO deployments")
            database.execute("ALTER TABLE elsewhere RENAME TO halts")
        manager.stop(deployment.id, close_positions=False)
        reach(manager, deployment, "stopped")
        assert supervisor.poll() is None
    finally:
        supervisor.kill()
        supervisor.wait()


def test_a_deployment_without_a_last_word_ends_and_never_becomes_a_second_fork_server(
    workspace: Workspace, manager: DeploymentManager
) -> None:
    folder = workspace.deployments / "unknown"
    folder.mkdir(parents=True)
    (folder / "crash.log").symlink_to(FULL)

    code = (
        "import os, sys; from pathlib import Path\n"
        "from algo_py.clock import SystemClock\n"
        "from algo_py.deployment.launcher import ForkServerLauncher\n"
        "from algo_py.settings import Workspace\n"
        "workspace, codes = Workspace(Path(sys.argv[1])), {}\n"
        "launcher = ForkServerLauncher(workspace.root)\n"
        "while launcher.start('unknown') is None:\n"
        "    launcher.ended()\n"
        "    SystemClock().sleep(0.05)\n"
        "while not codes:\n"
        "    codes = launcher.ended()\n"
        "    SystemClock().sleep(0.05)\n"
        "print(codes)\n"
        "launcher.close()"
    )
    command = [sys.executable, "-c", code, str(workspace.root)]
    done = subprocess.run(command, env=_buffered(), capture_output=True, text=True, timeout=30, check=True)
    assert done.stdout == "{'unknown': 1}\n"
    assert processes_of(workspace) == []
