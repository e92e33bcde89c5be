"""One deployment at the local Kite with NSE's day behind it, told moment by moment: its decisions stand in the bars' volume."""

from __future__ import annotations

import shutil
from collections.abc import Mapping
from datetime import datetime, timedelta
from decimal import Decimal
from pathlib import Path

import pandas as pd

from algo_py.clock import FrozenClock
from algo_py.deployment import DeploymentManager, DeploymentRequest
from algo_py.deployment.pipeline import Pipeline, RunResult
from algo_py.deployment.protection_rows import Protection, protection_of
from algo_py.deployment.schedule import OnBarClose
from algo_py.deployment.store import DeploymentStore
from algo_py.finstore import FinStore
from algo_py.market import Timeframe, get_market
from algo_py.orders.journal import Journal
from algo_py.orders.model import Leg, from_float
from algo_py.orders.records import JournaledOrder
from algo_py.settings import Workspace
from algo_py.workspace_database import open_workspace_database
from tests.deployment.conftest import Save
from tests.deployment.past_feed import PastFeed
from tests.deployment.strategies import write_strategy
from tests.oms import zerodha_desk
from tests.orders.making import Notebook
from tests.venues.kite import INDIA, Share
from tests.venues.kite_phases import PhasedKite

IN, OUT = 2.0, 3.0
_BODY = "        return Signals(entries=bars.volume == 2.0, exits=bars.volume == 3.0)\n"
_BEFORE = timedelta(days=5)


def at(text: str) -> datetime:
    """Read a time of India."""
    return datetime.fromisoformat(text).replace(tzinfo=INDIA)


def kite(clock: FrozenClock) -> PhasedKite:
    return PhasedKite(clock, api_key=zerodha_desk.API_KEY, api_secret=zerodha_desk.API_SECRET, access_token=zerodha_desk.TOKEN)


class NseStory:
    """`plan` says of each symbol at the open time of which bar (India's) it is entered (IN) and left (OUT)."""

    def __init__(
        self,
        workspace: Workspace,
        manager: DeploymentManager,
        save: Save,
        server: PhasedKite,
        clock: FrozenClock,
        folder: Path,
        plan: Mapping[str, Mapping[str, float]],
        **changes: object,
    ) -> None:
        self.server, self.clock, self.folder, self.workspace = server, clock, folder, workspace
        self.desk = zerodha_desk.Desk(server, clock, folder)
        server.shares = {symbol: Share(token=256 * (number + 1)) for number, symbol in enumerate(plan)}
        server.prices = {symbol: Decimal(1000) for symbol in plan}
        server.auctioned = {symbol for symbol in plan if symbol != "SMALLCO"}
        server.orders_per_s = None
        shutil.rmtree(workspace.finstore)  # the sample has other bars of the same symbols
        write_strategy(workspace, "told", _BODY)
        self._plan, self._begin = plan, clock.now()
        self._store_bars(plan, clock.now())
        backtest = {"strategy": "told", "params": {}, "symbols": tuple(plan), "market": "indian_equity", "timeframe": "15m"}
        money: dict[str, object] = {"slippage": 0.0, "fees": 0.0, "size": 0.4, "initial_cash": 100_000.0}
        save("told", start=clock.now() - _BEFORE, end=clock.now() - timedelta(days=2), **backtest | money | changes)
        config, snapshot = manager.configure(DeploymentRequest(backtest="told", schedule=OnBarClose(), name="told"))
        self._strategy = snapshot.strategy_instance()
        self.database, self.config, self.id = open_workspace_database(workspace), config, config.id
        DeploymentStore(self.database).add(config, created_at=clock.now())
        self.live()

    def live(self) -> None:
        """Begin a life of the deployment: the process is new, what is recorded stays."""
        self.log = Notebook()
        oms = self.desk.open(settling_s=1.0)
        account = oms.connect().account
        self.journal = Journal(
            self.database,
            self.clock,
            deployment_id=self.id,
            venue=oms.name,
            account=account,
            initial_cash=from_float(self.config.backtest.initial_cash),
        )
        row = DeploymentStore(self.database).get(self.id)
        self.pipeline = Pipeline(
            config=self.config,
            database=self.database,
            feed=PastFeed(FinStore(self.workspace.finstore), self.config, fill=None, log=self.log),
            strategy=self._strategy,
            journal=self.journal,
            oms=oms,
            account=account,
            log=self.log,
            clock=self.clock,
            last_bar_time=row.last_bar_time,
            began_at=row.created_at,
            watch_every_s=0.0,
            confirm_after_s=0.0,
        )
        self.pipeline.recover(self.clock.now())

    def lose_bars(self, *symbols: str) -> None:
        """Have FinStore know nothing of these symbols, and begin another life with it."""
        shutil.rmtree(self.workspace.finstore)
        self._store_bars({symbol: one for symbol, one in self._plan.items() if symbol not in symbols}, self._begin)
        self.live()

    def run(self, moment: str) -> RunResult:
        self._go_to(moment)
        return self.pipeline.run(self.clock.now())

    def follow(self, moment: str, times: int = 1) -> None:
        """Look after orders and positions from a moment on, every two seconds."""
        self._go_to(moment)
        for _ in range(times):
            self.pipeline.follow(self.clock.now())
            self.clock.sleep(2)

    def night(self) -> None:
        """Let the night pass, and log in anew."""
        self.server.new_day(keeps_token=True)
        self.server.token_ends_at = self.clock.now() + timedelta(days=3)

    def exits(self) -> list[tuple[str, str, str]]:
        """Return type, status and reason of each exit, oldest first."""
        return [(order.request.type, order.status, order.reason) for order in self.exit_orders()]

    def exit_orders(self) -> list[JournaledOrder]:
        return [order for order in self.journal.orders() if order.request.leg is Leg.EXIT]

    def told(self, event: str) -> list[dict[str, object]]:
        return [fields for name, fields in self.log.events if name == event]

    def protection(self) -> Protection:
        (one,) = protection_of(self.database, self.id)
        return one

    def _go_to(self, moment: str) -> None:
        self.clock.sleep((at(moment) - self.clock.now()).total_seconds())
        self.server.token_ends_at = self.clock.now() + timedelta(days=1)

    def _store_bars(self, plan: Mapping[str, Mapping[str, float]], begin: datetime) -> None:
        market, frames = get_market("indian_equity"), {}
        for symbol, decisions in plan.items():
            calendar = market.calendar_of(symbol)
            within = calendar.bar_opens(Timeframe.M15, begin - _BEFORE, begin + timedelta(days=4))
            opens = [moment for moment in within if not calendar.is_auction(moment, Timeframe.M15)]
            frame = pd.DataFrame(1000.0, index=pd.DatetimeIndex(opens, name="open_time"), columns=list(_COLUMNS))
            frame["volume"] = 1.0
            for moment, what in decisions.items():
                frame.loc[pd.Timestamp(at(moment)), "volume"] = what
            frames[symbol] = frame
        store = FinStore(self.workspace.finstore)
        for symbol, frame in frames.items():
            store.append("indian_equity", "15m", {symbol: frame}, now=begin + timedelta(days=10))


_COLUMNS = ("open", "high", "low", "close", "volume")
