"""The process that trades is killed at every step between decision and recorded fill, at venues that take, refuse or lose orders
at random. Afterwards: exactly one order for each intent, or a recorded reason why there is none, and books equal to the venue's.

How many random venues are tried: ALGO_PY_CRASH_SEEDS from ALGO_PY_CRASH_FIRST_SEED on, else few enough for every day.
"""

from __future__ import annotations

import multiprocessing
import os
import random
import signal
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any, Protocol

import pytest
from sqlalchemy.engine import Connection

from algo_py.clock import Clock, SystemClock
from algo_py.database import Database, open_database
from algo_py.oms import OMS
from algo_py.orders.execution import Executor
from algo_py.orders.guard import Guard
from algo_py.orders.journal import Journal
from algo_py.orders.model import Leg, OrderReport, OrderRequest, OrderStatus, OrderType, Side, client_order_id
from algo_py.orders.records import orders_of
from tests.finstore.processes import forked, in_a_child
from tests.oms import binance_desk, zerodha_desk
from tests.orders.making import Notebook
from tests.postgresql import PostgresServer
from tests.venues.kite_trading import KiteTradingServer
from tests.venues.server import Fault, Reply, Request


def seeds(every_day: int) -> range:
    """Return the seeds of this run: those that the environment names, else so many for every day."""
    first = int(os.environ.get("ALGO_PY_CRASH_FIRST_SEED", "0"))
    return range(first, first + int(os.environ.get("ALGO_PY_CRASH_SEEDS", every_day)))


# The steps are the same on both engines: on ordinary days every other one on this, all of them where deaths are counted.
STRIDE_ON_POSTGRESQL = 2 if "ALGO_PY_CRASH_SEEDS" not in os.environ else 1
BAR = datetime(2025, 1, 1, tzinfo=UTC)
ROUNDS_MOST = 12


class Shift:
    """Seconds that the clock of the venue and of all its customers is ahead; every process sees the same."""

    def __init__(self) -> None:
        self._value = multiprocessing.Value("d", 0.0, lock=False)

    def __call__(self) -> float:
        return float(self._value.value)

    def pass_time(self) -> None:
        """Let so much time pass that a venue can tell for certain which orders it does not know."""
        self._value.value += 90.0


class ShiftedClock(SystemClock):
    """A clock that is `shift` ahead: of the machine's, or of a moment at which it stands."""

    def __init__(self, shift: Shift, *, stands_at: datetime | None = None) -> None:
        self._shift = shift
        self._stands_at = stands_at

    def now(self) -> datetime:
        return (self._stands_at or super().now()) + timedelta(seconds=self._shift())


class Stage(Protocol):
    """A venue with one account, and the orders that a deployment wants there."""

    clock: Clock
    shift: Shift

    def open(self) -> OMS: ...

    def orders(self, deployment_id: str) -> Sequence[OrderRequest]: ...

    def spoil(self, chance: random.Random) -> None:
        """Have something go wrong with the next orders, or not."""

    def calm(self) -> None:
        """Have nothing go wrong any more."""

    def taken(self, client_id: str) -> int:
        """Return how many orders the venue has taken under an id."""

    def ids(self) -> set[str]:
        """Return our ids of all orders that the venue has taken."""

    def held(self) -> Decimal:
        """Return what the account holds of the traded symbol."""


def _request(deployment_id: str, symbol: str, side: Side, quantity: str, hour: int, price: str) -> OrderRequest:
    leg = Leg.ENTRY if side is Side.BUY else Leg.EXIT
    bar_time = BAR + timedelta(hours=hour)
    return OrderRequest(
        client_order_id=client_order_id(deployment_id, bar_time, symbol, side, leg),
        symbol=symbol,
        side=side,
        leg=leg,
        quantity=Decimal(quantity),
        bar_time=bar_time,
        reference_price=Decimal(price),
        reason="entry" if side is Side.BUY else "exit",
    )


