"""Walk-forward: stretches that follow one another, chosen on the past and looked at on what came then."""

from __future__ import annotations

import itertools

import numpy as np
import pandas as pd
import pytest

from algo_py.engine import PortfolioConfig, simulate
from algo_py.engine.sweep import SweepPlan, SweepProgress, best_of, run_plan
from algo_py.engine.sweep_folds import Fold, part_of, split, walk_forward
from algo_py.engine.sweep_rank import METRICS
from algo_py.errors import InvalidInput
from algo_py.strategy import COLUMNS, Bars, Field, Signals, Strategy, evaluate
from algo_py.strategy.library.ema_cross import EmaCross
from tests.engine.markets import Walk

CONFIG = PortfolioConfig(fees=0.001)
PLAN = SweepPlan(grid={"fast": [3, 5, 8], "slow": [10, 20]})


@pytest.mark.parametrize("folds", [1, 2, 5, 11])
@pytest.mark.parametrize("rows", [100, 101, 997])
def test_folds_follow_one_another_up_to_the_end(rows: int, folds: int) -> None:
    found = split(rows, folds)
    assert len(found) == folds
    assert found[-1].out_of_sample.stop == rows
    for fold in found:
        assert fold.in_sample.start >= 0
        assert fold.in_sample.stop == fold.out_of_sample.start
        assert len(fold.in_sample) == 3 * len(fold.out_of_sample) > 0
    for earlier, later in itertools.pairwise(found):
        assert earlier.out_of_sample.stop == later.out_of_sample.start


def test_lengths_may_be_given() -> None:
    assert split(100, 2, in_sample_bars=60) == (Fold(range(60), range(60, 80)), Fold(range(20, 80), range(80, 100)))
    assert split(100, 2, out_of_sample_bars=10)[0] == Fold(range(50, 80), range(80, 90))
    assert split(100, 1, in_sample_bars=5, out_of_sample_bars=5) == (Fold(range(90, 95), range(95, 100)),)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"folds": 0}, "at least 1 fold"),
        ({"folds": 98}, "98 folds need 101 bars"),
        ({"folds": 2, "in_sample_bars": 0}, "in_sample_bars must be at least 1"),
        ({"folds": 2, "out_of_sample_bars": 30}, "2 folds need 150 bars"),
        ({"folds": 2, "in_sample_bars": 99}, "2 folds need"),
    ],
)
def test_folds_that_do_not_fit_are_refused(arguments: dict[str, int], message: str) -> None:
    with pytest.raises(InvalidInput, match=message):
        split(100, **arguments)


def test_each_fold_is_its_own_sweep_and_then_a_simulation() -> None:
    bars = Walk(seed=4, symbols=2, rows=600).bars()
    folds = split(600, 3)
    table = walk_forward(EmaCross, bars, CONFIG, plan=PLAN, folds=folds)
    assert table["fold"].tolist() == [1, 2, 3]
    for fold, row in zip(folds, table.to_dict("records"), strict=True):
        best = best_of(run_plan(EmaCross, part_of(bars, fold.in_sample), CONFIG, plan=PLAN))
        assert best is not None
        assert (row["fast"], row["slow"]) == (best.params["fast"], best.params["slow"])
        assert [row[f"in_sample_{name}"] for name in METRICS] == [best.metrics[name] for name in METRICS]
        assert row["in_sample_first"] == bars.index[fold.in_sample.start]
        assert row["out_of_sample_last"] == bars.index[fold.out_of_sample.stop - 1]
        # Out of sample the strategy has the bars in sample behind it, but trades none of them.
        signals = evaluate(EmaCross(**best.params), part_of(bars, range(fold.in_sample.start, fold.out_of_sample.stop)))
        kept = Signals(signals.entries.loc[row["out_of_sample_first"] :], signals.exits.loc[row["out_of_sample_first"] :])
        expected = simulate(part_of(bars, fold.out_of_sample), kept, CONFIG).metrics
        assert {name: row[f"out_of_sample_{name}"] for name in METRICS} == expected


