"""Parameter sets as lines of a table: pure functions from the results of a sweep to what is written."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final

import pandas as pd

from algo_py.backtest.words import METRIC_WORDS, metric
from algo_py.dashboard.components.table import Cell, Column, Order, Row
from algo_py.dashboard.format import DASH, moment, plain
from algo_py.engine.sweep import plain as python_value
from algo_py.engine.sweep_rank import DIRECTIONS, METRICS, ranked

STATUS: Final = "status"
_SHOWN: Final = ("total_return_fraction", "sharpe_ratio", "max_drawdown_fraction", "trades", "win_rate_fraction", "profit_factor")


def parameters_of(results: pd.DataFrame) -> list[str]:
    """Return the names of the parameters in the results of a sweep."""
    return [name for name in results.columns if name not in (*METRICS, STATUS, "error")]


def columns_of(names: Sequence[str], rank: str) -> list[str]:
    """Return what the table shows of each set: its parameters, the rank metric, the usual metrics, its status."""
    return [*names, rank, *(name for name in _SHOWN if name != rank), STATUS]


def headings(columns: Sequence[str]) -> list[Column]:
    """Return the headings of those columns."""
    return [Column(heading(name), is_number=name in METRICS) for name in columns]


def heading(name: str) -> str:
    """Return a metric's name in a person's words, and a parameter's as its form has it."""
    words = METRIC_WORDS[name][0] if name in METRIC_WORDS else name.replace("_", " ")
    return words[:1].upper() + words[1:]


def first_order(columns: Sequence[str], column: int) -> Order:
    """Return how a click on a heading sorts: a metric best first, failed sets first, parameters upwards."""
    name = columns[column]
    return Order(column, is_ascending=DIRECTIONS.get(name, -1) < 0)


def in_order(results: pd.DataFrame, columns: Sequence[str], order: Order) -> pd.DataFrame:
    """Return the sets sorted; in each order an undefined metric and a failed set come last, but for that of the status."""
    name = columns[order.column]
    if name in METRICS and order == first_order(columns, order.column):
        return ranked(results, name)
    by_name = results.sort_values(
        name,
        ascending=order.is_ascending,
        kind="stable",
        na_position="last",
        key=lambda values: values if pd.api.types.is_numeric_dtype(values) else values.astype(str),
    )
    return by_name if name == STATUS else by_name.sort_values(STATUS, key=lambda status: status != "ok", kind="stable")


def rows_of(sets: pd.DataFrame, columns: Sequence[str], currency: str) -> list[Row]:
    """Return the lines, each known by its number in the search; a failed one carries its reason. Money is in `currency`."""
    return [Row(str(number), tuple(_cell(values, name, currency) for name in columns)) for number, values in sets.iterrows()]


def set_words(values: pd.Series, names: Sequence[str]) -> str:
    """Return a set in words: `fast 5, slow 20`."""
    return ", ".join(f"{heading(name).lower()} {written(values[name])}" for name in names)


FOLD_COLUMNS: Final = (
    Column("Fold", is_number=True),
    Column("Chosen on"),
    Column("Looked at on"),
    Column("Chosen set"),
)


def fold_headings(rank: str) -> list[Column]:
    """Return the headings of the folds' table."""
    metrics = [heading(rank), heading("total_return_fraction")]
    pairs = [Column(f"{name}, {part}", is_number=True) for name in dict.fromkeys(metrics) for part in ("in", "out")]
    return [*FOLD_COLUMNS, *pairs, Column("Status")]


def fold_rows(folds: pd.DataFrame, names: Sequence[str], rank: str, currency: str) -> list[Row]:
    """Return a line for each fold: in sample beside out of sample."""
    return [_fold_row(values, names, rank, currency) for _, values in folds.iterrows()]


def _fold_row(values: pd.Series, names: Sequence[str], rank: str, currency: str) -> Row:
    periods = [
        Cell(moment(values[f"{part}_first"]), note=f"to {moment(values[f'{part}_last'])}")
        for part in ("in_sample", "out_of_sample")
    ]
    known = python_value(values[names[0]]) is not None
    metrics = [
        Cell(worded(name, python_value(values[f"{part}_{name}"]), currency))
        for name in dict.fromkeys((rank, "total_return_fraction"))
        for part in ("in_sample", "out_of_sample")
    ]
    number = str(values["fold"])
    return Row(number, (Cell(number), *periods, Cell(set_words(values, names) if known else DASH), *metrics, _status(values)))


def _cell(values: pd.Series, name: str, currency: str) -> Cell:
    if name == STATUS:
        return _status(values)
    value = python_value(values[name])
    return Cell(worded(name, value, currency) if name in METRICS else written(value))


def _status(values: pd.Series) -> Cell:
    failed = values[STATUS] != "ok"
    return Cell(values[STATUS], note=str(values["error"]) if failed else "", tone="bad" if failed else "good")


def worded(name: str, value: float | None, currency: str) -> str:
    """Return a metric in words; money with its currency."""
    words = metric(name, value, currency)
    return f"{words} {currency}" if METRIC_WORDS[name][1] == "money" and value is not None else words


def written(value: Any) -> str:
    value = python_value(value)
    if value is None:
        return DASH
    return f"{value:g}" if isinstance(value, float) else str(value)


def reason(values: pd.Series) -> str:
    """Return why a set failed, for a line of markdown."""
    return plain(str(values["error"]))
