"""A deployment with stops at a local Binance whose market follows a path of its own; each of its lives is a process that may die.

The processes share a clock that is moved by hand. The venue lives in the test's own process and has two doors that no customer
knows: one tells its books, one takes back all that goes wrong. No process that forks opens the database.
"""

from __future__ import annotations

import multiprocessing
import random
import shutil
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any, cast
from urllib.request import urlopen

import numpy as np
import pandas as pd

from algo_py.backtest import BacktestConfig, Snapshot, SnapshotStore, run_backtest
from algo_py.clock import SystemClock
from algo_py.database import Database
from algo_py.deployment import DeploymentManager, DeploymentRequest
from algo_py.deployment.config import OrderChoice
from algo_py.deployment.pipeline import Pipeline
from algo_py.deployment.schedule import OnBarClose
from algo_py.deployment.store import DeploymentStore
from algo_py.errors import RateLimited, VenueDown
from algo_py.finstore import FinStore
from algo_py.finstore.sources.limits import SharedLimit
from algo_py.oms import OMS
from algo_py.oms.binance import client  # noqa: F401  loaded once, not in each life
from algo_py.orders.journal import Journal
from algo_py.orders.model import OrderReport, OrderRequest, OrderType, from_float
from algo_py.settings import Workspace
from tests.databases import with_tables
from tests.deployment.invariants import VenueBooks, books_of, differing, sold_beyond, unprotected
from tests.deployment.past_feed import PastFeed
from tests.deployment.strategies import write_strategy
from tests.finstore.processes import in_a_child
from tests.oms import binance_desk
from tests.oms.test_every_step import Fuse, SteppedDatabase
from tests.orders.making import Notebook
from tests.venues.binance_faults import is_account, is_cancel, is_look_up, is_order, is_price, is_sale, is_stop, is_trades
from tests.venues.binance_trading import BinanceTradingServer
from tests.venues.server import Fault, Reply, Request

SYMBOL = "BTC/USDT"
BEGIN = datetime(2025, 1, 10, tzinfo=UTC)
CASH, OWN = Decimal(10_000), Decimal(50)  # OWN: what the trader has of the same asset, which is nobody's to sell
# Entered after the first bar, the trail moves for two, the exit comes after the fourth; afterwards there is time to try again.
PATH = ("100", "104", "108", "107", "107", "107.5")
_HISTORY = 48
_STRATEGY = """        hours = (bars.close.index.hour - 23) % 24
        known = bars.close > 0
        return Signals(entries=known.mul(hours == 0, axis=0), exits=known.mul((hours >= 3) & (hours < 7), axis=0))
"""
_TRIES = 20
_BOOKS, _CALM = "/books", "/calm"


class SharedClock(SystemClock):
    """A clock that stands until it is moved; every process sees the same."""

    def __init__(self) -> None:
        self._seconds = multiprocessing.Value("d", BEGIN.timestamp(), lock=False)

    def now(self) -> datetime:
        return datetime.fromtimestamp(self._seconds.value, UTC)

    def move(self, seconds: float) -> None:
        self._seconds.value += seconds

    def set(self, moment: datetime) -> None:
        self._seconds.value = moment.timestamp()


