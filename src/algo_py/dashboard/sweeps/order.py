"""What a page asks for, and what its sweep answers."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from algo_py.backtest import BacktestConfig
from algo_py.engine.sweep import SweepPlan


@dataclass(frozen=True, slots=True, kw_only=True)
class SweepOrder:
    """A sweep to run in the workspace at `root`; `folds` None: without walking forward. It crosses to another process."""

    root: Path
    config: BacktestConfig
    plan: SweepPlan
    folds: int | None
