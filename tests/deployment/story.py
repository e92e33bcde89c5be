"""One deployment at a local Binance, told hour by hour: its decisions stand in the bars' volume, prices are set by hand."""

from __future__ import annotations

import shutil
from collections.abc import Mapping
from datetime import timedelta
from decimal import Decimal
from pathlib import Path

import numpy as np
import pandas as pd

from algo_py.clock import FrozenClock, parse_time
from algo_py.database import Database
from algo_py.deployment import DeploymentManager, DeploymentRequest
from algo_py.deployment.config import OrderChoice
from algo_py.deployment.pipeline import Pipeline, RunResult
from algo_py.deployment.protection_rows import Protection, protection_of
from algo_py.deployment.schedule import OnBarClose
from algo_py.deployment.store import DeploymentStore
from algo_py.finstore import FinStore
from algo_py.orders.execution import Executor
from algo_py.orders.halts import Halt, halted_symbols
from algo_py.orders.journal import Journal
from algo_py.orders.model import OrderStatus, OrderType, from_float
from algo_py.orders.records import JournaledOrder
from algo_py.orders.risk import Limits
from algo_py.settings import Workspace
from algo_py.workspace_database import open_workspace_database
from tests.deployment.conftest import Save
from tests.deployment.past_feed import PastFeed
from tests.deployment.strategies import write_strategy
from tests.oms import binance_desk
from tests.orders.making import Notebook
from tests.venues.binance_trading import BinanceTradingServer

START = parse_time("2025-01-03")
HOURS = 72
BEGIN = 24
IN, OUT = 2.0, 3.0
_BODY = "        return Signals(entries=bars.volume == 2.0, exits=bars.volume == 3.0)\n"


