"""Files of the store as lines of tables: pure functions from what is known to what is written."""

from __future__ import annotations

from typing import Final

from algo_py.dashboard.components.table import Cell, Column, Row
from algo_py.dashboard.format import moment
from algo_py.finstore import Finding, SetAside

FINDING_COLUMNS: Final = (Column("File"), Column("Problem"))
SET_ASIDE_COLUMNS: Final = (Column("Bars of"), Column("Lost bars"), Column("Set aside"), Column("Rows kept", is_number=True))


def finding_row(finding: Finding, root: str) -> Row:
    """Return the line of a file that is not as it was written; `root` is left out of its path."""
    path = str(finding.file).removeprefix(f"{root}/")
    return Row(str(finding.file), (Cell(path), Cell(_problem(finding.problem))))


def _problem(text: str) -> str:
    """Return a problem without the path, which stands beside it."""
    return text.partition(" are damaged: ")[2] or text


def set_aside_row(one: SetAside) -> Row:
    """Return the line of a file that was set aside: what it held, which bars went with it, when and why."""
    return Row(
        str(one.moved_to),
        (
            Cell(f"{one.market} {one.timeframe}", note="/".join(one.file.parts[-2:])),
            _lost(one),
            Cell(moment(one.set_aside_at), note=one.problem),
            Cell(f"{one.kept:,}"),
        ),
    )


def _lost(one: SetAside) -> Cell:
    if one.is_back:
        return Cell("all back" if one.lost else "none", tone="good")
    gone = [bars for bars in one.lost if not bars.is_back]
    if not gone:
        return Cell("not known", note="the file did not say any more which bars it held", tone="busy")
    stretches = (f"{bars.symbol} {f'{moment(bars.first)} to' if bars.first else 'up to'} {moment(bars.last)}" for bars in gone)
    return Cell("not back", note=", ".join(stretches), tone="bad")
