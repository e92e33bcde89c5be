"""The paper venue: a venue with books of its own, which can be asked after a crash."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from pathlib import Path

import pytest

from algo_py.clock import FrozenClock
from algo_py.database import Database
from algo_py.engine import PortfolioConfig
from algo_py.errors import NotFound, Rejected
from algo_py.market import get_market
from algo_py.oms import PaperOMS, open_oms
from algo_py.oms.triggers import PriceBar
from algo_py.orders.model import Leg, OrderRequest, OrderStatus, OrderType, Side, client_order_id
from algo_py.settings import Workspace

BAR = datetime(2025, 1, 1, tzinfo=UTC)
NEXT = BAR + timedelta(hours=1)
SYMBOLS = ("BTC/USDT", "ETH/USDT")


class Prices:
    """A feed that knows what it was told."""

    def __init__(self) -> None:
        self.known: dict[str, tuple[datetime, float]] = {}
        self.bars: list[PriceBar] = []

    def fill_price(self, symbol: str, bar_time: datetime, submitted_at: datetime) -> tuple[datetime, float] | None:
        return self.known.get(symbol)

    def bars_since(self, symbol: str, submitted_at: datetime) -> Iterable[PriceBar]:
        return [bar for bar in self.bars if bar.time >= submitted_at]


class Desk:
    """A paper account and the prices that it sees."""

    def __init__(self, database: Database, **config: object) -> None:
        self.database, self.prices = database, Prices()
        market = get_market("crypto_binance")
        values: dict[str, object] = {
            "initial_cash": 1000.0,
            "fees": 0.001,
            "instruments": {symbol: market.instrument(symbol) for symbol in SYMBOLS},
        }
        self.config = PortfolioConfig.model_validate(values | config)
        self.oms = self.open()

    def open(self, account: str = "d1") -> PaperOMS:
        oms = PaperOMS(
            self.database,
            FrozenClock(NEXT),
            account=account,
            market=get_market("crypto_binance"),
            symbols=SYMBOLS,
            config=self.config,
            feed=self.prices,
        )
        oms.connect()
        return oms


@pytest.fixture
def desk(database: Database) -> Desk:
    return Desk(database)


def order(
    symbol: str = "BTC/USDT", side: Side = Side.BUY, leg: Leg = Leg.ENTRY, quantity: str = "1", hour: int = 0
) -> OrderRequest:
    bar_time = BAR + timedelta(hours=hour)
    return OrderRequest(
        client_order_id=client_order_id("d1", bar_time, symbol, side, leg),
        symbol=symbol,
        side=side,
        leg=leg,
        quantity=Decimal(quantity),
        bar_time=bar_time,
        reference_price=Decimal(100),
        reason="entry",
    )


def test_an_order_waits_until_its_price_is_known_and_then_fills_once(desk: Desk) -> None:
    wanted = order()
    assert desk.oms.submit(wanted).status is OrderStatus.ACCEPTED
    waiting = desk.oms.find(wanted, BAR)
    assert waiting is not None
    assert (waiting.status, waiting.fills) == (OrderStatus.ACCEPTED, ())
    desk.prices.known["BTC/USDT"] = (NEXT, 100.0)
    for _ in range(2):
        report = desk.oms.find(wanted, BAR)
        assert report is not None
        assert report.status is OrderStatus.FILLED
        [fill] = report.fills
        assert (fill.quantity, fill.price, fill.fee, fill.time) == (Decimal(1), Decimal("100.0"), Decimal("0.1"), NEXT)
    assert [(p.symbol, p.quantity) for p in desk.oms.positions()] == [("BTC/USDT", Decimal(1))]
    assert desk.oms.fills_since(NEXT) == [fill]
    assert desk.oms.fills_since(NEXT + timedelta(seconds=1)) == []


def test_slippage_is_against_us(database: Database) -> None:
    desk = Desk(database, slippage=0.01)
    desk.prices.known["BTC/USDT"] = (NEXT, 100.0)
    wanted = order()
    desk.oms.submit(wanted)
    report = desk.oms.find(wanted, BAR)
    assert report is not None
    assert float(report.fills[0].price) == 101.0


def test_an_unknown_id_is_none(desk: Desk) -> None:
    assert desk.oms.find(order(), BAR) is None
    desk.oms.cancel(order(), BAR)
    assert desk.oms.find(order(), BAR) is None


def test_the_same_id_is_refused_a_second_time(desk: Desk) -> None:
    desk.oms.submit(order())
    with pytest.raises(Rejected, match="already used"):
        desk.oms.submit(order())


def test_what_it_does_not_trade_is_refused(desk: Desk) -> None:
    with pytest.raises(Rejected, match="DOGE/USDT is not traded"):
        desk.oms.submit(order("DOGE/USDT"))
    limit = OrderRequest(**{name: getattr(order(), name) for name in OrderRequest.__slots__} | {"type": OrderType.LIMIT})
    with pytest.raises(Rejected, match="no LIMIT orders"):
        desk.oms.submit(limit)


def test_cash_that_does_not_suffice_shrinks_the_order_and_says_so(desk: Desk) -> None:
    desk.prices.known["BTC/USDT"] = (NEXT, 100.0)
    wanted = order(quantity="20")
    desk.oms.submit(wanted)
    report = desk.oms.find(wanted, BAR)
    assert report is not None
    assert report.status is OrderStatus.CANCELED
    assert report.reason.startswith("cash covered 9.99")
    assert float(report.fills[0].quantity) == pytest.approx(9.99, abs=1e-4)


def test_cash_that_does_not_suffice_denies_where_no_part_is_allowed(database: Database) -> None:
    desk = Desk(database, allow_partial=False)
    desk.prices.known["BTC/USDT"] = (NEXT, 100.0)
    wanted = order(quantity="20")
    desk.oms.submit(wanted)
    report = desk.oms.find(wanted, BAR)
    assert report is not None
    assert (report.status, report.fills) == (OrderStatus.REJECTED, ())
    assert report.reason


def test_exits_come_before_entries_whatever_the_order_of_their_arrival(desk: Desk) -> None:
    """The entry needs the cash that the exit brings."""
    desk.prices.known = dict.fromkeys(SYMBOLS, (NEXT, 100.0))
    first = order(quantity="9.9")
    desk.oms.submit(first)
    desk.oms.find(first, BAR)
    entry, leaving = order("ETH/USDT", quantity="9", hour=1), order(side=Side.SELL, leg=Leg.EXIT, quantity="9.9", hour=1)
    desk.oms.submit(entry)
    desk.oms.submit(leaving)
    report = desk.oms.find(entry, BAR)
    assert report is not None
    assert report.status is OrderStatus.FILLED


def test_after_a_restart_the_books_are_what_they_were(desk: Desk) -> None:
    desk.prices.known["BTC/USDT"] = (NEXT, 100.0)
    filled, waiting = order(), order("ETH/USDT")
    for wanted in (filled, waiting):
        desk.oms.submit(wanted)
    desk.oms.find(filled, BAR)
    again = desk.open()
    assert again.connect().cash == Decimal("899.9")
    report = again.find(filled, BAR)
    assert report is not None
    assert len(report.fills) == 1
    desk.prices.known["ETH/USDT"] = (NEXT, 50.0)
    late = again.find(waiting, BAR)
    assert late is not None
    assert late.status is OrderStatus.FILLED


def test_accounts_do_not_see_one_another(desk: Desk) -> None:
    desk.prices.known["BTC/USDT"] = (NEXT, 100.0)
    wanted = order()
    desk.oms.submit(wanted)
    desk.oms.find(wanted, BAR)
    other = desk.open("d2")
    assert other.positions() == []
    assert other.connect().cash == Decimal(1000)


def test_canceling_ends_an_open_order_and_leaves_a_filled_one(desk: Desk) -> None:
    wanted = order()
    desk.oms.submit(wanted)
    desk.oms.cancel(wanted, BAR)
    desk.prices.known["BTC/USDT"] = (NEXT, 100.0)
    report = desk.oms.find(wanted, BAR)
    assert report is not None
    assert (report.status, report.fills) == (OrderStatus.CANCELED, ())
    second = order(hour=1)
    desk.oms.submit(second)
    desk.oms.find(second, BAR)
    desk.oms.cancel(second, BAR)
    report = desk.oms.find(second, BAR)
    assert report is not None
    assert report.status is OrderStatus.FILLED


def test_an_order_is_under_way_for_the_latency(desk: Desk) -> None:
    desk.prices.known["BTC/USDT"] = (NEXT, 100.0)
    clock = FrozenClock(NEXT)
    oms = PaperOMS(
        desk.database,
        clock,
        account="slow",
        market=get_market("crypto_binance"),
        symbols=SYMBOLS,
        config=desk.config,
        feed=desk.prices,
        latency=timedelta(seconds=2),
    )
    oms.connect()
    wanted = order(hour=5)
    oms.submit(wanted)
    clock.sleep(1.9)
    early = oms.find(wanted, BAR)
    clock.sleep(0.2)
    late = oms.find(wanted, BAR)
    assert early is not None
    assert late is not None
    assert (early.status, late.status) == (OrderStatus.ACCEPTED, OrderStatus.FILLED)


@pytest.mark.parametrize(
    ("bar", "price", "reason"),
    [
        ((100.0, 104.0, 96.0), None, None),
        ((100.0, 104.0, 95.0), 95.0, "stop_loss"),
        ((93.0, 120.0, 92.0), 93.0, "stop_loss"),
        ((100.0, 110.0, 96.0), 110.0, "take_profit"),
        ((112.0, 113.0, 90.0), 112.0, "take_profit"),
        ((100.0, 110.0, 95.0), 95.0, "stop_loss"),
    ],
    ids=["between", "touches the stop", "opens below it", "touches the target", "opens above it", "spans both"],
)
def test_a_stop_rests_and_fires_by_rule_2(
    desk: Desk, bar: tuple[float, float, float], price: float | None, reason: str | None
) -> None:
    desk.prices.known["BTC/USDT"] = (NEXT, 100.0)
    entry = order()
    desk.oms.submit(entry)
    desk.oms.find(entry, BAR)
    stop = replace(
        order(side=Side.SELL, leg=Leg.EXIT, hour=1),
        type=OrderType.STOP,
        stop_price=Decimal(95),
        target_price=Decimal(110),
        reason="stop_loss",
    )
    desk.oms.submit(stop)
    desk.prices.bars = [PriceBar(NEXT, bar[0], bar[1], bar[2])]
    report = desk.oms.find(stop, BAR)
    assert report is not None
    if price is None:
        assert report.status is OrderStatus.ACCEPTED
    else:
        assert (report.status, report.reason, float(report.fills[0].price)) == (OrderStatus.FILLED, reason, price)
        assert desk.oms.positions() == []


def test_an_oms_that_does_not_exist_is_refused_by_name(desk: Desk) -> None:
    with pytest.raises(NotFound, match="there is no OMS 'robinhood'"):
        open_oms(
            "robinhood",
            database=desk.database,
            clock=FrozenClock(BAR),
            workspace=Workspace(Path("nowhere")),
            deployment_id="d1",
            deployment_name="mine",
            market=get_market("crypto_binance"),
            symbols=SYMBOLS,
            config=desk.config,
            feed=desk.prices,
        )
