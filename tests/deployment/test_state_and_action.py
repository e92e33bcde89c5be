"""States x safe actions, each cell tried at a local Binance: whatever is wrong, what is held can be left, protected and closed,
unless that is known to be impossible; entries wait, and say what for."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from decimal import Decimal
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from algo_py.backtest import BacktestConfig, Snapshot, SnapshotStore, run_backtest
from algo_py.clock import SystemClock
from algo_py.database import Database
from algo_py.deployment import DeploymentManager, DeploymentRequest
from algo_py.deployment.config import DeploymentConfig
from algo_py.deployment.pipeline import Pipeline, RunResult
from algo_py.deployment.protection_rows import protection_of
from algo_py.deployment.run_border import RunBorder
from algo_py.deployment.schedule import OnBarClose
from algo_py.deployment.store import DeploymentStore
from algo_py.errors import AuthFailed, VenueError
from algo_py.finstore import FinStore
from algo_py.orders.halts import ALL, BY_PERSON, HaltedBy, halt
from algo_py.orders.journal import Journal
from algo_py.orders.model import Leg, OrderRequest, OrderStatus, Side, client_order_id, from_float
from algo_py.orders.risk import Limits
from algo_py.settings import Workspace
from tests.databases import with_tables
from tests.deployment.invariants import books_of, unprotected
from tests.deployment.past_feed import PastFeed
from tests.deployment.position_stage import BEGIN, CASH, SharedClock
from tests.deployment.strategies import write_strategy
from tests.oms import binance_desk
from tests.orders.making import Notebook
from tests.venues.binance import unavailable
from tests.venues.binance_faults import is_look_up, is_price, is_rules
from tests.venues.binance_trading import BinanceTradingServer
from tests.venues.server import Fault, Request

HELD, OTHER = "BTC/USDT", "ETH/USDT"
HOUR = timedelta(hours=1)
_ALWAYS = 10_000
_CLOSES = [100.0] * 40 + [100.0, 104.0, 104.0, 104.0]
# HELD is entered on the bar that closes at BEGIN and left two bars later; OTHER is to be entered on every bar from then on.
_STRATEGY = """        hours = (bars.close.index.hour - 23) % 24
        entries, exits = bars.close < 0, bars.close < 0
        late = bars.close.index >= "2025-01-09T23:00:00+00:00"
        entries["BTC/USDT"] = late & (hours == 0)
        entries["ETH/USDT"] = late & (hours > 0)
        exits["BTC/USDT"] = late & (hours >= 2)
        return Signals(entries=entries, exits=exits)
"""


class DoubtfulFeed(PastFeed):
    """Bars of which those of some symbols cannot be trusted."""

    doubtful: tuple[str, ...] = ()

    def _stale(self, bars: object, now: datetime) -> dict[str, str]:
        return dict.fromkeys(self.doubtful, "its newest bar is missing")


@dataclass
class World:
    """A deployment that holds HELD, with its stop, at a venue of its own."""

    server: BinanceTradingServer
    clock: SharedClock
    database: Database
    config: DeploymentConfig
    feed: DoubtfulFeed
    pipeline: Pipeline
    journal: Journal
    border: RunBorder
    log: Notebook
    outcomes: list[str] = field(default_factory=list)

    def run(self) -> None:
        """Do the run of the next full hour."""
        self.clock.set((self.clock.now() + HOUR).replace(minute=0, second=0))
        self.now_run()

    def now_run(self) -> None:
        def work() -> RunResult:
            result = self.pipeline.run(self.clock.now())
            self.outcomes.append(result.outcome)
            return result

        self.border.once(self.pipeline, self.clock.now(), 0, work)

    def look(self, times: int = 3) -> None:
        """Let time pass, and look after orders and positions as a worker does."""
        for _ in range(times):
            self.clock.move(70.0)
            self.border._next_try_s = 0.0
            self.border.try_credentials(self.pipeline.try_credentials)
            try:
                self.pipeline.follow(self.clock.now())
            except AuthFailed as error:
                self.border.halt_without_credentials(str(error))
            except VenueError:
                continue

    def there(self, symbol: str = HELD) -> Decimal:
        balance = self.server.matching.balance(symbol.partition("/")[0])
        return balance.free + balance.locked

    def cancel_stops(self) -> None:
        """Cancel at the venue what rests there, as a person does in the venue's app."""
        for order in self.server.matching.orders:
            if order.is_open:
                self.server.matching.cancel(order)

    def unprotected(self) -> list[str]:
        return unprotected(self.database, self.config.id, books_of(self.server.matching))

    def entry(self, symbol: str) -> OrderRequest:
        now = self.clock.now()
        return OrderRequest(
            client_order_id=client_order_id(self.config.id, now, symbol, Side.BUY, Leg.ENTRY, kind="tried"),
            symbol=symbol,
            side=Side.BUY,
            leg=Leg.ENTRY,
            quantity=Decimal(1),
            bar_time=now,
            reference_price=Decimal(104),
            reason="entry",
        )

    def denial(self, symbol: str) -> str:
        return self.pipeline._guard.judge(self.entry(symbol)).denial or ""


