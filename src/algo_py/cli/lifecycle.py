"""`algo-py stop | restart | pause | resume | halt | limits | settle | clear | restore | protect`: what is done to them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

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
from algo_py.cli.output import DASH, JsonFlag, print_json, print_pairs, print_table
from algo_py.errors import InvalidInput

if TYPE_CHECKING:
    from algo_py.deployment import Deployment, DeploymentManager

_START_TIMEOUT_S = 15.0
_STOP_TIMEOUT_S = 30.0
_CLOSE_TIMEOUT_S = 180.0


def register(app: typer.Typer) -> None:
    """Add this file's commands."""
    for command in (stop, restart, pause, resume, halt, limits, settle, clear, restore, protect):
        app.command(command.__name__)(command)


def stop(
    context: typer.Context,
    deployment: Chosen,
    close_positions: Annotated[
        bool,
        typer.Option("--close-positions/--keep-positions", help="Sell what it holds before it ends, or leave it (the default)."),
    ] = False,
    as_json: JsonFlag = False,
) -> None:
    """Stop a deployment after the run that it is in. What it cannot take back, such as a stop that rests, it goes on watching."""
    from algo_py.deployment.status import Status

    manager = manager_of(context)
    asked = manager.stop(deployment, close_positions=close_positions)
    timeout_s = _CLOSE_TIMEOUT_S if close_positions else _STOP_TIMEOUT_S
    found = manager.wait_until(asked.id, lambda d: d.status.has_ended or d.status is Status.WATCHING, timeout_s=timeout_s)
    _tell(found, as_json=as_json)
    if not as_json:
        held = ", ".join(f"{position.quantity} {symbol}" for symbol, position in manager.ledger(found.id).positions.items())
        if held:
            typer.echo(f"It holds {held}. Close it: algo-py stop {found.id} --close-positions")
            _print_protection(manager, found.id)


def restart(context: typer.Context, deployment: Chosen, as_json: JsonFlag = False) -> None:
    """Start a deployment again that was stopped or has failed; it goes on where it was."""
    from algo_py.deployment.status import Status

    manager = manager_of(context)
    found = manager.restart(deployment)
    found = manager.wait_until(found.id, lambda d: d.status is not Status.STARTING, timeout_s=_START_TIMEOUT_S)
    _tell(found, as_json=as_json, process=f", process {found.pid or DASH}")


def halt(
    context: typer.Context,
    deployment: Annotated[str | None, typer.Argument(metavar="[ID]", help="A deployment's id or name.")] = None,
    everything: Annotated[bool, typer.Option("--all", help="Every deployment, also those that are made later.")] = False,
    reason: Annotated[str, typer.Option(help="Why; it is shown wherever the status is.")] = "halted by hand",
) -> None:
    """Stop a deployment, or all, from entering. Exits and stops go on, and so does its process."""
    manager_of(context).halt(_scope(deployment, everything), reason=reason)
    typer.echo("No deployment enters any more." if everything else f"{deployment} enters nothing any more.")


def pause(context: typer.Context, deployment: Chosen, as_json: JsonFlag = False) -> None:
    """Let a replay's clock stand still until it is resumed."""
    from algo_py.deployment.status import Status

    manager = manager_of(context)
    asked = manager.pause(deployment)
    found = manager.wait_until(asked.id, lambda d: d.status is Status.PAUSED or d.status.has_ended, timeout_s=_START_TIMEOUT_S)
    _tell(found, as_json=as_json)


def resume(
    context: typer.Context,
    deployment: Annotated[str | None, typer.Argument(metavar="[ID]", help="A deployment's id or name.")] = None,
    everything: Annotated[bool, typer.Option("--all", help="Lift the halt of all.")] = False,
) -> None:
    """Let a halted deployment and its symbols be entered again, or a paused replay go on. --all lifts the halt of all."""
    from algo_py.orders.halts import HaltedBy

    resumed = manager_of(context).resume(_scope(deployment, everything))
    for one in resumed.halts:
        what = f"{one.symbol} was halted" if one.symbol is not None else "It was halted"
        typer.echo(f"{what}: {one.reason}")
    if any(one.by == HaltedBy.RECONCILIATION for one in resumed.halts):
        typer.echo("What still differs is halted again when it is looked at next: book what happened with algo-py book.")
    typer.echo("It goes on." if resumed else "It was neither halted nor paused.")


def limits(
    context: typer.Context,
    deployment: Chosen,
    max_order_notional: MaxOrderNotional = None,
    max_position_notional: MaxPositionNotional = None,
    max_gross_exposure: MaxGrossExposure = None,
    max_open_positions: MaxOpenPositions = None,
    max_orders_per_day: MaxOrdersPerDay = None,
    price_collar: PriceCollar = None,
    max_daily_loss: MaxDailyLoss = None,
    max_drawdown: MaxDrawdown = None,
    as_json: JsonFlag = False,
) -> None:
    """Show a deployment's limits, or change those that are named; `none` takes one away. They hold from its next run on."""
    manager = manager_of(context)
    found = manager.show(deployment)
    given = {
        "max_order_notional": max_order_notional,
        "max_position_notional": max_position_notional,
        "max_gross_exposure": max_gross_exposure,
        "max_open_positions": max_open_positions,
        "max_orders_per_day": max_orders_per_day,
        "price_collar_fraction": price_collar,
        "max_daily_loss": max_daily_loss,
        "max_drawdown_fraction": max_drawdown,
    }
    if any(text is not None for text in given.values()):
        found = manager.set_limits(found.id, limits_of(given, found.config.limits))
    values = found.config.limits.model_dump(mode="json")
    if as_json:
        print_json(values)
    else:
        print_pairs([(name, DASH if value is None else str(value)) for name, value in values.items()])


