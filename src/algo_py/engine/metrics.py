"""Metrics: one function each, with its formula and convention. Undefined is None, never 0 or infinity."""

from __future__ import annotations

import math
from dataclasses import dataclass

# A deviation below this fraction of the mean return is rounding: the returns are all alike.
_SAME = 1e-12


@dataclass(frozen=True, slots=True, kw_only=True)
class Facts:
    """What a run measured, from which every metric follows."""

    bars: int
    periods_per_year: float | None
    initial_equity: float
    final_equity: float
    mean_return: float
    squares: float
    downside_squares: float
    max_drawdown: float
    max_drawdown_duration_s: float
    ruined: bool
    trades: int
    wins: int
    gains: float
    losses: float
    fees_paid: float
    exposed_bars: int
    benchmark_growth: float


def total_return(facts: Facts) -> float:
    """Final equity / initial equity - 1."""
    return facts.final_equity / facts.initial_equity - 1.0


def cagr(facts: Facts) -> float | None:
    """Growth ** (periods_per_year / bars) - 1: years are counted in bars, as empyrical does, not by the calendar."""
    growth = facts.final_equity / facts.initial_equity
    if facts.periods_per_year is None or growth < 0.0:
        return None
    try:
        return _known(growth ** (facts.periods_per_year / facts.bars) - 1.0)
    except OverflowError:
        return None


def deviation(facts: Facts) -> float | None:
    """Standard deviation of the returns per bar, ddof 1."""
    if facts.bars < 2 or facts.ruined:
        return None
    return _known(math.sqrt(facts.squares / (facts.bars - 1)))


def volatility(facts: Facts) -> float | None:
    """Standard deviation of the returns per bar (ddof 1) times sqrt(periods_per_year)."""
    spread = deviation(facts)
    return None if spread is None or facts.periods_per_year is None else spread * math.sqrt(facts.periods_per_year)


def sharpe(facts: Facts) -> float | None:
    """Mean return / standard deviation * sqrt(periods_per_year), risk-free rate 0 (W. F. Sharpe, The Sharpe Ratio, 1994)."""
    spread = deviation(facts)
    if spread is None or facts.periods_per_year is None or spread <= _SAME * abs(facts.mean_return):
        return None
    return _known(facts.mean_return / spread * math.sqrt(facts.periods_per_year))


def sortino(facts: Facts) -> float | None:
    """Mean return / downside deviation * sqrt(periods_per_year).

    The downside deviation is the root of the mean over all bars of min(return, 0) squared (F. Sortino and L. Price,
    Performance Measurement in a Downside Risk Framework, 1994; as empyrical), not the deviation of the negative returns alone.
    """
    if facts.periods_per_year is None or facts.ruined:
        return None
    downside = math.sqrt(facts.downside_squares / facts.bars)
    if downside <= _SAME * abs(facts.mean_return):
        return None
    return _known(facts.mean_return / downside * math.sqrt(facts.periods_per_year))


def calmar(facts: Facts) -> float | None:
    """CAGR / |max drawdown| over the whole period (T. W. Young, Calmar Ratio, 1991, used 36 months)."""
    growth = cagr(facts)
    return None if growth is None or facts.max_drawdown >= 0.0 else _known(growth / -facts.max_drawdown)


def win_rate(facts: Facts) -> float | None:
    """Share of closed trades with a profit above 0 after costs."""
    return facts.wins / facts.trades if facts.trades else None


def profit_factor(facts: Facts) -> float | None:
    """Sum of profits / sum of losses of closed trades, after costs."""
    return _known(facts.gains / facts.losses) if facts.losses > 0.0 else None


def expectancy(facts: Facts) -> float | None:
    """Mean profit of a closed trade after costs, quote currency."""
    return (facts.gains - facts.losses) / facts.trades if facts.trades else None


def exposure(facts: Facts) -> float:
    """Share of bars in which any position was open between the bar's open and its close."""
    return facts.exposed_bars / facts.bars


def metrics_of(facts: Facts) -> dict[str, float | int | None]:
    """Return all metrics by name, in the order in which screens list them."""
    return {
        "initial_equity": facts.initial_equity,
        "final_equity": facts.final_equity,
        "total_return_fraction": total_return(facts),
        "cagr_fraction": cagr(facts),
        "volatility_fraction": volatility(facts),
        "sharpe_ratio": sharpe(facts),
        "sortino_ratio": sortino(facts),
        "calmar_ratio": calmar(facts),
        "max_drawdown_fraction": facts.max_drawdown,
        "max_drawdown_duration_s": facts.max_drawdown_duration_s,
        "trades": facts.trades,
        "win_rate_fraction": win_rate(facts),
        "profit_factor": profit_factor(facts),
        "expectancy": expectancy(facts),
        "fees_paid": facts.fees_paid,
        "exposure_fraction": exposure(facts),
        "benchmark_return_fraction": facts.benchmark_growth - 1.0,
    }


def _known(value: float) -> float | None:
    return value if math.isfinite(value) else None
