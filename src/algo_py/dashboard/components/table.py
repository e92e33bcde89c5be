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
    height: int = 360,
) -> None:
    """Show a table, at most `height` pixels high. With `on_select` each row gets a radio button, and a click calls it with the
    row's id before the page runs again.
    """

    def picked() -> None:
        if on_select is not None:
            chosen = st.session_state[key].picked
            if chosen is not None:
                on_select(str(chosen))

    _renderer()(
        key=key,
        data={
            "label": label,
            "columns": [[column.label, column.is_number] for column in columns],
            "rows": [[row.id, [[cell.text, cell.note, cell.tone] for cell in row.cells]] for row in rows],
            "selectable": on_select is not None,
            "selected": selected,
            "height": height,
        },
        on_picked_change=picked,
    )


@cache
def _renderer() -> ComponentRenderer:
    return st.components.v2.component(
        "algo_py_table",
        html='<div class="frame" tabindex="-1"><table><thead></thead><tbody></tbody></table></div>',
        css=(_HERE / "table.css").read_text(encoding="utf-8"),
        js=(_HERE / "table.js").read_text(encoding="utf-8"),
    )
