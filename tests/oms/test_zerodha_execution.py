"""Exactly once at Zerodha: the executor and its journal, whatever goes wrong between them and Kite."""

from __future__ import annotations

import time
from collections.abc import Iterator
from datetime import datetime
from decimal import Decimal
from pathlib import Path

import pytest

from algo_py.clock import FrozenClock, monotonic_s
from algo_py.database import Database
from algo_py.oms.zerodha import ZerodhaOMS
from algo_py.orders.execution import Executor
from algo_py.orders.guard import Guard
from algo_py.orders.journal import Journal
from algo_py.orders.model import OrderRequest, OrderStatus
from tests.databases import with_tables
from tests.oms.zerodha_desk import API_KEY, API_SECRET, NOON, TOKEN, Desk
from tests.orders.making import Notebook
from tests.venues.kite import error
from tests.venues.kite_trading import KiteTradingServer, placing
from tests.venues.server import Fault

_AWAY = error(504, "NetworkException", "Gateway timed out")


@pytest.fixture
def desk(tmp_path: Path) -> Iterator[Desk]:
    clock = FrozenClock(NOON)
    with KiteTradingServer(clock, api_key=API_KEY, api_secret=API_SECRET, access_token=TOKEN) as server:
        yield Desk(server, clock, tmp_path)


class Process:
    """A deployment's process: a second one on the same database is the first one after a crash."""

    def __init__(self, desk: Desk, database: Database, oms: ZerodhaOMS) -> None:
        self.database = database
        self.journal = Journal(database, desk.clock, deployment_id="d1", venue="zerodha", account="AB1234")
        guard = Guard(journal=self.journal, clock=desk.clock)
        self.executor = Executor(self.journal, oms, guard, Notebook(), deployment_id="d1", clock=desk.clock)

    def place(self, order: OrderRequest) -> None:
        with self.database.write() as connection:
            planned = self.journal.plan(connection, [order])
        self.executor.place(planned)

    def recover(self) -> None:
        self.executor.recover(never_stale)
        self.executor.follow()

    def status(self) -> OrderStatus:
        (order,) = self.journal.orders()
        return order.status

    def quantity(self) -> Decimal:
        return sum((fill.quantity for fill in self.journal.fills()), Decimal(0))


def never_stale(_bar_time: datetime) -> bool:
    return False


@pytest.fixture
def database(tmp_path: Path) -> Iterator[Database]:
    database = Database(with_tables(tmp_path / "algo.db"))
    yield database
    database.close()


@pytest.mark.parametrize("reborn", [False, True], ids=["the same process", "a new process"])
@pytest.mark.parametrize(
    ("fault", "arrives"),
    [
        (Fault(applies=placing, drop=True, late=True), "at once"),
        (Fault(applies=placing, reply=_AWAY, late=True), "at once"),
        (Fault(applies=placing, delay_s=1.0), "late"),
        (Fault(applies=placing, drop=True), "never"),
        (Fault(applies=placing, reply=_AWAY), "never"),
    ],
    ids=["accepted, then dropped", "accepted, then 504", "arrives after the time-out", "dropped", "504"],
)
def test_one_intent_is_one_order(desk: Desk, database: Database, fault: Fault, arrives: str, reborn: bool) -> None:
    order = desk.order()
    process = Process(desk, database, desk.open(timeout_s=0.5))
    desk.server.fail(fault)
    process.place(order)
    assert process.status() is OrderStatus.UNKNOWN
    if reborn:
        process = Process(desk, database, desk.open(timeout_s=2.0))
    for _ in range(3):  # however impatiently it is asked
        process.recover()
    if arrives == "late":
        assert process.status() is OrderStatus.UNKNOWN
        until = monotonic_s() + 5
        while not desk.server.orders and monotonic_s() < until:
            time.sleep(0.02)
    if arrives == "never":
        assert process.status() is OrderStatus.UNKNOWN
        assert not desk.server.orders
        desk.clock.sleep(61)
    desk.server.repeats_trades = True
    for _ in range(3):
        process.recover()
    assert process.status() is OrderStatus.FILLED
    assert len(desk.server.orders) == 1
    assert process.quantity() == order.quantity


def test_a_rejection_that_comes_later_is_recorded(desk: Desk, database: Database) -> None:
    desk.server.cash = Decimal(1)
    desk.server.interim_looks = 2
    process = Process(desk, database, desk.oms)
    process.place(desk.order())
    assert process.status() is OrderStatus.ACCEPTED
    process.recover()
    assert process.status() is OrderStatus.ACCEPTED
    process.recover()
    (kept,) = process.journal.orders()
    assert kept.status is OrderStatus.REJECTED
    assert "Insufficient funds" in kept.reason


def test_what_kite_has_forgotten_is_never_sent_again(desk: Desk, database: Database) -> None:
    process = Process(desk, database, desk.oms)
    desk.server.fail(Fault(applies=placing, drop=True))
    process.place(desk.order())
    desk.next_day()
    for one in (process, Process(desk, database, desk.open())):
        one.recover()
        desk.clock.sleep(120)
        one.recover()
        assert one.status() is OrderStatus.EXPIRED
    assert not desk.server.orders
