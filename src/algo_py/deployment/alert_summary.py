"""The summary of the day: what every deployment did, told once a day."""

from __future__ import annotations

from datetime import datetime, timedelta
from decimal import Decimal
from typing import TYPE_CHECKING
from zoneinfo import ZoneInfo

import sqlalchemy as sa
from sqlalchemy.engine import Connection

from algo_py.database import Database
from algo_py.deployment.alerts import AlertKind, is_raised, raise_alert
from algo_py.deployment.tables import equity_points, runs
from algo_py.formatting import money, with_currency
from algo_py.orders.tables import orders
from algo_py.settings import AlertSettings, Workspace

if TYPE_CHECKING:
    from algo_py.deployment.manager import Deployment, DeploymentManager

_DAY = timedelta(days=1)


def summary_key(settings: AlertSettings, now: datetime) -> str | None:
    """Return the key of the summary that should have been raised by `now`; None when today's is not due, or none is wanted."""
    if not settings.daily_summary_at or AlertKind.SUMMARY not in settings.kinds:
        return None
    local = now.astimezone(ZoneInfo(settings.daily_summary_tz))
    return f"{AlertKind.SUMMARY} {local:%Y-%m-%d}" if f"{local:%H:%M}" >= settings.daily_summary_at else None


def raise_summary(workspace: Workspace, database: Database, settings: AlertSettings, *, now: datetime) -> bool:
    """Raise today's summary when it is due; False when it is not, or was raised already."""
    key = summary_key(settings, now)
    if key is None or is_raised(database, key):
        return False
    from algo_py.deployment.manager import DeploymentManager

    manager = DeploymentManager(workspace)
    deployments = manager.list()
    running = sum(not deployment.status.has_ended for deployment in deployments)
    title = f"{key}: {len(deployments)} deployment{'' if len(deployments) == 1 else 's'}, {running} running"
    lines = [_line(manager, database, deployment, now) for deployment in deployments]
    body = "\n".join(lines) or "There is no deployment."
    return raise_alert(database, AlertKind.SUMMARY, key=key, title=title, body=body, deployment_id=None, at=now)


def _line(manager: DeploymentManager, database: Database, deployment: Deployment, now: datetime) -> str:
    """Return what one deployment did within a day; on the replay clock, which knows other days, since its start."""
    row, config = deployment.row, deployment.config
    is_live = config.clock.kind == "live"
    since = now - _DAY if is_live else config.start or row.created_at
    with database.read() as connection:
        runs_made = _runs_since(connection, row.id, since)
        base = _equity_at(connection, row.id, since)
        made = _orders_since(connection, row.id, since)
    base = Decimal(str(config.backtest.initial_cash)) if base is None else base
    quote = config.backtest.quote_label
    change = (
        None if row.equity is None else f"{with_currency(row.equity, quote)} ({money(row.equity - base, quote, signed=True)})"
    )
    held = [f"{symbol} {one.quantity.normalize():f}" for symbol, one in manager.ledger(row.id).positions.items() if one.quantity]
    return (
        f"{deployment.name}: {deployment.status}{f' ({deployment.reason})' if deployment.reason else ''}. "
        f"{'Within a day' if is_live else 'Since its start'}: {runs_made} runs; equity {change or 'not known'}; "
        f"orders {', '.join(f'{count} {status}' for status, count in made) or 'none'}. "
        f"Missed runs in all: {row.missed_runs}. Holds {', '.join(held) or 'nothing'}."
    )


def _runs_since(connection: Connection, deployment_id: str, since: datetime) -> int:
    query = sa.select(sa.func.count()).where(runs.c.deployment_id == deployment_id, runs.c.scheduled_at > since)
    return int(connection.execute(query).scalar_one())


def _equity_at(connection: Connection, deployment_id: str, moment: datetime) -> Decimal | None:
    points = equity_points.c
    query = sa.select(points.equity).where(points.deployment_id == deployment_id, points.time <= moment)
    found: Decimal | None = connection.execute(query.order_by(points.time.desc()).limit(1)).scalar()
    return found


def _orders_since(connection: Connection, deployment_id: str, since: datetime) -> list[tuple[str, int]]:
    query = sa.select(orders.c.status, sa.func.count()).where(
        orders.c.deployment_id == deployment_id, orders.c.planned_at > since
    )
    return [(status, count) for status, count in connection.execute(query.group_by(orders.c.status).order_by(orders.c.status))]
