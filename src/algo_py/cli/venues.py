"""`algo-py oms`: who can take orders, and whether its credentials are there and accepted."""

from __future__ import annotations

from typing import Annotated

import typer

from algo_py.cli.output import DASH, JsonFlag, print_json, print_table, workspace_of
from algo_py.clock import SystemClock
from algo_py.errors import AlgoPyError


def register(app: typer.Typer) -> None:
    """Add this file's command."""
    app.command("oms")(list_oms)


def list_oms(
    context: typer.Context,
    check: Annotated[
        str | None,
        typer.Option("--check", metavar="NAME", help="Connect this one, and say what the venue answers; nothing is sent."),
    ] = None,
    market: Annotated[str | None, typer.Option(help="The market for --check; else the first that the OMS trades.")] = None,
    as_json: JsonFlag = False,
) -> None:
    """List the order management systems with the state of their credentials; secrets are never shown."""
    from algo_py.credentials import Credentials, exposure_warning
    from algo_py.market import get_market, market_names
    from algo_py.oms import oms_choice, oms_names, try_connect
    from algo_py.workspace_database import open_workspace_database

    workspace = workspace_of(context)
    credentials = Credentials.of(workspace)
    states = {name: oms_choice(name).state(credentials) for name in ([check] if check else oms_names())}
    failed = False
    if check:
        chosen = get_market(market or next(iter(oms_choice(check).markets), market_names()[0]))
        try:
            account = try_connect(
                check, workspace=workspace, database=open_workspace_database(workspace), clock=SystemClock(), market=chosen
            )
            states[check] = "; ".join((f"connected, account {account.account or DASH}", *account.warnings))
        except AlgoPyError as error:
            states[check], failed = f"refused: {error}", True
    if as_json:
        print_json([{"name": name, "markets": list(oms_choice(name).markets), "state": state} for name, state in states.items()])
    else:
        rows = [(name, ", ".join(oms_choice(name).markets) or "all", state) for name, state in states.items()]
        print_table(("oms", "markets", "credentials"), rows)
    exposed = exposure_warning(workspace)
    if exposed:
        typer.echo(f"warning: {exposed}", err=True)
    if failed:
        raise typer.Exit(1)
