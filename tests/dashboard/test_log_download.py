"""The whole log of a deployment, downloaded from the page while it is drawn anew every second."""

from __future__ import annotations

import json

from playwright.sync_api import expect

from algo_py.backtest import Snapshot
from algo_py.clock import SystemClock
from algo_py.deployment import DeploymentManager, DeploymentRequest
from algo_py.deployment.log_writing import open_log
from algo_py.deployment.logs import whole_log
from algo_py.deployment.schedule import OnBarClose
from algo_py.deployment.status import State
from algo_py.deployment.store import DeploymentStore
from algo_py.settings import LogSettings, Workspace
from algo_py.workspace_database import open_workspace_database
from tests.dashboard.conftest import Open, Serve


def test_the_whole_log_is_downloaded(
    serve: Serve, sit_down: Open, workspace: Workspace, manager: DeploymentManager, saved: Snapshot
) -> None:
    store, now = DeploymentStore(open_workspace_database(workspace)), SystemClock().now()
    config, _ = manager.configure(DeploymentRequest(backtest=saved.name, schedule=OnBarClose(), name="logged"))
    store.add(config, created_at=now)
    store.set_state(config.id, State.STOPPED, reason="stopped by request", at=now)
    folder = workspace.deployments / config.id
    folder.mkdir(parents=True)
    settings = LogSettings(max_mib=0.01, keep_files=1_000)
    log = open_log(folder, deployment_id=config.id, clock=SystemClock(), settings=settings, mask=str)
    for number in range(1_000):
        log.info("test", number=number)

    person = sit_down(serve())
    person.opens("deployment")
    expect(person.page.get_by_role("log", name="Live log")).to_contain_text("number=999")
    for _ in range(3):
        with person.page.expect_download() as download:
            person.button("Download log").click()
        assert download.value.suggested_filename == f"{config.id}.jsonl"
        lines = download.value.path().read_text(encoding="utf-8").splitlines()
        assert [json.loads(line) for line in lines] == list(whole_log(folder))
