"""The login at Zerodha, and `config/.env`, where what it gives is kept."""

from __future__ import annotations

import socket
import stat
import urllib.error
import urllib.request
from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from urllib.parse import parse_qs, urlsplit

import pytest
from pydantic import SecretStr

from algo_py.clock import FrozenClock, monotonic_s
from algo_py.credentials import Credentials, write_credentials
from algo_py.errors import AlgoPyError, AuthFailed, InvalidInput, Refused, VenueDown
from algo_py.oms.zerodha.redirect import RedirectListener
from algo_py.oms.zerodha.session import exchange, login_address, next_end, request_token_of
from algo_py.settings import Workspace
from tests.oms.zerodha_desk import API_KEY, API_SECRET, NOON
from tests.venues.kite import error
from tests.venues.kite_trading import KiteTradingServer
from tests.venues.server import Fault, Reply


@pytest.fixture
def server() -> Iterator[KiteTradingServer]:
    with KiteTradingServer(FrozenClock(NOON), api_key=API_KEY, api_secret=API_SECRET) as server:
        yield server


def credentials(server: KiteTradingServer, **values: str) -> Credentials:
    known = {"ZERODHA_API_KEY": API_KEY, "ZERODHA_API_SECRET": API_SECRET, "ZERODHA_BASE_URL": server.url}
    return Credentials(known | values)


# The exchange.


def test_a_request_token_is_good_once(server: KiteTradingServer) -> None:
    token = SecretStr(server.log_in())
    session = exchange(credentials(server), token, now=NOON)
    assert session.user_id == "AB1234"
    assert session.access_token.get_secret_value() == server.access_token
    assert session.ends_at == datetime(2025, 6, 3, 0, 30, tzinfo=UTC)
    assert server.access_token not in repr(session)
    with pytest.raises(AuthFailed, match=r"Token is invalid or has expired.*good once"):
        exchange(credentials(server), token, now=NOON)


@pytest.mark.parametrize(
    ("indian", "ends"),
    [
        ("2025-06-02T09:00", "2025-06-03T06:00"),
        ("2025-06-02T23:59", "2025-06-03T06:00"),
        ("2025-06-03T00:01", "2025-06-03T06:00"),
        ("2025-06-03T05:59", "2025-06-03T06:00"),
        ("2025-06-03T06:00", "2025-06-04T06:00"),
    ],
)
def test_a_token_ends_on_the_next_morning(indian: str, ends: str) -> None:
    found = next_end(datetime.fromisoformat(f"{indian}+05:30"))
    assert found == datetime.fromisoformat(f"{ends}+05:30")
    assert found.tzinfo is UTC


def test_keys_that_are_wrong_or_missing(server: KiteTradingServer) -> None:
    for values, message in (
        ({"ZERODHA_API_SECRET": "wrong4secret"}, "Invalid `checksum`"),
        ({"ZERODHA_API_KEY": "another"}, "Invalid `api_key`"),
        ({"ZERODHA_API_SECRET": ""}, "ZERODHA_API_SECRET is missing"),
        ({"ZERODHA_API_KEY": ""}, "ZERODHA_API_KEY is missing"),
    ):
        token = server.log_in()
        with pytest.raises(AuthFailed, match=message) as caught:
            exchange(credentials(server, **values), SecretStr(token), now=NOON)
        for secret in (API_SECRET, "wrong4secret", token):
            assert secret not in str(caught.value)


@pytest.mark.parametrize(
    ("fault", "kind"),
    [
        (Fault(drop=True), VenueDown),
        (Fault(reply=error(500, "GeneralException", "Something")), VenueDown),
        (Fault(reply=error(503, "NetworkException", "away")), VenueDown),
        (Fault(reply=Reply(status=502, content_type="text/html", body=b"<html>")), VenueDown),
        (Fault(change=lambda reply: replace(reply, body=reply.body[:-9])), VenueDown),
        (Fault(change=lambda reply: replace(reply, content_type="text/plain")), VenueDown),
        (Fault(reply=Reply(body=b'{"status":"success","data":{"login_time":"","user_id":"AB1234"}}')), VenueDown),
        (Fault(reply=Reply(body=b'{"status":"success","data":null}')), VenueDown),
        (Fault(reply=error(400, "InputException", "Invalid `request_token`.")), AuthFailed),
    ],
)
def test_an_exchange_that_goes_wrong_tells_no_secret(server: KiteTradingServer, fault: Fault, kind: type[AlgoPyError]) -> None:
    token = server.log_in()
    server.fail(fault)
    with pytest.raises(kind) as caught:
        exchange(credentials(server), SecretStr(token), now=NOON)
    assert "Log in again" in caught.value.remedy
    for secret in (API_SECRET, token, server.access_token):
        assert secret not in str(caught.value)


