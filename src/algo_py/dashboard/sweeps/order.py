"""What a page asks for, and what its sweep answers."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from algo_py.backtest import BacktestConfig
from algo_py.backtest.sweep import SweepResult, run_sweep
from algo_py.engine.sweep import SweepPlan, SweepProgress
from algo_py.errors import AlgoPyError, Refused, StrategyBroken
from algo_py.market.own_facts import use_files
from algo_py.settings import Workspace


@dataclass(frozen=True, slots=True, kw_only=True)
class SweepOrder:
    """A sweep to run in the workspace at `root`; `folds` None: without walking forward."""

    root: Path
    config: BacktestConfig
    plan: SweepPlan
    folds: int | None

    def carry_out(self, tell: Callable[[SweepProgress], None], cancelled: Callable[[], bool]) -> SweepResult:
        """Run it; cancelled, it has the sets that are done."""
        workspace = Workspace(self.root)
        use_files(workspace.calendar_file, workspace.derivatives_file)
        return run_sweep(workspace, self.config, self.plan, folds=self.folds, progress=tell, cancelled=cancelled)

    def without_answer(self, how: str | None) -> AlgoPyError:
        """Say why there is no result at all: most likely the strategy's fault."""
        if how is None:
            return Refused("the sweep was cancelled while its strategy was busy, so that it has no results")
        return StrategyBroken(
            f"the process of the sweep ended without a result ({how})", remedy="What it wrote is in the output of the dashboard."
        )
