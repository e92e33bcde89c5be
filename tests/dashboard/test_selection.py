"""Many deployments: the table shows them all, and a click acts on the one that it was made on."""

from __future__ import annotations

import pytest
from playwright.sync_api import expect

from algo_py.backtest import Snapshot
from algo_py.clock import SystemClock
from algo_py.deployment import DeploymentManager, DeploymentRequest
from algo_py.deployment.schedule import OnBarClose
from algo_py.deployment.status import State
from algo_py.deployment.store import DeploymentStore
from algo_py.settings import Workspace
from algo_py.workspace_database import open_workspace_database
from tests.dashboard.conftest import Open, Serve

_COUNT = 100


@pytest.fixture
def hundred(workspace: Workspace, manager: DeploymentManager, saved: Snapshot) -> list[str]:
    """A hundred stopped deployments; their names, oldest first."""
    store, now = DeploymentStore(open_workspace_database(workspace)), SystemClock().now()
    names = [f"deployment {number:03}" for number in range(_COUNT)]
    for name in names:
        config, _ = manager.configure(DeploymentRequest(backtest=saved.name, schedule=OnBarClose(), name=name))
        store.add(config, created_at=now)
        store.set_state(config.id, State.STOPPED, reason="stopped by request", at=now)
    return names


def test_what_is_cleared_is_what_was_selected(
    serve: Serve, sit_down: Open, manager: DeploymentManager, hundred: list[str]
) -> None:
    person = sit_down(serve())
    person.opens("deployment")
    table = person.page.get_by_role("table", name="Deployments")
    expect(table.get_by_role("row")).to_have_count(_COUNT + 1)

    chosen = table.get_by_role("row").filter(has_text="deployment 042")
    chosen.click()
    expect(person.page.get_by_text("Live log of deployment 042")).to_be_visible()
    expect(chosen.get_by_role("radio")).to_be_checked()
    person.button("Clear").dblclick()
    expect(person.page.get_by_text("Cleared deployment 042.")).to_be_visible()
    expect(person.page.get_by_text("Select a deployment to see")).to_be_visible()
    expect(person.button("Clear")).to_be_disabled()
    expect(table.get_by_role("row")).to_have_count(_COUNT)
    assert [one.name for one in manager.list()] == [name for name in hundred if name != "deployment 042"]

    table.get_by_role("radio", name="Select deployment 043").focus()
    person.page.keyboard.press("Space")
    person.page.keyboard.press("ArrowDown")
    expect(person.page.get_by_text("Live log of deployment 041")).to_be_visible()

    person.presses("Clear all ended")
    expect(person.page.get_by_text("Cleared 99 deployments.")).to_be_visible()
    expect(person.page.get_by_text("Nothing is deployed")).to_be_visible()
    assert manager.list() == []