class BinanceStage:
    def __init__(self, desk: binance_desk.Desk) -> None:
        self._desk = desk
        self.shift = Shift()
        self.clock: Clock = ShiftedClock(self.shift)
        desk.clock = self.clock  # type: ignore[assignment]
        server, real_s = desk.server, desk.server.now_s
        server.now_s = lambda: real_s() + self.shift()  # type: ignore[method-assign]
        server.deposit("USDT", "10000000")

    def open(self) -> OMS:
        return self._desk.open()

    def orders(self, deployment_id: str) -> Sequence[OrderRequest]:
        entry = _request(deployment_id, "BTC/USDT", Side.BUY, "0.5", 0, "100")
        leave = _request(deployment_id, "BTC/USDT", Side.SELL, "0.5", 1, "100")
        stop = replace(
            leave,
            client_order_id=client_order_id(deployment_id, BAR, "BTC/USDT", Side.SELL, Leg.EXIT, kind="stop"),
            type=OrderType.STOP,
            stop_price=Decimal(90),
            target_price=Decimal(120),
        )
        return entry, stop, leave

    def spoil(self, chance: random.Random) -> None:
        server = self._desk.server
        kinds: Sequence[Callable[[], Fault] | None] = (
            None,
            lambda: server.drop(taken=True),
            lambda: server.drop(taken=False),
            lambda: server.server_error(taken=True),
            lambda: server.server_error(taken=False),
            lambda: server.nonsense(),
            lambda: server.too_many(0),
            lambda: server.refuse(-2010, "Account has insufficient balance for requested action."),
        )
        for _ in range(2):
            kind = chance.choice(kinds)
            if kind is not None:
                server.fail(kind())
        if chance.random() < 0.3:
            server.fail(Fault(applies=lambda request: request.method == "GET" and request.path.endswith("/order"), drop=True))
        server.set_depth("BTC/USDT", chance.choice(["0.2", "1000000"]))

    def calm(self) -> None:
        self._desk.server.forget()
        self._desk.server.set_depth("BTC/USDT", "1000000")

    def taken(self, client_id: str) -> int:
        return len(self._desk.server.orders_of(client_id))

    def ids(self) -> set[str]:
        return {order.client_id for order in self._desk.server.matching.orders}

    def held(self) -> Decimal:
        balance = self._desk.server.matching.balance("BTC")
        return balance.free + balance.locked


class ZerodhaStage:
    def __init__(self, desk: zerodha_desk.Desk, shift: Shift) -> None:
        self._desk = desk
        self.shift = shift
        self.clock: Clock = desk.clock
        desk.server.cash = Decimal(10_000_000)
        desk.server.orders_per_s = None

    def open(self) -> OMS:
        return self._desk.open(timeout_s=1.0)

    def orders(self, deployment_id: str) -> Sequence[OrderRequest]:
        return (
            _request(deployment_id, zerodha_desk.INFY, Side.BUY, "10", 0, "1500"),
            _request(deployment_id, zerodha_desk.INFY, Side.SELL, "10", 1, "1500"),
        )

    def spoil(self, chance: random.Random) -> None:
        server = self._desk.server
        error = Reply(status=504, body=b'{"status":"error","message":"Gateway timed out","error_type":"NetworkException"}')
        no = Reply(status=400, body=b'{"status":"error","message":"Insufficient funds","error_type":"MarginException"}')

        def is_order(request: Request) -> bool:
            return request.method == "POST" and "/orders/" in request.path

        kinds: Sequence[Fault | None] = (
            None,
            Fault(applies=is_order, drop=True),
            Fault(applies=is_order, drop=True, late=True),
            Fault(applies=is_order, reply=error),
            Fault(applies=is_order, reply=error, late=True),
            Fault(applies=is_order, reply=no),
        )
        for _ in range(2):
            kind = chance.choice(kinds)
            if kind is not None:
                server.fail(kind)
        server.interim_looks = chance.choice([0, 2])
        server.depth = {} if chance.random() < 0.7 else {zerodha_desk.INFY: 4}

    def calm(self) -> None:
        self._desk.server.forget()
        self._desk.server.interim_looks = 0
        self._desk.server.depth = {}
        self._desk.server.set_price(zerodha_desk.INFY, "1500.0")

    def taken(self, client_id: str) -> int:
        return sum(order.tag == client_id for order in self._desk.server.orders.values())

    def ids(self) -> set[str]:
        return {str(order.tag) for order in self._desk.server.orders.values()}

    def held(self) -> Decimal:
        return Decimal(self._desk.held().get(zerodha_desk.INFY, 0))


@contextmanager
def _binance(folder: Path) -> Iterator[Stage]:
    with binance_desk.desk_in(folder) as desk:
        yield BinanceStage(desk)


