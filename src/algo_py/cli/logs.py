"""`algo-py logs`: the log of a deployment, its end or all of it, once or as it is written."""

from __future__ import annotations

import contextlib
import json
import os
import secrets
from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

import typer

from algo_py.cli.deployment_options import Chosen, manager_of
from algo_py.cli.output import JsonFlag
from algo_py.errors import InvalidInput, Refused

if TYPE_CHECKING:
    from algo_py.deployment import DeploymentManager

_FOLLOW_S = 0.3
_LINES = 200


def register(app: typer.Typer) -> None:
    """Add this file's command."""
    app.command("logs")(logs)


def logs(
    context: typer.Context,
    deployment: Chosen,
    follow: Annotated[bool, typer.Option("--follow", "-f", help="Go on printing as lines come in; Ctrl-C ends it.")] = False,
    lines: Annotated[
        int | None,
        typer.Option("--lines", "-n", min=1, max=1_000_000, help=f"How many of the newest lines; {_LINES} if not given."),
    ] = None,
    level: Annotated[
        Literal["info", "warning", "error"] | None, typer.Option(help="Lines of this level and above: info, warning or error.")
    ] = None,
    output: Annotated[
        Path | None, typer.Option("--output", metavar="FILE", help="Write the whole log there, one JSON object a line.")
    ] = None,
    force: Annotated[bool, typer.Option("--force", help="Replace the file if it is there.")] = False,
    as_json: JsonFlag = False,
) -> None:
    """Print the end of a deployment's log, or write all of it to a file; with --json one object a line."""
    manager, least = manager_of(context), level or ""
    if output is not None:
        if follow or lines is not None:
            raise InvalidInput("--output writes the whole log", remedy="Leave out --follow and --lines.")
        count = _write(manager.whole_log(manager.show(deployment).id, level=least), output, may_replace=force)
        typer.echo(f"Wrote {output} ({count:,} lines).")
    elif follow:
        with contextlib.suppress(KeyboardInterrupt):
            _follow(manager, deployment, lines=lines or _LINES, level=least, as_json=as_json)
    else:
        _print(manager.logs(deployment, last=lines or _LINES, level=least), as_json=as_json)


def _follow(manager: DeploymentManager, deployment: str, *, lines: int, level: str, as_json: bool) -> None:
    from algo_py.clock import SystemClock
    from algo_py.deployment.logs import is_at_least

    clock = SystemClock()
    entries, position = manager.logs_until_now(deployment, last=lines, level=level)
    while True:
        _print((entry for entry in entries if is_at_least(entry, level)), as_json=as_json)
        # Asked before reading: what a process writes before its end is read after it.
        has_ended = manager.show(deployment).status.has_ended
        entries, position = manager.logs_after(deployment, position)
        if not entries:
            if has_ended:
                return
            clock.sleep(_FOLLOW_S)


def _print(entries: Iterable[dict[str, Any]], *, as_json: bool) -> None:
    from algo_py.deployment.logs import format_entry

    for entry in entries:
        typer.echo(json.dumps(entry) if as_json else format_entry(entry))


def _write(entries: Iterable[dict[str, Any]], file: Path, *, may_replace: bool) -> int:
    """Write entries to a file that appears whole or not at all; return how many."""
    if file.is_dir():
        raise Refused(f"{file} is a folder", remedy="Name a file in it.")
    if file.exists() and not may_replace:
        raise Refused(f"{file} is there already", remedy="Replace it with --force, or name another file.")
    temporary = file.with_name(f".{file.name}.{secrets.token_hex(4)}.tmp")
    count = 0
    try:
        with temporary.open("x", encoding="utf-8") as stream:
            for count, entry in enumerate(entries, start=1):  # noqa: B007 - the last number is how many there were
                stream.write(json.dumps(entry) + "\n")
            stream.flush()
            os.fsync(stream.fileno())
        temporary.replace(file)
    except OSError as error:
        raise Refused(f"{file} cannot be written: {error.strerror or error}", remedy="Name another file.") from None
    finally:
        temporary.unlink(missing_ok=True)
    return count