def _scope(deployment: str | None, everything: bool) -> str | None:  # noqa: FBT001 - as typed
    if (deployment is None) is not everything:
        raise InvalidInput("name one deployment, or say --all")
    return deployment


def _tell(found: Deployment, *, as_json: bool, process: str = "") -> None:
    """Print what has become of a deployment."""
    from algo_py.deployment.report import deployment_json

    if as_json:
        print_json(deployment_json(found))
    else:
        typer.echo(f"{found.name} ({found.id}) is {shown_status(found)}{process}.")


def settle(
    context: typer.Context,
    deployment: Chosen,
    order: Annotated[str, typer.Argument(metavar="ORDER", help="The order's client_order_id, as `show` prints it.")],
    filled: Annotated[str, typer.Option(help="How many units have filled in all; 0 when it has never arrived.")],
    price: Annotated[str | None, typer.Option(help="At what average price.")] = None,
    fee: Annotated[str, typer.Option(help="The fees of what is new, in quote currency.")] = "0",
    far_price: Annotated[
        bool, typer.Option("--far-price", help="The price is meant, though it is more than 20 % away from the order's reference.")
    ] = False,
    as_json: JsonFlag = False,
) -> None:
    """Record what you have found at the venue about an order that stays UNKNOWN there, once its deployment is stopped."""
    from algo_py.amounts import parse_amount
    from algo_py.deployment.by_hand import Outcome
    from algo_py.deployment.report import order_json

    outcome = checked(
        Outcome,
        filled_quantity=parse_amount(filled, name="--filled", allow_zero=True),
        price=None if price is None else parse_amount(price, name="--price"),
        fee=parse_amount(fee, name="--fee", allow_zero=True),
    )
    settled = manager_of(context).settle(deployment, order, outcome, far_price=far_price)
    if as_json:
        print_json(order_json(settled))
    else:
        typer.echo(f"{order} is {settled.status}, {settled.filled_quantity} filled.")


def clear(
    context: typer.Context,
    deployment: Annotated[
        str | None, typer.Argument(metavar="[ID]", help="One deployment; all that have ended if not given.")
    ] = None,
    purge: Annotated[bool, typer.Option("--purge", help="Delete everything that is known of it, orders and fills too.")] = False,
    holding: Annotated[
        bool,
        typer.Option("--holding", help="Although it still holds something, or has open orders; nobody looks after them then."),
    ] = False,
    as_json: JsonFlag = False,
) -> None:
    """Take ended deployments off the list. They stay in the archive (`ps --cleared`, `restore`) unless they are purged."""
    if purge and deployment is None:
        raise InvalidInput("--purge needs the id of one deployment", remedy="What is purged is gone for good.")
    manager = manager_of(context)
    cleared = manager.clear(deployment, purge=purge, holding=holding)
    if as_json:
        print_json(list(cleared))
        return
    done = "Deleted" if purge else "Cleared"
    typer.echo(f"{done} {', '.join(cleared)}." if cleared else "There was nothing to clear.")
    left = [one.name for one in manager.list() if one.status.has_ended] if deployment is None else []
    if left:
        typer.echo(f"Left on the list, since they hold something or have open orders: {', '.join(left)}.")


def restore(
    context: typer.Context,
    deployment: Annotated[str, typer.Argument(metavar="ID", help="The id of a deployment in the archive.")],
    as_json: JsonFlag = False,
) -> None:
    """Put a cleared deployment back on the list, so that it can be closed, booked or restarted."""
    _tell(manager_of(context).restore(deployment), as_json=as_json)


def protect(
    context: typer.Context,
    deployment: Annotated[
        str | None, typer.Argument(metavar="[ID]", help="A deployment's id or name; all that are on the list if not given.")
    ] = None,
    as_json: JsonFlag = False,
) -> None:
    """Say for each held quantity what protects it now: a stop at the venue, an exit, its process, or nothing, and why."""
    from algo_py.deployment.report import protection_json

    manager = manager_of(context)
    chosen = [manager.show(deployment)] if deployment is not None else manager.list()
    rows = [(one, protection) for one in chosen for protection in manager.protection(one.id)]
    if as_json:
        print_json([{"deployment_id": one.id, "name": one.name, **protection_json(protection)} for one, protection in rows])
        return
    if not rows:
        typer.echo("Nothing is held.")
        return
    print_table(
        ("deployment", "symbol", "quantity", "protected by", "stop", "why"),
        [
            (
                one.name,
                protection.symbol,
                f"{protection.quantity.normalize():f}",
                f"{'NOTHING' if protection.is_missing else protection.by}",
                DASH if protection.stop_price is None else f"{protection.stop_price.normalize():f}",
                protection.reason or DASH,
            )
            for one, protection in rows
        ],
        numbers=("quantity", "stop"),
    )


def _print_protection(manager: DeploymentManager, deployment_id: str) -> None:
    for one in manager.protection(deployment_id):
        if one.is_missing:
            typer.echo(f"NOT PROTECTED: {one.quantity.normalize():f} {one.symbol}: {one.reason}")
