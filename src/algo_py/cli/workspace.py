"""`algo-py init`: a folder that holds everything a trader needs to begin."""

from __future__ import annotations

import shlex
import shutil
from pathlib import Path
from typing import Annotated, Final

import typer

from algo_py.cli.output import print_table
from algo_py.errors import InvalidInput, Refused
from algo_py.settings import Workspace

TEMPLATE: Final = Path(__file__).resolve().parent.parent / "workspace_template"


def register(app: typer.Typer) -> None:
    """Add this file's commands."""
    app.command("init")(init)


def init(
    context: typer.Context,
    folder: Annotated[
        Path | None, typer.Argument(metavar="[DIR]", help="Where; else --workspace, else the current folder.")
    ] = None,
) -> None:
    """Make a workspace: settings, an example strategy, sample bars.

    May be repeated: files that are there already stay as they are.
    """
    from algo_py.finstore import FinStore
    from algo_py.finstore.sample import install_sample

    workspace = _chosen(context, folder)
    rows = [(path, "created" if new else "kept") for path, new in _copy_template(workspace.root)]
    installed = install_sample(FinStore(workspace.finstore))
    new_bars = sum(sample.new for sample in installed)
    rows.append(("database/finstore", f"{new_bars:,} sample bars of {len(installed)} series" if new_bars else "kept"))
    print_table(("file", ""), rows, title=f"Workspace {workspace.root}")
    here = "" if workspace.root == Path.cwd() else f" --workspace {shlex.quote(str(workspace.root))}"
    typer.echo("Try it:")
    typer.echo(f"  algo-py backtest run ema-cross --market crypto_binance --timeframe 1h --symbols BTC/USDT --save first{here}")


def _chosen(context: typer.Context, folder: Path | None) -> Workspace:
    """Return the folder to set up; a parent that is a workspace already is not meant by `init` in a new folder."""
    named = context.parent.params.get("workspace_folder") if context.parent else None
    if folder is not None and named is not None:
        raise InvalidInput("the workspace is named twice, as DIR and with --workspace", remedy="Leave one out.")
    return Workspace.find(folder or named or Path.cwd())


def _copy_template(root: Path) -> list[tuple[str, bool]]:
    """Copy what is missing; return each file with whether it was new."""
    done: list[tuple[str, bool]] = []
    try:
        for source in sorted(file for file in TEMPLATE.rglob("*") if file.is_file() and "__pycache__" not in file.parts):
            relative = source.relative_to(TEMPLATE)
            target = root / relative
            target.parent.mkdir(parents=True, exist_ok=True)
            missing = not target.exists()
            if missing:
                shutil.copyfile(source, target)
            done.append((relative.as_posix(), missing))
    except OSError as error:
        raise Refused(f"{root} cannot become a workspace: {error.strerror}", remedy="Choose another folder.") from None
    return done
