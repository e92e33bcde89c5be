"""Sweeps over stored bars: each row is a backtest, also of a strategy that only this workspace has."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pandas as pd
import pytest

from algo_py.backtest import SnapshotStore, run_backtest
from algo_py.backtest.sweep import refuse_taken_name, run_sweep, save_best
from algo_py.engine.sweep import SweepPlan
from algo_py.engine.sweep_executor import Forked
from algo_py.errors import Conflict, InvalidInput, NotFound, Refused, StrategyBroken
from algo_py.settings import Workspace
from tests.backtest.conftest import config

PLAN = SweepPlan(grid={"upper": [101.0, 104.0, 105, 108.0, 109.5]})


def contents(folder: Path) -> list[Path]:
    return sorted(folder.rglob("*"))


def test_each_row_is_the_backtest_of_its_parameters(workspace: Workspace) -> None:
    before = contents(workspace.root)
    chosen = config(symbols=("BTC/USDT", "ETH/USDT"), start="2025-01-03", size=0.4, stop_loss=0.03)
    result = run_sweep(workspace, chosen, PLAN, executor=Forked(2))
    assert contents(workspace.root) == before
    assert result.total == len(result.results) == 5
    assert not result.is_cancelled
    assert result.failed == 0
    for row in result.results.to_dict("records"):
        metrics = run_backtest(workspace, chosen.model_copy(update={"params": {"upper": row["upper"]}})).portfolio.metrics
        for name, value in metrics.items():
            assert pd.isna(row[name]) if value is None else row[name] == value


def test_a_strategy_file_works_in_worker_processes(workspace: Workspace) -> None:
    late = "from algo_py.strategy import Bars, Field, Signals, Strategy\n\n\nclass Late(Strategy):\n"
    late += '    """Imports its neighbour while it runs."""\n\n    upper: float = Field(105.0, gt=0)\n\n'
    late += "    def run(self, bars: Bars) -> Signals:\n        from _levels import LOWER\n\n"
    late += "        return Signals(entries=bars.close < LOWER, exits=bars.close > self.upper)\n"
    (workspace.strategies / "late.py").write_text(late, encoding="utf-8")
    result = run_sweep(workspace, config(strategy="late"), PLAN, executor=Forked(2))
    assert result.failed == 0
    pd.testing.assert_frame_equal(result.results, run_sweep(workspace, config(), PLAN).results, check_exact=True)


def test_parameters_of_the_config_hold_for_every_set(workspace: Workspace) -> None:
    plan = SweepPlan(grid={"fast": [3, 5]})
    result = run_sweep(workspace, config(strategy="ema-cross", params={"slow": 12}), plan)
    assert result.results[["slow", "fast"]].values.tolist() == [[12, 3], [12, 5]]
    with pytest.raises(InvalidInput, match="fast stands both in"):
        run_sweep(workspace, config(strategy="ema-cross", params={"fast": 3}), plan)


def test_the_best_set_is_saved_as_an_ordinary_backtest(workspace: Workspace) -> None:
    result = run_sweep(workspace, config(), PLAN)
    best = result.best()
    assert best is not None
    saved = save_best(workspace, result, "best")
    loaded = SnapshotStore(workspace).load("best")
    assert loaded.id == saved.id
    assert loaded.config.params == best.params
    assert loaded.metrics == best.metrics
    with pytest.raises(Conflict, match="already a backtest called 'best'"):
        refuse_taken_name(workspace, "best")
    refuse_taken_name(workspace, "another")


def test_without_a_best_set_nothing_is_saved(workspace: Workspace) -> None:
    result = run_sweep(workspace, config(), SweepPlan(grid={"upper": [-1.0]}))
    assert result.failed == 1
    with pytest.raises(Refused, match="no parameter set has a sharpe_ratio"):
        save_best(workspace, result, "best")
    stopped = run_sweep(workspace, config(), PLAN, cancelled=lambda: True)
    assert stopped.is_cancelled
    with pytest.raises(Refused, match="was cancelled"):
        save_best(workspace, stopped, "best")
    assert SnapshotStore(workspace).list() == []


def test_walking_forward_counts_with_the_sweep(workspace: Workspace) -> None:
    seen: list[Any] = []
    plan = SweepPlan(grid={"fast": [3, 5], "slow": [9, 12]})
    result = run_sweep(workspace, config(strategy="ema-cross"), plan, folds=3, progress=seen.append)
    assert result.folds is not None
    assert result.folds["status"].tolist() == ["ok"] * 3
    assert {(now.total) for now in seen} == {16}
    assert [now.done for now in seen] == sorted(now.done for now in seen)
    assert seen[-1].done == 16
    stopped = run_sweep(
        workspace, config(strategy="ema-cross"), plan, folds=3, progress=seen.append, cancelled=lambda: len(seen) > 22
    )
    assert stopped.is_cancelled


def test_what_is_wrong_is_said_before_anything_runs(workspace: Workspace) -> None:
    with pytest.raises(NotFound):
        run_sweep(workspace, config(strategy="wvae"), PLAN)
    with pytest.raises(InvalidInput, match="Did you mean 'upper'"):
        run_sweep(workspace, config(), SweepPlan(grid={"uper": [1]}))
    with pytest.raises(InvalidInput, match="folds need"):
        run_sweep(workspace, config(), PLAN, folds=1000)
    (workspace.strategies / "wave.py").write_text("x = (", encoding="utf-8")
    with pytest.raises(StrategyBroken, match=r"wave\.py line 1"):
        run_sweep(workspace, config(), PLAN)
