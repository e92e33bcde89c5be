"""The process of a sweep: it answers, it can always be ended, and it never outlives the session that asked for it."""

from __future__ import annotations

import gc
import os
import signal

import psutil
import pytest

from algo_py.backtest import BacktestConfig
from algo_py.backtest.sweep import SweepResult, run_sweep
from algo_py.clock import parse_time
from algo_py.dashboard.sweeps.job import SweepJob
from algo_py.dashboard.sweeps.order import SweepOrder
from algo_py.engine.sweep import SweepPlan
from algo_py.errors import NotFound, Refused, StrategyBroken
from algo_py.settings import Workspace
from tests.dashboard.person import eventually

_STUCK = """
from algo_py.strategy import Bars, Field, Signals, Strategy


class Stuck(Strategy):
    length: int = Field(3, ge=1)

    def run(self, bars: Bars) -> Signals:
        while True:
            pass
"""


def _order(workspace: Workspace, *, strategy: str = "ema-cross", plan: SweepPlan, folds: int | None = None) -> SweepOrder:
    config = BacktestConfig(
        strategy=strategy,
        market="crypto_binance",
        timeframe="1h",
        symbols=("BTC/USDT",),
        start=parse_time("2025-01-01"),
        end=parse_time("2025-03-01"),
    )
    return SweepOrder(root=workspace.root, config=config, plan=plan, folds=folds)


@pytest.fixture
def stuck(workspace: Workspace) -> SweepOrder:
    """A sweep of a strategy that never returns."""
    (workspace.strategies / "stuck.py").write_text(_STUCK)
    return _order(workspace, strategy="stuck", plan=SweepPlan(grid={"length": [1, 2]}))


def test_it_answers_what_the_library_answers(workspace: Workspace) -> None:
    order = _order(workspace, plan=SweepPlan(grid={"fast": [2, 4, 6], "slow": [4, 8]}), folds=2)
    job = SweepJob(order)
    eventually(lambda: job.outcome is not None, "the sweep ends")
    outcome = job.outcome
    assert isinstance(outcome, SweepResult)
    expected = run_sweep(workspace, order.config, order.plan, folds=2)
    assert outcome.results.equals(expected.results)
    assert outcome.folds is not None
    assert expected.folds is not None
    assert outcome.folds.equals(expected.folds)
    assert (outcome.config, outcome.failed, outcome.is_cancelled) == (order.config, 2, False)
    eventually(lambda: not psutil.pid_exists(job.pid), "its process is gone")


def test_a_refusal_comes_back_with_its_class_and_remedy(workspace: Workspace) -> None:
    job = SweepJob(_order(workspace, strategy="ema-crosss", plan=SweepPlan(grid={"fast": [2]})))
    eventually(lambda: job.outcome is not None, "the sweep is refused")
    assert isinstance(job.outcome, NotFound)
    assert (job.outcome.message, job.outcome.remedy) == ("there is no strategy 'ema-crosss'", "Did you mean 'ema-cross'?")


def test_a_strategy_that_does_not_return_is_ended(stuck: SweepOrder) -> None:
    job = SweepJob(stuck, grace_s=0.5)
    eventually(lambda: psutil.Process(job.pid).cpu_percent(0.1) > 0, "it is busy")
    job.cancel()
    assert job.is_cancelled
    eventually(lambda: job.outcome is not None, "it is ended")
    assert isinstance(job.outcome, Refused)
    assert "was cancelled" in job.outcome.message
    assert not psutil.pid_exists(job.pid)
    job.cancel()


def test_a_session_that_is_gone_takes_its_sweep_along(stuck: SweepOrder) -> None:
    job = SweepJob(stuck, grace_s=0.5)
    pid = job.pid
    del job
    gc.collect()
    eventually(lambda: not psutil.pid_exists(pid), "its process is gone")


def test_a_process_that_dies_is_said_to_have_died(stuck: SweepOrder) -> None:
    job = SweepJob(stuck)
    os.kill(job.pid, signal.SIGKILL)
    eventually(lambda: job.outcome is not None, "somebody notices")
    assert isinstance(job.outcome, StrategyBroken)
    assert "SIGKILL" in job.outcome.message
