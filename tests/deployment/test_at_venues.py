"""A whole pipeline at real protocols: bars, signals, orders, stops, dust, reconciliation; books equal to the venue's."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import timedelta
from decimal import Decimal
from pathlib import Path

import pytest

from algo_py.clock import Clock, FrozenClock, parse_time
from algo_py.deployment import DeploymentManager, DeploymentRequest
from algo_py.deployment.pipeline import Pipeline
from algo_py.deployment.schedule import OnBarClose
from algo_py.deployment.store import DeploymentStore
from algo_py.finstore import FinStore
from algo_py.oms import OMS
from algo_py.oms.binance import BinanceOMS
from algo_py.orders.entries import EntryKind
from algo_py.orders.halts import halted_symbols
from algo_py.orders.journal import Journal
from algo_py.orders.ledger import fold
from algo_py.orders.model import OrderStatus, OrderType, Side, from_float
from algo_py.orders.records import entries_of, events_of
from algo_py.settings import Workspace
from algo_py.workspace_database import open_workspace_database
from tests.deployment.conftest import Save
from tests.deployment.past_feed import PastFeed
from tests.oms import binance_desk, zerodha_desk
from tests.orders.making import Notebook
from tests.venues.binance_trading import BinanceTradingServer
from tests.venues.kite_trading import KiteTradingServer

SYMBOLS = ("BTC/USDT", "ETH/USDT")


@dataclass
class Life:
    """One deployment, driven by hand from bar to bar."""

    pipeline: Pipeline
    journal: Journal
    log: Notebook
    deployment_id: str

    @classmethod
    def begin(cls, workspace: Workspace, manager: DeploymentManager, oms: OMS, clock: Clock, *, name: str = "live") -> Life:
        config, snapshot = manager.configure(DeploymentRequest(backtest="saved", schedule=OnBarClose(), name=name))
        database = open_workspace_database(workspace)
        DeploymentStore(database).add(config, created_at=clock.now())
        log = Notebook()
        account = oms.connect().account
        journal = Journal(
            database,
            clock,
            deployment_id=config.id,
            venue=oms.name,
            account=account,
            initial_cash=from_float(config.backtest.initial_cash),
        )
        pipeline = Pipeline(
            config=config,
            database=database,
            feed=PastFeed(FinStore(workspace.finstore), config, fill=None, log=log),
            strategy=snapshot.strategy_instance(),
            journal=journal,
            oms=oms,
            account=account,
            log=log,
            clock=clock,
            last_bar_time=None,
            began_at=clock.now(),
            watch_every_s=0.0,
            confirm_after_s=0.0,
        )
        pipeline.recover(clock.now())
        return cls(pipeline, journal, log, config.id)

    def events(self, name: str) -> list[dict[str, object]]:
        return [fields for event, fields in self.log.events if event == name]


@pytest.fixture
def binance(tmp_path: Path) -> Iterator[BinanceTradingServer]:
    with BinanceTradingServer(key=binance_desk.KEY, secret=binance_desk.SECRET) as server:
        yield server


def _binance(server: BinanceTradingServer, tmp_path: Path) -> tuple[binance_desk.Desk, BinanceOMS]:
    desk = binance_desk.Desk(server, tmp_path / "limits")
    server.deposit("USDT", "90000")
    return desk, desk.open()


def _walk(life: Life, workspace: Workspace, server: BinanceTradingServer, clock: FrozenClock, *, hours: int) -> None:
    """Move from hour to hour: the exchange trades at each bar's open, then at its low and its high."""
    store = FinStore(workspace.finstore)
    for _ in range(hours):
        for symbol in SYMBOLS:
            bar = store.read("crypto_binance", "1h", symbol, start=clock.now(), end=clock.now() + timedelta(hours=1))
            server.set_price(symbol, f"{bar['open'].iloc[0]:.2f}")
        life.pipeline.run(clock.now())
        life.pipeline.follow(clock.now())
        for symbol in SYMBOLS:
            bar = store.read("crypto_binance", "1h", symbol, start=clock.now(), end=clock.now() + timedelta(hours=1))
            server.set_price(symbol, f"{bar['low'].iloc[0]:.2f}")
            server.set_price(symbol, f"{bar['high'].iloc[0]:.2f}")
        clock.sleep(3600)


