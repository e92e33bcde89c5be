"""A replay through a venue that fails at random, before or after it has done what was asked: one order per intent, and the
deployment's books equal to the venue's."""

from __future__ import annotations

import random
from collections.abc import Callable
from datetime import datetime
from decimal import Decimal
from typing import Any, cast

import pytest

from algo_py.clock import ReplayClock
from algo_py.deployment import DeploymentManager, DeploymentRequest
from algo_py.deployment.config import Replay
from algo_py.deployment.feed import ReplayFeed
from algo_py.deployment.pipeline import Pipeline
from algo_py.deployment.schedule import OnBarClose
from algo_py.deployment.store import DeploymentStore
from algo_py.errors import OutcomeUnknown, VenueDown
from algo_py.finstore import FinStore
from algo_py.oms import OMS, PaperOMS
from algo_py.orders.journal import Journal
from algo_py.orders.ledger import fold
from algo_py.orders.model import OrderReport, OrderRequest, from_float
from algo_py.settings import Workspace
from algo_py.workspace_database import open_workspace_database
from tests.deployment.conftest import Save
from tests.orders.making import Notebook

FAULTS = (OutcomeUnknown("no answer"), VenueDown("no route"), RuntimeError("the adapter has a fault of its own"))


class Flaky:
    """A paper venue behind a bad line. A blind one denies, once, the orders whose answer was lost."""

    def __init__(self, venue: PaperOMS, chance: random.Random, *, is_blind: bool) -> None:
        self._venue, self._chance, self._is_blind = venue, chance, is_blind
        self.is_calm = False
        self.submitted: list[str] = []
        self._answer_lost: set[str] = set()

    def submit(self, order: OrderRequest) -> OrderReport:
        self._perhaps_fail()
        self.submitted.append(order.client_order_id)
        report = self._venue.submit(order)
        self._answer_lost.add(order.client_order_id)
        self._perhaps_fail()
        self._answer_lost.remove(order.client_order_id)
        return report

    def find(self, order: OrderRequest, planned_at: datetime) -> OrderReport | None:
        self._perhaps_fail()
        report = self._venue.find(order, planned_at)
        self._perhaps_fail()
        if self._is_blind and order.client_order_id in self._answer_lost:
            self._answer_lost.remove(order.client_order_id)
            return None
        return report

    def cancel(self, order: OrderRequest, planned_at: datetime) -> None:
        self._perhaps_fail()
        self._venue.cancel(order, planned_at)
        self._perhaps_fail()

    def __getattr__(self, name: str) -> Any:
        return getattr(self._venue, name)

    def _perhaps_fail(self) -> None:
        if not self.is_calm and self._chance.random() < 0.15:
            raise self._chance.choice(FAULTS)


class Bench:
    """A deployment's pipeline in this process, on a clock that is moved by hand."""

    def __init__(self, workspace: Workspace, manager: DeploymentManager, *, seed: int, is_blind: bool = False) -> None:
        request = DeploymentRequest(backtest="saved", schedule=OnBarClose(), clock=Replay(bars_per_s=None))
        self.config, _ = manager.configure(request)
        assert self.config.start is not None
        self.database = open_workspace_database(workspace)
        DeploymentStore(self.database).add(self.config, created_at=self.config.start)
        self.clock = ReplayClock(self.config.start, rate=None)
        self.feed = ReplayFeed(FinStore(workspace.finstore), self.config)
        self.venue = PaperOMS(
            self.database,
            self.clock,
            account=self.config.id,
            market=self.config.market,
            symbols=self.config.backtest.symbols,
            config=self.config.backtest.portfolio_config(),
            feed=self.feed,
        )
        self.gateway = Flaky(self.venue, random.Random(seed), is_blind=is_blind)
        self.journal = Journal(self.database, self.clock, deployment_id=self.config.id, venue="paper")
        log = Notebook()
        self.pipeline = Pipeline(
            config=self.config,
            database=self.database,
            feed=self.feed,
            strategy=manager.configure(request)[1].strategy_instance(),
            journal=self.journal,
            oms=cast(OMS, self.gateway),
            account=self.config.id,
            log=log,
            clock=self.clock,
            last_bar_time=None,
            began_at=self.config.start,
        )
        self.failures = 0

    def replay(self) -> None:
        end = self.config.end
        assert end is not None
        while (fire := self.config.next_fire(self.clock.now())) is not None:
            self.clock.sleep_toward(fire, 1)
            self._attempt(lambda: self.pipeline.run(self.clock.now()))
        self.gateway.is_calm = True
        self.clock.sleep_toward(end, 1)
        self.pipeline.finish(end, reason="the end")

    def _attempt(self, work: Callable[[], object]) -> None:
        try:
            work()
        except RuntimeError:  # what the worker does with it: the run has failed, the next one comes
            self.failures += 1


@pytest.mark.parametrize("seed", range(8))
def test_one_order_per_intent_and_books_that_agree(
    workspace: Workspace, manager: DeploymentManager, save: Save, seed: int
) -> None:
    save(params={"fast": 2, "slow": 5})
    bench = Bench(workspace, manager, seed=seed)
    bench.replay()
    assert bench.failures > 3, "the line was too good to prove anything"
    assert len(bench.gateway.submitted) == len(set(bench.gateway.submitted)) > 20

    orders = bench.journal.orders()
    assert [order for order in orders if order.status.is_open] == []
    fills = bench.journal.fills()
    assert len({fill.trade_id for fill in fills}) == len(fills)
    assert sorted(fills, key=lambda f: f.trade_id) == sorted(
        bench.venue.fills_since(bench.config.start or bench.clock.now()), key=lambda f: f.trade_id
    )
    ledger = fold(from_float(bench.config.backtest.initial_cash), fills)
    held = {position.symbol: position.quantity for position in bench.venue.positions()}
    assert {symbol: position.quantity for symbol, position in ledger.positions.items()} == held
    assert abs(ledger.cash - bench.pipeline.cash) < Decimal("0.000001")


def test_with_a_blind_look_up_orders_would_be_sent_twice(workspace: Workspace, manager: DeploymentManager, save: Save) -> None:
    """The negative control: the paper venue refuses a used id, another would have traded twice."""
    save(params={"fast": 2, "slow": 5})
    bench = Bench(workspace, manager, seed=1, is_blind=True)
    bench.replay()
    assert len(bench.gateway.submitted) > len(set(bench.gateway.submitted))
