"""The first run sends nothing historical unless it is told to; a late run takes exits, and entries when asked."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime
from functools import partial

import numpy as np
import pandas as pd
import pytest

from algo_py.clock import FrozenClock
from algo_py.deployment import DeploymentManager, DeploymentRequest
from algo_py.deployment.pipeline import Pipeline
from algo_py.deployment.schedule import OnBarClose
from algo_py.deployment.store import DeploymentStore
from algo_py.finstore import FinStore
from algo_py.oms import PaperOMS
from algo_py.orders.journal import Journal
from algo_py.orders.model import OrderStatus
from algo_py.settings import Workspace
from algo_py.workspace_database import open_workspace_database
from tests.deployment.conftest import Save
from tests.deployment.past_feed import PastFeed
from tests.deployment.strategies import write_strategy
from tests.orders.making import Notebook

MARKET, SYMBOL, HOURS = "crypto_binance", "STEP/USDT", 48
START = pd.Timestamp("2025-02-01", tz="UTC")
# In at 110, out at 90: the close steps as the test says.
BODY = "        return Signals(entries=bars.close > 105, exits=bars.close < 95)\n"


class Bench:
    """A live deployment's pipeline on paper, moved from hour to hour by hand."""

    def __init__(
        self, workspace: Workspace, manager: DeploymentManager, save: Save, closes: dict[int, float], **choices: bool
    ) -> None:
        write_strategy(workspace, "steps", BODY)
        close = np.full(HOURS, 100.0)
        for hour, value in closes.items():
            close[hour] = value
        index = pd.date_range(START, periods=HOURS, freq="h", unit="us", name="open_time")
        values = {"open": close, "high": close + 1, "low": close - 1, "close": close, "volume": np.ones(HOURS)}
        FinStore(workspace.finstore).append(
            MARKET, "1h", {SYMBOL: pd.DataFrame(values, index=index)}, now=datetime.fromisoformat("2026-01-01T00:00+00:00")
        )
        save(strategy="steps", params={}, symbols=(SYMBOL,), start=index[0], end=index[12])
        request = DeploymentRequest(
            backtest="saved",
            schedule=OnBarClose(),
            late_entries=choices.get("late_entries", False),
            enter_open_position=choices.get("enter_open_position", False),
        )
        config, snapshot = manager.configure(request)
        self.clock = FrozenClock(index[24].to_pydatetime())
        database = open_workspace_database(workspace)
        DeploymentStore(database).add(config, created_at=self.clock.now())
        log = Notebook()
        feed = PastFeed(FinStore(workspace.finstore), config, fill=None, log=log)
        oms = PaperOMS(
            database,
            self.clock,
            account=config.id,
            market=config.market,
            symbols=(SYMBOL,),
            config=config.backtest.portfolio_config(),
            feed=feed,
        )
        oms.connect()
        self.manager, self.id = manager, config.id
        self.journal = Journal(database, self.clock, deployment_id=config.id, venue="paper")
        self.pipeline = Pipeline(
            config=config,
            database=database,
            feed=feed,
            strategy=snapshot.strategy_instance(),
            journal=self.journal,
            oms=oms,
            account=config.id,
            log=log,
            clock=self.clock,
            last_bar_time=None,
            began_at=self.clock.now(),
        )
        self.pipeline.recover(self.clock.now())

    def run(self, *, hours: int = 1) -> None:
        """Let so many hours pass, then run once."""
        self.clock.sleep(3600 * hours)
        self.pipeline.run(self.clock.now())

    @property
    def sides(self) -> list[str]:
        return [str(fill.side) for fill in self.journal.fills()]


Build = Callable[..., Bench]


@pytest.fixture
def bench(workspace: Workspace, manager: DeploymentManager, save: Save) -> Build:
    return partial(Bench, workspace, manager, save)


def test_a_signal_of_before_is_history(bench: Build) -> None:
    one = bench({20: 110.0})
    one.run()
    one.run()
    assert one.journal.orders() == []


def test_the_open_position_is_entered_when_asked_for_once(bench: Build) -> None:
    one = bench({20: 110.0}, enter_open_position=True)
    one.pipeline.run(one.clock.now())  # no bar has closed since it began
    assert one.sides == ["BUY"]
    one.run()
    one.run()
    assert one.sides == ["BUY"]


def test_what_the_strategy_has_left_by_now_is_not_entered(bench: Build) -> None:
    one = bench({20: 110.0, 22: 90.0}, enter_open_position=True)
    one.pipeline.run(one.clock.now())
    one.run()
    assert one.sides == []


def test_late_exits_are_taken_and_late_entries_are_not(bench: Build) -> None:
    one = bench({24: 110.0, 27: 90.0, 29: 110.0})
    one.run()
    assert one.sides == ["BUY"]
    one.run(hours=6)  # in once more and not out since, but nobody was there
    assert one.sides == ["BUY", "SELL"]
    one.run()
    assert one.sides == ["BUY", "SELL"]


def test_late_entries_are_taken_when_asked_for(bench: Build) -> None:
    one = bench({26: 110.0}, late_entries=True)
    one.run(hours=6)
    assert one.sides == ["BUY"]


def test_a_halt_lets_an_exit_go_and_no_entry(bench: Build) -> None:
    one = bench({24: 110.0, 26: 90.0, 28: 110.0})
    one.run()
    one.manager.halt(one.id, reason="a person looks")
    one.run(hours=2)
    assert one.sides == ["BUY", "SELL"]
    one.run(hours=2)
    assert [order.status for order in one.journal.orders()] == [OrderStatus.FILLED, OrderStatus.FILLED, OrderStatus.DENIED]
    assert "halted: a person looks" in one.journal.orders()[-1].reason
