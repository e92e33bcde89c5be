"""What a simulation yields. The kernel's records are kept as arrays; frames are built when somebody asks for them."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np
import pandas as pd

from algo_py.engine.config import PortfolioConfig
from algo_py.engine.metrics import Facts, metrics_of
from algo_py.engine.periods import periods_per_year, seconds_between
from algo_py.strategy import Bars


@dataclass(frozen=True, slots=True, eq=False)
class Records:
    """What the kernel left behind, in its own columns."""

    orders: np.ndarray
    book: np.ndarray
    pools: np.ndarray
    equity: np.ndarray
    exposed: np.ndarray


class Portfolio:
    """Equity, orders, trades, open positions and metrics of one simulation. Everything handed out is the reader's own copy
    or read-only.
    """

    def __init__(self, bars: Bars, config: PortfolioConfig, records: Records) -> None:
        self.config = config
        self._bars = bars
        self._records = records

    @property
    def symbols(self) -> tuple[str, ...]:
        return self._bars.symbols

    @cached_property
    def equity(self) -> pd.Series:
        """Equity by bar: cash plus positions at the bar's close, all pools together.

        The index is the bars' own, so the value in row t is the one after bar t's close, not the one at its open time.
        """
        return pd.Series(self._records.equity, index=self._bars.index, name="equity", copy=False)

    @cached_property
    def orders(self) -> pd.DataFrame:
        """Every order in the order of execution, a row each: time, symbol, side (BUY, SELL), quantity, price, fee, status
        (FILLED, DENIED), reason, bar_time.

        `time` is the open time of the bar in which it filled, for a close fill the bar's close time; `bar_time` is the open
        time of the bar whose close decided it (of a stop: the bar that hit it). A denied order has the quantity and the price
        at which it would have filled, and the reason of the denial.
        """
        from algo_py.engine.frames import orders_frame

        return orders_frame(self._bars, self.config, self._records)

    @cached_property
    def trades(self) -> pd.DataFrame:
        """Closed round trips in the order of their exits, a row each: symbol, direction (long, short), entry_time, exit_time,
        quantity, entry_price, exit_price, fees, profit, return_fraction, bars_held, exit_reason.

        `fees` are those of both orders and what a short paid for borrowing; `profit` is after them; `return_fraction` is
        profit / (quantity * entry_price). `bars_held` counts the symbol's own bars, the entry's bar being the first.
        """
        from algo_py.engine.frames import trades_frame

        return trades_frame(self._bars, self.config, self._records)

    @cached_property
    def open_positions(self) -> pd.DataFrame:
        """Positions that are open after the last bar, a row each: symbol, direction, entry_time, quantity, entry_price,
        last_price, fees, profit (not realised, costs so far taken off), return_fraction, bars_held.
        """
        from algo_py.engine.frames import open_positions_frame

        return open_positions_frame(self._bars, self.config, self._records)

    @cached_property
    def metrics(self) -> dict[str, float | int | None]:
        """Metrics by the names that `algo_py.engine.metrics` explains; what is not defined is None."""
        return metrics_of(self._facts())

    def _facts(self) -> Facts:
        from algo_py.engine import kernel, statistics

        records, bars = self._records, self._bars
        initial = 0.0
        for cash in records.pools[:, kernel.INITIAL]:
            initial += float(cash)
        sums = statistics.curve_sums(records.equity, initial)
        totals = records.pools.sum(axis=0)
        return Facts(
            bars=len(bars.index),
            periods_per_year=periods_per_year(bars, self.config),
            initial_equity=self.config.initial_cash,
            final_equity=float(records.equity[-1]),
            mean_return=sums.mean_return,
            squares=sums.squares,
            downside_squares=sums.downside_squares,
            max_drawdown=sums.max_drawdown,
            max_drawdown_duration_s=seconds_between(bars.index, int(sums.peak_row), int(sums.recovery_row)),
            ruined=bool(sums.ruined),
            trades=int(totals[kernel.TRADES]),
            wins=int(totals[kernel.WINS]),
            gains=float(totals[kernel.GAINS]),
            losses=float(totals[kernel.LOSSES]),
            fees_paid=float(totals[kernel.FEES] + totals[kernel.BORROW]),
            exposed_bars=int(np.count_nonzero(records.exposed)),
            benchmark_growth=statistics.benchmark_growth(bars.array("close").T),
        )
