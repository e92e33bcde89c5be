"""What `algo-py sweep` prints and writes: the best parameter sets, the folds, JSON and CSV."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import typer

from algo_py.cli.output import DASH, number, percent, print_table
from algo_py.errors import Refused
from algo_py.formatting import with_currency

if TYPE_CHECKING:
    import pandas as pd

    from algo_py.backtest.sweep import SweepResult
    from algo_py.engine.sweep import SweepPlan

# What the table always shows; the metric that ranks comes first.
_SHOWN: Final = ("total_return_fraction", "sharpe_ratio", "max_drawdown_fraction", "trades", "win_rate_fraction")


def write_csv(ordered: pd.DataFrame, file: Path) -> None:
    """Write all sets, best first; fractions stay fractions."""
    try:
        ordered.to_csv(file, index=False)
    except OSError as error:
        raise Refused(f"{file} cannot be written: {error.strerror or error}", remedy="Choose another file.") from None


def report_json(result: SweepResult, ordered: pd.DataFrame, plan: SweepPlan, saved_id: str | None) -> dict[str, Any]:
    """Return the object that --json prints: every set, best first."""
    from algo_py.engine.sweep import plain
    from algo_py.engine.sweep_rank import METRICS

    settings = result.config.model_dump(mode="json")
    rows = [dict(zip(ordered.columns, map(plain, values), strict=True)) for values in ordered.itertuples(index=False)]
    folds = None
    if result.folds is not None:
        folds = [
            {
                "fold": int(row["fold"]),
                **{name: _time(row[name]) for name in result.folds.columns if name.endswith(("_first", "_last"))},
                "params": {name: plain(row[name]) for name in plan.grid},
                **{part: {name: plain(row[f"{part}_{name}"]) for name in METRICS} for part in ("in_sample", "out_of_sample")},
                "status": row["status"],
                "error": plain(row["error"]),
            }
            for _, row in result.folds.iterrows()
        ]
    return {
        **{name: settings[name] for name in ("strategy", "market", "timeframe", "symbols", "initial_cash")},
        "quote_currency": result.config.quote_currency,
        "rank": result.rank,
        "search": plan.search,
        "seed": plan.seed,
        "total": result.total,
        "done": len(ordered),
        "failed": result.failed,
        "cancelled": result.is_cancelled,
        "backtest_id": saved_id,
        "results": [
            {
                "params": {name: row[name] for name in plan.grid},
                "metrics": {name: row[name] for name in METRICS},
                "status": row["status"],
                "error": row["error"],
            }
            for row in rows
        ],
        "walk_forward": folds,
    }


def _time(moment: Any) -> str:
    from algo_py.clock import format_time

    return format_time(moment.to_pydatetime()) or ""


def print_report(result: SweepResult, ordered: pd.DataFrame, names: tuple[str, ...], top: int) -> None:
    """Print the best sets and the folds as tables; warnings go to stderr."""
    currency = result.config.quote_currency
    usable = ordered[ordered["status"] == "ok"].head(top)
    shown = (result.rank, *(name for name in _SHOWN if name != result.rank))
    counted = f"{len(result.results):,} parameter sets"
    title = f"{result.config.strategy}: the best {len(usable):,} of {counted}" if len(usable) < len(ordered) else counted
    if not usable.empty:
        rows = [
            (*(str(row[name]) for name in names), *(_cell(name, row[name], currency) for name in shown))
            for _, row in usable.iterrows()
        ]
        print_table((*names, *map(_heading, shown)), rows, numbers=(*names, *map(_heading, shown)), title=title)
    if result.failed and result.failed < len(result.results):
        first = result.results.loc[result.results["status"] != "ok", "error"].iloc[0]
        typer.echo(f"warning: {result.failed:,} sets failed, the first one: {first}", err=True)
    if result.folds is not None:
        _print_folds(result.folds, result.rank, names, currency)


def _print_folds(folds: pd.DataFrame, rank: str, names: tuple[str, ...], currency: str) -> None:
    compared = tuple(dict.fromkeys((rank, "total_return_fraction")))
    headings = [f"{_heading(name)} {part}" for name in compared for part in ("in", "out")]
    rows = []
    for _, row in folds.iterrows():
        rows.append(
            (
                str(row["fold"]),
                f"{row['out_of_sample_first']:%Y-%m-%d %H:%M}",
                f"{row['out_of_sample_last']:%Y-%m-%d %H:%M}",
                *(str(_known(row[name])) for name in names),
                *(_cell(name, row[f"{part}_{name}"], currency) for name in compared for part in ("in_sample", "out_of_sample")),
                _known(row["error"]) if row["status"] != "ok" else "",
            )
        )
    columns = ("fold", "from", "to", *names, *headings, "")
    print_table(columns, rows, numbers=(*names, *headings), title="Walk-forward: the best set in sample, and what it did next")


def _heading(metric: str) -> str:
    return metric.removesuffix("_fraction").removesuffix("_s").replace("_", " ")


def _cell(metric: str, value: Any, currency: str) -> str:
    from algo_py.backtest.words import METRIC_WORDS
    from algo_py.engine.sweep import plain

    value = plain(value)
    if METRIC_WORDS[metric][1] == "money":
        return DASH if value is None else with_currency(value, currency)
    if metric.endswith("_fraction"):
        return percent(value)
    return number(value, 0 if metric in ("trades", "max_drawdown_duration_s") else 2)


def _known(value: Any) -> Any:
    from algo_py.engine.sweep import plain

    known = plain(value)
    return DASH if known is None else known
