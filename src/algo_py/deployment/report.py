"""Deployments, orders and fills as plain JSON values: the shape that programs outside read."""

from __future__ import annotations

from collections.abc import Iterable
from decimal import Decimal
from typing import TYPE_CHECKING, Any

from algo_py.clock import format_time
from algo_py.deployment.booking import BY_PERSON, booked_trades
from algo_py.deployment.status import Condition
from algo_py.orders.model import Side

if TYPE_CHECKING:
    from algo_py.deployment.manager import Deployment, DeploymentManager
    from algo_py.deployment.protection_rows import Protection
    from algo_py.orders.entries import LedgerEntry
    from algo_py.orders.ledger import Position
    from algo_py.orders.model import Fill
    from algo_py.orders.records import JournaledOrder


def deployment_json(deployment: Deployment) -> dict[str, Any]:
    """Return one object of `ps --json`."""
    row, config = deployment.row, deployment.config
    return {
        "id": row.id,
        "name": row.name,
        "backtest_id": config.backtest_id,
        "strategy": config.backtest.strategy,
        "params": dict(config.backtest.params),
        "market": config.backtest.market,
        "timeframe": config.backtest.timeframe,
        "symbols": list(config.backtest.symbols),
        "quote_currency": config.backtest.sole_quote,
        "oms": config.oms,
        "clock": config.clock.kind,
        "schedule": str(config.schedule),
        "status": deployment.status,
        "reason": deployment.reason,
        "since": format_time(deployment.since),
        "pid": deployment.pid,
        "created_at": format_time(row.created_at),
        "started_at": format_time(row.started_at),
        "heartbeat_at": format_time(row.heartbeat_at),
        "last_run_at": format_time(row.last_run_at),
        "next_run_at": None if row.state.has_ended else format_time(row.next_run_at),
        "calendar": calendar_json(deployment),
        "runs": row.runs,
        "missed_runs": row.missed_runs,
        "failed_runs": row.failed_runs,
        "bad_runs": row.bad_runs,
        "good_run_at": format_time(row.good_run_at),
        "account": row.account,
        "cash": _number(row.cash),
        "equity": _number(row.equity),
    }


def calendar_json(deployment: Deployment) -> dict[str, Any] | None:
    """Return how far the market's trading days are known, and whether the next run is beyond that.

    None where that plays no part: a market that trades round the clock, a replay, a deployment that has ended.
    """
    row, config = deployment.row, deployment.config
    if row.is_replay or row.state.has_ended or (known_until := config.calendar.known_until) is None:
        return None
    # A mark of trouble may stand in the place of the mark, and the next run is written down a moment later than the mark.
    is_marked = row.condition is Condition.ASSUMED_DAYS
    is_assumed = row.next_run_at is not None and config.calendar.is_assumed(row.next_run_at)
    return {"known_until": format_time(known_until), "next_run_is_assumed": is_marked or is_assumed}


def full_json(manager: DeploymentManager, deployment: Deployment) -> dict[str, Any]:
    """Return what `show --json` prints: the deployment with its positions, orders, fills and newest runs."""
    ledger = manager.ledger(deployment.id)
    return {
        **deployment_json(deployment),
        "positions": [position_json(position) for position in ledger.positions.values()],
        "protection": [protection_json(one) for one in manager.protection(deployment.id)],
        "halts": [
            {"symbol": one.symbol, "reason": one.reason, "by": one.by, "at": format_time(one.at)}
            for one in manager.halts(deployment.id)
        ],
        "entries": [entry_json(entry) for entry in manager.entries(deployment.id)],
        "orders": [order_json(order) for order in manager.orders(deployment.id)],
        "fills": [fill_json(fill) for fill in manager.fills(deployment.id)],
        "runs_log": [
            {
                "scheduled_at": format_time(run.scheduled_at),
                "started_at": format_time(run.started_at),
                "duration_s": run.duration_s,
                "outcome": run.outcome,
                **run.detail,
            }
            for run in manager.runs(deployment.id)
        ],
    }


def position_json(position: Position) -> dict[str, Any]:
    """Return one position."""
    return {
        "symbol": position.symbol,
        "quantity": _number(position.quantity),
        "average_price": _number(position.average_price),
    }


def protection_json(protection: Protection) -> dict[str, Any]:
    """Return what protects one held position."""
    return {
        "symbol": protection.symbol,
        "quantity": _number(protection.quantity),
        "by": protection.by,
        "is_wanted": protection.is_wanted,
        "is_missing": protection.is_missing,
        "stop_price": _number(protection.stop_price),
        "reason": protection.reason or None,
        "since": format_time(protection.since),
    }


def entry_json(entry: LedgerEntry) -> dict[str, Any]:
    """Return one ledger entry that is no fill."""
    return {
        "entry_id": entry.entry_id,
        "time": format_time(entry.time),
        "symbol": entry.symbol,
        "kind": entry.kind,
        "quantity": _number(entry.quantity),
        "cash": _number(entry.cash),
        "price": _number(entry.price),
        "ratio": _number(entry.ratio),
        "reverses": entry.reverses,
        "by": entry.by,
        "note": entry.note,
    }


def booked_json(manager: DeploymentManager, deployment_id: str) -> list[dict[str, Any]]:
    """Return everything that changed a deployment's ledger and was no order of its own, oldest first.

    A trade that was booked by hand has the kind `trade`, signed units and cash, and its `trade_id` as `entry_id`.
    """
    notes = {order.request.client_order_id: order.request.reason for order in manager.orders(deployment_id)}
    found = [(entry.time, entry_json(entry)) for entry in manager.entries(deployment_id)]
    for fill in booked_trades(manager.fills(deployment_id)):
        signed = fill.quantity if fill.side is Side.BUY else -fill.quantity
        trade = {
            "entry_id": fill.trade_id,
            "time": format_time(fill.time),
            "symbol": fill.symbol,
            "kind": "trade",
            "quantity": _number(signed),
            "cash": _number(-signed * fill.price - fill.fee),
            "price": _number(fill.price),
            "ratio": None,
            "reverses": None,
            "by": BY_PERSON,
            "note": notes.get(fill.client_order_id, ""),
        }
        found.append((fill.time, trade))
    return [told for _, told in sorted(found, key=lambda one: one[0])]


def order_json(order: JournaledOrder) -> dict[str, Any]:
    """Return one order."""
    request = order.request
    return {
        "client_order_id": request.client_order_id,
        "venue_order_id": order.venue_order_id or None,
        "bar_time": format_time(request.bar_time),
        "symbol": request.symbol,
        "side": request.side,
        "type": request.type,
        "quantity": _number(request.quantity),
        "filled_quantity": _number(order.filled_quantity),
        "average_fill_price": _number(order.average_fill_price),
        "fee": _number(order.fee),
        "status": order.status,
        "reason": ": ".join(part for part in (request.reason, order.reason) if part),
    }


def fill_json(fill: Fill) -> dict[str, Any]:
    """Return one fill."""
    return {
        "trade_id": fill.trade_id,
        "client_order_id": fill.client_order_id,
        "time": format_time(fill.time),
        "symbol": fill.symbol,
        "side": fill.side,
        "quantity": _number(fill.quantity),
        "price": _number(fill.price),
        "fee": _number(fill.fee),
    }


def shown_symbols(symbols: Iterable[str], *, most: int = 3) -> str:
    """Return the first few symbols and how many more there are."""
    names = list(symbols)
    more = len(names) - most
    return ", ".join(names[:most]) + (f" +{more}" if more > 0 else "")


def _number(value: Decimal | None) -> float | None:
    return None if value is None else float(value)
