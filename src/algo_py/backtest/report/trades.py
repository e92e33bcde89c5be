"""What the closed trades say: how they are distributed, what they have in common, which kind earned the money.

`trades` is as `Portfolio.trades`. Pure functions; what is not defined is None.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Final, Literal

import numpy as np
import pandas as pd

_MOST_BINS: Final = 36
_STEPS: Final = (1.0, 2.0, 2.5, 5.0, 10.0)


@dataclass(frozen=True, slots=True)
class Bin:
    """A bar of a histogram: `count` values in [low, high), in the last bin [low, high]."""

    low: float
    high: float
    count: int


@dataclass(frozen=True, slots=True, kw_only=True)
class TradeGroup:
    """Trades that share something. Money is in quote currency, after costs."""

    name: str
    trades: int
    win_rate_fraction: float
    average_return_fraction: float
    profit: float
    fees: float


@dataclass(frozen=True, slots=True, kw_only=True)
class TradeStatistics:
    """Averages and extremes of the trades' returns; None where there is no such trade."""

    average_win_fraction: float | None
    average_loss_fraction: float | None
    best_fraction: float | None
    worst_fraction: float | None
    median_bars_held: float | None
    longest_losing_run: int


def return_histogram(trades: pd.DataFrame) -> list[Bin]:
    """Return the histogram of `return_fraction`; 0 is an edge, so that a bin holds gains or losses and never both."""
    return _histogram(trades["return_fraction"].to_numpy(dtype=np.float64), least_step=0.0)


def duration_histogram(trades: pd.DataFrame) -> list[Bin]:
    """Return the histogram of `bars_held`; the edges are whole numbers."""
    return _histogram(trades["bars_held"].to_numpy(dtype=np.float64), least_step=1.0)


def trade_groups(trades: pd.DataFrame, by: Literal["symbol", "direction", "exit_reason"]) -> list[TradeGroup]:
    """Return the trades by what they share, most profitable first."""
    groups = [_group(str(name), part) for name, part in trades.groupby(by, sort=True)]
    return sorted(groups, key=lambda group: -group.profit)


def trade_statistics(trades: pd.DataFrame) -> TradeStatistics:
    """Return averages and extremes. A trade with a profit above 0 has won, as in the metrics."""
    has_won = trades["profit"].to_numpy(dtype=np.float64) > 0.0
    gained = trades["return_fraction"].to_numpy(dtype=np.float64)
    held = trades["bars_held"].to_numpy(dtype=np.float64)
    return TradeStatistics(
        average_win_fraction=_mean(gained[has_won]),
        average_loss_fraction=_mean(gained[~has_won]),
        best_fraction=float(gained.max()) if len(gained) else None,
        worst_fraction=float(gained.min()) if len(gained) else None,
        median_bars_held=float(np.median(held)) if len(held) else None,
        longest_losing_run=_longest_run(~has_won),
    )


def _histogram(values: np.ndarray, *, least_step: float) -> list[Bin]:
    """Count values in bins of a round width: about twice as many as the root of their number, up to a bound."""
    if not len(values):
        return []
    low, high = float(values.min()), float(values.max())
    wanted = (high - low) / min(2.0 * math.sqrt(len(values)), _MOST_BINS)
    step = max(round_step(wanted), least_step) if wanted > 0.0 else _step_around(low, least_step)
    first, last = math.floor(low / step), math.floor(high / step)
    if last > first and high == last * step:
        last -= 1  # the last bin takes its upper edge in
    edges = np.arange(first, last + 2) * step
    counts = np.histogram(values, bins=edges)[0]
    return [Bin(float(a), float(b), int(n)) for a, b, n in zip(edges[:-1], edges[1:], counts, strict=True)]


def round_step(wanted: float) -> float:
    """Return the smallest of 1, 2, 2.5, 5 times a power of ten that is at least `wanted`, a number above 0."""
    unit: float = 10.0 ** math.floor(math.log10(wanted))
    return next(step * unit for step in _STEPS if step * unit >= wanted * (1.0 - 1e-9))


def _step_around(value: float, least_step: float) -> float:
    """Return a width for values that are all alike."""
    return least_step or (round_step(abs(value) / 4) if value else 1.0)


def _group(name: str, trades: pd.DataFrame) -> TradeGroup:
    return TradeGroup(
        name=name,
        trades=len(trades),
        win_rate_fraction=float((trades["profit"] > 0.0).mean()),
        average_return_fraction=float(trades["return_fraction"].mean()),
        profit=float(trades["profit"].sum()),
        fees=float(trades["fees"].sum()),
    )


def _mean(values: np.ndarray) -> float | None:
    return float(values.mean()) if len(values) else None


def _longest_run(flags: np.ndarray) -> int:
    """Return how many neighbours in a row are set."""
    longest = run = 0
    for flag in flags.tolist():
        run = run + 1 if flag else 0
        longest = max(longest, run)
    return longest
