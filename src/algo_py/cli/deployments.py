"""`algo-py deploy | ps | show`: making deployments and looking at them."""

from __future__ import annotations

from decimal import Decimal
from math import isfinite
from typing import TYPE_CHECKING, Annotated, Any

import typer

from algo_py.amounts import plain
from algo_py.cli.deployment_options import (
    Chosen,
    MaxDailyLoss,
    MaxDrawdown,
    MaxGrossExposure,
    MaxOpenPositions,
    MaxOrderNotional,
    MaxOrdersPerDay,
    MaxPositionNotional,
    PriceCollar,
    checked,
    limits_of,
    manager_of,
    shown_status,
)
from algo_py.cli.options import parameters_of
from algo_py.cli.output import DASH, JsonFlag, moment, print_json, print_pairs, print_table
from algo_py.cli.schedules import print_plan, print_runs, schedule_of, with_runs
from algo_py.errors import InvalidInput
from algo_py.formatting import with_currency
from algo_py.market.own_facts import own_facts

if TYPE_CHECKING:
    from algo_py.deployment.config import ClockChoice

_START_TIMEOUT_S = 15.0


def register(app: typer.Typer) -> None:
    """Add this file's commands."""
    for command in (deploy, ps, show):
        app.command(command.__name__)(command)


def deploy(
    context: typer.Context,
    backtest: Annotated[str, typer.Argument(metavar="BACKTEST", help="A saved backtest's id or name.")],
    oms: Annotated[str, typer.Option(help="Who takes the orders.")] = "paper",
    every: Annotated[str | None, typer.Option(metavar="DURATION", help="Run at fixed intervals, such as 60m.")] = None,
    from_start: Annotated[
        bool, typer.Option("--from-start", help="Count --every from the start, not from the full hour or day.")
    ] = False,
    at: Annotated[str | None, typer.Option(metavar="HH:MM", help="Run at a time of day.")] = None,
    tz: Annotated[str, typer.Option(metavar="ZONE", help="The time zone of --at, such as Asia/Kolkata.")] = "UTC",
    days: Annotated[str | None, typer.Option(help="The days of --at, such as mon-fri or mon,wed.")] = None,
    on_bar_close: Annotated[bool, typer.Option("--on-bar-close", help="Run as each bar closes (the default).")] = False,
    delay: Annotated[str | None, typer.Option(metavar="DURATION", help="Wait this long after the bar's close.")] = None,
    start: Annotated[str | None, typer.Option(metavar="TIME", help="Begin then; at once if not given.")] = None,
    end: Annotated[str | None, typer.Option(metavar="TIME", help="End then; never if not given.")] = None,
    replay: Annotated[bool, typer.Option("--replay", help="Trade past bars on a simulated clock.")] = False,
    speed: Annotated[str | None, typer.Option(help="Speed of a replay: 60bars/s, or max.")] = None,
    cash: Annotated[float | None, typer.Option(help="Initial cash, instead of the backtest's.")] = None,
    size: Annotated[float | None, typer.Option(help="Size, instead of the backtest's.")] = None,
    param: Annotated[list[str] | None, typer.Option(metavar="NAME=VALUE", help="A parameter, instead of the backtest's.")] = None,
    max_order_notional: MaxOrderNotional = None,
    max_position_notional: MaxPositionNotional = None,
    max_gross_exposure: MaxGrossExposure = None,
    max_open_positions: MaxOpenPositions = None,
    max_orders_per_day: MaxOrdersPerDay = None,
    price_collar: PriceCollar = None,
    max_daily_loss: MaxDailyLoss = None,
    max_drawdown: MaxDrawdown = None,
    order_type: Annotated[str, typer.Option(help="market or limit.")] = "market",
    limit_offset_bps: Annotated[
        float, typer.Option(help="Where the limit is: above 0 worse than the last close, below 0 better.")
    ] = 0.0,
    limit_timeout: Annotated[str, typer.Option(metavar="DURATION", help="How long a limit order may rest.")] = "60s",
    limit_then: Annotated[str, typer.Option(help="What becomes of its rest then: cancel or market.")] = "cancel",
    late_entries: Annotated[
        bool, typer.Option("--late-entries", help="Take entries of bars too that closed while no run took place.")
    ] = False,
    enter_open_position: Annotated[
        bool, typer.Option("--enter-open-position", help="Enter at the first run what the strategy holds by then.")
    ] = False,
    use_provisional: Annotated[
        bool, typer.Option("--use-provisional", help="Act on closed bars that are not final yet, such as NSE's daily ones.")
    ] = False,
    name: Annotated[str | None, typer.Option(help="A name; the backtest's if not given.")] = None,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Show what would be deployed and when it would run.")] = False,
    as_json: JsonFlag = False,
) -> None:
    """Deploy a saved backtest: from here on it trades by itself."""
    from algo_py.clock import parse_duration, parse_time
    from algo_py.deployment import DeploymentRequest
    from algo_py.deployment.config import OrderChoice
    from algo_py.deployment.report import deployment_json
    from algo_py.deployment.status import Status

    request = DeploymentRequest(
        backtest=backtest,
        schedule=schedule_of(every=every, from_start=from_start, at=at, tz=tz, days=days, on_bar_close=on_bar_close, delay=delay),
        oms=oms,
        clock=_clock(replay=replay, speed=speed),
        name=name,
        start=None if start is None else parse_time(start),
        end=None if end is None else parse_time(end),
        initial_cash=cash,
        size=size,
        params=parameters_of(param or []),
        limits=limits_of(
            {
                "max_order_notional": max_order_notional,
                "max_position_notional": max_position_notional,
                "max_gross_exposure": max_gross_exposure,
                "max_open_positions": max_open_positions,
                "max_orders_per_day": max_orders_per_day,
                "price_collar_fraction": price_collar,
                "max_daily_loss": max_daily_loss,
                "max_drawdown_fraction": max_drawdown,
            }
        ),
        order=checked(
            OrderChoice,
            type=order_type,
            offset_bps=limit_offset_bps,
            timeout_s=parse_duration(limit_timeout).total_seconds(),
            then=limit_then,
        ),
        late_entries=late_entries,
        enter_open_position=enter_open_position,
        use_provisional=use_provisional,
    )
    manager = manager_of(context)
    if dry_run:
        print_plan(manager.configure(request)[0], as_json=as_json)
        return
    deployment = manager.deploy(request)
    deployment = manager.wait_until(deployment.id, lambda d: d.status is not Status.STARTING, timeout_s=_START_TIMEOUT_S)
    if as_json:
        print_json(with_runs(deployment_json(deployment) | {"warnings": manager.warnings(deployment.id)}, deployment.config))
        return
    typer.echo(f"{deployment.name} ({deployment.id}) is {shown_status(deployment)}, process {deployment.pid or DASH}.")
    for warning in manager.warnings(deployment.id):
        typer.echo(f"warning: {warning}")
    print_runs(deployment.config)
    typer.echo(f"Watch it: algo-py logs {deployment.id} -f    Stop it: algo-py stop {deployment.id}")


