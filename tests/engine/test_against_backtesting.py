"""Trades with fills at the next open equal backtesting.py's."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from backtesting.backtesting import Backtest, Strategy

from algo_py.engine import PortfolioConfig, simulate
from algo_py.strategy import Signals

from .markets import Walk, random_signals
from .tables import read_tables


@pytest.mark.filterwarnings("ignore")  # the reference uses what pandas deprecates
@pytest.mark.parametrize("seed", range(12))
@pytest.mark.parametrize("share", [0.05, 0.3])
def test_trades_at_the_next_open(seed: int, share: float) -> None:
    bars = Walk(seed=seed, rows=400, gaps=True).bars()
    drawn = random_signals(bars, seed=seed, share=share)
    seen = np.arange(400)[:, None] > 0  # backtesting.py does not ask a strategy about the first bar
    signals = Signals(drawn.entries & seen, drawn.exits & seen)
    entries, exits = signals.entries.to_numpy(), signals.exits.to_numpy()

    class Follow(Strategy):
        def init(self) -> None:
            pass

        def next(self) -> None:
            row = len(self.data) - 1
            entry, leave = bool(entries[row, 0]), bool(exits[row, 0])
            if entry and not leave and not self.position:
                self.buy(size=7)
            elif leave and not entry and self.position:
                self.position.close()

    frame = bars["S0"].rename(columns=str.capitalize).tz_localize(None)
    run = Backtest(frame, Follow, cash=10_000, commission=0.001, finalize_trades=False)
    theirs = run.run()
    portfolio = simulate(bars, signals, PortfolioConfig(size_type="amount", size=7, fees=0.001))
    ours = portfolio.trades
    expected = theirs["_trades"]
    assert len(ours) == len(expected) > 5
    rows = bars.index.get_indexer
    assert rows(pd.DatetimeIndex(ours["entry_time"])).tolist() == expected["EntryBar"].tolist()
    assert rows(pd.DatetimeIndex(ours["exit_time"])).tolist() == expected["ExitBar"].tolist()
    np.testing.assert_allclose(ours["entry_price"], expected["EntryPrice"], rtol=1e-12)
    np.testing.assert_allclose(ours["exit_price"], expected["ExitPrice"], rtol=1e-12)
    np.testing.assert_allclose(ours["profit"], expected["PnL"], rtol=1e-9, atol=1e-9)
    np.testing.assert_allclose(ours["fees"], expected["Commission"], rtol=1e-9)
    assert portfolio.equity.iloc[-1] == pytest.approx(theirs["Equity Final [$]"], rel=1e-9)


@pytest.mark.filterwarnings("ignore")
def test_by_design_the_first_bars_signals_count() -> None:
    bars, signals = read_tables({"A": "100 E\n101\n102 X\n103"})
    rows: list[int] = []

    class Ask(Strategy):
        def init(self) -> None:
            pass

        def next(self) -> None:
            rows.append(len(self.data) - 1)

    Backtest(bars["A"].rename(columns=str.capitalize).tz_localize(None), Ask).run()
    assert rows[0] == 1
    assert simulate(bars, signals).orders["bar_time"].tolist() == [bars.index[0], bars.index[2]]