class PathServer(BinanceTradingServer):
    """Binance, whose market moves with the clock along PATH."""

    def __init__(self, clock: SharedClock) -> None:
        super().__init__(key=binance_desk.KEY, secret=binance_desk.SECRET)
        self._clock = clock
        self._hour = -1
        self.list_symbol(SYMBOL, PATH[0])
        self.matching.fee_asset = "USDT"
        self.matching.pieces = 2

    def now_s(self) -> float:
        return self._clock.now().timestamp()

    def answer(self, request: Request) -> Reply | None:
        with self._lock:
            self._follow_path()
            if request.path == _BOOKS:
                return Reply(body=books_of(self.matching).written().encode())
            if request.path == _CALM:
                self.calm()
                return Reply(body=b"{}")
        return super().answer(request)

    def _follow_path(self) -> None:
        hour = min(int((self._clock.now() - BEGIN) / timedelta(hours=1)), len(PATH) - 1)
        if hour != self._hour:
            self._hour = hour
            self.set_price(SYMBOL, PATH[hour])

    def begin(self) -> None:
        """Begin anew, with an account of its own."""
        self.calm()
        self.begin_anew(USDT=str(CASH), BTC=str(OWN))

    def calm(self) -> None:
        """Have nothing go wrong any more."""
        self.forget()
        self.matching.depth.clear()
        self.set_filter(SYMBOL, step_size="0.00001000", quantity_min="0.00001000", market_quantity_max="120", stops_max=5)
        self._hour = -1
        self._follow_path()

    def spoil(self, chance: random.Random) -> None:
        """Have something go wrong with a few of the next requests, or with the symbol's rules."""
        asked = (is_order, is_stop, is_sale, is_cancel, is_look_up, is_trades, is_account, is_price)
        for _ in range(chance.choice((0, 1, 2, 4))):
            self.fail(self._fault(chance, chance.choice(asked)), times=chance.choice((1, 1, 3)))
        for _ in range(chance.choice((0, 0, 1, 2))):
            change = chance.choice(self._changes())
            self.fail(Fault(applies=chance.choice((is_order, is_stop, is_sale, is_cancel)), before=change))

    def _fault(self, chance: random.Random, applies: Callable[[Request], bool]) -> Fault:
        late = chance.choice((is_stop, is_sale))
        return chance.choice(
            (
                lambda: self.drop(taken=True, applies=applies),
                lambda: self.drop(taken=False, applies=applies),
                lambda: self.server_error(taken=True, applies=applies),
                lambda: self.server_error(taken=False, applies=applies),
                lambda: self.nonsense(applies=applies),
                lambda: self.too_many(0, applies=applies),
                lambda: self.refuse(-2010, "Account has insufficient balance for requested action.", applies=late),
                lambda: self.moves_before(SYMBOL, "60", applies=is_stop),
                lambda: self.moves_before(SYMBOL, "60", applies=is_cancel),
                lambda: self.moves_after(SYMBOL, "60", applies=is_order),
            )
        )()

    def _changes(self) -> Sequence[Callable[[], None]]:
        return (
            lambda: self.set_filter(SYMBOL, step_size="0.1", quantity_min="0.1"),
            lambda: self.set_filter(SYMBOL, stops_max=0),
            lambda: self.set_filter(SYMBOL, market_quantity_max="20"),
            lambda: self.set_depth(SYMBOL, "20"),
        )


class SteppedVenue:
    """An OMS of which what matters to a position has a step before each call and one after it."""

    def __init__(self, oms: OMS, fuse: Fuse) -> None:
        self._oms, self._fuse = oms, fuse

    def __getattr__(self, name: str) -> Any:
        return getattr(self._oms, name)

    def submit(self, order: OrderRequest) -> OrderReport:
        self._fuse.burn()
        report = self._oms.submit(order)
        self._fuse.burn()
        return report

    def find(self, order: OrderRequest, planned_at: datetime) -> OrderReport | None:
        self._fuse.burn()
        return self._oms.find(order, planned_at)

    def cancel(self, order: OrderRequest, planned_at: datetime) -> None:
        self._fuse.burn()
        self._oms.cancel(order, planned_at)
        self._fuse.burn()


class Unprotected(Pipeline):
    """The negative control: a pipeline that lets positions be."""

    def _protect(self) -> None:
        return


