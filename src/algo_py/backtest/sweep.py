"""Sweeps over stored bars: which parameters of a strategy did well, and whether they went on doing so."""

from __future__ import annotations

from dataclasses import dataclass, replace

import pandas as pd

from algo_py.backtest.config import EARLIEST, LATEST, BacktestConfig
from algo_py.backtest.run import run_backtest, with_known_rules
from algo_py.backtest.snapshot import Snapshot
from algo_py.backtest.store import SnapshotStore
from algo_py.clock import monotonic_s
from algo_py.engine.sweep import BestSet, Cancelled, Progress, SweepPlan, SweepProgress, best_of, run_plan
from algo_py.engine.sweep_executor import Executor
from algo_py.engine.sweep_folds import split, walk_forward
from algo_py.engine.sweep_rank import ranked
from algo_py.errors import Conflict, InvalidInput, Refused
from algo_py.finstore import FinStore
from algo_py.market import get_market
from algo_py.settings import Workspace
from algo_py.strategy import Bars
from algo_py.strategy.assets import pin_assets
from algo_py.strategy.registry import StrategyRegistry


@dataclass(frozen=True, slots=True, kw_only=True)
class SweepResult:
    """A sweep that has run, or was cancelled.

    `results` has a row for each parameter set that is done, in the order of the search (see `algo_py.engine.sweep.sweep`).
    `folds` has a row for each fold (see `walk_forward`), and is None where none was asked for. `total` is how many sets there are
    to run.
    """

    config: BacktestConfig
    rank: str
    total: int
    results: pd.DataFrame
    folds: pd.DataFrame | None
    is_cancelled: bool

    @property
    def failed(self) -> int:
        """How many sets were refused or failed."""
        return int((self.results["status"] != "ok").sum())

    def ranked(self) -> pd.DataFrame:
        """Return the results from best to worst."""
        return ranked(self.results, self.rank)

    def best(self) -> BestSet | None:
        """Return the best set; None where the rank metric is defined for none."""
        return best_of(self.results, self.rank)


def run_sweep(
    workspace: Workspace,
    config: BacktestConfig,
    plan: SweepPlan,
    *,
    folds: int | None = None,
    executor: Executor | None = None,
    progress: Progress | None = None,
    cancelled: Cancelled | None = None,
) -> SweepResult:
    """Run the backtest of `config` with many parameter sets, and walk forward through `folds` folds where they are asked for.

    A row equals the metrics of `run_backtest` with those parameters. `config.params` hold for every set. Nothing is written; the
    network is not touched. The other arguments, and what is refused, are those of `sweep`. Also raises NotFound (strategy),
    NoData and StrategyBroken.
    """
    twice = next((name for name in config.params if name in plan.grid), None)
    if twice is not None:
        raise InvalidInput(f"the parameter {twice} stands both in the backtest's parameters and in the grid")
    get_market(config.market).quote_over(config.symbols)
    plan = replace(plan, grid={name: [value] for name, value in config.params.items()} | dict(plan.grid))
    strategy_class = StrategyRegistry.discover(workspace).get(config.strategy).usable_class()
    pin_assets(strategy_class)  # before there are other processes: all sets are to read the same
    _, search = plan.begin(strategy_class)
    config = with_known_rules(workspace, config)
    bars, money = _stored_bars(workspace, config), config.portfolio_config()
    planned = None if folds is None else split(len(bars.index), folds)
    told = _Parts(progress, parts=1 + (folds or 0))
    results = run_plan(strategy_class, bars, money, plan=plan, executor=executor, progress=told.part(0), cancelled=cancelled)
    is_stopped = cancelled is not None and cancelled()
    is_cancelled = is_stopped and (planned is not None or len(results) < search.total)
    walked = None
    if planned is not None and not is_cancelled:
        walked = walk_forward(
            strategy_class,
            bars,
            money,
            plan=plan,
            folds=planned,
            executor=executor,
            progress=told.part(1),
            cancelled=cancelled,
        )
        is_cancelled = len(walked) < len(planned)
    return SweepResult(
        config=config, rank=plan.rank, total=search.total, results=results, folds=walked, is_cancelled=is_cancelled
    )


def save_best(workspace: Workspace, result: SweepResult, name: str) -> Snapshot:
    """Run the best set as an ordinary backtest and save it under `name`.

    Refused where no set has the rank metric, and for a sweep that was cancelled; see also `SnapshotStore.save`.
    """
    if result.is_cancelled:
        raise Refused("the sweep was cancelled, so its best parameter set is not known", remedy="Run it to its end.")
    best = result.best()
    if best is None:
        raise Refused(f"no parameter set has a {result.rank}", remedy="Look at the errors, or rank by another metric.")
    config = result.config.model_copy(update={"params": best.params})
    return SnapshotStore(workspace).save(run_backtest(workspace, config), name)


def refuse_taken_name(workspace: Workspace, name: str) -> None:
    """Raise Conflict for a name that a saved backtest has, before anything long is begun."""
    if any(name.strip() in (saved.name, saved.id) for saved in SnapshotStore(workspace).list()):
        raise Conflict(f"there is already a backtest called {name.strip()!r}", remedy="Choose another name, or delete it.")


def _stored_bars(workspace: Workspace, config: BacktestConfig) -> Bars:
    store = FinStore(workspace.finstore)
    start = None if config.start == EARLIEST else config.start
    end = None if config.end == LATEST else config.end
    frames = {symbol: store.read(config.market, config.timeframe, symbol, start=start, end=end) for symbol in config.symbols}
    return Bars.from_frames(frames, market=config.market, timeframe=config.timeframe)


class _Parts:
    """One count over the sweep and all folds, which each try as many sets."""

    def __init__(self, progress: Progress | None, *, parts: int) -> None:
        self._progress, self._parts = progress, parts
        self._began_s = monotonic_s()

    def part(self, number: int) -> Progress | None:
        """Return what the sweep (0) or all folds together (1) report to."""
        report = self._progress
        if report is None:
            return None

        def tell(now: SweepProgress) -> None:
            one = now.total if number == 0 else now.total // (self._parts - 1)
            done, total = number * one + now.done, self._parts * one
            elapsed_s = monotonic_s() - self._began_s
            remaining_s = elapsed_s / done * (total - done)
            report(replace(now, done=done, total=total, elapsed_s=elapsed_s, remaining_s=remaining_s))

        return tell