def ps(
    context: typer.Context,
    cleared: Annotated[bool, typer.Option("--cleared", help="Those that were cleared: the archive.")] = False,
    as_json: JsonFlag = False,
) -> None:
    """List the deployments with their status."""
    from algo_py.deployment.report import deployment_json

    manager = manager_of(context)
    deployments = manager.list(cleared=cleared)
    if as_json:
        print_json([deployment_json(deployment) for deployment in deployments])
        return
    if cleared and not deployments:
        typer.echo("Nothing was cleared.")
        return
    if not deployments:
        typer.echo("Nothing is deployed. Deploy a saved backtest with: algo-py deploy BACKTEST --replay")
        return
    print_table(
        ("id", "name", "pid", "started (UTC)", "strategy", "oms", "clock", "status", "runs", "equity"),
        [
            (
                d.id,
                d.name,
                str(d.pid or DASH),
                moment(d.row.started_at),
                d.config.backtest.strategy,
                d.config.oms,
                d.config.clock.kind,
                shown_status(d),
                str(d.row.runs),
                DASH if d.row.equity is None else with_currency(d.row.equity, d.config.backtest.quote_label),
            )
            for d in deployments
        ],
        numbers=("pid", "runs", "equity"),
    )
    for row, one in () if cleared else manager.unprotected():
        typer.echo(f"NOT PROTECTED: {row.name} holds {plain(one.quantity)} {one.symbol}: {one.reason}")
    if own_facts().problem:
        typer.echo(f"TRADING DAYS: {own_facts().problem} What was read before goes on to hold.")


def show(context: typer.Context, deployment: Chosen, as_json: JsonFlag = False) -> None:
    """Show one deployment with its positions, orders and fills."""
    from algo_py.deployment.report import full_json

    manager = manager_of(context)
    found = manager.show(deployment)
    whole = full_json(manager, found)
    if as_json:
        print_json(whole)
        return
    lists = ("positions", "protection", "halts", "entries", "orders", "fills", "runs_log")
    print_pairs([(key, _text(value)) for key, value in whole.items() if key not in lists])
    for title in ("positions", "protection", "halts", "entries", "orders", "fills"):
        if whole[title]:
            keys = list(whole[title][0])
            print_table(keys, [[_text(entry[key]) for key in keys] for entry in whole[title]], title=title)
        elif title in ("positions", "orders", "fills"):
            typer.echo(f"no {title}")


def _clock(*, replay: bool, speed: str | None) -> ClockChoice:
    from pydantic import ValidationError

    from algo_py.deployment.config import LiveClock, Replay

    if not replay:
        if speed is not None:
            raise InvalidInput("--speed goes with --replay", remedy="Add --replay, or leave --speed out.")
        return LiveClock()
    if speed is None:
        return Replay()
    if speed == "max":
        return Replay(bars_per_s=None)
    try:
        return Replay(bars_per_s=float(speed.removesuffix("bars/s")))
    except (ValueError, ValidationError):
        raise InvalidInput(f"{speed!r} is not a speed", remedy="Write it as 60bars/s (up to 100000), or max.") from None


def _text(value: Any) -> str:
    if value is None or value == "":
        return DASH
    if isinstance(value, (dict, list)):
        return (
            ", ".join(f"{key}={item}" for key, item in value.items()) if isinstance(value, dict) else ", ".join(map(str, value))
        )
    return f"{Decimal(repr(value)):f}" if isinstance(value, float) and isfinite(value) else str(value)
