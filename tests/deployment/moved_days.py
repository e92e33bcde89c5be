"""A share of NSE whose daily bars lead up to any day, real or assumed, with decisions that stand in their volume."""

from __future__ import annotations

import shutil
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from pathlib import Path

import numpy as np
import pandas as pd

from algo_py.backtest import BacktestConfig, Snapshot, SnapshotStore, run_backtest
from algo_py.clock import FrozenClock
from algo_py.deployment import DeploymentManager, DeploymentRequest
from algo_py.deployment.config import DeploymentConfig
from algo_py.deployment.feed import LiveFeed
from algo_py.deployment.pipeline import Pipeline, RunResult
from algo_py.deployment.schedule import Schedule
from algo_py.deployment.store import DeploymentStore
from algo_py.finstore import FinStore
from algo_py.market import Timeframe, get_market
from algo_py.oms import OMS, open_oms
from algo_py.orders.journal import Journal
from algo_py.orders.model import from_float
from algo_py.settings import Workspace
from algo_py.workspace_database import open_workspace_database
from tests.deployment.strategies import write_strategy
from tests.orders.making import Notebook
from tests.processes import NO_NETWORK

MARKET, SHARE = "indian_equity", "INFY"
NSE = get_market(MARKET)
STAY, IN, OUT = 1.0, 2.0, 3.0
BODY = "        return Signals(entries=bars.volume == 2.0, exits=bars.volume == 3.0)\n"
PRICE = 1500.0
_BARS = 40


def empty_workspace(folder: Path) -> Workspace:
    """Return a workspace without bars that never asks a network."""
    workspace = Workspace(folder)
    workspace.settings_file.parent.mkdir(parents=True)
    workspace.settings_file.write_text(NO_NETWORK)
    return workspace


def prepare(workspace: Workspace, now: datetime, *, without: frozenset[date] = frozenset()) -> Snapshot:
    """Store bars up to `now`, run a backtest on them and save it."""
    shutil.rmtree(workspace.finstore, ignore_errors=True)  # the sample's bars are of real days
    write_strategy(workspace, "by-volume", BODY)
    store_bars(workspace, now, {}, without=without)
    opens = FinStore(workspace.finstore).read(MARKET, "1d", SHARE).index
    config = BacktestConfig(
        strategy="by-volume",
        market=MARKET,
        timeframe=Timeframe.D1,
        symbols=(SHARE,),
        start=opens[0].to_pydatetime(),
        end=now,
        initial_cash=100_000.0,
        size=0.5,
    )
    return SnapshotStore(workspace).save(run_backtest(workspace, config), "saved")


def store_bars(
    workspace: Workspace, now: datetime, decisions: Mapping[datetime, float], *, without: frozenset[date] = frozenset()
) -> None:
    """Store each daily bar that has closed by `now`; the calendar says which there are, `without` which do not come."""
    opens = [
        moment
        for moment in NSE.calendar.bar_opens(Timeframe.D1, now - timedelta(days=2 * _BARS), now)
        if NSE.calendar.bar_close(moment, Timeframe.D1) <= now and moment.astimezone(NSE.time_zone).date() not in without
    ]
    volumes = [decisions.get(moment, STAY) for moment in opens]
    index = pd.DatetimeIndex(opens, name="open_time").as_unit("us")
    prices = {name: np.full(len(opens), PRICE) for name in ("open", "high", "low", "close")}
    frame = pd.DataFrame({**prices, "volume": volumes}, index=index)
    FinStore(workspace.finstore).append(MARKET, "1d", {SHARE: frame}, now=now, source="test")


@dataclass
class MovedLife:
    """One deployment driven by hand on a clock that stands wherever the test puts it, fed as a live one is."""

    workspace: Workspace
    clock: FrozenClock
    config: DeploymentConfig
    pipeline: Pipeline
    journal: Journal
    log: Notebook

    @classmethod
    def begin(cls, workspace: Workspace, clock: FrozenClock, schedule: Schedule, *, oms: OMS | None = None) -> MovedLife:
        """Deploy the saved backtest, on paper where no OMS is given."""
        manager = DeploymentManager(workspace, clock=clock)
        name = "paper" if oms is None else "venue"
        config, snapshot = manager.configure(DeploymentRequest(backtest="saved", schedule=schedule, name=name))
        database, log = open_workspace_database(workspace), Notebook()
        DeploymentStore(database).add(config, created_at=clock.now())
        feed = LiveFeed(FinStore(workspace.finstore), config, fill=None, log=log)
        venue = oms or open_oms(
            "paper",
            workspace=workspace,
            database=database,
            clock=clock,
            deployment_id=config.id,
            deployment_name=config.name,
            market=config.market,
            symbols=config.backtest.symbols,
            config=config.backtest.portfolio_config(),
            feed=feed,
        )
        account = venue.connect().account
        cash = from_float(config.backtest.initial_cash)
        journal = Journal(database, clock, deployment_id=config.id, venue=venue.name, account=account, initial_cash=cash)
        pipeline = Pipeline(
            config=config,
            database=database,
            feed=feed,
            strategy=snapshot.strategy_instance(),
            journal=journal,
            oms=venue,
            account=account,
            log=log,
            clock=clock,
            last_bar_time=None,
            began_at=clock.now(),
            watch_every_s=0.0,
            confirm_after_s=0.0,
        )
        pipeline.recover(clock.now())
        return cls(workspace, clock, config, pipeline, journal, log)

    def newest_bar(self, now: datetime) -> datetime:
        """Return when the newest bar opened that has closed by `now`."""
        opens = NSE.calendar.bar_opens(Timeframe.D1, now - timedelta(days=15), now)
        return [moment for moment in opens if NSE.calendar.bar_close(moment, Timeframe.D1) <= now][-1]

    def run_at(self, fire: datetime, volume: float = STAY) -> RunResult:
        """Let the time of a run come, with the bar before it, and run."""
        self.clock.sleep((fire - self.clock.now()).total_seconds())
        store_bars(self.workspace, fire, {self.newest_bar(fire): volume})
        result = self.pipeline.run(fire)
        self.pipeline.follow(fire)
        return result
