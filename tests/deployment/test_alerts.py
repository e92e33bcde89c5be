"""Alerts on their way to a person: once each on a sound way, later and in order on a bad one; no address is ever shown."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path
from typing import get_args

import pytest
from pydantic import SecretStr, ValidationError

from algo_py.clock import FrozenClock, SystemClock, parse_time
from algo_py.database import Database, open_database
from algo_py.deployment.alert_addresses import Addresses
from algo_py.deployment.alert_sender import send_waiting
from algo_py.deployment.alert_summary import summary_key
from algo_py.deployment.alerting import AlertingLog
from algo_py.deployment.alerts import Alert, AlertKind, newest_alerts, next_attempt_at, raise_alert, waiting_alerts
from algo_py.settings import AlertName, AlertSettings, Workspace
from algo_py.workspace_database import open_workspace_database
from tests.deployment.postbox import SECRET, PostBox
from tests.orders.making import Notebook
from tests.venues.server import Fault, Reply

NOW = parse_time("2025-01-31T10:00")
SETTINGS = AlertSettings()


@pytest.fixture
def box() -> Iterator[PostBox]:
    with PostBox() as box:
        yield box


@pytest.fixture
def database(url_with_tables: str) -> Iterator[Database]:
    database = Database(url_with_tables)
    yield database
    database.close()


@pytest.fixture
def clock() -> FrozenClock:
    return FrozenClock(NOW)


def put(database: Database, *titles: str, clock: FrozenClock | SystemClock, kind: AlertKind = AlertKind.HALTED) -> None:
    for title in titles:
        assert raise_alert(database, kind, key=title, title=title, body=f"about {title}", deployment_id="d1", at=clock.now())


def send(database: Database, clock: FrozenClock, *urls: str, settings: AlertSettings = SETTINGS) -> None:
    send_waiting(database, settings, Addresses(SecretStr(" ".join(urls))).send, clock=clock)


def by_title(database: Database) -> dict[str, Alert]:
    return {alert.title: alert for alert in newest_alerts(database, last=1000)}


def test_the_settings_name_every_kind() -> None:
    assert set(get_args(AlertName)) == set(AlertKind)
    assert set(SETTINGS.kinds) == set(AlertKind)


@pytest.mark.parametrize(
    ("name", "value"),
    [("kinds", ["halt"]), ("daily_summary_at", "24:00"), ("daily_summary_at", "8:00"), ("most_per_hour", 0)],
)
def test_settings_that_mean_nothing_are_refused(name: str, value: object) -> None:
    with pytest.raises(ValidationError):
        AlertSettings.model_validate({name: value})


@pytest.mark.parametrize("zone", ["India", "", "/etc", "../etc", "Asia"])
def test_a_zone_that_does_not_exist_is_refused(zone: str) -> None:
    with pytest.raises(ValidationError, match="must be a time zone such as"):
        AlertSettings(daily_summary_tz=zone)


@pytest.mark.parametrize(
    ("now", "key"),
    [
        ("2025-01-31T12:29:59", None),
        ("2025-01-31T12:30", "summary 2025-01-31"),
        ("2025-01-31T18:29", "summary 2025-01-31"),
        ("2025-01-31T18:30", None),  # midnight in India
    ],
)
def test_the_summary_is_due_by_the_clock_on_the_wall(now: str, key: str | None) -> None:
    settings = AlertSettings(daily_summary_at="18:00", daily_summary_tz="Asia/Kolkata")
    assert summary_key(settings, parse_time(now)) == key
    assert summary_key(AlertSettings(), parse_time(now)) is None
    assert summary_key(settings.model_copy(update={"kinds": ["halted"]}), parse_time(now)) is None


def test_each_alert_arrives_once_and_in_order(database: Database, box: PostBox, clock: FrozenClock) -> None:
    put(database, "one", "two", "three", clock=clock)
    assert not raise_alert(database, AlertKind.HALTED, key="one", title="again", body="", deployment_id=None, at=NOW)
    for _ in range(3):
        send(database, clock, box.address)
    assert box.titles == ["Algo.Py: one", "Algo.Py: two", "Algo.Py: three"]
    assert box.messages[0].body == "about one\n2025-01-31 10:00:00 UTC"
    assert {(alert.state, alert.attempts, alert.sent_at, alert.error) for alert in by_title(database).values()} == {
        ("sent", 1, NOW, "")
    }
    assert next_attempt_at(database) is None


@pytest.mark.parametrize(
    ("fault", "error"),
    [
        (Fault(reply=Reply(status=503, body=b"{}")), "json: answered with error 503"),
        (Fault(drop=True), "json: cannot be reached, or did not answer"),
    ],
)
def test_after_an_outage_they_arrive_in_order(
    database: Database, box: PostBox, clock: FrozenClock, fault: Fault, error: str
) -> None:
    box.fail(fault, times=1_000)
    put(database, "one", "two", "three", clock=clock)
    send(database, clock, box.address)
    assert len(box.requests) == 2, "two in a row fail: the rest need not be tried"
    assert (by_title(database)["one"].attempts, by_title(database)["one"].error) == (1, error)
    assert next_attempt_at(database) == NOW + timedelta(seconds=30)

    clock.sleep(20)
    send(database, clock, box.address)
    assert len(box.requests) == 2, "nothing is due yet"
    put(database, "four", clock=clock)
    send(database, clock, box.address)
    assert by_title(database)["one"].attempts == 1, "what was tried before its time keeps its turn"

    box.forget()
    clock.sleep(40)
    send(database, clock, box.address)
    assert box.titles == [f"Algo.Py: {title}" for title in ("one", "two", "three", "four")]


def test_an_address_that_nobody_listens_at_is_tried_less_and_less_often_and_given_up_after_a_day(
    database: Database, clock: FrozenClock
) -> None:
    with PostBox() as closed:
        address = closed.address
    put(database, "one", clock=clock)
    pauses = []
    while (due := next_attempt_at(database)) is not None:
        pauses.append((due - clock.now()).total_seconds())
        clock.sleep(pauses[-1])
        send(database, clock, address)
    assert pauses[:7] == [0, 30, 60, 300, 900, 3600, 3600]
    assert timedelta(days=1) < clock.now() - NOW < timedelta(days=1, hours=1)
    assert (by_title(database)["one"].state, by_title(database)["one"].error) == (
        "unsent",
        "json: cannot be reached, or did not answer",
    )


def test_a_message_that_is_refused_holds_up_no_other(database: Database, box: PostBox, clock: FrozenClock) -> None:
    box.refuses = "two"
    put(database, "one", "two", "three", "four", clock=clock)
    send(database, clock, box.address)
    assert box.titles == ["Algo.Py: one", "Algo.Py: three", "Algo.Py: four"]
    assert by_title(database)["two"].error == "json: answered with error 400"


def test_an_alert_that_one_address_took_is_not_repeated_for_a_dead_one(
    database: Database, box: PostBox, clock: FrozenClock
) -> None:
    with PostBox() as closed:
        dead = closed.address
    put(database, "one", clock=clock)
    for _ in range(3):
        send(database, clock, dead, box.address, "nonsense", f"{SECRET}://x")
        clock.sleep(3600)
    assert box.titles == ["Algo.Py: one"]
    told = by_title(database)["one"]
    unusable = "unknown: the address cannot be used; config/.env.example shows some"
    assert (told.state, told.error) == ("sent", f"json: cannot be reached, or did not answer; {unusable}; {unusable}")


def test_an_address_that_calls_itself_optional_counts_as_little_as_any_other_that_failed(
    database: Database, box: PostBox, clock: FrozenClock
) -> None:
    box.fail(Fault(reply=Reply(status=500)))
    put(database, "one", clock=clock)
    send(database, clock, f"{box.address}?optional=yes")
    assert by_title(database)["one"].state == "waiting"


def test_a_flood_is_one_message(database: Database, box: PostBox, clock: FrozenClock) -> None:
    settings = AlertSettings(most_per_hour=5)
    put(database, *(f"n{number}" for number in range(100)), clock=clock)
    clock.sleep(1)
    # A frozen clock sends all at one moment, and a moment is one message: each pass has a moment of its own here.
    deliver = Addresses(SecretStr(box.address)).send

    def tick(title: str, body: str) -> object:
        clock.sleep(0.01)
        return deliver(title, body)

    send_waiting(database, settings, tick, clock=clock)  # type: ignore[arg-type]
    assert box.titles == [f"Algo.Py: n{number}" for number in range(4)] + ["Algo.Py: 96 more alerts"]
    assert box.messages[-1].body.startswith("10:00:00 n4\n10:00:00 n5\n")
    assert box.messages[-1].body.endswith("and 76 more; see all with: algo-py alerts")
    assert waiting_alerts(database) == []

    put(database, "later", "much later", clock=clock)
    send_waiting(database, settings, tick, clock=clock)  # type: ignore[arg-type]
    assert len(box.messages) == 5
    due = next_attempt_at(database)
    assert due is not None
    assert timedelta(minutes=9) < due - clock.now() <= timedelta(minutes=10)
    clock.sleep(600)
    send_waiting(database, settings, tick, clock=clock)  # type: ignore[arg-type]
    assert box.titles[5:] == ["Algo.Py: 2 more alerts"]
    clock.sleep(3600)
    put(database, "calm", clock=clock)
    send_waiting(database, settings, tick, clock=clock)  # type: ignore[arg-type]
    assert box.titles[6:] == ["Algo.Py: calm"]


def test_kinds_that_nobody_wants_and_what_is_too_old_are_recorded_and_not_sent(
    database: Database, box: PostBox, clock: FrozenClock
) -> None:
    put(database, "old", clock=clock)
    clock.sleep(100_000)
    put(database, "rejected", clock=clock, kind=AlertKind.REJECTED)
    put(database, "halted", clock=clock)
    send(database, clock, box.address, settings=AlertSettings(kinds=["halted"]))
    assert box.titles == ["Algo.Py: halted"]
    assert by_title(database)["old"].error == "too old to be sent"
    assert by_title(database)["rejected"].error == "kind not sent"


def test_what_cannot_be_recorded_is_logged_and_breaks_nothing(tmp_path: Path) -> None:
    url = f"sqlite:///{tmp_path / 'algo.db'}"
    open_database(url).close()
    holder, database, log = Database(url), Database(url, lock_timeout_s=0.1), Notebook()
    alerting = AlertingLog(log, database, deployment_id="d1", name="try")
    with holder.write():
        alerting.warning("run.missed", count=3, since="2025-01-31T10:00:00Z")
        alerting.error("run.failed", reason="no bars")
    assert [event for event, _ in log.events] == ["run.missed", "alert.not_recorded", "run.failed", "alert.not_recorded"]
    alerting.warning("order.rejected", client_order_id="c1", side="BUY", quantity="1", symbol="BTC/USDT", reason="too small")
    alerting.warning("order.rejected", client_order_id="c1", side="BUY", quantity="1", symbol="BTC/USDT", reason="too small")
    [told] = newest_alerts(database, last=10)
    assert (told.title, told.body) == ("try: an order was rejected", "BUY 1 BTC/USDT: too small")
    for one in (holder, database):
        one.close()


def test_addresses_are_separated_by_spaces_or_commas_and_may_hold_commas(box: PostBox) -> None:
    urls = SecretStr(f" {box.address}?+to=a,b,{box.address} , {box.address}\n")
    assert [(one.address, one.problem) for one in Addresses(urls).send("title", "body")] == [("json", "")] * 3
    assert [request.headers.get("to") for request in box.requests].count("a,b") == 1


@pytest.fixture
def workspace(tmp_path: Path, box: PostBox) -> Workspace:
    workspace = Workspace(tmp_path / "workspace")
    workspace.credentials_file.parent.mkdir(parents=True)
    workspace.credentials_file.write_text(f"ALERT_URLS={box.address}\n")
    put(open_workspace_database(workspace), "one", "two", "three", clock=SystemClock())
    return workspace


def start_sender(workspace: Workspace) -> subprocess.Popen[str]:
    command = [sys.executable, "-m", "algo_py.deployment.alert_sender", str(workspace.root)]
    return subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)


def test_two_senders_at_once_send_nothing_twice(workspace: Workspace, box: PostBox) -> None:
    box.fail(Fault(delay_s=0.3), times=10)
    senders = [start_sender(workspace) for _ in range(3)]
    assert [(sender.communicate(timeout=60)[0], sender.returncode) for sender in senders] == [("", 0)] * 3
    assert box.titles == ["Algo.Py: one", "Algo.Py: two", "Algo.Py: three"]


def test_a_sender_that_is_killed_before_it_marks_repeats_that_one_message(workspace: Workspace, box: PostBox) -> None:
    deadly = (
        "import os, signal, sys\nfrom pathlib import Path\n"
        "from algo_py.deployment import alert_sender\nfrom algo_py.deployment.alert_addresses import Addresses\n"
        "send = Addresses.send\n"
        "def send_and_die(self, title, body):\n"
        "    told = send(self, title, body)\n"
        "    if 'two' in title:\n        os.kill(os.getpid(), signal.SIGKILL)\n"
        "    return told\n"
        "Addresses.send = send_and_die\nalert_sender.main(sys.argv[1:])\n"
    )
    killed = subprocess.run([sys.executable, "-c", deadly, str(workspace.root)], timeout=60, check=False)
    assert killed.returncode == -9
    assert start_sender(workspace).communicate(timeout=60)[0] == ""
    assert box.titles == ["Algo.Py: one", "Algo.Py: two", "Algo.Py: two", "Algo.Py: three"]


def test_a_slow_service_is_waited_for_and_told_once(workspace: Workspace, box: PostBox) -> None:
    box.fail(Fault(delay_s=6))
    assert start_sender(workspace).communicate(timeout=60)[0] == ""
    assert box.titles == ["Algo.Py: one", "Algo.Py: two", "Algo.Py: three"]


@pytest.mark.parametrize("status", [500, 200])
def test_a_sender_says_no_word_of_an_address(workspace: Workspace, box: PostBox, status: int) -> None:
    box.fail(Fault(reply=Reply(status=status, truncated=status == 200, body=b"{}")), times=10)
    bad = f"jsons://user:{SECRET}@127.0.0.1:1/{SECRET}?verify=no tgram://{SECRET} mailto://{SECRET} {SECRET}"
    workspace.credentials_file.write_text(f"ALERT_URLS='{bad} {box.address}'\n")
    sender = start_sender(workspace)
    assert (sender.communicate(timeout=60)[0], sender.returncode) == ("", 0)
    for alert in newest_alerts(open_workspace_database(workspace), last=10):
        assert SECRET not in alert.error
        assert "127.0.0.1" not in alert.error
    written = [path for path in workspace.root.rglob("*") if path.is_file() and path != workspace.credentials_file]
    assert [path for path in written if SECRET.encode() in path.read_bytes()] == []


def test_without_addresses_alerts_wait(workspace: Workspace, box: PostBox) -> None:
    workspace.credentials_file.write_text("")
    assert start_sender(workspace).communicate(timeout=60)[0] == ""
    database = open_workspace_database(workspace)
    assert [(alert.state, alert.attempts) for alert in waiting_alerts(database)] == [("waiting", 0)] * 3
    assert box.messages == []


def test_what_is_wrong_with_the_settings_is_said_and_nothing_is_lost(workspace: Workspace, box: PostBox) -> None:
    workspace.settings_file.write_text("[alerts]\nmost_per_hour = 'many'\n")
    sender = start_sender(workspace)
    told = sender.communicate(timeout=60)[0]
    assert told.startswith("alerts are not sent: ")
    assert "alerts.most_per_hour must be" in told
    assert sender.returncode == 1
    assert len(waiting_alerts(open_workspace_database(workspace))) == 3
