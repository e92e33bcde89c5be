"""A table of rows that a person can read, select and hear: a real HTML table, updated in place.

Streamlit's own grid is painted on a canvas and selects by row number; here a selection is the row's id, so that it can never
slip to another row while the table changes under the pointer.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Literal

import streamlit as st
from streamlit.components.v2.types import ComponentRenderer

Tone = Literal["plain", "good", "busy", "bad", "quiet"]

_HERE = Path(__file__).parent


@dataclass(frozen=True, slots=True)
class Column:
    """A column's heading; numbers are aligned to the right."""

    label: str
    is_number: bool = False


@dataclass(frozen=True, slots=True)
class Order:
    """By which column rows are sorted, counted from 0."""

    column: int
    is_ascending: bool


@dataclass(frozen=True, slots=True)
class Cell:
    """What stands in one field: a text, a smaller note under it, and a tone, which makes the text a badge."""

    text: str
    note: str = ""
    tone: Tone = "plain"


@dataclass(frozen=True, slots=True)
class Row:
    """One line; `id` tells it from all others for as long as the table lives."""

    id: str
    cells: tuple[Cell, ...]


def table(
    label: str,
    columns: Sequence[Column],
    rows: Sequence[Row],
    *,
    key: str,
    selected: str | None = None,
    on_select: Callable[[str], None] | None = None,
    order: Order | None = None,
    on_sort: Callable[[int], None] | None = None,
    height: int = 360,
) -> None:
    """Show a table, at most `height` pixels high. With `on_select` each row gets a radio button, and a click calls it with the
    row's id before the page runs again. With `on_sort` each heading is a button, and a click calls it with the column's number;
    `order` says how the rows given are sorted.
    """

    def picked() -> None:
        if on_select is not None:
            chosen = st.session_state[key].picked
            if chosen is not None:
                on_select(str(chosen))

    def sorted_by() -> None:
        if on_sort is not None:
            column = st.session_state[key].sorted
            if column is not None:
                on_sort(int(column))

    _renderer()(
        key=key,
        data={
            "label": label,
            "columns": [[column.label, column.is_number] for column in columns],
            "rows": [[row.id, [[cell.text, cell.note, cell.tone] for cell in row.cells]] for row in rows],
            "selectable": on_select is not None,
            "selected": selected,
            "sortable": on_sort is not None,
            "order": None if order is None else [order.column, "ascending" if order.is_ascending else "descending"],
            "height": height,
        },
        on_picked_change=picked,
        on_sorted_change=sorted_by,
    )


@cache
def _renderer() -> ComponentRenderer:
    return st.components.v2.component(
        "algo_py_table",
        html='<div class="frame" tabindex="-1"><table><thead></thead><tbody></tbody></table></div>',
        css=(_HERE / "table.css").read_text(encoding="utf-8"),
        js=(_HERE / "table.js").read_text(encoding="utf-8"),
    )
