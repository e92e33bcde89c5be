"""Remembered indicators: the same values, only sooner, and never a trace of what another run did to them."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from algo_py.strategy import Bars, indicators
from algo_py.strategy.indicators.memory import IndicatorMemory, OwnBars, remembered, remembering
from tests.engine.markets import Walk


@pytest.fixture
def bars() -> Bars:
    return Walk(seed=1, symbols=2, rows=300, missing=0.1).bars()


class Counted:
    """An indicator that counts how often it is computed."""

    def __init__(self) -> None:
        self.calls = 0

    def __call__(self, values: pd.DataFrame, length: int = 1) -> pd.DataFrame:
        self.calls += 1
        return indicators.averages.sma(values, length)


def test_all_indicators_give_the_same_remembered(bars: Bars) -> None:
    for _ in range(2):
        with remembering(IndicatorMemory(bars)):
            for _ in range(2):
                own = OwnBars(bars)
                for name in ("ema", "sma", "rsi", "rate_of_change", "highest", "lowest", "zscore", "previous"):
                    call = getattr(indicators, name)
                    pd.testing.assert_frame_equal(call(own.close, 7), call.__wrapped__(bars.close, 7), check_exact=True)
                for name in ("atr", "adx", "plus_di", "minus_di", "vwap"):
                    call = getattr(indicators, name)
                    pd.testing.assert_frame_equal(call(own, 7), call.__wrapped__(bars, 7), check_exact=True)
                for name in ("upper", "middle", "lower"):
                    bands, expected = indicators.donchian(own, 7), indicators.channels.donchian(bars, 7)
                    pd.testing.assert_frame_equal(getattr(bands, name), getattr(expected, name), check_exact=True)


def test_the_same_call_is_computed_once_and_other_calls_are_not_it(bars: Bars) -> None:
    counted = Counted()
    call = remembered(counted)
    with remembering(IndicatorMemory(bars)):
        for _ in range(3):
            call(OwnBars(bars).close, 5)
        assert counted.calls == 1
        call(OwnBars(bars).close, 6)
        call(OwnBars(bars).close, length=5)
        call(OwnBars(bars).high, 5)
        assert counted.calls == 4
        for values in (bars.close * 2, bars.close.iloc[:100], bars.close[["S0"]], bars.close.shift(1)):
            call(values, 5)
            call(values, 5)
        assert counted.calls == 12
    call(bars.close, 5)
    call(bars.close, 5)
    assert counted.calls == 14


def test_changed_bars_are_not_the_bars(bars: Bars) -> None:
    with remembering(IndicatorMemory(bars)):
        first = indicators.atr(OwnBars(bars), 5)
        changed = OwnBars(bars)
        changed.high["S0"] = changed.high["S0"] * 2
        assert not indicators.atr(changed, 5).equals(first)
        assert indicators.atr(OwnBars(bars), 5).equals(first)
        assert indicators.ema(OwnBars(bars).close, 5).columns.tolist() == ["S0", "S1"]
        assert not indicators.atr(bars.head(200), 5).equals(first)


def test_what_is_done_to_a_result_stays_there(bars: Bars) -> None:
    with remembering(IndicatorMemory(bars)):
        expected = indicators.averages.ema(bars.close, 5)
        for _ in range(3):
            mine = indicators.ema(OwnBars(bars).close, 5)
            pd.testing.assert_frame_equal(mine, expected, check_exact=True)
            mine.iloc[:50] = 1.0
            mine += 1
            mine["S1"] = 0.0
            values = indicators.ema(OwnBars(bars).close, 5).to_numpy()
            with pytest.raises(ValueError, match="WRITEABLE"):
                values.flags.writeable = True


def test_memory_has_a_bound(bars: Bars) -> None:
    counted = Counted()
    call = remembered(counted)
    one = bars.close.to_numpy().nbytes
    with remembering(IndicatorMemory(bars, limit_bytes=3 * one)):
        for length in (1, 2, 3):
            call(OwnBars(bars).close, length)
        call(OwnBars(bars).close, 1)
        assert counted.calls == 3
        call(OwnBars(bars).close, 4)  # 2 has not been used for longest
        call(OwnBars(bars).close, 1)
        assert counted.calls == 4
        call(OwnBars(bars).close, 2)
        assert counted.calls == 5
    counted.calls = 0
    with remembering(IndicatorMemory(bars, limit_bytes=one - 1)):
        call(OwnBars(bars).close, 1)
        call(OwnBars(bars).close, 1)
        assert counted.calls == 2


def test_what_is_no_frame_is_not_kept(bars: Bars) -> None:
    @remembered
    def mean(values: pd.DataFrame, weights: np.ndarray) -> float:
        return float(values.mean().mean() * weights.sum())

    with remembering(IndicatorMemory(bars)):
        assert mean(bars.close, np.ones(1)) * 2 == mean(bars.close, np.ones(2))