class Story:
    """`plan` says of each symbol at which hour after the beginning it is entered (IN) and left (OUT)."""

    def __init__(
        self,
        workspace: Workspace,
        manager: DeploymentManager,
        save: Save,
        server: BinanceTradingServer,
        folder: Path,
        plan: Mapping[str, Mapping[int, float]],
        *,
        name: str = "story",
        limits: Limits | None = None,
        order: OrderChoice | None = None,
        close: Mapping[str, float] | None = None,
        **changes: object,
    ) -> None:
        self.server, self.workspace, self.manager = server, workspace, manager
        self.desk = binance_desk.Desk(server, folder / "limits")
        symbols = tuple(plan)
        if not (workspace.strategies / "told.py").exists():
            shutil.rmtree(workspace.finstore)  # the sample has other bars of the same symbols
        write_strategy(workspace, "told", _BODY)
        index = pd.date_range(START, periods=HOURS, freq="h", unit="us", name="open_time")
        frames = {}
        for symbol, moments in plan.items():
            prices = np.full(HOURS, (close or {}).get(symbol, 100.0))
            volume = np.ones(HOURS)
            for hour, what in moments.items():
                volume[BEGIN + hour] = what
            frames[symbol] = pd.DataFrame(
                {"open": prices, "high": prices, "low": prices, "close": prices, "volume": volume}, index=index
            )
        self.store = FinStore(workspace.finstore)
        for key in list(frames):
            self.store.append("crypto_binance", "1h", {key: frames[key]}, now=parse_time("2026-01-01"))
        backtest: dict[str, object] = {"strategy": "told", "params": {}, "symbols": symbols, "slippage": 0.0, "fees": 0.0}
        save(name, start=index[0], end=index[12], **backtest | {"size": 0.4} | changes)
        self.clock = FrozenClock((index[BEGIN]).to_pydatetime())
        config, snapshot = manager.configure(
            DeploymentRequest(
                backtest=name, schedule=OnBarClose(), name=name, limits=limits or Limits(), order=order or OrderChoice()
            )
        )
        self.config, self._strategy = config, snapshot.strategy_instance()
        self.database: Database = open_workspace_database(workspace)
        DeploymentStore(self.database).add(config, created_at=self.clock.now())
        self.log = Notebook()
        self._began = self.clock.now()
        self._last_bar: object = None
        self.live()

    def live(self) -> None:
        """Begin a life: connect, recover."""
        self.oms = self.desk.open(symbols=self.config.backtest.symbols)
        account = self.oms.connect().account
        row = DeploymentStore(self.database).get(self.config.id)
        self.journal = Journal(
            self.database,
            self.clock,
            deployment_id=self.config.id,
            venue=self.oms.name,
            account=account,
            initial_cash=from_float(self.config.backtest.initial_cash),
        )
        self.feed = PastFeed(self.store, self.config, fill=None, log=self.log)
        self.pipeline = Pipeline(
            config=self.config,
            database=self.database,
            feed=self.feed,
            strategy=self._strategy,
            journal=self.journal,
            oms=self.oms,
            account=account,
            log=self.log,
            clock=self.clock,
            last_bar_time=row.last_bar_time,
            began_at=self._began,
            watch_every_s=0.0,
            confirm_after_s=0.0,
        )
        self._executor: Executor = self.pipeline._executor
        self._executor._look_again_after_s = 0.0
        self.pipeline.recover(self.clock.now())

    @property
    def id(self) -> str:
        return self.config.id

    def hour(self, count: int = 1) -> RunResult:
        """Let hours pass, with a run after each."""
        for _ in range(count):
            self.clock.sleep(3600)
            result = self.pipeline.run(self.clock.now())
        return result

    def follow(self, times: int = 1) -> None:
        """Do what happens between two runs, every few seconds."""
        for _ in range(times):
            self.clock.sleep(2)
            self.pipeline.follow(self.clock.now())

    def venue_catches_up(self) -> None:
        """Let so much time pass that the venue can tell for certain what it does not know."""
        self.server.clock_offset_s += 20
        self.desk.clock.shift += timedelta(seconds=20)

    def held(self, symbol: str = "BTC/USDT") -> Decimal:
        return self.journal.held(symbol)

    def there(self, symbol: str = "BTC/USDT") -> Decimal:
        """What the account has."""
        balance = self.server.matching.balance(symbol.split("/", maxsplit=1)[0])
        return balance.free + balance.locked

    def take_away(self, quantity: Decimal, symbol: str = "BTC/USDT") -> None:
        """Have a person sell by hand."""
        self.server.matching.balance(symbol.split("/", maxsplit=1)[0]).free -= quantity

    def orders(self, symbol: str = "BTC/USDT") -> list[tuple[str, str, str]]:
        return [
            (str(order.request.type), str(order.request.side), str(order.status))
            for order in self.journal.orders()
            if order.request.symbol == symbol
        ]

    def newest(self, symbol: str = "BTC/USDT") -> JournaledOrder:
        return [order for order in self.journal.orders() if order.request.symbol == symbol][-1]

    def stops(self, symbol: str = "BTC/USDT") -> list[Decimal]:
        """The quantities of the stops that rest at the venue."""
        name = symbol.replace("/", "")
        return [
            order.quantity
            for order in self.server.matching.orders
            if order.is_open and order.symbol == name and order.side == "SELL" and order.type == "STOP_LOSS"
        ]

    def protection(self, symbol: str = "BTC/USDT") -> Protection:
        return next(one for one in protection_of(self.database, self.id) if one.symbol == symbol)

    def halts(self) -> dict[str, Halt]:
        return halted_symbols(self.database, self.id)

    def events(self, name: str) -> list[dict[str, object]]:
        return [fields for event, fields in self.log.events if event == name]

    def assert_nothing_is_left(self, symbol: str = "BTC/USDT") -> None:
        """Books that agree: nothing held, here and there, and no order at the venue."""
        assert self.held(symbol) == self.there(symbol) == 0
        name = symbol.replace("/", "")
        assert not [order for order in self.server.matching.orders if order.is_open and order.symbol == name]
        assert not [
            order
            for order in self.journal.orders(only_open=True)
            if order.request.symbol == symbol
            and (order.request.type is not OrderType.STOP or order.status is OrderStatus.ACCEPTED)
        ]
