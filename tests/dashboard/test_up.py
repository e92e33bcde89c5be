"""`algo-py up`: what it refuses, and that it ends with its server while deployments go on."""

from __future__ import annotations

import re
import signal
import socket
import subprocess
import sys
from pathlib import Path

import psutil
import pytest

from algo_py.cli.up import dashboard_command
from algo_py.deployment.processes import is_locked
from algo_py.deployment.supervisor import lock_path
from algo_py.settings import Workspace
from tests.dashboard.person import eventually
from tests.dashboard.servers import free_port, is_serving

_COMMAND = [sys.executable, "-m", "algo_py"]


def _start(*arguments: str) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [*_COMMAND, *arguments], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, start_new_session=True
    )


def _refusal(*arguments: str) -> tuple[int, str]:
    done = subprocess.run([*_COMMAND, *arguments], capture_output=True, text=True, timeout=60, check=False)
    return done.returncode, done.stderr.strip()


def test_a_folder_that_is_no_workspace_is_refused(tmp_path: Path) -> None:
    code, said = _refusal("up", "--workspace", str(tmp_path), "--port", str(free_port()))
    assert (code, said) == (3, f"error: {tmp_path} is not a workspace. Make one: algo-py init")
    assert list(tmp_path.iterdir()) == []


def test_a_port_that_is_in_use_is_refused(workspace: Workspace) -> None:
    with socket.socket() as other:
        other.bind(("127.0.0.1", 0))
        other.listen()
        port = other.getsockname()[1]
        code, said = _refusal("up", "--workspace", str(workspace.root), "--port", str(port))
    assert code == 3
    assert said == f"error: port {port} of 127.0.0.1 is in use. Choose another one: algo-py up --port {port + 1}"
    assert not is_locked(lock_path(workspace))


def test_an_address_of_another_machine_is_refused(workspace: Workspace) -> None:
    code, said = _refusal("up", "--workspace", str(workspace.root), "--host", "192.0.2.1", "--port", str(free_port()))
    assert code == 2
    assert "192.0.2.1 port" in said


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_it_serves_until_it_is_told_to_end_and_leaves_the_supervisor(workspace: Workspace, number: signal.Signals) -> None:
    port = free_port()
    process = _start("up", "--workspace", str(workspace.root), "--port", str(port))
    try:
        eventually(lambda: is_serving(port) or process.poll() is not None, "the dashboard answers", timeout_s=60)
        eventually(lambda: is_locked(lock_path(workspace)), "the supervisor runs")
        server = psutil.Process(process.pid).children()[0]
        process.send_signal(number)
        said, complained = process.communicate(timeout=30)
    finally:
        process.kill()
        process.wait(10)
    assert process.returncode == 0, complained
    assert re.search(rf"Algo\.Py of {re.escape(str(workspace.root))} is at http://127\.0\.0\.1:{port} ", said)
    assert "deployments keep running" in said
    assert not server.is_running()
    assert not is_serving(port)
    assert is_locked(lock_path(workspace))


def test_only_a_dashboard_for_this_machine_checks_the_name_that_it_is_called_by() -> None:
    local, open_to_all = dashboard_command("127.0.0.1", 1), dashboard_command("0.0.0.0", 1)
    assert local.count("--server.allowedHosts") == 2
    assert "--server.allowedHosts" not in open_to_all