def test_the_address_of_the_login(server: KiteTradingServer) -> None:
    assert login_address(credentials(server)) == f"https://kite.zerodha.com/connect/login?v=3&api_key={API_KEY}"
    own = login_address(credentials(server, ZERODHA_LOGIN_BASE_URL=server.url), state="a b&c")
    assert own.startswith(f"{server.url}/connect/login?v=3&api_key={API_KEY}&")
    assert parse_qs(urlsplit(own).query)["redirect_params"] == ["state=a+b%26c"]


@pytest.mark.parametrize(
    "text",
    [
        "abc123",
        "  abc123\n",
        "http://127.0.0.1:8765/zerodha?action=login&type=login&status=success&request_token=abc123",
        "127.0.0.1/?request_token=abc123&state=x",
    ],
)
def test_a_person_may_give_the_token_or_the_address(text: str) -> None:
    assert request_token_of(text).get_secret_value() == "abc123"


@pytest.mark.parametrize("text", ["", "http://127.0.0.1/", "http://127.0.0.1/?status=success", "abc 123", "?request_token="])
def test_a_text_without_a_token(text: str) -> None:
    with pytest.raises(InvalidInput, match="no request token"):
        request_token_of(text)


# The browser that comes back.


def free_port() -> int:
    with socket.socket() as found:
        found.bind(("127.0.0.1", 0))
        return int(found.getsockname()[1])


def get(address: str) -> tuple[int, str]:
    try:
        with urllib.request.urlopen(address, timeout=5) as answer:
            return answer.status, answer.read().decode()
    except urllib.error.HTTPError as error:
        with error:
            return error.code, error.read().decode()


def test_the_browser_brings_the_token_from_kite_s_page(server: KiteTradingServer) -> None:
    with RedirectListener(free_port()) as listener:
        server.redirect_url = listener.address
        known = credentials(server, ZERODHA_LOGIN_BASE_URL=server.url)
        status, page = get(login_address(known, state=listener.state))  # follows the redirect, as a browser does
        assert (status, "received the login" in page) == (200, True)
        token = listener.wait(1)
    assert token.get_secret_value() not in page
    assert exchange(known, token, now=NOON).user_id == "AB1234"


def test_only_the_login_that_was_begun_here_counts() -> None:
    with RedirectListener(free_port()) as listener:
        base = listener.address.removesuffix("/zerodha")
        good = f"status=success&request_token=abc123&state={listener.state}"
        for path, status in (
            (f"/?{good}", 404),
            (f"/zerodha/x?{good}", 404),
            ("/favicon.ico", 404),
            ("/zerodha", 403),
            ("/zerodha?status=success&request_token=evil", 403),
            ("/zerodha?status=success&request_token=evil&state=guess", 403),
        ):
            assert get(base + path)[0] == status
        assert get(f"{base}/zerodha?{good}")[0] == 200
        assert get(f"{base}/zerodha?{good.replace('abc123', 'second')}")[0] == 200
        assert listener.wait(1).get_secret_value() == "abc123"


def test_a_login_that_was_broken_off() -> None:
    with RedirectListener(free_port()) as listener:
        status, page = get(f"{listener.address}?status=cancelled&state={listener.state}")
        assert (status, "did not succeed" in page) == (200, True)
        with pytest.raises(AuthFailed, match="did not succeed"):
            listener.wait(1)


def test_waiting_has_an_end_even_with_a_silent_browser() -> None:
    with RedirectListener(free_port()) as listener, socket.create_connection(("127.0.0.1", listener_port(listener))):
        began = monotonic_s()
        with pytest.raises(AuthFailed, match="no login reached http://127"):
            listener.wait(0.2)
        assert monotonic_s() - began < 1


def listener_port(listener: RedirectListener) -> int:
    port = urlsplit(listener.address).port
    assert port is not None
    return port


def test_a_port_that_is_taken_and_one_that_is_free_again() -> None:
    with RedirectListener(free_port()) as listener:
        with pytest.raises(Refused, match="cannot be listened on"), RedirectListener(listener_port(listener)):
            pass
        assert listener.address.startswith("http://127.0.0.1:")
    with RedirectListener(listener_port(listener)) as again:
        assert get(again.address)[0] == 403


