"""Walk-forward: choose the best parameters on one stretch of bars, and look at what they do on the next."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import pandas as pd

from algo_py.clock import monotonic_s
from algo_py.engine.config import PortfolioConfig
from algo_py.engine.simulation import simulate
from algo_py.engine.sweep import BestSet, Cancelled, Progress, SweepPlan, SweepProgress, best_of, run_plan
from algo_py.engine.sweep_executor import Executor
from algo_py.engine.sweep_rank import METRICS
from algo_py.errors import AlgoPyError, InvalidInput
from algo_py.strategy import COLUMNS, Bars, Signals, Strategy, evaluate

# How much longer the stretch to choose on is than the one to look at, where nobody says.
_IN_SAMPLE_TIMES = 3


@dataclass(frozen=True, slots=True)
class Fold:
    """Rows of the bars: those to choose on, and those right after them to look at."""

    in_sample: range
    out_of_sample: range


def split(rows: int, folds: int, *, in_sample_bars: int | None = None, out_of_sample_bars: int | None = None) -> tuple[Fold, ...]:
    """Return `folds` folds, the last of which ends with the last row.

    Stretches out of sample follow one another without overlap; each has the `in_sample_bars` rows before it to choose on. Lengths
    that are not given: in sample three times as long as out of sample, and as long as the rows allow.
    """
    if folds < 1:
        raise InvalidInput(f"walk-forward needs at least 1 fold (was {folds})")
    for name, bars in (("in_sample_bars", in_sample_bars), ("out_of_sample_bars", out_of_sample_bars)):
        if bars is not None and bars < 1:
            raise InvalidInput(f"{name} must be at least 1 (was {bars})")
    if out_of_sample_bars is None:
        out_of_sample_bars = (
            rows // (folds + _IN_SAMPLE_TIMES) if in_sample_bars is None else max(rows - in_sample_bars, 0) // folds
        )
    if in_sample_bars is None:
        in_sample_bars = _IN_SAMPLE_TIMES * out_of_sample_bars
    needed = in_sample_bars + folds * out_of_sample_bars
    if out_of_sample_bars < 1 or needed > rows:
        raise InvalidInput(
            f"{folds} folds need {max(needed, folds + _IN_SAMPLE_TIMES)} bars (there are {rows})",
            remedy="Use fewer or shorter ones.",
        )
    starts = range(rows - folds * out_of_sample_bars, rows, out_of_sample_bars)
    return tuple(Fold(range(start - in_sample_bars, start), range(start, start + out_of_sample_bars)) for start in starts)


def walk_forward(
    strategy_class: type[Strategy],
    bars: Bars,
    config: PortfolioConfig | None = None,
    *,
    plan: SweepPlan,
    folds: Sequence[Fold],
    executor: Executor | None = None,
    progress: Progress | None = None,
    cancelled: Cancelled | None = None,
) -> pd.DataFrame:
    """Sweep each fold in sample, run its best set out of sample, and return a row for each fold.

    Columns: fold (from 1), the open times of the first and last bar in and out of sample, the parameters that were chosen, each
    metric as `in_sample_...` beside `out_of_sample_...`, `status` (ok or failed) and `error`. In sample the strategy sees those
    bars alone. Out of sample it sees the bars in sample too, as its history, so that it need not warm up again; traded are only
    the bars out of sample, from the initial cash. The other arguments are those of `sweep`. A cancelled walk returns the folds
    that are done.
    """
    rows = []
    told = _FoldProgress(len(folds), progress)
    for number, fold in enumerate(folds, start=1):
        results = run_plan(
            strategy_class,
            part_of(bars, fold.in_sample),
            config,
            plan=plan,
            executor=executor,
            progress=told.next_fold(),
            cancelled=cancelled,
        )
        if cancelled is not None and cancelled():
            break
        row = {"fold": number} | _times(bars, fold)
        rows.append(row | _found(strategy_class, bars, config, fold, best_of(results, plan.rank), plan.rank))
    names = ("fold", *_TIMES, *plan.grid, *(f"{part}_{name}" for name in METRICS for part in ("in_sample", "out_of_sample")))
    return pd.DataFrame(rows, columns=[*names, "status", "error"])


def part_of(bars: Bars, rows: range) -> Bars:
    """Return some neighbouring rows of bars as a view; a symbol without a bar among them keeps its place."""
    fields = {name: bars.array(name)[rows.start : rows.stop] for name in COLUMNS}
    index = bars.index[rows.start : rows.stop]
    return Bars(index, bars.symbols, fields, market=bars.market, timeframe=bars.timeframe)


_TIMES = ("in_sample_first", "in_sample_last", "out_of_sample_first", "out_of_sample_last")


def _times(bars: Bars, fold: Fold) -> dict[str, Any]:
    rows = (fold.in_sample[0], fold.in_sample[-1], fold.out_of_sample[0], fold.out_of_sample[-1])
    return {name: bars.index[row] for name, row in zip(_TIMES, rows, strict=True)}


def _found(
    strategy_class: type[Strategy],
    bars: Bars,
    config: PortfolioConfig | None,
    fold: Fold,
    best: BestSet | None,
    rank: str,
) -> dict[str, Any]:
    if best is None:
        return {"status": "failed", "error": f"no parameter set has a {rank} in sample"}
    row = best.params | {f"in_sample_{name}": value for name, value in best.metrics.items()}
    try:
        after = _out_of_sample(strategy_class.from_params(best.params), bars, config, fold)
    except AlgoPyError as error:
        return row | {"status": "failed", "error": str(error)}
    return row | {f"out_of_sample_{name}": value for name, value in after.items()} | {"status": "ok", "error": None}


def _out_of_sample(
    strategy: Strategy, bars: Bars, config: PortfolioConfig | None, fold: Fold
) -> Mapping[str, float | int | None]:
    history = len(fold.in_sample)
    signals = evaluate(strategy, part_of(bars, range(fold.in_sample.start, fold.out_of_sample.stop)))
    frames = (signals.entries, signals.exits, signals.short_entries, signals.short_exits)
    traded = Signals(*(None if frame is None else frame.iloc[history:] for frame in frames))  # type: ignore[arg-type]
    return simulate(part_of(bars, fold.out_of_sample), traded, config).metrics


class _FoldProgress:
    """One count over all folds."""

    def __init__(self, folds: int, progress: Progress | None) -> None:
        self._folds, self._progress = folds, progress
        self._fold = -1
        self._failed_before = self._failed = 0
        self._began_s = monotonic_s()

    def next_fold(self) -> Progress | None:
        self._fold += 1
        self._failed_before += self._failed
        self._failed = 0
        return None if self._progress is None else self._tell

    def _tell(self, now: SweepProgress) -> None:
        self._failed = now.failed
        done, total = self._fold * now.total + now.done, self._folds * now.total
        elapsed_s = monotonic_s() - self._began_s
        remaining_s = elapsed_s / done * (total - done)
        if self._progress is not None:
            failed = self._failed_before + now.failed
            self._progress(replace(now, done=done, total=total, failed=failed, elapsed_s=elapsed_s, remaining_s=remaining_s))
