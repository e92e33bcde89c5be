"""What `algo-py alerts` shows and tries; and an order that Binance refuses, told to a person."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from algo_py.clock import SystemClock, monotonic_s
from algo_py.deployment.alerts import AlertKind, raise_alert
from algo_py.settings import Workspace
from algo_py.workspace_database import open_workspace_database
from tests.deployment.postbox import SECRET, PostBox
from tests.venues.binance_trading import BinanceTradingServer
from tests.venues.server import Fault, Reply

from .conftest import Invoke, deploy_live


@pytest.fixture
def box() -> Iterator[PostBox]:
    with PostBox() as box:
        yield box


def _put_addresses(workspace: Path, *urls: str) -> None:
    secrets = workspace / "config" / ".env"
    before = secrets.read_text() if secrets.is_file() else ""
    secrets.write_text(f"{before}ALERT_URLS='{' '.join(urls)}'\n")
    secrets.chmod(0o600)


def test_alerts_are_listed_newest_first_with_what_became_of_them(workspace: Path, invoke: Invoke) -> None:
    empty = invoke("alerts")
    assert (empty.code, empty.err) == (
        0,
        "warning: ALERT_URLS is not set in config/.env: alerts are recorded, and nobody is told\n",
    )
    database, now = open_workspace_database(Workspace(workspace)), SystemClock().now()
    for name in ("first", "second"):
        raise_alert(database, AlertKind.HALTED, key=name, title=name, body="the limit", deployment_id="d1", at=now)
    database.close()
    listed = invoke("alerts").out
    assert listed.index("second") < listed.index("first")
    assert "waiting" in listed
    [newest] = invoke("alerts", "-n", "1", "--json").json()
    assert (newest["kind"], newest["title"], newest["body"], newest["deployment_id"]) == ("halted", "second", "the limit", "d1")
    assert (newest["state"], newest["sent_at"], newest["attempts"], newest["error"]) == ("waiting", None, 0, None)


def test_a_test_message_goes_to_every_address(workspace: Path, invoke: Invoke, box: PostBox) -> None:
    _put_addresses(workspace, box.address, box.address)
    outcome = invoke("alerts", "--test")
    assert (outcome.code, outcome.err, outcome.out.count("taken")) == (0, "", 2)
    assert box.titles == ["Algo.Py: a test"] * 2
    assert invoke("alerts", "--test", "--json").json() == [{"address": "json", "sent": True, "problem": None}] * 2
    assert invoke("alerts", "--json").json() == []


def test_an_address_that_fails_the_test_is_named_by_its_schema_alone(workspace: Path, invoke: Invoke, box: PostBox) -> None:
    box.fail(Fault(reply=Reply(status=500)), times=2)
    _put_addresses(workspace, box.address, f"mailto://me:{SECRET}@127.0.0.1:1?to=you@example.com", f"tgrm://{SECRET}", SECRET)
    outcome = invoke("alerts", "--test")
    assert outcome.code == 1
    assert "answered with error 500" in outcome.out
    assert "mailto" in outcome.out
    assert outcome.out.count("unknown") == 2
    for hidden in (SECRET, "127.0.0.1", "tgrm", "you@example.com"):
        assert hidden not in outcome.out + outcome.err


def test_without_addresses_there_is_nothing_to_test(workspace: Path, invoke: Invoke) -> None:
    outcome = invoke("alerts", "--test")
    assert (outcome.code, outcome.out) == (3, "")
    assert "ALERT_URLS is not set" in outcome.err
    assert "config/.env.example shows" in outcome.err


def test_an_order_that_the_venue_refuses_calls(typed: Path, invoke: Invoke, server: BinanceTradingServer, box: PostBox) -> None:
    _put_addresses(typed, box.address)
    server.fail(server.refuse(-2010, "Account has insufficient balance for requested action."), times=1)
    deployment_id = deploy_live(invoke)
    told = box.wait_for("first: an order was rejected", timeout_s=40)
    assert told.body.startswith("BUY ")
    assert "insufficient balance" in told.body
    deadline_s = monotonic_s() + 20
    while (found := invoke("alerts", "--json").json())[0]["state"] != "sent" and monotonic_s() < deadline_s:
        SystemClock().sleep(0.1)
    assert [(alert["kind"], alert["state"], alert["deployment_id"]) for alert in found] == [("rejected", "sent", deployment_id)]
    assert invoke("stop", deployment_id).code == 0
