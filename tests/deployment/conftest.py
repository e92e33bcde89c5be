"""A workspace with the sample bars and one saved backtest, and its processes ended afterwards."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from algo_py.backtest import BacktestConfig, Snapshot, SnapshotStore, run_backtest
from algo_py.clock import parse_time
from algo_py.deployment import DeploymentManager
from algo_py.settings import Workspace
from tests.databases import give_tables
from tests.processes import NO_NETWORK, stop_everything

Save = Callable[..., Snapshot]


@pytest.fixture
def workspace(tmp_path: Path, sample_folder: Path) -> Iterator[Workspace]:
    workspace = give_tables(Workspace(tmp_path))
    shutil.copytree(sample_folder, workspace.finstore)
    workspace.settings_file.parent.mkdir()
    workspace.settings_file.write_text("[supervisor]\nheartbeat_s = 0.2\nstalled_after_s = 3\nstop_grace_s = 3\n" + NO_NETWORK)
    yield workspace
    stop_everything(workspace)


@pytest.fixture
def manager(workspace: Workspace) -> DeploymentManager:
    return DeploymentManager(workspace)


@pytest.fixture
def save(workspace: Workspace) -> Save:
    """Run a backtest and save it; keyword arguments change its configuration."""

    def run_and_save(name: str = "saved", **changes: object) -> Snapshot:
        values: dict[str, object] = {
            "strategy": "ema-cross",
            "params": {"fast": 5, "slow": 20},
            "market": "crypto_binance",
            "timeframe": "1h",
            "symbols": ("BTC/USDT", "ETH/USDT"),
            "start": parse_time("2025-01-01"),
            "end": parse_time("2025-01-15"),
            "size": 0.5,
        }
        result = run_backtest(workspace, BacktestConfig.model_validate(values | changes))
        return SnapshotStore(workspace).save(result, name)

    return run_and_save
