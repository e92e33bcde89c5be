"""A deployment with a long history, and the work that each of its runs does with the journal; for tests and benchmarks."""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import cast

from algo_py.backtest import BacktestConfig
from algo_py.clock import FrozenClock
from algo_py.database import Database
from algo_py.deployment.account_fold import AccountFold
from algo_py.deployment.config import DeploymentConfig, LiveClock
from algo_py.deployment.protection import Protector
from algo_py.deployment.safety import Safety
from algo_py.deployment.schedule import OnBarClose
from algo_py.deployment.store import DeploymentStore
from algo_py.deployment.stuck import StuckOrders
from algo_py.oms import OMS, AccountSummary, Capabilities, PositionReport
from algo_py.orders import tables
from algo_py.orders.execution import Executor
from algo_py.orders.guard import Guard
from algo_py.orders.journal import Journal
from algo_py.orders.model import Fill, Leg, OrderReport, OrderRequest, OrderStatus, OrderType, Side, client_order_id
from algo_py.orders.risk import Limits
from tests.orders.making import Notebook

SYMBOL, OTHER = "BTC/USDT", "ETH/USDT"
ID, VENUE, ACCOUNT = "old", "binance", "a1"
CASH = Decimal(1_000_000)
_BEGAN = datetime(2021, 1, 1, tzinfo=UTC)
_CHUNK = 10_000


def remember(database: Database, fills: int) -> None:
    """Record that many fills (an even number), each of an order of its own: bought and sold in turns, some held in the end."""
    for first in range(0, fills, _CHUNK):
        rows = [_rows(number, fills) for number in range(first, min(first + _CHUNK, fills))]
        with database.write(durable=False) as connection:
            connection.execute(tables.orders.insert(), [order for order, _, _ in rows])
            connection.execute(tables.order_events.insert(), [event for _, _, events in rows for event in events])
            connection.execute(tables.fills.insert(), [fill for _, fill, _ in rows])


def _rows(number: int, fills: int) -> tuple[dict[str, object], dict[str, object], list[dict[str, object]]]:
    side = Side.BUY if number % 2 == 0 or number == fills - 1 else Side.SELL
    symbol = SYMBOL if number // 2 % 2 == 0 else OTHER
    leg, at = Leg.ENTRY if side is Side.BUY else Leg.EXIT, _BEGAN + timedelta(minutes=number)
    own_id, price = f"o{number:019d}", Decimal(100) + number % 7
    order = {
        "client_order_id": own_id,
        "sequence": number + 1,
        "deployment_id": ID,
        "venue": VENUE,
        "account": ACCOUNT,
        "venue_order_id": str(number),
        "bar_time": at,
        "symbol": symbol,
        "side": side,
        "leg": leg,
        "type": OrderType.MARKET,
        "time_in_force": "GTC",
        "quantity": Decimal(1),
        "reference_price": price,
        "intent_reason": "entry" if side is Side.BUY else "exit",
        "status": OrderStatus.FILLED,
        "reason": "",
        "planned_at": at,
        "updated_at": at,
    }
    fill = {
        "venue": VENUE,
        "symbol": symbol,
        "trade_id": str(number),
        "client_order_id": own_id,
        "deployment_id": ID,
        "side": side,
        "quantity": Decimal(1),
        "price": price,
        "fee": Decimal("0.1"),
        "time": at,
        "recorded_at": at,
    }
    steps = (OrderStatus.PLANNED, OrderStatus.SUBMITTING, OrderStatus.FILLED)
    return order, fill, [{"client_order_id": own_id, "at": at, "status": status, "reason": ""} for status in steps]


@dataclass
class Account:
    """A venue that holds what it is told, and knows its orders; the part of an OMS that a run asks while nothing happens."""

    held: dict[str, Decimal]
    name: str = VENUE

    @property
    def capabilities(self) -> Capabilities:
        types = frozenset({OrderType.MARKET, OrderType.STOP})
        return Capabilities(
            order_types=types, can_short=False, can_look_up_by_client_id=True, accepts_replay_clock=False, holds_targets=True
        )

    def connect(self) -> AccountSummary:
        return AccountSummary(account=ACCOUNT, cash=None)

    def positions(self) -> Sequence[PositionReport]:
        return [PositionReport(symbol=symbol, quantity=quantity) for symbol, quantity in self.held.items()]

    def submit(self, order: OrderRequest) -> OrderReport:
        return OrderReport(client_order_id=order.client_order_id, venue_order_id="v", status=OrderStatus.ACCEPTED)

    def find(self, order: OrderRequest, planned_at: datetime) -> OrderReport | None:
        return OrderReport(client_order_id=order.client_order_id, venue_order_id="v", status=OrderStatus.ACCEPTED)

    def cancel(self, order: OrderRequest, planned_at: datetime) -> None:
        return


