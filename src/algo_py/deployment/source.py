"""A deployment's own copy of the strategy's files, and the hashes that say that it still is what was deployed.

What `strategies/` holds that day plays no part. The copy is compared with the hashes in the deployment's row at every start, over
the very bytes that are then compiled.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path, PurePosixPath

from algo_py.backtest import Snapshot
from algo_py.backtest.manifest import damaged
from algo_py.backtest.snapshot import STRATEGY_FOLDER
from algo_py.deployment.config import DeploymentConfig
from algo_py.deployment.store import DeploymentStore
from algo_py.errors import Damaged, StrategyBroken
from algo_py.finstore.durable import sync_folder
from algo_py.strategy import Bars, Signals, Strategy
from algo_py.strategy.frozen import copy_frozen, hashes_of, read_frozen
from algo_py.strategy.loader import load_frozen


class NothingToRun(Strategy):
    """Stands for the strategy of a deployment that was started only to close its positions, for which none is needed."""

    def run(self, bars: Bars) -> Signals:
        raise StrategyBroken("a deployment that is being closed runs no strategy")


def copy_strategy(snapshot: Snapshot, folder: Path) -> dict[str, str]:
    """Copy what the snapshot's strategy executes and reads into a deployment's folder, and return the hashes to record with it.

    Durable, except for the name of `folder` itself. Raises Damaged when a file is not what was saved, and OSError.
    """
    hashes = snapshot.code_hashes
    copy_frozen(snapshot.folder, hashes, folder, refused=lambda path, problem: damaged(snapshot.id, path, problem))
    for inside in {parent for path in hashes for parent in PurePosixPath(path).parents}:
        sync_folder(folder / inside)
    return hashes


def load_deployed_strategy(folder: Path, config: DeploymentConfig, store: DeploymentStore) -> Strategy:
    """Build the strategy from the deployment's copy, with the deployment's parameters; NothingToRun where it is to end.

    Raises Damaged, naming the file, when the copy is not what was recorded when it was deployed: then nothing of it has been
    executed. A deployment of an earlier version has no record; what its first start finds is recorded and holds from then on.
    """
    if store.wanted(config.id).is_an_end:  # what is held and open is looked after without a line of its code
        return NothingToRun()
    refused = _refusal(config)
    hashes = store.code_hashes(config.id)
    if hashes is None:
        hashes = hashes_of(folder, STRATEGY_FOLDER, refused=refused)
        store.record_code_hashes(config.id, hashes)
    code = read_frozen(folder, STRATEGY_FOLDER, hashes, refused=refused)
    for found in load_frozen(code, config.strategy_file).classes:
        if found.__name__ == config.strategy_class:
            return found.from_params(config.backtest.params)
    raise refused(f"{STRATEGY_FOLDER}/{config.strategy_file}", f"has no class {config.strategy_class}")


def _refusal(config: DeploymentConfig) -> Callable[[str, str], Damaged]:
    def refused(path: str, problem: str) -> Damaged:
        return Damaged(
            f"deployment {config.id}: {path} {problem}, so nothing of it was executed",
            remedy=f"Put back what was deployed and restart it, or deploy the backtest {config.backtest_id} again. "
            f"What it holds can be closed without it: algo-py stop {config.id} --close-positions",
        )

    return refused
