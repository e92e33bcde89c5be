"""`algo-py alerts`: what a person should have been told, whether it was sent, and whether the addresses work."""

from __future__ import annotations

from typing import Annotated

import typer

from algo_py.cli.output import DASH, JsonFlag, moment, print_json, print_table, workspace_of
from algo_py.clock import format_time
from algo_py.errors import Refused
from algo_py.settings import Workspace


def register(app: typer.Typer) -> None:
    """Add this file's command."""
    app.command("alerts")(alerts)


def alerts(
    context: typer.Context,
    test: Annotated[bool, typer.Option("--test", help="Send a message to every address now, and say which took it.")] = False,
    last: Annotated[int, typer.Option("-n", "--last", min=1, max=10_000, help="How many are listed.")] = 20,
    as_json: JsonFlag = False,
) -> None:
    """List the newest alerts, newest first, with what became of them."""
    from algo_py.credentials import Credentials
    from algo_py.deployment.alert_addresses import ALERT_URLS
    from algo_py.deployment.alerts import newest_alerts
    from algo_py.workspace_database import open_workspace_database

    workspace = workspace_of(context)
    if test:
        _send_test(workspace, as_json=as_json)
        return
    found = newest_alerts(open_workspace_database(workspace), last=last)
    if as_json:
        print_json(
            [
                {
                    "id": alert.id,
                    "kind": alert.kind,
                    "deployment_id": alert.deployment_id,
                    "title": alert.title,
                    "body": alert.body,
                    "raised_at": format_time(alert.raised_at),
                    "state": alert.state,
                    "sent_at": format_time(alert.sent_at),
                    "attempts": alert.attempts,
                    "next_attempt_at": format_time(alert.next_attempt_at),
                    "error": alert.error or None,
                }
                for alert in found
            ]
        )
    else:
        rows = [
            (moment(alert.raised_at), alert.kind, alert.title, alert.state, moment(alert.sent_at), alert.error or DASH)
            for alert in found
        ]
        print_table(("raised (UTC)", "kind", "alert", "state", "sent (UTC)", "error"), rows)
    if not Credentials.of(workspace).has(ALERT_URLS):
        typer.echo(f"warning: {ALERT_URLS} is not set in config/.env: alerts are recorded, and nobody is told", err=True)


def _send_test(workspace: Workspace, *, as_json: bool) -> None:
    from algo_py.credentials import Credentials
    from algo_py.deployment.alert_addresses import ALERT_URLS, Addresses

    credentials = Credentials.of(workspace)
    if not credentials.has(ALERT_URLS):
        raise Refused(f"{ALERT_URLS} is not set in config/.env", remedy="config/.env.example shows how addresses are written.")
    deliveries = Addresses.of(credentials).send(
        "Algo.Py: a test", "This address receives the alerts of your deployments. Nothing has happened."
    )
    if as_json:
        print_json([{"address": one.address, "sent": not one.problem, "problem": one.problem or None} for one in deliveries])
    else:
        print_table(("address", "test message"), [(one.address, one.problem or "taken") for one in deliveries])
    if any(one.problem for one in deliveries):
        raise typer.Exit(1)
