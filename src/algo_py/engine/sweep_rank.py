"""Which of two parameter sets did better: the direction of every metric, and a table sorted by one."""

from __future__ import annotations

import difflib
from types import MappingProxyType
from typing import Final

import pandas as pd

from algo_py.errors import InvalidInput

DEFAULT_RANK: Final = "sharpe_ratio"

# Every metric in its fixed order. 1: more is better; -1: less is better; 0: the same for every parameter set, so no ranking.
# A drawdown is negative, so more (nearer 0) is better.
DIRECTIONS: Final = MappingProxyType(
    {
        "initial_equity": 0,
        "final_equity": 1,
        "total_return_fraction": 1,
        "cagr_fraction": 1,
        "volatility_fraction": -1,
        "sharpe_ratio": 1,
        "sortino_ratio": 1,
        "calmar_ratio": 1,
        "max_drawdown_fraction": 1,
        "max_drawdown_duration_s": -1,
        "trades": 1,
        "win_rate_fraction": 1,
        "profit_factor": 1,
        "expectancy": 1,
        "fees_paid": -1,
        "exposure_fraction": -1,
        "benchmark_return_fraction": 0,
    }
)
METRICS: Final = tuple(DIRECTIONS)


def direction_of(metric: str) -> int:
    """Return 1 where more of `metric` is better and -1 where less is; a metric that ranks nothing is refused."""
    if DIRECTIONS.get(metric):
        return DIRECTIONS[metric]
    usable = [name for name, direction in DIRECTIONS.items() if direction]
    close = difflib.get_close_matches(metric, usable, n=1)
    remedy = f"Did you mean {close[0]!r}?" if close else f"Use one of: {', '.join(usable)}."
    raise InvalidInput(f"rank must be a metric that differs between parameter sets (was {metric!r})", remedy=remedy)


def ranked(results: pd.DataFrame, metric: str = DEFAULT_RANK) -> pd.DataFrame:
    """Return the rows of a sweep from best to worst by `metric`.

    Rows of equal rank keep their order; an undefined metric comes after every defined one, a set that failed last of all.
    """
    ascending = direction_of(metric) < 0
    by_metric = results.sort_values(metric, ascending=ascending, na_position="last", kind="stable")
    return by_metric.sort_values("status", key=lambda status: status != "ok", kind="stable")
