"""`algo-py login`: access that ends each day and wants a person to renew it."""

from __future__ import annotations

from typing import Annotated

import typer

from algo_py.cli.output import JsonFlag, print_json, workspace_of
from algo_py.clock import SystemClock, format_time, parse_duration
from algo_py.errors import InvalidInput


def register(app: typer.Typer) -> None:
    """Add this file's commands."""
    group = typer.Typer(help="Log in where a login lasts for a day: zerodha.", rich_markup_mode=None)
    group.callback()(_no_options)  # so that `zerodha` keeps its name while it is the only one
    group.command("zerodha")(zerodha)
    app.add_typer(group, name="login")


def _no_options() -> None:
    pass


def zerodha(
    context: typer.Context,
    request_token: Annotated[
        str | None,
        typer.Option(metavar="TOKEN", help="The request token, or the address that the browser ended on; else it is asked."),
    ] = None,
    listen: Annotated[
        int | None,
        typer.Option(
            metavar="PORT",
            min=1,
            max=65_535,
            help="Catch the browser on this machine: register http://127.0.0.1:PORT/zerodha as your Kite app's redirect address.",
        ),
    ] = None,
    wait: Annotated[str, typer.Option(metavar="DURATION", help="How long --listen waits.")] = "5m",
    as_json: JsonFlag = False,
) -> None:
    """Get today's access token and put it into config/.env. It ends at 06:00 in India on the next morning."""
    from algo_py.credentials import Credentials, write_credentials
    from algo_py.oms.zerodha.access import API_KEY, API_SECRET, INDIA
    from algo_py.oms.zerodha.redirect import RedirectListener
    from algo_py.oms.zerodha.session import exchange, login_address, request_token_of

    if request_token is not None and listen is not None:
        raise InvalidInput("--request-token and --listen exclude one another", remedy="Leave one out.")
    wait_s = parse_duration(wait).total_seconds()
    workspace = workspace_of(context)
    credentials = Credentials.of(workspace)
    for name in (API_KEY, API_SECRET):
        credentials.secret(name)
    if request_token is not None:
        token = request_token_of(request_token)
    elif listen is not None:
        with RedirectListener(listen) as listener:
            _tell(f"Open this address and log in:\n  {login_address(credentials, state=listener.state)}", as_json=as_json)
            _tell(f"Waiting {wait} for the browser on {listener.address} ...", as_json=as_json)
            token = listener.wait(wait_s)
    else:
        _tell(f"Open this address and log in:\n  {login_address(credentials)}", as_json=as_json)
        token = request_token_of(typer.prompt("The address that the browser ended on", hide_input=True, err=as_json))
    session = exchange(credentials, token, now=SystemClock().now())
    write_credentials(workspace, session.credentials())
    if as_json:
        print_json({"oms": "zerodha", "account": session.user_id, "ends_at": format_time(session.ends_at)})
        return
    indian = f"{session.ends_at.astimezone(INDIA):%Y-%m-%d %H:%M} IST"
    typer.echo(f"Logged in as {session.user_id} until {indian} ({session.ends_at:%Y-%m-%d %H:%M} UTC).")
    typer.echo(f"The access token stands in {workspace.credentials_file}.")


def _tell(text: str, *, as_json: bool) -> None:
    """Say something to the person; a program that wants JSON gets nothing else on standard output."""
    typer.echo(text, err=as_json)
