"""A deployment as a line of the table."""

from __future__ import annotations

from algo_py.backtest import Snapshot
from algo_py.clock import SystemClock
from algo_py.dashboard.screens.deployment.rows import COLUMNS, TONES, clock_of, row_of
from algo_py.deployment import DeploymentManager, DeploymentRequest
from algo_py.deployment.config import Replay
from algo_py.deployment.schedule import OnBarClose
from algo_py.deployment.status import Status
from algo_py.deployment.store import DeploymentStore
from algo_py.settings import Workspace
from algo_py.workspace_database import open_workspace_database


def test_a_deployment_that_has_not_begun_shows_dashes(workspace: Workspace, manager: DeploymentManager, saved: Snapshot) -> None:
    request = DeploymentRequest(backtest=saved.name, schedule=OnBarClose(), clock=Replay(bars_per_s=60), name="mine")
    config, _ = manager.configure(request)
    DeploymentStore(open_workspace_database(workspace)).add(config, created_at=SystemClock().now())
    deployment = manager.show("mine")

    row = row_of(deployment)
    texts = {column.label: cell.text for column, cell in zip(COLUMNS, row.cells, strict=True)}
    assert row.id == deployment.id
    assert texts == {
        "Deployment": "mine",
        "Status": "starting",
        "PID": "–",
        "Start time": "–",
        "Strategy": "ema-cross",
        "OMS": "paper",
        "Runs": "0",
        "Next run": "–",
        "Cash": "–",
        "Equity": "–",
    }
    assert clock_of(deployment) == "replay, 60 bars/s"


def test_every_status_has_a_tone() -> None:
    assert set(TONES) == set(Status)
    assert [status for status, tone in TONES.items() if tone == "good"] == [Status.RUNNING]
