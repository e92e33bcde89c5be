"""A deployment that holds something and has no process: made in the journal, so that a test of what is shown need not wait."""

from __future__ import annotations

from decimal import Decimal

from algo_py.clock import SystemClock, parse_time
from algo_py.database import Database
from algo_py.deployment import DeploymentManager, DeploymentRequest
from algo_py.deployment.config import ClockChoice, LiveClock
from algo_py.deployment.schedule import OnBarClose
from algo_py.deployment.status import State, Wanted
from algo_py.deployment.store import DeploymentStore
from algo_py.orders.journal import Journal
from algo_py.orders.model import Fill, Leg, OrderReport, OrderRequest, OrderStatus, OrderType, Side, from_float
from algo_py.settings import Workspace

SYMBOL = "BTC/USDT"


def make_holding(workspace: Workspace, database: Database, *, backtest: str, name: str, clock: ClockChoice | None = None) -> str:
    """Make a stopped deployment on paper, on the live clock unless told otherwise, that bought 2 units at 100 for a fee of 0.20;
    return its id."""
    request = DeploymentRequest(backtest=backtest, schedule=OnBarClose(), clock=clock or LiveClock(), name=name)
    config, _ = DeploymentManager(workspace).configure(request)
    now = SystemClock().now()
    store = DeploymentStore(database)
    store.add(config, created_at=now)
    store.want(config.id, Wanted.STOPPED, at=now)
    store.set_state(config.id, State.STOPPED, reason="stopped by request", at=now)
    (workspace.deployments / config.id).mkdir(parents=True)
    initial = from_float(config.backtest.initial_cash)
    journal = Journal(database, SystemClock(), deployment_id=config.id, venue="paper", initial_cash=initial)
    journal.plan_now(order_of(f"bought-{name}", Side.BUY))
    journal.mark(f"bought-{name}", OrderStatus.SUBMITTING)
    fill = Fill(
        trade_id=f"trade-{name}",
        client_order_id=f"bought-{name}",
        symbol=SYMBOL,
        side=Side.BUY,
        quantity=Decimal(2),
        price=Decimal(100),
        fee=Decimal("0.2"),
        time=now,
    )
    journal.record(OrderReport(client_order_id=f"bought-{name}", venue_order_id="1", status=OrderStatus.FILLED, fills=(fill,)))
    return config.id


def order_of(own_id: str, side: Side, type_: OrderType = OrderType.MARKET) -> OrderRequest:
    """Return an order of 2 units at 100; a stop is at 90."""
    return OrderRequest(
        client_order_id=own_id,
        symbol=SYMBOL,
        side=side,
        leg=Leg.ENTRY if side is Side.BUY else Leg.EXIT,
        quantity=Decimal(2),
        bar_time=parse_time("2025-01-02"),
        reference_price=Decimal(100),
        type=type_,
        stop_price=Decimal(90) if type_ is OrderType.STOP else None,
        reason="entry" if side is Side.BUY else "stop_loss",
    )