@pytest.mark.parametrize("fee_asset", ["USDT", "base"])
def test_at_binance_the_books_stay_equal_whatever_asset_takes_the_fee(
    workspace: Workspace, manager: DeploymentManager, save: Save, binance: BinanceTradingServer, tmp_path: Path, fee_asset: str
) -> None:
    save(symbols=SYMBOLS, params={"fast": 2, "slow": 5}, stop_loss=0.01, take_profit=0.02, size=0.3)
    desk, oms = _binance(binance, tmp_path)
    binance.matching.fee_asset = "" if fee_asset == "base" else fee_asset
    clock = FrozenClock(parse_time("2025-01-03"))
    life = Life.begin(workspace, manager, oms, clock)
    _walk(life, workspace, binance, clock, hours=120)
    assert desk is not None

    orders = life.journal.orders()
    assert [order.reason for order in orders if order.status is OrderStatus.DENIED] == []
    assert {order.status for order in orders} <= {
        OrderStatus.FILLED,
        OrderStatus.CANCELED,
        OrderStatus.ACCEPTED,
        OrderStatus.EXPIRED,
    }
    stops = [order for order in orders if order.request.type is OrderType.STOP]
    assert any(order.status is OrderStatus.FILLED for order in stops), "no stop has fired: it proves nothing"
    assert all(order.request.type is OrderType.STOP for order in life.journal.orders(only_open=True))
    sent = [order for order in orders if order.venue_order_id]
    assert len(sent) > 30

    entries = entries_of(open_workspace_database(workspace), life.deployment_id)
    ledger = fold(from_float(10_000.0), events_of(open_workspace_database(workspace), life.deployment_id))
    for symbol in SYMBOLS:
        balance = binance.matching.balance(symbol.split("/", maxsplit=1)[0])
        held = ledger.positions[symbol].quantity if symbol in ledger.positions else Decimal(0)
        dust = -sum((entry.quantity for entry in entries if entry.symbol == symbol), Decimal(0))
        assert balance.free + balance.locked == held + dust
    if fee_asset == "base":
        assert any(entry.kind is EntryKind.WRITE_OFF for entry in entries)
        assert life.events("position.dust")
    quote = binance.matching.balance("USDT")
    assert quote.free + quote.locked - Decimal(100_000) == ledger.cash - Decimal(10_000)


def test_two_deployments_share_an_account_and_a_sale_by_hand_halts_its_symbol(
    workspace: Workspace, manager: DeploymentManager, save: Save, binance: BinanceTradingServer, tmp_path: Path
) -> None:
    save(symbols=SYMBOLS, params={"fast": 2, "slow": 5}, size=0.3)
    desk, oms = _binance(binance, tmp_path)
    clock = FrozenClock(parse_time("2025-01-03"))
    one, other = (Life.begin(workspace, manager, desk.open(), clock, name=name) for name in ("one", "other"))
    assert oms is not None
    for _ in range(60):
        _walk(one, workspace, binance, clock, hours=1)
        other.pipeline.run(clock.now() - timedelta(hours=1))
        if one.journal.held("BTC/USDT") and other.journal.held("BTC/USDT"):
            break
    together = one.journal.held("BTC/USDT") + other.journal.held("BTC/USDT")
    balance = binance.matching.balance("BTC")
    assert balance.free + balance.locked == together > 0
    assert {order.request.client_order_id for order in one.journal.orders()}.isdisjoint(
        order.request.client_order_id for order in other.journal.orders()
    )

    balance.free -= one.journal.held("BTC/USDT") / 2
    one.pipeline.run(clock.now())
    database = open_workspace_database(workspace)
    for life in (one, other):
        assert set(halted_symbols(database, life.deployment_id)) == {"BTC/USDT"}
        assert "BTC/USDT: the deployments hold" in halted_symbols(database, life.deployment_id)["BTC/USDT"].reason
    while one.journal.held("BTC/USDT") or other.journal.held("BTC/USDT"):
        _walk(one, workspace, binance, clock, hours=1)
        other.pipeline.run(clock.now() - timedelta(hours=1))
        if not one.journal.held("BTC/USDT") or not other.journal.held("BTC/USDT"):
            break
    sold = [order for life in (one, other) for order in life.journal.orders() if order.request.side is Side.SELL]
    assert any(order.request.symbol == "BTC/USDT" and order.status is OrderStatus.FILLED for order in sold), "exits go on"
    denied = [order for life in (one, other) for order in life.journal.orders() if order.status is OrderStatus.DENIED]
    assert all(order.request.side is Side.BUY and order.request.symbol == "BTC/USDT" for order in denied)


