"""A strategy that looks into the future must be caught; an honest one must not be accused."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from algo_py.backtest import run_backtest
from algo_py.backtest.checks import look_ahead_warnings
from algo_py.settings import Workspace
from algo_py.strategy import Bars, Signals, Strategy, evaluate
from algo_py.strategy.library.ema_cross import EmaCross
from algo_py.strategy.library.rsi_reversion import RsiReversion

from .conftest import FIRST, bars, config

CHEATS = {
    "the next bar": "entries=close.shift(-1) > close, exits=close.shift(-1) < close",
    "the next bar, for exits only": "entries=close > close.shift(1), exits=close.shift(-1) < close",
    "the mean of all bars": "entries=close < close.mean(), exits=close > close.mean()",
    "a centred window": "entries=close < close.rolling(5, center=True).min() + 1, exits=close > 104",
    "a gap filled from behind": "entries=close.where(close > 104).bfill() > 0, exits=close < 96",
    "its own luck": "entries=close > np.random.default_rng().normal(100, 5, close.shape), exits=close < 96",
}

HONEST = {
    "the bar before": "entries=close > close.shift(1), exits=close < close.shift(1)",
    "a rolling window": "entries=close < close.rolling(20).mean(), exits=close > close.rolling(20).mean()",
    "an expanding mean": "entries=close < close.expanding().mean(), exits=close > close.expanding().mean()",
    "the hour": "entries=frame(bars.index.hour == 3), exits=frame(bars.index.hour == 9)",
}

TEMPLATE = """
import numpy as np
import pandas as pd
from algo_py.strategy import Bars, Signals, Strategy

class Suspect(Strategy):
    def run(self, bars: Bars) -> Signals:
        close = bars.close
        def frame(row):
            wide = np.repeat(np.asarray(row)[:, None], close.shape[1], axis=1)
            return pd.DataFrame(wide, index=close.index, columns=close.columns)
        return Signals({signals})
"""


def warnings_of(strategy: Strategy, own: Bars, *, one_run_s: float = 0.0) -> list[str]:
    signals = evaluate(strategy, own)
    return list(look_ahead_warnings(strategy, own, signals, warm_up_bars=strategy.warm_up_bars, one_run_s=one_run_s))


def suspect(workspace: Workspace, signals: str, universe: tuple[str, ...]) -> tuple[str, ...]:
    (workspace.strategies / "suspect.py").write_text(TEMPLATE.format(signals=signals), encoding="utf-8")
    result = run_backtest(workspace, config(strategy="suspect", symbols=universe))
    return tuple(warning for warning in result.warnings if "looks ahead" in warning)


@pytest.mark.parametrize("signals", CHEATS.values(), ids=CHEATS.keys())
def test_a_cheat_is_caught(workspace: Workspace, signals: str) -> None:
    for universe in (("BTC/USDT",), ("BTC/USDT", "ETH/USDT")):
        (warning,) = suspect(workspace, signals, universe)
        assert warning.startswith("the strategy looks ahead: its e")
        assert "no live run can repeat this result" in warning


@pytest.mark.parametrize("signals", HONEST.values(), ids=HONEST.keys())
def test_an_honest_strategy_is_not_accused(workspace: Workspace, signals: str) -> None:
    for universe in (("BTC/USDT",), ("BTC/USDT", "ETH/USDT")):
        assert suspect(workspace, signals, universe) == ()


@pytest.mark.parametrize("strategy", [EmaCross(fast=3, slow=9), RsiReversion()])
def test_the_built_in_strategies_do_not_look_ahead(strategy: Strategy) -> None:
    own = Bars.from_frames({"A": bars(), "B": bars(200, first=FIRST + pd.Timedelta(hours=60))})
    assert warnings_of(strategy, own) == []


def test_a_strategy_too_slow_to_check_is_let_through() -> None:
    class Slow(EmaCross):
        def run(self, bars: Bars) -> Signals:
            runs.append(len(bars.index))
            return super().run(bars)

    runs: list[int] = []
    own = Bars.from_frames({"A": bars()})
    assert warnings_of(Slow(), own, one_run_s=2.0) == []
    assert runs == [300]
    warnings_of(Slow(), own, one_run_s=0.001)
    assert runs[2:5] == [299, 185, 70]
    assert len(runs) == 9  # the shortest prefix is shorter than the warm-up


def test_a_strategy_that_needs_all_bars_is_said_to_be_unchecked() -> None:
    class Needy(EmaCross):
        def run(self, bars: Bars) -> Signals:
            if len(bars.index) < 300:
                raise ValueError("too few")
            return super().run(bars)

    (warning,) = warnings_of(Needy(), Bars.from_frames({"A": bars()}))
    assert warning.startswith(
        "it could not be checked whether the strategy looks ahead: on the first 299 bars alone needy failed"
    )


def test_the_bars_handed_out_again_are_still_read_only(tmp_path: Path) -> None:
    class Vandal(EmaCross):
        def run(self, bars: Bars) -> Signals:
            if len(bars.index) < 300:
                assert not bars.array("close").flags.writeable
                assert np.shares_memory(bars.array("close"), own.array("close"))
            return super().run(bars)

    own = Bars.from_frames({"A": bars()})
    assert warnings_of(Vandal(), own) == []