# config/.env.


@pytest.fixture
def workspace(tmp_path: Path) -> Workspace:
    return Workspace(tmp_path)


def write(workspace: Workspace, **values: str) -> str:
    write_credentials(workspace, {name: SecretStr(value) for name, value in values.items()})
    return workspace.credentials_file.read_bytes().decode()


def test_a_file_is_made_that_only_this_user_reads(workspace: Workspace) -> None:
    assert write(workspace, A="1", B="2025-06-03T00:30:00Z") == "A=1\nB=2025-06-03T00:30:00Z\n"
    assert stat.S_IMODE(workspace.credentials_file.stat().st_mode) == 0o600
    assert [file.name for file in workspace.credentials_file.parent.iterdir()] == [".env"]


def test_all_other_lines_stay(workspace: Workspace) -> None:
    file = workspace.credentials_file
    file.parent.mkdir()
    before = """# my keys

ZERODHA_API_KEY=abc   # don't lose "this"
export TOKEN='old # one' # today's

NOTE="two
TOKEN=no line of its own
lines"
  # the end
LAST=1"""
    file.write_text(before)
    file.chmod(0o644)
    after = write(workspace, TOKEN="new", MORE="x")
    assert after == before.replace("'old # one'", "new") + "\nMORE=x\n"
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    known = Credentials.of(workspace)
    assert known.secret("TOKEN").get_secret_value() == "new"
    assert known.secret("NOTE").get_secret_value() == "two\nTOKEN=no line of its own\nlines"
    assert known.secret("LAST").get_secret_value() == "1"


def test_of_several_lines_the_one_that_counts_is_changed(workspace: Workspace) -> None:
    workspace.credentials_file.parent.mkdir()
    workspace.credentials_file.write_bytes(b"A=1\r\nA=2\r\nB=3\r\n")
    assert write(workspace, A="9") == "A=1\r\nA=9\r\nB=3\r\n"
    assert Credentials.of(workspace).secret("A").get_secret_value() == "9"


@pytest.mark.parametrize(
    "value", ["plain", "with space", "quote'd", 'double"', "back\\slash", "hash # tag", "$HOME ${X}", "é", "=a="]
)
def test_any_value_of_one_line_comes_back(workspace: Workspace, value: str) -> None:
    for _ in range(2):
        write(workspace, A="first", KEY=value, Z="last")
        known = Credentials.of(workspace)
        assert [known.secret(name).get_secret_value() for name in ("A", "KEY", "Z")] == ["first", value, "last"]


@pytest.mark.parametrize(("name", "value"), [("A", "two\nlines"), ("A", ""), ("a b", "x"), ("A=B", "x"), ("A", "\x00")])
def test_what_the_file_cannot_hold(workspace: Workspace, name: str, value: str) -> None:
    with pytest.raises(InvalidInput):
        write(workspace, **{name: value})
    assert not workspace.credentials_file.exists()


def test_a_link_stays_one(workspace: Workspace, tmp_path: Path) -> None:
    real = tmp_path / "elsewhere"
    real.write_text("A=1\n")
    workspace.credentials_file.parent.mkdir()
    workspace.credentials_file.symlink_to(real)
    write(workspace, A="2")
    assert workspace.credentials_file.is_symlink()
    assert real.read_text() == "A=2\n"


def test_a_file_that_cannot_be_changed_stays_whole(workspace: Workspace) -> None:
    workspace.credentials_file.parent.mkdir()
    workspace.credentials_file.write_bytes(b"A=\xff\n")
    with pytest.raises(Refused, match="not UTF-8"):
        write(workspace, A="2")
    assert workspace.credentials_file.read_bytes() == b"A=\xff\n"
    workspace.credentials_file.unlink()
    workspace.credentials_file.mkdir()
    with pytest.raises(Refused, match="cannot be changed"):
        write(workspace, A="2")
    assert [file.name for file in workspace.credentials_file.parent.iterdir()] == [".env"]


def test_a_session_is_kept_with_its_end(server: KiteTradingServer, workspace: Workspace) -> None:
    session = exchange(credentials(server), SecretStr(server.log_in()), now=NOON + timedelta(seconds=1))
    write_credentials(workspace, session.credentials())
    known = Credentials.of(workspace)
    assert known.secret("ZERODHA_ACCESS_TOKEN") == session.access_token
    assert known.secret("ZERODHA_ACCESS_TOKEN_EXPIRES").get_secret_value() == "2025-06-03T00:30:00Z"
