"""A deployment's own copy of the strategy's source. What `strategies/` holds that day plays no part."""

from __future__ import annotations

import shutil
from pathlib import Path

from algo_py.backtest import Snapshot
from algo_py.deployment.config import DeploymentConfig
from algo_py.errors import Damaged
from algo_py.strategy import Strategy
from algo_py.strategy.loader import load_strategies

_FOLDER = "strategy"


def copy_strategy(snapshot: Snapshot, folder: Path) -> None:
    """Copy the snapshot's source into a deployment's folder."""
    shutil.copytree(snapshot.strategy_folder, folder / _FOLDER, ignore=shutil.ignore_patterns("__pycache__"))


def load_deployed_strategy(folder: Path, config: DeploymentConfig) -> Strategy:
    """Build the strategy from the deployment's copy, with the deployment's parameters."""
    root = folder / _FOLDER
    for found in load_strategies(root / config.strategy_file, root).classes:
        if found.__name__ == config.strategy_class:
            return found.from_params(config.backtest.params)
    raise Damaged(f"{root / config.strategy_file} has no class {config.strategy_class}", remedy="Deploy the backtest again.")
