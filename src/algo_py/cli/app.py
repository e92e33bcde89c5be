"""The command `algo-py`: its groups, the choice of the workspace, and how every failure becomes one line and an exit code.

Whatever is slow to import (pandas, numba, the engine) is imported inside the commands that need it.
"""

from __future__ import annotations

import sys
import tempfile
import traceback
from collections.abc import Sequence
from typing import Annotated

import typer

from algo_py import __version__
from algo_py.cli import (
    alerts,
    backtest,
    book,
    calendar,
    data,
    deployments,
    lifecycle,
    login,
    logs,
    service,
    strategies,
    sweep,
    up,
    venues,
    workspace,
)
from algo_py.cli.output import print_error
from algo_py.errors import AlgoPyError
from algo_py.market.own_facts import use_files
from algo_py.settings import Workspace

_NAME = "algo-py"
_WORKSPACE_OPTION = "--workspace"


def build_app() -> typer.Typer:
    """Return the command with all its groups."""
    app = typer.Typer(
        name=_NAME,
        help="From a saved backtest to a running trading deployment.",
        add_completion=False,
        pretty_exceptions_enable=False,
        rich_markup_mode=None,
    )
    app.callback(invoke_without_command=True)(_main_options)
    groups = (
        workspace,
        up,
        data,
        calendar,
        strategies,
        backtest,
        sweep,
        deployments,
        logs,
        lifecycle,
        book,
        venues,
        login,
        alerts,
        service,
    )
    for group in groups:
        group.register(app)
    return app


def run(arguments: Sequence[str]) -> int:
    """Run one command line and return its exit code; errors have been printed to stderr, one line each."""
    try:
        command = typer.main.get_command(build_app())
        outcome = command.main(args=_workspace_first(arguments), prog_name=_NAME, standalone_mode=False)
    except AlgoPyError as error:
        print_error(str(error))
        return error.exit_code
    except typer.TyperException as error:
        print_error(_usage_error(error))
        return error.exit_code
    except typer.Abort:
        print_error("aborted")
        return 1
    except Exception as error:  # noqa: BLE001 - the outer edge: a person gets one line, the traceback goes to a file
        with tempfile.NamedTemporaryFile("w", prefix="algo-py-error-", suffix=".txt", delete=False, encoding="utf-8") as file:
            traceback.print_exception(error, file=file)
        print_error(f"{type(error).__name__}: {error}. This is a fault in Algo.Py; the traceback is in {file.name}")
        return 1
    return outcome if isinstance(outcome, int) else 0


def main() -> None:
    """Run the command line of this process and exit."""
    sys.exit(run(sys.argv[1:]))


def _main_options(
    context: typer.Context,
    workspace_folder: Annotated[
        str | None,
        typer.Option(
            _WORKSPACE_OPTION,
            metavar="DIR",
            help="The workspace; else $ALGO_PY_WORKSPACE, else the nearest parent with config/algo.toml, else the current "
            "folder. May stand anywhere in the line.",
        ),
    ] = None,
    version: Annotated[bool, typer.Option("--version", help="Show the version and exit.")] = False,
) -> None:
    if version:
        typer.echo(f"{_NAME} {__version__}")
        raise typer.Exit
    if context.invoked_subcommand is None:
        typer.echo(context.get_help())
        raise typer.Exit
    context.obj = workspace = Workspace.find(workspace_folder)
    use_files(workspace.calendar_file, workspace.derivatives_file)


def _workspace_first(arguments: Sequence[str]) -> list[str]:
    """Move `--workspace DIR` to the front, so that it may stand before or after a command."""
    rest, first = list(arguments), list[str]()
    place = 0
    while place < len(rest) and rest[place] != "--":
        if rest[place] == _WORKSPACE_OPTION and place + 1 < len(rest):
            first += [rest.pop(place), rest.pop(place)]
        elif rest[place].startswith(f"{_WORKSPACE_OPTION}="):
            first.append(rest.pop(place))
        else:
            place += 1
    return first + rest


def _usage_error(error: typer.TyperException) -> str:
    message = error.format_message().rstrip(".")
    context = getattr(error, "ctx", None)
    return f"{message}. See {context.command_path} --help" if context else message
