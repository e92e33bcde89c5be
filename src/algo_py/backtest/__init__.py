"""One result, reproducible: what a backtest is configured with, how it runs, and how it is saved."""

from algo_py.backtest.config import BacktestConfig
from algo_py.backtest.curves import Curves
from algo_py.backtest.fingerprint import BarsFingerprint
from algo_py.backtest.run import BacktestResult, run_backtest
from algo_py.backtest.snapshot import Snapshot
from algo_py.backtest.store import SnapshotStore, SnapshotSummary

__all__ = [
    "BacktestConfig",
    "BacktestResult",
    "BarsFingerprint",
    "Curves",
    "Snapshot",
    "SnapshotStore",
    "SnapshotSummary",
    "run_backtest",
]