@contextmanager
def _zerodha(folder: Path) -> Iterator[Stage]:
    shift = Shift()
    clock = ShiftedClock(shift, stands_at=zerodha_desk.NOON)
    with KiteTradingServer(
        clock, api_key=zerodha_desk.API_KEY, api_secret=zerodha_desk.API_SECRET, access_token=zerodha_desk.TOKEN
    ) as server:
        yield ZerodhaStage(zerodha_desk.Desk(server, clock, folder), shift)  # type: ignore[arg-type]


STAGES: dict[str, Callable[[Path], AbstractContextManager[Stage]]] = {"binance": _binance, "zerodha": _zerodha}


@dataclass
class Fuse:
    """Kills this process before its `left`-th step."""

    left: int

    def burn(self) -> None:
        self.left -= 1
        if self.left == 0:
            os.kill(os.getpid(), signal.SIGKILL)


class SteppedDatabase(Database):
    """A database of which each commit has a step before and a step after it."""

    def __init__(self, url: Any, fuse: Fuse) -> None:
        super().__init__(url)
        self._fuse = fuse

    @contextmanager
    def write(self, *, durable: bool = True) -> Iterator[Connection]:
        with super().write(durable=durable) as connection:
            yield connection
            self._fuse.burn()
        self._fuse.burn()


class SteppedGateway:
    """An OMS of which each call has a step before and a step after it. A blind one does not find, at first,
    what another life may have sent."""

    def __init__(self, oms: OMS, fuse: Fuse, *, is_blind: bool) -> None:
        self._oms, self._fuse, self._is_blind = oms, fuse, is_blind
        self._answered: set[str] = set()

    def submit(self, order: OrderRequest) -> OrderReport:
        self._fuse.burn()
        report = self._oms.submit(order)
        self._answered.add(order.client_order_id)
        self._fuse.burn()
        return report

    def find(self, order: OrderRequest, planned_at: datetime) -> OrderReport | None:
        self._fuse.burn()
        is_seen = not self._is_blind or order.client_order_id in self._answered
        report = self._oms.find(order, planned_at) if is_seen else None
        self._answered.add(order.client_order_id)
        self._fuse.burn()
        return report

    def cancel(self, order: OrderRequest, planned_at: datetime) -> None:
        self._fuse.burn()
        self._oms.cancel(order, planned_at)
        self._fuse.burn()


def _trade(stage: Stage, url: Any, deployment_id: str, *, fuse: Fuse | None = None, is_blind: bool = False) -> None:
    """Do what a worker does: settle what was left behind, then each order in turn. It may be begun again after any death."""
    kill_at = 0 if fuse is None else max(fuse.left, 0)
    fuse = fuse or Fuse(0)
    database = SteppedDatabase(url, fuse)
    oms = stage.open()
    oms.connect()
    journal = Journal(database, stage.clock, deployment_id=deployment_id, venue=oms.name, account="a")
    guard = Guard(journal=journal, clock=stage.clock)
    gateway = SteppedGateway(oms, fuse, is_blind=is_blind)
    executor = Executor(journal, gateway, guard, Notebook(), deployment_id=deployment_id, clock=stage.clock)

    def settle() -> bool:
        """Do what runs and the time between them do, until nothing is under way; a life that is to end soon does not wait."""
        for _ in range(1 if kill_at else ROUNDS_MOST):
            executor.recover(lambda _bar_time: False)
            executor.follow()
            if all(order.request.type is OrderType.STOP for order in journal.orders(only_open=True)):
                return True
            stage.shift.pass_time()
        return False

    is_free = settle()
    for order in stage.orders(deployment_id):
        if not is_free:
            break  # a worker decides nothing about a symbol of which an order is under way
        if order.type is OrderType.STOP and not journal.held(order.symbol):
            continue
        with database.write() as connection:
            planned = journal.plan(connection, [order])
        executor.place(planned)
        is_free = settle()
    database.close()


def _run(action: Callable[[], None]) -> int:
    return os.waitstatus_to_exitcode(os.waitpid(forked(action), 0)[1])


def _open_orders(database: Database, deployment_id: str) -> list[str]:
    orders = orders_of(database, deployment_id, only_open=True)
    return [f"{order.request.type} {order.request.side} {order.status}: {order.reason}" for order in orders]


def _is_settled(database: Database, deployment_id: str) -> bool:
    return not orders_of(database, deployment_id, only_open=True)