def test_what_comes_later_changes_nothing() -> None:
    bars = Walk(seed=4, rows=600).bars()
    folds = split(600, 3)
    whole = walk_forward(EmaCross, bars, CONFIG, plan=PLAN, folds=folds)
    for place, fold in enumerate(folds):
        rows = np.arange(600)[:, None]
        fields = {name: np.where(rows < fold.out_of_sample.stop, bars.array(name), 77.0) for name in COLUMNS}
        other = Bars(bars.index, bars.symbols, fields, market=None, timeframe=None)
        again = walk_forward(EmaCross, other, CONFIG, plan=PLAN, folds=folds[: place + 1])
        pd.testing.assert_frame_equal(again, whole.iloc[: place + 1], check_exact=True)
        # Nor does the choice know the bars out of sample.
        fields = {name: np.where(rows < fold.in_sample.stop, bars.array(name), 77.0) for name in COLUMNS}
        other = Bars(bars.index, bars.symbols, fields, market=None, timeframe=None)
        chosen = walk_forward(EmaCross, other, CONFIG, plan=PLAN, folds=folds[place : place + 1])
        for name in ("fast", "slow", "in_sample_sharpe_ratio"):
            assert chosen[name].tolist() == whole[name].tolist()[place : place + 1]


def test_a_strategy_is_never_shown_more_than_its_fold() -> None:
    seen: list[tuple[pd.Timestamp, pd.Timestamp]] = []

    class Watcher(Strategy):
        """Remembers what it was shown."""

        level: float = Field(50.0)

        def run(self, bars: Bars) -> Signals:
            seen.append((bars.index[0], bars.index[-1]))
            return Signals(bars.close > self.level, bars.close < self.level)

    from algo_py.engine.sweep_executor import InProcess

    bars = Walk(seed=4, rows=200).bars()
    folds = split(200, 2)
    plan = SweepPlan(grid={"level": [45.0, 50.0]}, rank="final_equity")
    walk_forward(Watcher, bars, CONFIG, plan=plan, folds=folds, executor=InProcess())
    expected = []
    for fold in folds:
        first, last, end = fold.in_sample[0], fold.in_sample[-1], fold.out_of_sample[-1]
        expected += [(bars.index[first], bars.index[last])] * 2 + [(bars.index[first], bars.index[end])]
    assert seen == expected


def test_a_fold_without_a_usable_set_says_so() -> None:
    bars = Walk(seed=4, rows=200).bars()
    plan = SweepPlan(grid={"fast": [3], "slow": [500]})
    table = walk_forward(EmaCross, bars, CONFIG, plan=plan, folds=split(200, 2))
    assert table["status"].tolist() == ["failed", "failed"]
    assert table["error"].tolist() == ["no parameter set has a sharpe_ratio in sample"] * 2


def test_a_symbol_that_is_listed_later_harms_nothing() -> None:
    walk = Walk(seed=4, symbols=2, rows=400).bars()
    frames = {symbol: frame.iloc[(300 if symbol == "S1" else 0) :] for symbol, frame in walk.items()}
    table = walk_forward(EmaCross, Bars.from_frames(frames), CONFIG, plan=PLAN, folds=split(400, 2))
    assert table["status"].tolist() == ["ok", "ok"]
    assert table["out_of_sample_final_equity"].notna().all()


def test_a_walk_counts_as_one_and_can_be_cancelled() -> None:
    bars = Walk(seed=4, rows=400).bars()
    seen: list[SweepProgress] = []
    walk_forward(EmaCross, bars, CONFIG, plan=PLAN, folds=split(400, 3), progress=seen.append)
    assert (seen[-1].done, seen[-1].total, seen[-1].remaining_s) == (18, 18, 0)
    assert [now.done for now in seen] == sorted(now.done for now in seen)
    seen.clear()
    table = walk_forward(
        EmaCross, bars, CONFIG, plan=PLAN, folds=split(400, 3), progress=seen.append, cancelled=lambda: len(seen) > 8
    )
    assert len(table) == 1
