"""`algo-py login zerodha`: the token in, and nothing of it out."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
import urllib.request
from collections.abc import Iterator
from pathlib import Path

import pytest

from algo_py.clock import SystemClock, parse_time
from algo_py.credentials import Credentials
from algo_py.settings import Workspace
from tests.venues.kite_trading import KiteTradingServer

from .conftest import Invoke

KEY, SECRET = "kitekey", "hush4secret"


@pytest.fixture
def server() -> Iterator[KiteTradingServer]:
    with KiteTradingServer(SystemClock(), api_key=KEY, api_secret=SECRET) as server:
        yield server


@pytest.fixture
def folder(tmp_path: Path, server: KiteTradingServer) -> Path:
    """A workspace with the keys of an app."""
    (tmp_path / "config").mkdir()
    (tmp_path / "config" / "algo.toml").write_text("")
    (tmp_path / "config" / ".env").write_text(
        f"# keys\nZERODHA_API_KEY={KEY}\nZERODHA_API_SECRET={SECRET}\n"
        f"ZERODHA_BASE_URL={server.url}\nZERODHA_LOGIN_BASE_URL={server.url}\n"
    )
    return tmp_path


def stored(folder: Path, name: str) -> str:
    return Credentials.of(Workspace(folder)).secret(name).get_secret_value()


def test_a_token_on_the_command_line(invoke: Invoke, server: KiteTradingServer, folder: Path) -> None:
    token = server.log_in()
    outcome = invoke("login", "zerodha", "--request-token", token, "--workspace", folder)
    assert (outcome.code, outcome.err) == (0, "")
    assert stored(folder, "ZERODHA_ACCESS_TOKEN") == server.access_token
    ends_at = parse_time(stored(folder, "ZERODHA_ACCESS_TOKEN_EXPIRES"))
    assert ends_at == server.token_ends_at
    assert f"Logged in as AB1234 until {server.token_ends_at:%Y-%m-%d} 06:00 IST ({ends_at:%Y-%m-%d} 00:30 UTC)." in outcome.out
    for secret in (SECRET, server.access_token, token):
        assert secret not in outcome.out + outcome.err
    assert (folder / "config" / ".env").read_text().startswith("# keys\n")


def test_json_is_all_that_is_printed(invoke: Invoke, server: KiteTradingServer, folder: Path) -> None:
    outcome = invoke("login", "zerodha", "--json", "--request-token", server.log_in(), "--workspace", folder)
    assert outcome.json() == {
        "oms": "zerodha",
        "account": "AB1234",
        "ends_at": stored(folder, "ZERODHA_ACCESS_TOKEN_EXPIRES"),
    }


@pytest.mark.parametrize("as_json", [False, True])
def test_the_address_is_shown_and_the_answer_asked(
    invoke: Invoke, server: KiteTradingServer, folder: Path, monkeypatch: pytest.MonkeyPatch, as_json: bool
) -> None:
    answer = f"http://127.0.0.1:1/zerodha?status=success&request_token={server.log_in()}"
    monkeypatch.setattr("getpass.getpass", lambda _prompt="", _stream=None: answer)
    outcome = invoke("login", "zerodha", "--workspace", folder, *(["--json"] if as_json else []))
    assert outcome.code == 0, outcome.err
    assert f"{server.url}/connect/login?v=3&api_key={KEY}" in (outcome.err if as_json else outcome.out)
    if as_json:
        assert outcome.json()["account"] == "AB1234"
    assert stored(folder, "ZERODHA_ACCESS_TOKEN") == server.access_token


def test_the_browser_is_caught(server: KiteTradingServer, folder: Path) -> None:
    """In a process of its own: the address is printed before the browser can come."""
    with socket.socket() as found:
        found.bind(("127.0.0.1", 0))
        port = found.getsockname()[1]
    server.redirect_url = f"http://127.0.0.1:{port}/zerodha"
    command = [sys.executable, "-m", "algo_py", "login", "zerodha", "--listen", str(port), "--wait", "20s"]
    environment = {**os.environ, "PYTHONUNBUFFERED": "1", "ALGO_PY_WORKSPACE": str(folder)}
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=environment) as process:
        assert process.stdout is not None
        assert process.stderr is not None
        assert process.stdout.readline() == "Open this address and log in:\n"
        address = process.stdout.readline().strip()
        with urllib.request.urlopen(address, timeout=10) as page:
            assert "received the login" in page.read().decode()
        rest, complaints = process.stdout.read(), process.stderr.read()
        assert process.wait(timeout=20) == 0, complaints
    assert "Logged in as AB1234" in rest
    assert complaints == ""
    assert stored(folder, "ZERODHA_ACCESS_TOKEN") == server.access_token
    assert server.access_token not in rest


def test_what_goes_wrong_is_one_line_and_changes_nothing(invoke: Invoke, server: KiteTradingServer, folder: Path) -> None:
    before = (folder / "config" / ".env").read_bytes()
    for arguments, code, message in (
        (("--request-token", "worn0out"), 1, "Kite does not accept the login: Token is invalid or has expired"),
        (("--request-token", "http://127.0.0.1/?status=no"), 2, "there is no request token in this"),
        (("--request-token", "abc", "--listen", "8765"), 2, "exclude one another"),
        (("--listen", "0"), 2, "Invalid value for '--listen'"),
        (("--listen", "8765", "--wait", "long"), 2, "'long' is not a duration"),
        (("--listen", str(server.url.rpartition(":")[2])), 3, "cannot be listened on"),
    ):
        outcome = invoke("login", "zerodha", *arguments, "--workspace", folder)
        assert outcome.code == code, outcome
        assert message in outcome.err
        assert outcome.err.count("\n") == 1
        assert SECRET not in outcome.out + outcome.err
    assert (folder / "config" / ".env").read_bytes() == before


def test_without_keys_nobody_is_asked_to_log_in(invoke: Invoke, tmp_path: Path, server: KiteTradingServer) -> None:
    outcome = invoke("login", "zerodha", "--workspace", tmp_path)
    assert (outcome.code, outcome.out) == (1, "")
    assert outcome.err == "error: ZERODHA_API_KEY is missing. Write it into config/.env as ZERODHA_API_KEY=...\n"
    assert not server.requests