def test_at_zerodha_a_daily_strategy_trades_at_half_past_nine(
    workspace: Workspace, manager: DeploymentManager, save: Save, tmp_path: Path
) -> None:
    symbols = ("INFY", "SBIN")
    start, end = parse_time("2025-01-01"), parse_time("2025-09-01")
    save(
        market="indian_equity",
        timeframe="1d",
        symbols=symbols,
        start=start,
        end=end,
        initial_cash=200_000.0,
        params={"fast": 2, "slow": 5},
        stop_loss=0.012,
        size=0.4,
    )
    clock = FrozenClock(parse_time("2025-06-02T04:00"))  # a Monday, 09:30 in India
    with KiteTradingServer(
        clock, api_key=zerodha_desk.API_KEY, api_secret=zerodha_desk.API_SECRET, access_token=zerodha_desk.TOKEN
    ) as server:
        desk = zerodha_desk.Desk(server, clock, tmp_path)
        server.orders_per_s = None  # a test does in a second what takes months
        life = Life.begin(workspace, manager, desk.open(settling_s=1.0), clock)
        store = FinStore(workspace.finstore)
        for _ in range(60):
            for symbol in symbols:
                today = store.read("indian_equity", "1d", symbol, start=clock.now() - timedelta(days=1), end=clock.now())
                server.set_price(symbol, f"{today['open'].iloc[-1]:.1f}")
            life.pipeline.run(clock.now())
            clock.sleep(60)
            life.pipeline.follow(clock.now())
            clock.sleep(86_400 - 60)
            server.new_day(keeps_token=True)
            server.token_ends_at = clock.now() + timedelta(hours=12)
            while not life.pipeline._config.market.calendar.is_trading_day(clock.now()):
                clock.sleep(86_400)
                server.token_ends_at = clock.now() + timedelta(hours=12)
        orders = life.journal.orders()
        assert len([order for order in orders if order.status is OrderStatus.FILLED]) > 8
        assert {order.request.reason for order in orders if order.request.side is Side.SELL} >= {"exit", "stop_loss"}
        assert not life.journal.orders(only_open=True)
        held = {symbol: int(position.quantity) for symbol, position in life.journal.positions().items()}
        assert held == {symbol: quantity for symbol, quantity in desk.held().items() if quantity}
        assert not life.events("deployment.halted")


@pytest.mark.parametrize("fee_asset", ["USDT", "base"])
def test_closing_leaves_no_position_no_stop_and_no_order_at_binance(
    workspace: Workspace, manager: DeploymentManager, save: Save, binance: BinanceTradingServer, tmp_path: Path, fee_asset: str
) -> None:
    save(symbols=SYMBOLS, params={"fast": 2, "slow": 5}, stop_loss=0.2, size=0.3)
    desk, oms = _binance(binance, tmp_path)
    binance.matching.fee_asset = "" if fee_asset == "base" else fee_asset
    clock = FrozenClock(parse_time("2025-01-03"))
    life = Life.begin(workspace, manager, oms, clock)
    assert desk is not None
    while len(life.journal.positions()) < len(SYMBOLS):
        _walk(life, workspace, binance, clock, hours=1)
    assert any(order.is_open for order in binance.matching.orders), "stops rest"
    left, tries = ["?"], 0
    while left and tries < 5:
        left, _ = life.pipeline.close_positions(clock.now())
        tries += 1
    assert (left, life.journal.positions()) == ([], {})
    assert not any(order.is_open for order in binance.matching.orders)
    for symbol in SYMBOLS:
        balance = binance.matching.balance(symbol.split("/", maxsplit=1)[0])
        assert balance.free + balance.locked < Decimal("0.01")
    assert life.pipeline.close_positions(clock.now()) == ([], False)