def _judge(stage: Stage, database: Database, deployment_id: str) -> None:
    for order in orders_of(database, deployment_id):
        count = stage.taken(order.request.client_order_id)
        if order.request.type is OrderType.STOP:
            continue  # the venue keeps it as a pair under ids of its own; the account's holding tells whether it was doubled
        assert count <= 1, f"{order.request.side} was sent {count} times"
        if order.status is OrderStatus.FILLED or order.filled_quantity:
            assert count == 1
        elif not count:
            assert order.reason, f"{order.status} without a reason, and no order at the venue"


@pytest.fixture(scope="module", params=list(STAGES))
def venue(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> tuple[str, int]:
    """A venue's name, and how many steps a life has there in which nothing goes wrong."""
    folder = tmp_path_factory.mktemp("calm")
    url = f"sqlite:///{folder / 'algo.db'}"
    open_database(url).close()
    fuse = Fuse(0)
    with STAGES[request.param](folder) as stage:
        _trade(stage, url, "calm", fuse=fuse)
    return str(request.param), -fuse.left


def _crash_everywhere(stage: Stage, url: Any, seed: int, *, steps: int, stride: int = 1, is_blind: bool = False) -> int:
    """Kill at each step in turn, or at every `stride`-th, in the midst of random faults; return how many deaths there were."""
    chance, deaths = random.Random(seed), 0
    in_a_child(lambda: _opened(url))
    held = stage.held()
    for step in range(1, steps + 1, stride):
        deployment_id = f"d{seed}-{step}"
        stage.spoil(chance)
        code = _run(lambda at=step, name=deployment_id: _trade(stage, url, name, fuse=Fuse(at), is_blind=is_blind))  # type: ignore[misc]
        assert code in (0, -signal.SIGKILL), "it failed by itself: see above"
        stage.calm()
        ended = _run(lambda name=deployment_id: _trade(stage, url, name, is_blind=is_blind))  # type: ignore[misc]
        problem, _, bought = in_a_child(lambda name=deployment_id: _judged(stage, url, name)).rpartition("|")  # type: ignore[misc]
        assert not problem, problem
        assert ended == 0, "it failed by itself: see above"
        held += Decimal(bought)
        assert stage.held() == held, "the ledger and the account differ"
        deaths += code != 0
    return deaths


def _opened(url: Any) -> str:
    """Make the database; like all that opens it, in a process that does not fork."""
    open_database(url).close()
    return ""


def _judged(stage: Stage, url: Any, deployment_id: str) -> str:
    """Return what is not true of a deployment, a bar, and what it holds."""
    database = open_database(url)
    try:
        _judge(stage, database, deployment_id)
        assert _is_settled(database, deployment_id), _open_orders(database, deployment_id)
    except AssertionError as error:
        return f"{error}|0"
    journal = Journal(database, stage.clock, deployment_id=deployment_id, venue=stage.open().name)
    return f"|{sum((position.quantity for position in journal.positions().values()), Decimal(0))}"


@pytest.mark.timeout(3_000)
@pytest.mark.parametrize("seed", seeds(2))
def test_one_order_for_each_intent_whenever_it_dies(venue: tuple[str, int], seed: int, tmp_path: Path) -> None:
    name, steps = venue
    with STAGES[name](tmp_path) as stage:
        deaths = _crash_everywhere(stage, f"sqlite:///{tmp_path / 'algo.db'}", seed, steps=steps)
    print(f"deaths: {deaths} (orders at {name}, seed {seed})")  # noqa: T201  shown by the long run
    assert steps > 15
    assert deaths > 5  # a life ends early where the venue refuses its first order


@pytest.mark.timeout(600)
def test_with_a_blind_look_up_orders_are_doubled(venue: tuple[str, int], tmp_path: Path) -> None:
    """The negative control: without looking, the same deaths send an order twice."""
    url = f"sqlite:///{tmp_path / 'algo.db'}"
    with (
        STAGES[venue[0]](tmp_path) as stage,
        pytest.raises(AssertionError, match=r"was sent 2 times|the ledger and the account differ"),
    ):
        _crash_often(stage, url, venue[1])


def _crash_often(stage: Stage, url: str, steps: int) -> None:
    for seed in range(20):
        _crash_everywhere(stage, url, 1_000 + seed, steps=steps, is_blind=True)


@pytest.mark.timeout(600)
def test_the_same_on_postgresql(venue: tuple[str, int], postgresql: PostgresServer, tmp_path: Path) -> None:
    name, steps = venue
    with STAGES[name](tmp_path) as stage, postgresql.database() as url:
        assert _crash_everywhere(stage, url, seed=77, steps=steps, stride=STRIDE_ON_POSTGRESQL) > 5
