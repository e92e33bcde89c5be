"""A browser for the session; for each test a workspace with sample bars, and everything ended that was started for it."""

from __future__ import annotations

import shutil
import sys
from collections.abc import Callable, Generator, Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Browser, Page, expect, sync_playwright

from algo_py.backtest import BacktestConfig, Snapshot, SnapshotStore, run_backtest
from algo_py.clock import parse_time
from algo_py.deployment import DeploymentManager
from algo_py.settings import Workspace
from tests.dashboard.person import Person
from tests.dashboard.servers import DashboardServer, launch
from tests.databases import give_tables
from tests.processes import NO_NETWORK, stop_everything

_PATIENCE_MS = 60_000  # the first backtest of a fresh clone compiles the engine
_FAILED = pytest.StashKey[bool]()

Serve = Callable[[], DashboardServer]
Open = Callable[[DashboardServer], Person]


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item: pytest.Item) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    report = yield
    if report.when == "call":
        item.stash[_FAILED] = report.failed
    return report


@pytest.fixture(scope="session")
def browser() -> Iterator[Browser]:
    expect.set_options(timeout=_PATIENCE_MS)
    with sync_playwright() as playwright:
        browser = launch(playwright)
        yield browser
        browser.close()


@pytest.fixture
def workspace(tmp_path: Path, sample_folder: Path) -> Iterator[Workspace]:
    workspace = give_tables(Workspace(tmp_path / "workspace"))
    shutil.copytree(sample_folder, workspace.finstore)
    workspace.strategies.mkdir()
    workspace.settings_file.parent.mkdir()
    workspace.settings_file.write_text("[supervisor]\nheartbeat_s = 0.2\nstalled_after_s = 10\nstop_grace_s = 5\n" + NO_NETWORK)
    yield workspace
    stop_everything(workspace)


@pytest.fixture
def manager(workspace: Workspace) -> DeploymentManager:
    return DeploymentManager(workspace)


@pytest.fixture
def saved(workspace: Workspace) -> Snapshot:
    """A saved backtest that trades every few bars."""
    config = BacktestConfig(
        strategy="ema-cross",
        params={"fast": 2, "slow": 4},
        market="crypto_binance",
        timeframe="1h",
        symbols=("BTC/USDT", "ETH/USDT"),
        start=parse_time("2025-01-01"),
        end=parse_time("2025-06-01"),
        size=0.4,
    )
    return SnapshotStore(workspace).save(run_backtest(workspace, config), "busy")


@pytest.fixture
def serve(workspace: Workspace, tmp_path: Path, request: pytest.FixtureRequest) -> Iterator[Serve]:
    """Start dashboards of the workspace; what they wrote is shown when the test fails."""
    servers: list[DashboardServer] = []

    def start() -> DashboardServer:
        server = DashboardServer(workspace, tmp_path / f"server-{len(servers)}.txt")
        servers.append(server)
        server.wait_until_ready()
        return server

    yield start
    for server in servers:
        server.stop()
        if request.node.stash.get(_FAILED, False):
            sys.stdout.write(f"--- what the dashboard on port {server.port} wrote ---\n{server.output}\n")


@pytest.fixture
def sit_down(browser: Browser, request: pytest.FixtureRequest) -> Iterator[Open]:
    """Open a browser window at a dashboard; what it showed last is shown when the test fails."""
    pages: list[Page] = []

    def look_at(server: DashboardServer) -> Person:
        page = browser.new_page(viewport={"width": 1400, "height": 900})
        page.set_default_timeout(_PATIENCE_MS)
        pages.append(page)
        return Person(page, server.url)

    yield look_at
    for page in pages:
        if request.node.stash.get(_FAILED, False):
            sys.stdout.write(f"--- what {page.url} showed ---\n{page.locator('body').aria_snapshot()}\n")
        page.close()
