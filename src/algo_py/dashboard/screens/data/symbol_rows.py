"""Gaps and revisions of a symbol as lines of tables: pure functions from what is known to what is written."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import Any, Final

import pandas as pd

from algo_py.dashboard.components.table import Cell, Column, Row
from algo_py.dashboard.format import DASH, moment
from algo_py.dashboard.screens.data.strip import MISSING, is_absent
from algo_py.finstore import COLUMNS, Gap

GAP_COLUMNS: Final = (Column("From"), Column("To"), Column("Bars", is_number=True), Column("Reason"))
REVISION_COLUMNS: Final = (Column("Bar"), Column("Stored"), Column("Offered"), Column("Seen"), Column("Source"), Column("State"))


def gap_row(gap: Gap) -> Row:
    """Return a gap's line: the open times of its first and last bar, how many lack, and why."""
    return Row(
        gap.first.isoformat(),
        (Cell(moment(gap.first)), Cell(moment(gap.last)), Cell(f"{gap.bars:,}"), _reason(gap.reason)),
    )


def _reason(reason: str) -> Cell:
    if not reason:
        return Cell(MISSING, tone="bad")
    kind, _, detail = reason.partition(": ")
    if kind == "set aside":
        return Cell(kind, note=detail, tone="bad")
    return Cell(reason, tone="quiet" if is_absent(reason) else "busy")


def revision_rows(revisions: pd.DataFrame) -> list[Row]:
    """Return a line for each offer of one symbol, as `FinStore.revisions` gives them, the newest first."""
    is_latest = ~revisions.duplicated("open_time", keep="last")
    values = revisions.assign(is_latest=is_latest).to_dict("records")
    return [_revision_row(str(place), one) for place, one in reversed(list(enumerate(values)))]


def _revision_row(id_: str, one: Mapping[Any, Any]) -> Row:
    changed = [name for name in COLUMNS if one[f"stored_{name}"] != one[f"offered_{name}"]]
    stored, offered = (
        "\n".join(f"{name} {one[f'{kind}_{name}']:,.8g}" for name in changed) or "–" for kind in ("stored", "offered")
    )
    return Row(
        id_,
        (
            Cell(moment(one["open_time"])),
            Cell(*_first_line(stored)),
            Cell(*_first_line(offered)),
            Cell(moment(one["seen_at"])),
            Cell(one["source"] or DASH),
            _state(one, is_same=not changed),
        ),
    )


def _first_line(text: str) -> tuple[str, str]:
    first, _, rest = text.partition("\n")
    return first, rest.replace("\n", ", ")


def _state(one: Mapping[Any, Any], *, is_same: bool) -> Cell:
    if is_same:
        return Cell("taken back", note="the source has returned to what is stored", tone="quiet")
    adopted: datetime | None = None if pd.isna(one["adopted_at"]) else one["adopted_at"]
    if adopted is not None:
        return Cell("adopted", note=moment(adopted), tone="good")
    if one["is_latest"]:
        return Cell("waiting", tone="busy")
    return Cell("replaced", note="by a later offer", tone="quiet")