def _nothing(_: World) -> None:
    return


def _halt(scope: str | None = None, symbol: str | None = None, by: str = BY_PERSON) -> Callable[[World], None]:
    def apply(world: World) -> None:
        reason = "its answer has ended" if symbol else "a look is taken"
        halt(world.database, scope or world.config.id, reason=reason, by=by, at=world.clock.now(), symbol=symbol)

    return apply


def _lose(world: World) -> None:
    DeploymentStore(world.database).set_limits(world.config.id, Limits(max_daily_loss=Decimal("0.01")))
    world.now_run()
    world.pipeline._safety.check_losses(Decimal(9_000), world.clock.now())


def _revoke(world: World) -> None:
    world.server.revoke_key()
    world.look(1)


def _revoke_and_restore(world: World) -> None:
    _revoke(world)
    world.server.restore_key()
    world.look(1)


def _doubt(*symbols: str) -> Callable[[World], None]:
    def apply(world: World) -> None:
        world.feed.doubtful = symbols

    return apply


def _never(applies: Callable[[Request], bool]) -> Callable[[World], None]:
    return lambda world: world.server.fail(Fault(applies=applies, reply=unavailable()), times=_ALWAYS)


def _unknown_entry(world: World) -> None:
    entry = world.entry(HELD)
    world.journal.plan_now(entry)
    world.journal.mark(entry.client_order_id, OrderStatus.SUBMITTING)
    world.journal.mark(entry.client_order_id, OrderStatus.UNKNOWN, reason="no answer")
    _never(lambda request: is_look_up(request) and request.values.get("origClientOrderId") == entry.client_order_id)(world)


def _sell_half_by_hand(world: World) -> None:
    world.cancel_stops()
    world.server.matching.balance("BTC").free = (world.there() / 2).quantize(Decimal("0.00001"))
    world.look(2)


def _refuse_stops(world: World) -> None:
    world.cancel_stops()
    world.server.set_filter(HELD, stops_max=0)
    world.look(1)


@dataclass(frozen=True)
class State:
    """What is wrong, which entry it denies in which words ("" where it denies none), and what is impossible then."""

    apply: Callable[[World], None]
    denies: str = ""
    symbol: str = OTHER
    impossible: frozenset[str] = frozenset()


STATES = {
    "normal": State(_nothing),
    "halted by a person": State(_halt(), "halted: a look is taken"),
    "all halted": State(_halt(ALL), "halted: a look is taken"),
    "max_daily_loss broken": State(_lose, "halted: max_daily_loss"),
    "symbol halted": State(_halt(symbol=HELD, by=HaltedBy.OUTCOME), "halted: its answer", HELD),
    "credentials refused": State(_revoke, "halted: ", impossible=frozenset({"exit", "stop", "watch", "close"})),
    "credentials back": State(_revoke_and_restore),
    "its bars are missing": State(_doubt(HELD)),
    "other bars are missing": State(_doubt(OTHER)),
    "all bars are missing": State(_doubt(HELD, OTHER), impossible=frozenset({"exit"})),  # nobody knows that it is to be left
    "an entry of unknown outcome": State(_unknown_entry),
    "no price": State(_never(is_price), "price is not known", impossible=frozenset({"watch"})),
    "no rules": State(_never(is_rules)),
    "the account has less": State(_sell_half_by_hand, "by their ledgers", HELD),
    "stops are refused": State(_refuse_stops),
}


def _exit(world: World) -> None:
    world.run()
    world.run()
    world.look()


def _stop(world: World) -> None:
    """The trail moves, and somebody cancels the stop at the venue."""
    world.run()
    world.look(1)
    world.cancel_stops()
    world.look()


def _watch(world: World) -> None:
    """No stop can rest, and the price falls below its level."""
    world.cancel_stops()
    world.server.set_filter(HELD, stops_max=0)
    world.look(2)
    world.server.set_price(HELD, "60")
    world.look()


def _close(world: World) -> None:
    for _ in range(4):
        try:
            world.pipeline.close_positions(world.clock.now())
        except VenueError:
            continue
        finally:
            world.clock.move(70.0)


ACTIONS = {"exit": _exit, "stop": _stop, "watch": _watch, "close": _close}