@dataclass
class Stage:
    """The venue, and all that a life of the deployment needs."""

    server: PathServer
    clock: SharedClock
    desk: binance_desk.Desk
    workspace: Workspace
    snapshot: Snapshot
    template: Path
    deployment_id: str
    pipeline: type[Pipeline] = Pipeline

    def begin(self, file: Path) -> str:
        """Begin anew, with a database of its own; return its address."""
        shutil.copy(self.template, file)
        self.clock.set(BEGIN)
        self.server.begin()
        return f"sqlite:///{file}"

    def live(self, url: Any, fuse: Fuse) -> str:
        """Live from wherever the one before has died to the path's end; return what was not true, in words."""
        return "; ".join(self._live(url, fuse, until=BEGIN + timedelta(hours=len(PATH))))

    def recover(self, url: Any) -> str:
        """Begin where another life has died, look again while the world is still bad, then go on in a good one."""
        found = [*self._live(url, Fuse(0), until=None)]
        urlopen(self.server.url + _CALM).close()
        found += self._live(url, Fuse(0), until=BEGIN + timedelta(hours=len(PATH)), closes=True)
        return "; ".join([*found, *self._at_the_end(url)])

    def _live(self, url: Any, fuse: Fuse, *, until: datetime | None, closes: bool = False) -> Iterator[str]:
        database = SteppedDatabase(url, fuse)
        pipeline = self._recovered(database, fuse)
        yield from self._check(database, "after recovering")
        for _ in range(1 if until is not None else 3):
            self.clock.move(70.0)
            _try(lambda: pipeline.follow(self.clock.now()))
            yield from self._check(database, "after looking again")
        while until is not None and self.clock.now() < until:
            _try(lambda: pipeline.run(self.clock.now()))
            yield from self._check(database, "after a run")
            self.clock.move(70.0)
            _try(lambda: pipeline.follow(self.clock.now()))
            yield from self._check(database, "after following")
            self.clock.set(self._next_hour())
        for _ in range(4 if closes else 0):  # who died on the path's last bar has no further one to leave on
            pipeline.close_positions(self.clock.now())
            yield from self._check(database, "after closing")
            self.clock.move(70.0)
        database.close()

    def _recovered(self, database: Database, fuse: Fuse) -> Pipeline:
        """Connect and recover, as often as it takes: a venue that cannot be reached is asked again."""
        for _ in range(_TRIES):
            try:
                pipeline = self._pipeline(database, fuse)
                pipeline.recover(self.clock.now())
            except (VenueDown, RateLimited):
                self.clock.move(1.0)
            else:
                return pipeline
        raise AssertionError("the venue is never there")

    def _next_hour(self) -> datetime:
        return self.clock.now().replace(minute=0, second=0, microsecond=0) + timedelta(hours=1)

    def _pipeline(self, database: Database, fuse: Fuse) -> Pipeline:
        row = DeploymentStore(database).get(self.deployment_id)
        oms = cast("OMS", SteppedVenue(self.desk.open(), fuse))
        account, log = oms.connect().account, Notebook()
        return self.pipeline(
            config=row.config,
            database=database,
            feed=PastFeed(FinStore(self.workspace.finstore), row.config, fill=None, log=log),
            strategy=self.snapshot.strategy_instance(),
            journal=Journal(
                database, self.clock, deployment_id=row.id, venue=oms.name, account=account, initial_cash=from_float(float(CASH))
            ),
            oms=oms,
            account=account,
            log=log,
            clock=self.clock,
            last_bar_time=row.last_bar_time,
            began_at=row.created_at,
            watch_every_s=0.0,
            confirm_after_s=0.0,
        )

    def _books(self) -> VenueBooks:
        with urlopen(self.server.url + _BOOKS) as answer:
            return VenueBooks.read(answer.read().decode())

    def _check(self, database: Database, moment: str) -> Iterator[str]:
        books = self._books()
        found = unprotected(database, self.deployment_id, books)
        if not self._is_busy(database):
            found += differing(database, self.deployment_id, books, cash=CASH, before={"USDT": CASH, "BTC": OWN})
        for problem in found:
            yield f"{moment} at {self.clock.now():%H:%M:%S}: {problem}"

    def _is_busy(self, database: Database) -> bool:
        """Whether something may happen at the venue that nobody has heard of yet, the last look included."""
        journal = Journal(database, self.clock, deployment_id=self.deployment_id, venue="binance")
        orders, books = journal.orders(only_open=True), self._books()
        return any(
            order.request.type is not OrderType.STOP
            or not order.status.is_open
            or books.traded.get(order.request.client_order_id, Decimal(0)) != order.filled_quantity
            or order.request.client_order_id not in books.stops
            for order in orders
        )

    def _at_the_end(self, url: Any) -> Iterator[str]:
        database = SteppedDatabase(url, Fuse(0))
        journal = Journal(database, self.clock, deployment_id=self.deployment_id, venue="binance")
        for order in journal.orders(only_open=True):
            yield f"in the end {order} is open: {order.reason}"
        if journal.positions():
            yield f"in the end {dict(journal.positions())} is held"
        yield from sold_beyond(database, self.deployment_id)
        yield from differing(database, self.deployment_id, self._books(), cash=CASH, before={"USDT": CASH, "BTC": OWN})
        database.close()


