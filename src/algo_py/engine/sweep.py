"""Sweeps: one strategy, many parameter sets, a row of metrics for each."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd

from algo_py.clock import monotonic_s
from algo_py.engine.config import PortfolioConfig
from algo_py.engine.sweep_executor import Adaptive, Executor, Pool
from algo_py.engine.sweep_rank import DEFAULT_RANK, METRICS, direction_of, ranked
from algo_py.engine.sweep_search import ParameterSpace, Search, SearchName, search_for
from algo_py.engine.sweep_trial import Trial, TrialResults, parameter_columns
from algo_py.strategy import Bars, Strategy


@dataclass(frozen=True, slots=True, kw_only=True)
class SweepProgress:
    """How far a sweep is. `remaining_s` is an estimate from the sets so far, None before the first one."""

    done: int
    total: int
    failed: int
    elapsed_s: float
    remaining_s: float | None


Progress = Callable[[SweepProgress], None]
Cancelled = Callable[[], bool]


@dataclass(frozen=True, slots=True, kw_only=True)
class SweepPlan:
    """Which parameter sets to try.

    `search` takes the whole `grid`, or `samples` sets of it (100 where it is None; fewer where the grid has fewer): `random`
    without repetition, `tpe` those that Optuna expects to do well by the metric `rank`. Both depend on `seed` alone.
    """

    grid: Mapping[str, Sequence[Any]]
    search: SearchName = "grid"
    samples: int | None = None
    seed: int = 0
    rank: str = DEFAULT_RANK

    def begin(self, strategy_class: type[Strategy]) -> tuple[ParameterSpace, Search]:
        """Return the combinations and a fresh search of them.

        Raises InvalidInput for a parameter that the strategy does not have, a metric that ranks nothing, and a search that cannot
        be.
        """
        direction_of(self.rank)
        space = ParameterSpace.of(self.grid)
        for name, choices in zip(space.names, space.values, strict=True):
            if name not in strategy_class.model_fields:
                strategy_class.from_params({name: choices[0]})  # it refuses, and knows what was meant
        return space, search_for(space, self.search, samples=self.samples, seed=self.seed)


def sweep(
    strategy_class: type[Strategy],
    bars: Bars,
    config: PortfolioConfig | None = None,
    *,
    grid: Mapping[str, Sequence[Any]],
    search: SearchName = "grid",
    samples: int | None = None,
    seed: int = 0,
    rank: str = DEFAULT_RANK,
    executor: Executor | None = None,
    progress: Progress | None = None,
    cancelled: Cancelled | None = None,
) -> pd.DataFrame:
    """Run a strategy with many parameter sets and return a row for each, in the order of the search; see `SweepPlan`.

    Columns: the parameters of `grid`, every metric of `simulate` (null where it is undefined), `status` (ok or failed) and
    `error`. A set that is refused or fails has its error there and hurts no other. A row equals what `simulate` gives for that
    set, to the last bit, and rows and their order do not depend on the executor. Parameters that `grid` leaves out have their
    defaults. Nothing but metrics is kept.

    `progress` is called now and then; once `cancelled` returns True the sweep ends and returns the rows that are done. Raises
    InvalidInput for a plan that cannot be.
    """
    plan = SweepPlan(grid=grid, search=search, samples=samples, seed=seed, rank=rank)
    return run_plan(strategy_class, bars, config, plan=plan, executor=executor, progress=progress, cancelled=cancelled)


def run_plan(
    strategy_class: type[Strategy],
    bars: Bars,
    config: PortfolioConfig | None = None,
    *,
    plan: SweepPlan,
    executor: Executor | None = None,
    progress: Progress | None = None,
    cancelled: Cancelled | None = None,
) -> pd.DataFrame:
    """Do what `sweep` does."""
    space, search = plan.begin(strategy_class)
    trial = Trial(strategy_class, bars, config or PortfolioConfig(), space)
    rows, watch = _Rows(search.total), _Watch(search.total, progress)
    with (executor or Adaptive()).start(trial) as pool:
        _run(search, pool, rows, watch, rank=plan.rank, cancelled=cancelled or _never)
    return rows.frame(space)


@dataclass(frozen=True, slots=True)
class BestSet:
    """The best parameter set of a sweep and its metrics; undefined ones are None."""

    params: dict[str, Any]
    metrics: dict[str, float | int | None]


def best_of(results: pd.DataFrame, rank: str = DEFAULT_RANK) -> BestSet | None:
    """Return the best set of a sweep by `rank`, the first of equals; None where that metric is defined for no set."""
    usable = ranked(results[results[rank].notna()], rank)
    if usable.empty:
        return None
    first = usable.iloc[0]
    params = {name: plain(first[name]) for name in results.columns[: -len(METRICS) - 2]}
    return BestSet(params, {name: plain(first[name]) for name in METRICS})


def plain(value: Any) -> Any:
    """Return a cell of the results as Python's own type, None for what is undefined."""
    if isinstance(value, np.generic):
        value = value.item()
    return None if value is pd.NA or value != value else value


