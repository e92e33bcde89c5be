"""`algo-py up`: the dashboard and the supervisor, until Ctrl-C. Deployments are nobody's child here and outlive both."""

from __future__ import annotations

import errno
import http.client
import ipaddress
import os
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import FrameType
from typing import Annotated

import typer

from algo_py.cli.output import workspace_of
from algo_py.clock import SystemClock, monotonic_s
from algo_py.errors import InvalidInput, Refused
from algo_py.settings import WORKSPACE_VARIABLE

# Found by its place: importing the dashboard would take seconds, and this room must not know that one.
_SCRIPT = Path(__file__).resolve().parent.parent / "dashboard" / "app.py"
_START_TIMEOUT_S = 60.0
_STOP_TIMEOUT_S = 5.0
_POLL_S = 0.1
_ANSWER_TIMEOUT_S = 2.0


def register(app: typer.Typer) -> None:
    """Add this file's command."""
    app.command("up")(up)


def up(
    context: typer.Context,
    host: Annotated[
        str, typer.Option(help="The address to serve on; 127.0.0.1 is reachable from this machine only.")
    ] = "127.0.0.1",
    port: Annotated[int, typer.Option(min=1, max=65_535, help="The port to serve on.")] = 8501,
) -> None:
    """Serve the dashboard until Ctrl-C; deployments go on without it."""
    from algo_py.deployment import DeploymentManager

    workspace = workspace_of(context)
    if not workspace.is_initialised:
        raise Refused(f"{workspace.root} is not a workspace", remedy="Make one: algo-py init")
    _check_free(host, port)
    DeploymentManager(workspace).ensure_supervisor()
    server = subprocess.Popen(
        dashboard_command(host, port), env=os.environ | {WORKSPACE_VARIABLE: str(workspace.root)}, process_group=0
    )
    with _ended_with_us(server):
        if _comes_to_serve(server, host, port):
            typer.echo(f"Algo.Py of {workspace.root} is at http://{_shown(host, port)}  (Ctrl-C ends it)")
            if not _is_loopback(host):
                typer.echo("There is no password: whoever reaches this address can trade with this workspace.", err=True)
        code = server.wait()
    if code not in (0, -signal.SIGTERM, -signal.SIGINT):
        raise Refused(f"the dashboard has ended with exit code {code}", remedy="What it said stands above.")
    typer.echo("The dashboard has ended; deployments keep running. See them: algo-py ps. Stop one: algo-py stop NAME")


def dashboard_command(host: str, port: int) -> list[str]:
    """Return the command that serves the dashboard; the workspace is passed in the environment."""
    command = [sys.executable, "-m", "streamlit", "run", str(_SCRIPT), "--server.address", host, "--server.port", str(port)]
    command += ["--server.headless", "true", "--browser.gatherUsageStats", "false", "--server.fileWatcherType", "none"]
    if _is_loopback(host):
        # A web page elsewhere must not reach this server under a name of its own that it has pointed at this machine.
        for name in dict.fromkeys(("localhost", "127.0.0.1", host)):
            command += ["--server.allowedHosts", name]
    return command


@contextmanager
def _ended_with_us(server: subprocess.Popen[bytes]) -> Iterator[None]:
    """Pass the signals that end us on to the server, and leave with it gone, however we leave."""

    def pass_on(_number: int, _frame: FrameType | None) -> None:
        server.terminate()

    numbers = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
    before = [signal.signal(number, pass_on) for number in numbers]
    try:
        yield
    finally:
        _end(server)
        for number, handler in zip(numbers, before, strict=True):
            signal.signal(number, handler)


def _end(server: subprocess.Popen[bytes]) -> None:
    server.terminate()
    try:
        server.wait(_STOP_TIMEOUT_S)
    except subprocess.TimeoutExpired:
        server.kill()
        server.wait()


def _check_free(host: str, port: int) -> None:
    """Refuse an address that is not ours, and a port that somebody listens on."""
    try:
        family, kind, protocol, _, address = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0]
        with socket.socket(family, kind, protocol) as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            probe.bind(address)
    except OSError as error:
        if error.errno == errno.EADDRINUSE:
            raise Refused(
                f"port {port} of {host} is in use", remedy=f"Choose another one: algo-py up --port {port + 1}"
            ) from None
        raise InvalidInput(
            f"{host} port {port} cannot be served on: {error.strerror}", remedy="Choose another --host or --port."
        ) from None


def _comes_to_serve(server: subprocess.Popen[bytes], host: str, port: int) -> bool:
    """Wait until the server answers; False when it ends before, or takes too long and is ended."""
    clock, deadline_s = SystemClock(), monotonic_s() + _START_TIMEOUT_S
    while not _answers(host, port):
        if server.poll() is not None:
            return False
        if monotonic_s() > deadline_s:
            server.kill()
            return False
        clock.sleep(_POLL_S)
    return True


def _answers(host: str, port: int) -> bool:
    reachable = "127.0.0.1" if host == "0.0.0.0" else host
    connection = http.client.HTTPConnection(reachable, port, timeout=_ANSWER_TIMEOUT_S)
    try:
        connection.request("GET", "/_stcore/health")
        return connection.getresponse().status == http.HTTPStatus.OK
    except OSError:
        return False
    finally:
        connection.close()


def _is_loopback(host: str) -> bool:
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


def _shown(host: str, port: int) -> str:
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"
