"""A dashboard in a process of its own, on a free port of this machine, and a browser to look at it."""

from __future__ import annotations

import http.client
import os
import shutil
import socket
import subprocess
from pathlib import Path

import pytest
from playwright.sync_api import Browser, Playwright

from algo_py.cli.up import dashboard_command
from algo_py.clock import SystemClock, monotonic_s
from algo_py.settings import WORKSPACE_VARIABLE, Workspace

_NAMES = ("chromium", "chromium-browser", "google-chrome")
_ARGUMENTS = (
    "--headless",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
)
_START_TIMEOUT_S = 60.0


def free_port() -> int:
    """Return a port that nobody listens on now."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def browser_program(playwright: Playwright) -> str:
    """Return the Chromium to use: $CHROMIUM, else the system's, else Playwright's own; a test without one fails."""
    named = os.environ.get("CHROMIUM")
    candidates = [named] if named else [shutil.which(name) for name in _NAMES]
    candidates.append(playwright.chromium.executable_path)
    found = next((path for path in candidates if path and Path(path).exists()), None)
    if found is None:
        pytest.fail(
            "The tests of the dashboard need Chromium, and there is none: install Debian's package chromium, "
            "or run `playwright install chromium`, or set CHROMIUM to its path."
        )
    return found


def launch(playwright: Playwright) -> Browser:
    """Start the browser; the caller closes it."""
    return playwright.chromium.launch(executable_path=browser_program(playwright), args=list(_ARGUMENTS))


def is_serving(port: int) -> bool:
    """Return whether a dashboard answers on this machine's port."""
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=2)
    try:
        connection.request("GET", "/_stcore/health")
        return connection.getresponse().status == http.HTTPStatus.OK
    except OSError:
        return False
    finally:
        connection.close()


class DashboardServer:
    """The real server, as `algo-py up` starts it, for one workspace."""

    def __init__(self, workspace: Workspace, output: Path) -> None:
        self.workspace = workspace
        self.port = free_port()
        self._output = output
        with output.open("ab") as handle:
            self.process = subprocess.Popen(
                dashboard_command("127.0.0.1", self.port),
                env=os.environ | {WORKSPACE_VARIABLE: str(workspace.root)},
                stdin=subprocess.DEVNULL,
                stdout=handle,
                stderr=subprocess.STDOUT,
            )

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    @property
    def output(self) -> str:
        """What the server has written so far, and its own log of pages that failed."""
        log = self.workspace.root / "database" / "dashboard.log"
        failures = log.read_text(encoding="utf-8") if log.exists() else ""
        return self._output.read_text(encoding="utf-8") + failures

    def wait_until_ready(self) -> None:
        """Return once it answers."""
        deadline_s = monotonic_s() + _START_TIMEOUT_S
        while not is_serving(self.port):
            if self.process.poll() is not None or monotonic_s() > deadline_s:
                pytest.fail(f"the dashboard does not answer; it wrote:\n{self.output}")
            SystemClock().sleep(0.1)

    def kill(self) -> None:
        """End it at once, as the system would when memory is short."""
        self.process.kill()
        self.process.wait(10)

    def stop(self) -> None:
        """End it if it still runs."""
        self.process.terminate()
        try:
            self.process.wait(5)
        except subprocess.TimeoutExpired:
            self.kill()
