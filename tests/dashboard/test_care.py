"""Looking after a deployment in the browser: pause, limits, halts, a supervisor that is gone, closing, the archive.

It is one visit: starting a server and a page takes longer than most of what is looked at.
"""

from __future__ import annotations

from decimal import Decimal

from playwright.sync_api import expect

from algo_py.backtest import Snapshot
from algo_py.deployment import DeploymentManager, DeploymentRequest
from algo_py.deployment.alerts import AlertKind, raise_alert
from algo_py.deployment.config import Replay
from algo_py.deployment.schedule import OnBarClose
from algo_py.settings import Workspace
from algo_py.workspace_database import open_workspace_database
from tests.dashboard.conftest import Open, Serve
from tests.dashboard.person import Person, eventually
from tests.deployment.test_lives import kill_supervisor


def test_a_visit(serve: Serve, sit_down: Open, workspace: Workspace, manager: DeploymentManager, saved: Snapshot) -> None:
    request = DeploymentRequest(backtest=saved.name, schedule=OnBarClose(), clock=Replay(bars_per_s=15), name="mine")
    deployment = manager.deploy(request)
    manager.wait_until(deployment.id, lambda d: bool(manager.ledger(d.id).positions), timeout_s=60)
    person = sit_down(serve())
    person.opens("deployment")
    has_status(person, "running")

    person.presses("Pause")
    has_status(person, "paused")
    expect(person.page.get_by_text("Pausing mine.")).to_be_visible()
    person.presses("Resume")
    has_status(person, "running")

    person.chooses("View", "Limits")
    person.types("Max daily loss", 750)
    person.presses("Change limits")
    expect(person.page.get_by_text("The new limits of mine hold from its next run on.")).to_be_visible()
    assert manager.show("mine").config.limits.max_daily_loss == Decimal(750)

    raise_an_alert(workspace, deployment.id, manager)
    person.chooses("View", "Alerts")
    expect(person.page.get_by_role("table", name="Alerts")).to_contain_text("mine: something happened")

    halt_and_resume_all(person)
    revive_the_supervisor(person, workspace, manager)

    manager.wait_until(deployment.id, lambda d: bool(manager.ledger(d.id).positions), timeout_s=60)
    person.stops(what="Close positions")
    has_status(person, "stopped")
    assert person.row("Deployments", "mine")["Status"] == "stopped"
    assert manager.ledger("mine").positions == {}
    expect(person.page.get_by_role("table", name="Deployments")).to_contain_text("its positions are closed")
    person.presses("Restart")
    has_status(person, "running")
    person.stops()
    has_status(person, "stopped")

    person.presses("Clear")
    expect(person.page.get_by_text("Nothing is deployed")).to_be_visible()
    person.chooses("Deployments shown", "Archive")
    person.page.get_by_role("table", name="Deployments").get_by_role("row").filter(has_text="mine").click()
    expect(person.page.get_by_text("Live log of mine")).to_be_visible()
    person.unfolds("Delete for good", "Delete")
    person.presses("Delete")
    expect(person.page.get_by_text("Nothing was cleared.")).to_be_visible()
    assert manager.list(cleared=True) == []


def has_status(person: Person, status: str) -> None:
    eventually(lambda: person.row("Deployments", "mine")["Status"] == status, f"the page shows it as {status}")


def raise_an_alert(workspace: Workspace, deployment_id: str, manager: DeploymentManager) -> None:
    at = manager.show(deployment_id).row.created_at
    database = open_workspace_database(workspace)
    title = "mine: something happened"
    raise_alert(database, AlertKind.HALTED, key="test", title=title, body="Look.", deployment_id=deployment_id, at=at)
    database.close()


def halt_and_resume_all(person: Person) -> None:
    person.unfolds("Halt all", "Halt every deployment")
    person.presses("Halt every deployment")
    expect(person.page.get_by_text("Every deployment is halted: halted on the page")).to_be_visible()
    has_status(person, "halted")
    person.presses("Resume all")
    has_status(person, "running")


def revive_the_supervisor(person: Person, workspace: Workspace, manager: DeploymentManager) -> None:
    kill_supervisor(workspace, manager)
    expect(person.page.get_by_text("No supervisor is running")).to_be_visible()
    person.presses("Start the supervisor")
    expect(person.page.get_by_text("No supervisor is running")).not_to_be_visible()
    assert manager.has_supervisor
