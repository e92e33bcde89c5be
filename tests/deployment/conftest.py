"""A workspace with the sample bars and one saved backtest, and its processes ended afterwards."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from algo_py.backtest import BacktestConfig, Snapshot, SnapshotStore, run_backtest
from algo_py.clock import parse_time
from algo_py.deployment import DeploymentManager
from algo_py.errors import Refused
from algo_py.settings import Workspace
from tests.databases import give_tables
from tests.processes import NO_NETWORK, stop_everything

Save = Callable[..., Snapshot]

SETTINGS = "[supervisor]\nheartbeat_s = 0.2\nstalled_after_s = 3\nstop_grace_s = 3\n" + NO_NETWORK


class House:
    """A workspace that the tests of a file use one after the other: its supervisor, seconds of work to start, is started once.

    What a test has deployed, saved and written is gone before the next; where that cannot be had, the next gets a new one.
    Settings that a test writes hold for the deployments that it starts; the supervisor keeps those of its own start.
    """

    def __init__(self, make: Callable[[], Workspace]) -> None:
        self._make = make
        self._workspace: Workspace | None = None
        self._configuration: dict[Path, bytes] = {}

    def enter(self) -> Workspace:
        if self._workspace is None:
            self._workspace = self._make()
            self._configuration = {path: path.read_bytes() for path in self._workspace.settings_file.parent.iterdir()}
        return self._workspace

    def leave(self) -> None:
        workspace = self._workspace
        if workspace is None or not workspace.database_file.exists():
            return self.tear_down()
        manager = DeploymentManager(workspace)
        running = [deployment.id for deployment in manager.list() if not deployment.status.has_ended]
        if running and not manager.has_supervisor:
            return self.tear_down()
        for id_ in running:
            manager.stop(id_, close_positions=False)
        if not all(manager.wait_until(id_, lambda d: d.status.has_ended, timeout_s=10).status.has_ended for id_ in running):
            return self.tear_down()
        try:
            manager.clear(purge=True, holding=True)
        except Refused:  # the outcome of an order is open
            return self.tear_down()
        for folder in (workspace.backtests, workspace.strategies):
            shutil.rmtree(folder, ignore_errors=True)
        for path in set(workspace.settings_file.parent.iterdir()) - set(self._configuration):
            path.unlink()
        for path, content in self._configuration.items():
            path.write_bytes(content)
        return None

    def tear_down(self) -> None:
        if self._workspace is not None:
            stop_everything(self._workspace)
            self._workspace = None


@pytest.fixture(scope="module")
def house(tmp_path_factory: pytest.TempPathFactory, sample_folder: Path) -> Iterator[House]:
    house = House(lambda: furnish(tmp_path_factory.mktemp("house"), sample_folder))
    yield house
    house.tear_down()


@pytest.fixture
def workspace(request: pytest.FixtureRequest, tmp_path: Path, sample_folder: Path) -> Iterator[Workspace]:
    """A workspace of the test's own; in a file marked `shared_workspace` the file's, but for tests marked `own_workspace`."""
    is_shared = request.node.get_closest_marker("shared_workspace") and not request.node.get_closest_marker("own_workspace")
    if is_shared:
        house: House = request.getfixturevalue("house")
        yield house.enter()
        house.leave()
    else:
        workspace = furnish(tmp_path, sample_folder)
        yield workspace
        stop_everything(workspace)


def furnish(folder: Path, sample_folder: Path) -> Workspace:
    """Make a workspace with tables, the sample bars and quick supervision."""
    workspace = give_tables(Workspace(folder))
    shutil.copytree(sample_folder, workspace.finstore)
    workspace.settings_file.parent.mkdir()
    workspace.settings_file.write_text(SETTINGS)
    return workspace


@pytest.fixture
def manager(workspace: Workspace) -> DeploymentManager:
    return DeploymentManager(workspace)


@pytest.fixture
def save(workspace: Workspace) -> Save:
    """Run a backtest and save it; keyword arguments change its configuration."""

    def run_and_save(name: str = "saved", **changes: object) -> Snapshot:
        values: dict[str, object] = {
            "strategy": "ema-cross",
            "params": {"fast": 2, "slow": 5},
            "market": "crypto_binance",
            "timeframe": "1h",
            "symbols": ("BTC/USDT", "ETH/USDT"),
            "start": parse_time("2025-01-01"),
            "end": parse_time("2025-01-08"),
            "size": 0.5,
        }
        result = run_backtest(workspace, BacktestConfig.model_validate(values | changes))
        return SnapshotStore(workspace).save(result, name)

    return run_and_save
