"""Curves of a backtest, a value for each bar at its close: equity, the universe held, and what positions were worth."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pandas as pd

from algo_py.engine import Portfolio
from algo_py.strategy import Bars


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Curves:
    """Quote currency at each bar's close, indexed by the bar's open time. None: not saved (snapshots of schema 1).

    `benchmark` is equal cash in each symbol at its first close, held without costs; before that close it is cash.
    `long_value` and `short_value` are the marked positions, both 0 or more: equity = cash + long_value - short_value.
    """

    equity: pd.Series
    benchmark: pd.Series | None
    long_value: pd.Series | None
    short_value: pd.Series | None

    @classmethod
    def of_portfolio(cls, bars: Bars, portfolio: Portfolio) -> Curves:
        """Compute the curves of a simulation on its own bars."""
        closes = _last_known(bars.array("close"))
        values = _units(bars, portfolio) * np.nan_to_num(closes)
        held = portfolio.config.initial_cash * np.nan_to_num(closes / _first_known(closes), nan=1.0).mean(axis=1)

        def curve(name: str, numbers: np.ndarray) -> pd.Series:
            return pd.Series(numbers, index=bars.index, name=name)

        return cls(
            equity=portfolio.equity,
            benchmark=curve("benchmark", held),
            long_value=curve("long_value", values.clip(min=0.0).sum(axis=1)),
            short_value=curve("short_value", (-values).clip(min=0.0).sum(axis=1)),
        )

    @classmethod
    def from_frame(cls, frame: pd.DataFrame) -> Curves:
        """Take up what `to_frame` gave; columns but equity may be missing."""
        return cls(
            equity=frame["equity"],
            benchmark=frame.get("benchmark"),
            long_value=frame.get("long_value"),
            short_value=frame.get("short_value"),
        )

    def to_frame(self) -> pd.DataFrame:
        """Return the curves as columns; those that are not known are left out."""
        known = (curve for curve in (self.equity, self.benchmark, self.long_value, self.short_value) if curve is not None)
        return pd.DataFrame({str(curve.name): curve for curve in known})


def _units(bars: Bars, portfolio: Portfolio) -> np.ndarray:
    """Return the units held at each close, time x symbol, below 0 when short: what the last fill before it left.

    An entry opens and an exit closes the whole position, so nothing is summed up and a closed position is exactly 0.
    """
    orders = portfolio.orders
    filled = orders[orders["status"] == "FILLED"]
    # A fill at the close has the close as its time; the bar that decided it is the bar of the fill.
    moments = filled["bar_time" if portfolio.config.execution == "close" else "time"]
    rows = bars.index.get_indexer(pd.DatetimeIndex(moments))
    columns = np.array([bars.symbols.index(symbol) for symbol in filled["symbol"]], dtype=np.intp)
    signed = filled["quantity"].to_numpy() * np.where(filled["side"] == "BUY", 1.0, -1.0)
    left = np.full((len(bars.index), len(bars.symbols)), np.nan)
    left[rows, columns] = np.where(filled["reason"] == "entry", signed, 0.0)  # of several in a bar the last one stays
    units: np.ndarray = np.nan_to_num(_last_known(left))
    return units


def _last_known(values: np.ndarray) -> np.ndarray:
    """Return the values of each column, each hole filled with the value before it."""
    return pd.DataFrame(values).ffill().to_numpy()


def _first_known(closes: np.ndarray) -> np.ndarray:
    """Return each symbol's first close."""
    rows = np.argmax(~np.isnan(closes), axis=0)
    first: np.ndarray = closes[rows, np.arange(closes.shape[1])]
    return first
