"""What commands print: tables for people, JSON for programs, one line for an error. Percent exists only here."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, redirect_stdout
from datetime import datetime
from typing import Annotated, Any

import typer

from algo_py.settings import Workspace

DASH = "–"

JsonFlag = Annotated[bool, typer.Option("--json", help="Print JSON instead of a table.")]

# A pipe has no width of its own; tables in it are as wide as they need to be.
_PIPE_WIDTH = 400


def workspace_of(context: typer.Context) -> Workspace:
    """Return the workspace that was chosen for this command."""
    workspace = context.find_object(Workspace)
    return Workspace.find() if workspace is None else workspace


def print_json(value: Any) -> None:
    """Print one object or one list."""
    typer.echo(json.dumps(value, indent=2, ensure_ascii=False, allow_nan=False))


def print_error(message: str) -> None:
    """Print one line to stderr, whatever line breaks the message has."""
    typer.echo(f"error: {' '.join(message.split())}", err=True)


def print_table(columns: Sequence[str], rows: Sequence[Sequence[str]], *, numbers: Sequence[str] = (), title: str = "") -> None:
    """Print a table; the columns named in `numbers` are aligned to the right. Cells are plain text."""
    from rich import box
    from rich.table import Table
    from rich.text import Text

    table = Table(title=title or None, title_justify="left", box=box.SIMPLE_HEAD, pad_edge=False)
    for column in columns:
        table.add_column(column, justify="right" if column in numbers else "left", overflow="fold")
    for row in rows:
        table.add_row(*(Text(cell) for cell in row))
    _console().print(table)


def print_pairs(pairs: Sequence[tuple[str, str]], *, title: str = "") -> None:
    """Print names and values under one another."""
    from rich.table import Table
    from rich.text import Text

    grid = Table.grid(padding=(0, 2))
    grid.title, grid.title_justify = title or None, "left"
    for name, value in pairs:
        grid.add_row(Text(name), Text(value))
    _console().print(grid)


def number(value: float | None, digits: int = 2) -> str:
    """Return `1,234.50`; a dash for what is not known."""
    return DASH if value is None else f"{value:,.{digits}f}"


def percent(fraction: float | None) -> str:
    """Return `12.30 %` for 0.123; a dash for what is not known."""
    return DASH if fraction is None else f"{fraction * 100:,.2f} %"


def moment(value: datetime | None) -> str:
    """Return `2025-01-31 09:30` (UTC); a dash for what is not known."""
    return DASH if value is None else f"{value:%Y-%m-%d %H:%M}"


def length_of_time(seconds: float | None) -> str:
    """Return `12 d 4 h`, `4 h 30 min` or `30 min`; a dash for what is not known."""
    if seconds is None:
        return DASH
    minutes = round(seconds / 60)
    days, hours, rest = minutes // 1440, minutes // 60 % 24, minutes % 60
    if days:
        return f"{days} d {hours} h"
    return f"{hours} h {rest} min" if hours else f"{rest} min"


@contextmanager
def traders_code() -> Iterator[None]:
    """Send what a strategy prints to stderr, so that stdout holds the command's own answer alone."""
    with redirect_stdout(sys.stderr):
        yield


@contextmanager
def progress_bar() -> Iterator[Callable[[str, float], None] | None]:
    """Yield a function that shows a stage and a fraction on stderr, or None when nobody watches."""
    if not sys.stderr.isatty():
        yield None
        return
    from rich.console import Console
    from rich.progress import BarColumn, Progress, TextColumn

    columns = (TextColumn("{task.description}"), BarColumn())
    with Progress(*columns, console=Console(stderr=True), transient=True) as progress:
        task = progress.add_task("", total=1.0)
        yield lambda stage, fraction: progress.update(task, description=stage, completed=fraction)


def _console() -> Any:
    from rich.console import Console

    return Console(width=None if sys.stdout.isatty() else _PIPE_WIDTH, highlight=False, emoji=False)
