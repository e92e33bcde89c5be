"""The systemd unit: what it says, and that the command in it does what it is for."""

from __future__ import annotations

import shlex
import shutil
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from algo_py.cli.app import run
from algo_py.cli.service import unit_path, unit_text
from algo_py.clock import SystemClock, monotonic_s
from algo_py.deployment.processes import is_locked
from algo_py.deployment.supervisor import lock_path
from algo_py.settings import Workspace
from tests.processes import NO_NETWORK, stop_everything


@pytest.fixture
def workspace(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Workspace]:
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "home"))
    workspace = Workspace(tmp_path / "my workspace 100%")
    workspace.settings_file.parent.mkdir(parents=True)
    workspace.settings_file.write_text("[supervisor]\nidle_exit_s = 0.2\n" + NO_NETWORK)
    yield workspace
    stop_everything(workspace)


def command_of(text: str) -> list[str]:
    """Read ExecStart back, with systemd's doubled percent signs taken as it takes them."""
    [line] = [line for line in text.splitlines() if line.startswith("ExecStart=")]
    return [part.replace("%%", "%") for part in shlex.split(line.removeprefix("ExecStart="))]


def until(reached: bool, workspace: Workspace) -> None:
    deadline_s = monotonic_s() + 30
    while is_locked(lock_path(workspace)) is not reached:
        assert monotonic_s() < deadline_s
        SystemClock().sleep(0.05)


def test_installing_writes_a_unit_of_this_workspace_and_uninstalling_removes_it(
    workspace: Workspace, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(["--workspace", str(workspace.root), "service", "install"]) == 0
    path = unit_path(workspace)
    assert path.name.startswith("algo-py-my-workspace-100-")
    assert f"systemctl --user enable --now {path.name}" in capsys.readouterr().out
    assert command_of(path.read_text())[1:] == ["-m", "algo_py.deployment.supervisor", "--stay", str(workspace.root)]
    assert unit_path(Workspace(workspace.root.parent / "other")) != path
    assert run(["--workspace", str(workspace.root), "service", "uninstall"]) == 0
    assert not path.exists()
    assert run(["--workspace", str(workspace.root), "service", "uninstall"]) == 4


def test_a_folder_that_is_no_workspace_is_refused(tmp_path: Path) -> None:
    assert run(["--workspace", str(tmp_path), "service", "install"]) == 3


def test_its_command_waits_for_another_supervisor_and_then_stays_although_nothing_should_run(workspace: Workspace) -> None:
    (workspace.root / "database").mkdir(parents=True)
    command = command_of(unit_text(workspace, sys.executable))
    first = subprocess.Popen([*command[:3], str(workspace.root)], cwd="/")
    until(True, workspace)
    service = subprocess.Popen(command, cwd="/")
    try:
        assert first.wait(timeout=30) == 0  # idle for long enough
        until(True, workspace)
        SystemClock().sleep(1.5)
        assert service.poll() is None
        service.send_signal(signal.SIGTERM)
        assert service.wait(timeout=30) == 0
    finally:
        for process in (first, service):
            process.kill()
            process.wait()


@pytest.mark.skipif(shutil.which("systemd-analyze") is None, reason="this machine has no systemd to ask")
def test_systemd_finds_no_fault_in_it(workspace: Workspace, tmp_path: Path) -> None:
    file = tmp_path / "algo-py-test.service"
    file.write_text(unit_text(workspace, "/bin/true"))
    found = subprocess.run(["systemd-analyze", "verify", "--user", file], capture_output=True, text=True, check=False)
    assert "algo-py-test.service" not in found.stderr
