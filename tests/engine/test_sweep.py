"""Sweeps: every row is a simulation, whatever searched for it and whichever process ran it."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from typing import Any

import numpy as np
import pandas as pd
import pytest
from pydantic import model_validator

from algo_py.engine import PortfolioConfig, simulate
from algo_py.engine.sweep import SweepProgress, best_of, sweep
from algo_py.engine.sweep_executor import Adaptive, Executor, Forked, InProcess
from algo_py.engine.sweep_folds import part_of
from algo_py.engine.sweep_rank import DIRECTIONS, METRICS, direction_of, ranked
from algo_py.engine.sweep_search import SEARCHES
from algo_py.errors import InvalidInput
from algo_py.strategy import Bars, Field, Signals, Strategy, evaluate
from algo_py.strategy.indicators import cross_above, cross_below
from algo_py.strategy.library.donchian_breakout import DonchianBreakout
from algo_py.strategy.library.ema_cross import EmaCross
from algo_py.strategy.library.macd_trend import MacdTrend
from algo_py.strategy.library.supertrend_flip import SupertrendFlip
from tests.engine.markets import Walk

CONFIG = PortfolioConfig(fees=0.001, slippage=0.0005)
GRID = {"fast": [3, 5, 8, 13], "slow": [5, 10, 20, 30]}


class Capricious(Strategy):
    """Fails in as many ways as there are modes."""

    mode: int = Field(0, ge=0, le=7)

    @model_validator(mode="after")
    def _fail_early(self) -> Capricious:
        if self.mode == 1:
            raise ZeroDivisionError("in a validator")
        return self

    def run(self, bars: Bars) -> Signals:
        close = bars.close
        if self.mode == 2:
            raise RuntimeError("in run")
        if self.mode == 3:
            return close  # type: ignore[return-value]
        if self.mode == 4:
            return Signals(close, close)
        if self.mode == 5:
            os.kill(os.getpid(), signal.SIGKILL)
        if self.mode == 6:
            return Signals((close > 50).iloc[1:], (close < 50).iloc[1:])
        return Signals(close > 50, close < 50)


class Vandal(Strategy):
    """Writes to what it was given, which must stay its own affair."""

    times: int = Field(1, ge=1)

    def run(self, bars: Bars) -> Signals:
        from algo_py.strategy.indicators import ema

        bars.close["S0"] = bars.close["S0"] * self.times
        average = ema(bars.close, 10)
        average.iloc[:20] = 0.0
        average += self.times
        return Signals(cross_above(bars.close, average), cross_below(bars.close, average))


def same(one: pd.DataFrame, other: pd.DataFrame) -> None:
    pd.testing.assert_frame_equal(one, other, check_exact=True)


def assert_rows_are_simulations(results: pd.DataFrame, strategy_class: type[Strategy], bars: Bars, config: Any) -> None:
    for row in results.to_dict("records"):
        params = {name: row[name] for name in results.columns[: -len(METRICS) - 2]}
        strategy = strategy_class.from_params(params)
        fresh = part_of(bars, range(len(bars.index)))  # one strategy writes to its frames
        metrics = simulate(fresh, evaluate(strategy, fresh), config).metrics
        assert row["status"] == "ok"
        assert list(metrics) == list(METRICS)
        for name, value in metrics.items():
            assert pd.isna(row[name]) if value is None else row[name] == value, (params, name)


@pytest.mark.parametrize(
    ("strategy_class", "grid"),
    [
        (EmaCross, {"fast": [3, 5], "slow": [10, 20, 10]}),
        (DonchianBreakout, {"entry_bars": [5, 10], "exit_bars": [3, 5]}),
        (SupertrendFlip, {"length": [3, 7], "multiplier": [1.0, 2.5]}),
        (MacdTrend, {"fast": [3, 5], "trend": [10, 20]}),
        (Vandal, {"times": [1, 2, 3]}),
    ],
)
@pytest.mark.parametrize("symbols", [1, 3])
def test_each_row_is_the_simulation_of_its_parameters(
    strategy_class: type[Strategy], grid: dict[str, list[Any]], symbols: int
) -> None:
    bars = Walk(seed=3, symbols=symbols, rows=400, missing=0.05, gaps=True).bars()
    configs = [
        CONFIG,
        PortfolioConfig(size=0.3, cash_sharing=False, stop_loss=0.05, trailing_stop=0.1),
        PortfolioConfig(direction="both" if strategy_class in (SupertrendFlip, MacdTrend) else "long", execution="close"),
    ]
    for config in configs:
        results = sweep(strategy_class, bars, config, grid=grid, executor=InProcess())
        assert_rows_are_simulations(results, strategy_class, bars, config)


def test_the_grid_is_tried_in_its_order_and_types_stay() -> None:
    bars = Walk(seed=1).bars()
    results = sweep(EmaCross, bars, CONFIG, grid={"slow": [30, 20], "fast": [5, 3, 5]})
    assert results[["slow", "fast"]].values.tolist() == [[30, 5], [30, 3], [20, 5], [20, 3]]
    assert results.dtypes["fast"] == np.int64
    assert list(results.columns) == ["slow", "fast", *METRICS, "status", "error"]


@pytest.mark.parametrize("search", ["grid", "random", "tpe"])
def test_rows_do_not_depend_on_the_executor(search: Any) -> None:
    bars = Walk(seed=2, rows=300).bars()
    executors: list[Executor] = [InProcess(), Forked(1), Forked(3), Adaptive(2)]
    samples = None if search == "grid" else 9
    found = [sweep(EmaCross, bars, CONFIG, grid=GRID, search=search, samples=samples, seed=4, executor=e) for e in executors]
    for other in found[1:]:
        same(found[0], other)


@pytest.mark.parametrize("search", ["random", "tpe"])
def test_searches_are_seeded_and_try_nothing_twice(search: Any) -> None:
    bars = Walk(seed=2, rows=300).bars()
    grid = {"fast": list(range(2, 12)), "slow": list(range(12, 32))}

    def parameters(seed: int) -> list[list[int]]:
        results = sweep(EmaCross, bars, CONFIG, grid=grid, search=search, samples=40, seed=seed)
        found: list[list[int]] = results[["fast", "slow"]].values.tolist()
        return found

    first = parameters(1)
    assert first == parameters(1)
    assert first != parameters(2)
    assert len({tuple(one) for one in first}) == 40


def test_tpe_looks_where_it_is_good() -> None:
    class Hill(Strategy):
        """The farther from the middle, the more it trades, and each trade costs."""

        x: int = Field(0)
        y: str = Field("a")

        def run(self, bars: Bars) -> Signals:
            place = np.arange(len(bars.index))[:, None]
            every = 2 + 2 * max(0, 40 - abs(self.x - 70)) if self.y == "b" else 2
            entries = pd.DataFrame(place % every == 0, index=bars.index, columns=bars.close.columns)
            exits = pd.DataFrame(place % every == 1, index=bars.index, columns=bars.close.columns)
            return Signals(entries, exits)

    bars = Walk(seed=5, rows=400).bars()
    grid: dict[str, list[Any]] = {"x": list(range(100)), "y": ["a", "b", "c"]}
    results = sweep(Hill, bars, CONFIG, grid=grid, search="tpe", samples=80, seed=0, rank="fees_paid")
    later = results.iloc[40:]
    assert ((later["y"] == "b") & ((later["x"] - 70).abs() < 25)).mean() > 0.3  # blindly: 0.17


def test_more_samples_than_sets_are_all_sets() -> None:
    bars = Walk(seed=2).bars()
    for search in SEARCHES[1:]:
        results = sweep(EmaCross, bars, CONFIG, grid={"fast": [3, 5], "slow": [9]}, search=search, samples=50)
        assert sorted(results["fast"]) == [3, 5]


def test_optuna_is_neither_loaded_nor_heard_without_need(capfd: pytest.CaptureFixture[str]) -> None:
    sweep(EmaCross, Walk(seed=2).bars(), CONFIG, grid={"fast": [3, 5]}, search="tpe", samples=2)
    assert capfd.readouterr() == ("", "")
    code = "import sys, algo_py.engine.sweep, algo_py.backtest.sweep; sys.exit('optuna' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


def test_bad_sets_are_recorded_and_skipped() -> None:
    bars = Walk(seed=2).bars()
    results = sweep(Capricious, bars, CONFIG, grid={"mode": [0, 1, 2, 3, 4, 5, 6, 7, 8]}, executor=Forked(2))
    assert results["status"].tolist() == ["ok", *["failed"] * 6, "ok", "failed"]
    errors = dict(zip(results["mode"], results["error"], strict=True))
    assert errors[0] is None
    assert errors[1] == "capricious: ZeroDivisionError: in a validator"
    assert errors[2].startswith("capricious failed in test_sweep.py line ")
    assert errors[2].endswith("RuntimeError: in run")
    assert "must return Signals" in errors[3]
    assert "must be boolean" in errors[4]
    assert errors[5] == "the worker process ended by SIGKILL while it ran this set"
    assert "a row for each of the 120 bars" in errors[6]
    assert errors[8] == "capricious: mode must be less than or equal to 7 (was 8)"
    assert results.loc[results["status"] == "failed", list(METRICS)].isna().all(axis=None)


@pytest.mark.parametrize("executor", [InProcess(), Forked(2), Adaptive(2)])
def test_a_cancelled_sweep_keeps_what_is_done(executor: Executor) -> None:
    bars = Walk(seed=2, rows=2_000).bars()
    seen: list[SweepProgress] = []
    grid = {"fast": list(range(2, 100)), "slow": list(range(100, 200))}
    results = sweep(EmaCross, bars, CONFIG, grid=grid, executor=executor, progress=seen.append, cancelled=lambda: len(seen) >= 3)
    assert 1 <= len(results) < 9_800
    assert len(results) == seen[-1].done
    assert (results["status"] == "ok").all()
    assert sweep(EmaCross, bars, CONFIG, grid=grid, executor=executor, cancelled=lambda: True).empty


def test_no_worker_is_left() -> None:
    import multiprocessing

    bars = Walk(seed=2).bars()
    sweep(EmaCross, bars, CONFIG, grid=GRID, executor=Forked(2))
    assert multiprocessing.active_children() == []

    def interrupt(_: SweepProgress) -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        sweep(EmaCross, bars, CONFIG, grid=GRID, executor=Forked(2), progress=interrupt)
    assert multiprocessing.active_children() == []


_ORPHANS = """
import multiprocessing, os, signal
from algo_py.engine.sweep import sweep
from algo_py.engine.sweep_executor import Forked
from algo_py.strategy.library.ema_cross import EmaCross
from tests.engine.markets import Walk
def die(_):
    print(*(child.pid for child in multiprocessing.active_children()), flush=True)
    os.kill(os.getpid(), signal.SIGKILL)