def _try(work: Callable[[], object]) -> None:
    """Do what a worker does between its borders: a venue that cannot answer now is asked at the next look."""
    with suppress(VenueDown, RateLimited):
        work()


@contextmanager
def stage_in(folder: Path, *, order: OrderChoice | None = None, **backtest: object) -> Iterator[Stage]:
    """Open the venue for a while, with a saved backtest and a deployment of it; `backtest` changes its configuration."""
    clock, workspace = SharedClock(), Workspace(folder / "workspace")
    workspace.root.mkdir()
    with PathServer(clock) as server:
        desk = binance_desk.Desk.__new__(binance_desk.Desk)
        desk.server, desk.clock = server, cast("binance_desk.ShiftedClock", clock)
        desk.limit = SharedLimit("binance path", per_s=1_000, burst=3_000, folder=folder / "limits")
        snapshot = _saved(workspace, backtest)
        chosen = DeploymentRequest(backtest="saved", schedule=OnBarClose(), order=order or OrderChoice())
        template = folder / "template.db"
        deployment_id = in_a_child(lambda: _add_deployment(workspace, chosen, template))
        yield Stage(server, clock, desk, workspace, snapshot, template, deployment_id)


def _add_deployment(workspace: Workspace, chosen: DeploymentRequest, file: Path) -> str:
    """Make a database that has one deployment and nothing else; return the deployment's id."""
    config, _ = DeploymentManager(workspace).configure(chosen)
    database = Database(with_tables(file))
    DeploymentStore(database).add(config, created_at=BEGIN - timedelta(minutes=1))
    database.close()
    return config.id


def _saved(workspace: Workspace, changes: dict[str, object]) -> Snapshot:
    close = np.array([100.0] * _HISTORY + [float(price) for price in PATH])
    # A bar closes at the hour at which the market stands at its close.
    first = BEGIN - timedelta(hours=_HISTORY + 1)
    index = pd.date_range(first, periods=len(close), freq="h", unit="us", name="open_time")
    values = {"open": close, "high": close + 0.5, "low": close - 0.5, "close": close, "volume": np.full(len(close), 5.0)}
    store = FinStore(workspace.finstore)
    store.append("crypto_binance", "1h", {SYMBOL: pd.DataFrame(values, index=index)}, now=SystemClock().now())
    write_strategy(workspace, "in-and-out", _STRATEGY)
    config: dict[str, object] = {
        "strategy": "in-and-out",
        "market": "crypto_binance",
        "timeframe": "1h",
        "symbols": (SYMBOL,),
        "start": first,
        "end": BEGIN - timedelta(hours=2),
        "size": 0.5,
        "slippage": 0.0,
    }
    result = run_backtest(workspace, BacktestConfig.model_validate(config | changes))
    return SnapshotStore(workspace).save(result, "saved")