class Work:
    """What a run does with the journal beside its orders: everything is asked, and one more fill is recorded each time."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self._clock = FrozenClock(datetime(2025, 6, 2, 12, tzinfo=UTC))
        config = _config()
        DeploymentStore(database).add(config, created_at=_BEGAN)
        self._journal = Journal(database, self._clock, deployment_id=ID, venue=VENUE, account=ACCOUNT, initial_cash=CASH)
        self._venue = Account({SYMBOL: Decimal(10_000), OTHER: Decimal(10_000)})
        oms, log = cast("OMS", self._venue), Notebook()
        guard = Guard(journal=self._journal, clock=self._clock, limits=config.limits)
        executor = Executor(self._journal, oms, guard, log, deployment_id=ID, clock=self._clock)
        self._guard = guard
        self._executor = executor
        self._safety = Safety(
            config,
            oms,
            account=ACCOUNT,
            database=database,
            journal=self._journal,
            guard=guard,
            clock=self._clock,
            log=log,
        )
        self._protector = Protector(
            config,
            oms.capabilities,
            journal=self._journal,
            executor=executor,
            guard=guard,
            database=database,
            clock=self._clock,
            log=log,
            prices=lambda _symbols: {},
            sellable=lambda _symbol: None,
        )
        self._stuck = StuckOrders(database, config, journal=self._journal, clock=self._clock, log=log)
        self._fold = AccountFold(
            config.backtest.symbols,
            config.backtest.portfolio_config(),
            journal=self._journal,
            database=database,
            deployment_id=ID,
        )
        self._numbers = itertools.count()

    def begin(self) -> None:
        """Do what a start does: fold everything once."""
        self._fold.rebuild(None, 0)
        self.do()

    def do(self, *, trades: bool = True) -> None:
        """Do a run's work with the journal; a unit is bought and sold in it, or nothing."""
        now = self._clock.now()
        self._executor.recover(lambda _bar_time: False)
        self._executor.follow()
        assert not self._fold.is_behind
        self._safety.reconcile(self._executor.follow)
        self._safety.check_losses(self._journal.ledger.cash, now)
        self._journal.ledger.entry_bar(SYMBOL)
        self._journal.entries_sent_since(now.replace(hour=0, minute=0))
        self._journal.next_number()
        self._journal.newest_of(SYMBOL)
        self._journal.count_of(SYMBOL, bar_time=_BEGAN, reason="exit")
        if trades:
            self._fold.take(self._trade(Side.BUY) + self._trade(Side.SELL))
        self._safety.sweep_dust(now)
        self._protector.protect(self._fold.account, now)
        self._stuck.look()
        assert self._journal.positions()

    def _trade(self, side: Side) -> list[Fill]:
        number, now = next(self._numbers), self._clock.now()
        leg = Leg.ENTRY if side is Side.BUY else Leg.EXIT
        request = OrderRequest(
            client_order_id=client_order_id(ID, now, OTHER, side, leg, kind=str(number)),
            symbol=OTHER,
            side=side,
            leg=leg,
            quantity=Decimal(1),
            bar_time=now,
            reference_price=Decimal(100),
            reason="entry",
        )
        fill = Fill(
            trade_id=f"new-{number}",
            client_order_id=request.client_order_id,
            symbol=OTHER,
            side=side,
            quantity=Decimal(1),
            price=Decimal(100),
            fee=Decimal(0),
            time=now,
        )
        report = OrderReport(
            client_order_id=request.client_order_id, venue_order_id="v", status=OrderStatus.FILLED, fills=(fill,)
        )
        self._journal.plan_now(request)
        self._guard.judge(request)
        self._journal.mark(request.client_order_id, OrderStatus.SUBMITTING)
        new = self._journal.record(report)
        assert not self._journal.record(report), "what is known is not recorded again"
        return new


def _config() -> DeploymentConfig:
    backtest = BacktestConfig(
        strategy="ema-cross",
        market="crypto_binance",
        timeframe="1h",
        symbols=(SYMBOL, OTHER),
        start=_BEGAN,
        end=datetime(2025, 6, 1, tzinfo=UTC),
        initial_cash=float(CASH),
        stop_loss=0.5,
    )
    return DeploymentConfig(
        id=ID,
        name=ID,
        backtest_id="b",
        backtest=backtest,
        strategy_file="ema_cross.py",
        strategy_class="EmaCross",
        schedule=OnBarClose(),
        oms="binance",
        clock=LiveClock(),
        limits=Limits(max_orders_per_day=10_000, max_open_positions=5, max_daily_loss=CASH, max_drawdown_fraction=Decimal("0.9")),
    )