@pytest.fixture(scope="module")
def saved(tmp_path_factory: pytest.TempPathFactory) -> tuple[Workspace, Snapshot]:
    workspace = Workspace(tmp_path_factory.mktemp("states"))
    close = np.array(_CLOSES)
    index = pd.date_range(BEGIN - 41 * HOUR, periods=len(close), freq="h", unit="us", name="open_time")
    values = {"open": close, "high": close + 0.5, "low": close - 0.5, "close": close, "volume": np.full(len(close), 5.0)}
    frame = pd.DataFrame(values, index=index)
    FinStore(workspace.finstore).append("crypto_binance", "1h", dict.fromkeys((HELD, OTHER), frame), now=SystemClock().now())
    write_strategy(workspace, "in-and-out", _STRATEGY)
    config: dict[str, object] = {
        "strategy": "in-and-out",
        "market": "crypto_binance",
        "timeframe": "1h",
        "symbols": (HELD, OTHER),
        "start": index[0],
        "end": BEGIN - 2 * HOUR,
        "size": 0.4,
        "slippage": 0.0,
        "stop_loss": 0.05,
        "trailing_stop": 0.05,
    }
    return workspace, SnapshotStore(workspace).save(run_backtest(workspace, BacktestConfig.model_validate(config)), "saved")


@pytest.fixture
def world(saved: tuple[Workspace, Snapshot], tmp_path: Path) -> Iterator[World]:
    workspace, snapshot = saved
    clock, log = SharedClock(), Notebook()
    with BinanceTradingServer(key=binance_desk.KEY, secret=binance_desk.SECRET) as server:
        server.now_s = lambda: clock.now().timestamp()  # type: ignore[method-assign]
        desk = binance_desk.Desk(server, tmp_path / "limits")
        desk.clock = clock  # type: ignore[assignment]
        config, _ = DeploymentManager(workspace).configure(DeploymentRequest(backtest="saved", schedule=OnBarClose()))
        database, oms = Database(with_tables(tmp_path / "algo.db")), desk.open()
        DeploymentStore(database).add(config, created_at=BEGIN - HOUR / 2)
        account = oms.connect().account
        journal = Journal(
            database, clock, deployment_id=config.id, venue=oms.name, account=account, initial_cash=from_float(float(CASH))
        )
        feed = DoubtfulFeed(FinStore(workspace.finstore), config, fill=None, log=log)
        pipeline = Pipeline(
            config=config,
            database=database,
            feed=feed,
            strategy=snapshot.strategy_instance(),
            journal=journal,
            oms=oms,
            account=account,
            log=log,
            clock=clock,
            last_bar_time=None,
            began_at=BEGIN - HOUR / 2,
            watch_every_s=0.0,
            confirm_after_s=0.0,
        )
        border = RunBorder(config.id, database, log=log, mask=str, after=lambda: None)
        found = World(server, clock, database, config, feed, pipeline, journal, border, log)
        found.now_run()
        for symbol in (HELD, OTHER):
            server.set_price(symbol, "104")
        found.look(1)
        assert found.there() == journal.held(HELD) > 0
        assert found.unprotected() == []
        assert [order for order in server.matching.orders if order.is_open], "its stop rests"
        yield found
        database.close()


@pytest.mark.parametrize("action", list(ACTIONS))
@pytest.mark.parametrize("state", list(STATES))
def test_what_is_held_can_be_left_in_every_state(world: World, state: str, action: str) -> None:
    chosen, held = STATES[state], world.there()
    chosen.apply(world)
    ACTIONS[action](world)
    told = [fields for event, fields in world.log.events if event in ("order.denied", "order.rejected", "run.failed")]
    if "stop" not in chosen.impossible:  # where nobody can ask the venue, nobody hears that its stop was cancelled there
        assert world.unprotected() == [], told
    if action in chosen.impossible:
        assert world.there() == held, "it is possible after all"
    elif action == "stop":
        rows = protection_of(world.database, world.config.id)
        covered = sum(books_of(world.server.matching, HELD).stops.values())
        assert covered == world.there() or rows[0].reason, told
        assert state in ("stops are refused", "the account has less") or covered == held, (rows, told)
    else:
        assert world.there() == 0, told


@pytest.mark.parametrize("state", list(STATES))
def test_entries_wait_and_say_what_for(world: World, state: str) -> None:
    chosen = STATES[state]
    chosen.apply(world)
    world.run()
    if chosen.denies:
        assert chosen.denies in world.denial(chosen.symbol)
    denied = [order for order in world.journal.orders() if order.status is OrderStatus.DENIED]
    assert all(order.request.leg is Leg.ENTRY for order in denied)
    is_free = not chosen.denies and OTHER not in world.feed.doubtful
    assert bool(world.there(OTHER)) is (is_free or chosen.symbol == HELD), [order.reason for order in denied]


def test_closing_does_not_send_an_entry_that_never_arrived(world: World) -> None:
    """Its outcome was unknown; now the venue says that it does not know it. That permits a second submit, but nobody wants it."""
    entry = world.entry(HELD)
    world.journal.plan_now(entry)
    world.journal.mark(entry.client_order_id, OrderStatus.SUBMITTING)
    world.journal.mark(entry.client_order_id, OrderStatus.UNKNOWN, reason="no answer")
    world.clock.move(120.0)
    _close(world)
    assert world.server.orders_of(entry.client_order_id) == []
    assert world.there() == 0
    ended = world.journal.order(entry.client_order_id)
    assert ended is not None
    assert ended.status is OrderStatus.EXPIRED