sweep(EmaCross, Walk(seed=1).bars(), grid={"fast": range(2, 99), "slow": range(100, 200)}, executor=Forked(3), progress=die)
"""


def test_workers_end_with_a_parent_that_was_killed() -> None:
    # Its output ends only when the last of those that inherited it is gone.
    done = subprocess.run([sys.executable, "-c", _ORPHANS], capture_output=True, text=True, check=False, timeout=60)
    assert done.returncode == -signal.SIGKILL
    assert len(done.stdout.split()) == 3
    assert done.stderr == ""


def test_progress_counts_and_estimates() -> None:
    seen: list[SweepProgress] = []
    sweep(EmaCross, Walk(seed=2).bars(), CONFIG, grid=GRID, executor=Forked(2), progress=seen.append)
    assert [now.done for now in seen] == sorted(now.done for now in seen)
    assert (seen[-1].done, seen[-1].total, seen[-1].failed, seen[-1].remaining_s) == (16, 16, 4, 0)
    assert all(now.remaining_s is not None and now.remaining_s >= 0 for now in seen)


def test_workers_use_one_thread_each() -> None:
    class Threads(Strategy):
        """Fails with what it finds."""

        x: int = 1

        def run(self, bars: Bars) -> Signals:
            from threadpoolctl import threadpool_info  # type: ignore[import-untyped]

            raise RuntimeError(f"{max(pool['num_threads'] for pool in threadpool_info())} threads at most")

    results = sweep(Threads, Walk(seed=1).bars(), CONFIG, grid={"x": [1, 2]}, executor=Forked(1))
    assert all(error.endswith(" 1 threads at most") for error in results["error"])


_GROWTH = """
import sys
from algo_py.engine import PortfolioConfig
from algo_py.engine.sweep import sweep
from algo_py.engine.sweep_executor import InProcess
from algo_py.strategy.library.ema_cross import EmaCross
from tests.engine.markets import Walk
bars = Walk(seed=1, rows=20_000).bars()
def run(count):
    grid = {"fast": range(2, 12), "slow": range(20, 20 + count // 10)}
    sweep(EmaCross, bars, PortfolioConfig(), grid=grid, executor=InProcess())
    with open("/proc/self/status") as status:
        return next(int(line.split()[1]) for line in status if line.startswith("VmHWM")) / 1024
run(20)
few = run(200)
many = run(2_000)
print(many - few)
"""


def test_memory_does_not_grow_with_the_number_of_sets() -> None:
    done = subprocess.run([sys.executable, "-c", _GROWTH], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert float(done.stdout) < 48  # MiB, of them 32 for indicators; a curve kept for each set would be 270


def test_ranking_knows_what_is_better() -> None:
    nan = np.nan
    results = pd.DataFrame(
        {
            "x": [1, 2, 3, 4, 5],
            "sharpe_ratio": [1.0, nan, 2.0, nan, 1.0],
            "max_drawdown_fraction": [-0.1, 0.0, -0.5, nan, -0.1],
            "volatility_fraction": [0.2, nan, 0.1, nan, 0.3],
            "status": ["ok", "ok", "ok", "failed", "ok"],
        }
    )
    assert ranked(results)["x"].tolist() == [3, 1, 5, 2, 4]
    assert ranked(results, "max_drawdown_fraction")["x"].tolist() == [2, 1, 5, 3, 4]
    assert ranked(results, "volatility_fraction")["x"].tolist() == [3, 1, 5, 2, 4]


def test_every_metric_has_a_direction() -> None:
    bars = Walk(seed=1).bars()
    assert list(DIRECTIONS) == list(simulate(bars, evaluate(EmaCross(), bars)).metrics)
    for metric in ("initial_equity", "benchmark_return_fraction", "sharpe"):
        with pytest.raises(InvalidInput, match="rank must be a metric"):
            direction_of(metric)
    with pytest.raises(InvalidInput, match="Did you mean 'sharpe_ratio'"):
        direction_of("sharpe_ratoi")


def test_the_best_set() -> None:
    bars = Walk(seed=2, rows=300).bars()
    results = sweep(EmaCross, bars, CONFIG, grid=GRID)
    best = best_of(results)
    assert best is not None
    assert best.metrics["sharpe_ratio"] == results["sharpe_ratio"].max()
    assert all(type(value) is int for value in best.params.values())
    assert best_of(results.iloc[:0]) is None


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"grid": {}}, "grid must name at least one"),
        ({"grid": {"fast": []}}, "the values of fast must be a list"),
        ({"grid": {"fast": "3"}}, "the values of fast must be a list"),
        ({"grid": {"fats": [3]}}, "has no parameter 'fats'. Did you mean 'fast'"),
        ({"grid": {"fast": range(2000), "slow": range(2000)}}, "at most 1,000,000 parameter sets"),
        ({"grid": GRID, "search": "best"}, "search must be one of grid, random, tpe"),
        ({"grid": GRID, "samples": 5}, "samples must be left out"),
        ({"grid": GRID, "search": "random", "samples": 0}, "samples must be at least 1"),
        ({"grid": GRID, "search": "random", "seed": -1}, "seed must be at least 0"),
        ({"grid": GRID, "rank": "profit"}, "rank must be a metric"),
    ],
)
def test_what_cannot_be_is_refused(arguments: dict[str, Any], message: str) -> None:
    with pytest.raises(InvalidInput, match=message):
        sweep(EmaCross, Walk(seed=1).bars(), CONFIG, **arguments)
    with pytest.raises(InvalidInput, match="workers must be at least 1"):
        Forked(0)


def test_a_parameter_may_not_be_called_like_a_column() -> None:
    class Odd(EmaCross):
        """Has a parameter that is a metric's name."""

        trades: int = 1

    with pytest.raises(InvalidInput, match="the name of a column"):
        sweep(Odd, Walk(seed=1).bars(), CONFIG, grid={"trades": [1]})