def _run(search: Search, pool: Pool, rows: _Rows, watch: _Watch, *, rank: str, cancelled: Cancelled) -> None:
    sign, column = direction_of(rank), METRICS.index(rank)
    while numbers := search.ask():
        start = rows.begin(numbers)
        for place, results in pool.map(numbers, cancelled):
            rows.put(start + place, results)
            watch.tell(results)
        if not rows.is_complete:
            return  # cancelled
        scores = sign * rows.metrics[start : start + len(numbers), column]
        search.tell(numbers, [None if np.isnan(score) else float(score) for score in scores])


class _Rows:
    """The rows so far, in the order of the search."""

    def __init__(self, total: int) -> None:
        self.metrics = np.full((total, len(METRICS)), np.nan)
        self._done = np.zeros(total, dtype=np.bool_)
        self._numbers: list[Sequence[int]] = []
        self._errors: dict[int, str] = {}
        self._asked = 0

    @property
    def is_complete(self) -> bool:
        return bool(self._done[: self._asked].all())

    def begin(self, numbers: Sequence[int]) -> int:
        """Take over the sets that are tried next; return the row of the first."""
        start = self._asked
        self._numbers.append(numbers)
        self._asked += len(numbers)
        return start

    def put(self, row: int, results: TrialResults) -> None:
        count = len(results.errors)
        self.metrics[row : row + count] = results.metrics
        self._done[row : row + count] = True
        self._errors |= {row + place: error for place, error in enumerate(results.errors) if error is not None}

    def frame(self, space: ParameterSpace) -> pd.DataFrame:
        done = np.flatnonzero(self._done)
        numbers = [number for part in self._numbers for number in part]
        columns: dict[str, Any] = parameter_columns(space, (numbers[row] for row in done))
        for place, name in enumerate(METRICS):
            columns[name] = self.metrics[done, place]
        errors = [self._errors.get(int(row)) for row in done]
        columns["status"] = ["ok" if error is None else "failed" for error in errors]
        columns["error"] = pd.Series(errors, dtype=object)
        frame = pd.DataFrame(columns)
        return frame.astype({"trades": "Int64"})


class _Watch:
    """Counts and estimates."""

    def __init__(self, total: int, progress: Progress | None) -> None:
        self._total, self._progress = total, progress
        self._done, self._failed = 0, 0
        self._began_s = monotonic_s()

    def tell(self, results: TrialResults) -> None:
        self._done += len(results.errors)
        self._failed += sum(error is not None for error in results.errors)
        if self._progress is None:
            return
        elapsed_s = monotonic_s() - self._began_s
        remaining_s = elapsed_s / self._done * (self._total - self._done)
        self._progress(
            SweepProgress(done=self._done, total=self._total, failed=self._failed, elapsed_s=elapsed_s, remaining_s=remaining_s)
        )


def _never() -> bool:
    return False
