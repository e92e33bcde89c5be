"""The numbers of a backtest as JSON: one set of keys for a fresh result and for a saved one."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Final

from algo_py.backtest.config import BacktestConfig
from algo_py.backtest.fingerprint import BarsFingerprint

METRICS: Final = (
    "initial_equity",
    "final_equity",
    "total_return_fraction",
    "cagr_fraction",
    "volatility_fraction",
    "sharpe_ratio",
    "sortino_ratio",
    "calmar_ratio",
    "max_drawdown_fraction",
    "max_drawdown_duration_s",
    "trades",
    "win_rate_fraction",
    "profit_factor",
    "expectancy",
    "fees_paid",
    "exposure_fraction",
    "benchmark_return_fraction",
)

_SHOWN = ("strategy", "params", "market", "timeframe", "symbols", "start", "end", "initial_cash")


def report_json(
    *,
    config: BacktestConfig,
    metrics: Mapping[str, float | int | None],
    fingerprint: Mapping[str, BarsFingerprint],
    warnings: Sequence[str],
    id: str | None = None,  # noqa: A002 - the key's name
    name: str | None = None,
) -> dict[str, Any]:
    """Return the object that `backtest run` and `backtest show` print; moments as ISO 8601 with Z, undefined metrics as null.

    All amounts are in `quote_currency`; null for an earlier version's backtest whose symbols have several.
    """
    settings = config.model_dump(mode="json")
    return {
        "id": id,
        "name": name,
        **{key: settings[key] for key in _SHOWN},
        "quote_currency": config.sole_quote,
        "fingerprint": {symbol: bars.model_dump(mode="json") for symbol, bars in fingerprint.items()},
        "warnings": list(warnings),
        "metrics": plain_metrics(metrics),
    }


def plain_metrics(metrics: Mapping[str, float | int | None]) -> dict[str, float | int | None]:
    """Return the metrics as plain numbers in their fixed order."""
    return {key: _plain(metrics[key], whole=key == "trades") for key in METRICS}


def _plain(value: float | None, *, whole: bool) -> float | int | None:
    if value is None:
        return None
    return int(value) if whole else float(value)
