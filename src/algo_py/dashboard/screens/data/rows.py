"""Stored symbols as lines of a table: pure functions from what is known to what is written."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from datetime import timedelta
from typing import Any, Final

from algo_py.dashboard.components.table import Cell, Column, Order, Row
from algo_py.dashboard.format import DASH, counted, length_of_time, moment
from algo_py.dashboard.screens.data.stored import Series
from algo_py.errors import NoData
from algo_py.finstore import Coverage

Ages = Mapping[str, timedelta | None]

COLUMNS: Final = (
    Column("Symbol"),
    Column("First bar"),
    Column("Last bar"),
    Column("Bars", is_number=True),
    Column("Freshness"),
    Column("Gaps", is_number=True),
    Column("Revisions", is_number=True),
    Column("Order rules"),
)

_KEYS: Final[tuple[Callable[[Series, Ages], Any], ...]] = (
    lambda one, _: one.symbol,
    lambda one, _: None if one.coverage is None else one.coverage.first,
    lambda one, _: None if one.coverage is None else one.coverage.last,
    lambda one, _: None if one.coverage is None else one.coverage.rows,
    lambda one, _: one.behind,
    lambda one, _: one.missing,
    lambda one, _: one.waiting,
    lambda one, ages: ages[one.symbol],
)
_MINUTE: Final = timedelta(minutes=1)
# Of these the largest come first: there something is to be done.
_LARGEST_FIRST: Final = frozenset({4, 5, 6, 7})


def first_order(column: int) -> Order:
    """Return how a click on a heading sorts."""
    return Order(column, is_ascending=column not in _LARGEST_FIRST)


def in_order(series: Sequence[Series], ages: Ages, order: Order) -> list[Series]:
    """Return the series sorted; what is not known comes last either way, and equal ones stand by symbol."""
    key = _KEYS[order.column]
    known = [one for one in series if key(one, ages) is not None]
    unknown = [one for one in series if key(one, ages) is None]
    by_symbol = sorted(known, key=lambda one: one.symbol)
    return sorted(by_symbol, key=lambda one: key(one, ages), reverse=not order.is_ascending) + unknown


def series_row(one: Series, age: timedelta | None, *, is_open: bool | None) -> Row:
    """Return a symbol's line; `age` is that of its order rules."""
    cover = one.coverage
    rules = Cell(DASH) if age is None else Cell(f"{length_of_time(max(_MINUTE, age).total_seconds())} old")
    if cover is None:
        unknown = Cell(DASH)
        broken = _broken(one)
        return Row(one.symbol, (Cell(one.symbol), unknown, unknown, unknown, broken, unknown, _waiting(one), rules))
    return Row(
        one.symbol,
        (
            Cell(one.symbol),
            Cell(moment(cover.first)),
            Cell(moment(cover.last)),
            Cell(f"{cover.rows:,}"),
            freshness(one.behind, is_open=is_open, provisional=provisional_until(one)),
            _gaps(cover),
            _waiting(one),
            rules,
        ),
    )


def _broken(one: Series) -> Cell:
    """Return why there is nothing to show, without the path of the file."""
    if isinstance(one.problem, NoData):
        return Cell("lost", note="its file was damaged and set aside", tone="bad")
    problem = "" if one.problem is None else one.problem.message
    return Cell("not readable", note=problem.partition(" are damaged: ")[2] or problem, tone="bad")


def provisional_until(one: Series) -> str:
    """Return until when a symbol's last bar is provisional, in words; empty when it is final."""
    cover = one.coverage
    if cover is None or not cover.provisional:
        return ""
    return f"provisional until {moment(cover.provisional[-1].final_at)}"


def freshness(behind: int | None, *, is_open: bool | None, provisional: str = "") -> Cell:
    """Return how far the last stored bar is behind the newest final one."""
    note = ", ".join(part for part in (provisional, "market closed" if is_open is False else "") if part)
    if behind is None:
        return Cell(DASH, note=note)
    if behind == 0:
        return Cell("up to date", note=note, tone="good")
    return Cell(f"{counted(behind, 'bar')} behind", note=note, tone="busy")


def _gaps(cover: Coverage) -> Cell:
    if not cover.gaps:
        return Cell("0")
    return Cell(f"{len(cover.gaps):,}", note=counted(sum(gap.bars for gap in cover.gaps), "bar"))


def _waiting(one: Series) -> Cell:
    return Cell(DASH if one.waiting is None else f"{one.waiting:,}")
