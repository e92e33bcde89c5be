"""What is booked makes sense: accounts that are shared, change by themselves or by other hands, and numbers that cannot be."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from datetime import timedelta
from decimal import Decimal
from functools import partial
from pathlib import Path

import pytest

from algo_py.deployment import DeploymentManager
from algo_py.deployment.account_binding import OtherAccount, bind
from algo_py.deployment.booking import CashMoved, Correction, Split, TradeMade, Transfer
from algo_py.deployment.config import OrderChoice
from algo_py.errors import InvalidInput, Refused
from algo_py.orders.halts import HaltedBy, halt_of
from algo_py.orders.model import OrderStatus, Side
from algo_py.orders.risk import Limits
from algo_py.settings import Workspace
from tests.deployment.conftest import Save
from tests.deployment.story import IN, OUT, Story
from tests.oms.binance_desk import KEY, SECRET
from tests.venues.binance_faults import is_trades
from tests.venues.binance_trading import BinanceTradingServer
from tests.venues.server import distorted

Tell = Callable[..., Story]


@pytest.fixture
def server() -> Iterator[BinanceTradingServer]:
    with BinanceTradingServer(key=KEY, secret=SECRET) as server:
        yield server


@pytest.fixture
def tell(workspace: Workspace, manager: DeploymentManager, save: Save, server: BinanceTradingServer, tmp_path: Path) -> Tell:
    return partial(Story, workspace, manager, save, server, tmp_path)


# The account that several share


def test_a_sibling_s_stop_that_has_fired_is_no_shortfall(tell: Tell, server: BinanceTradingServer) -> None:
    plan = {"BTC/USDT": {0: IN}}
    one = tell(plan, stop_loss=0.05, name="one", size=0.4)
    other = tell(plan, stop_loss=0.02, name="other", size=0.4)
    one.hour(2)
    other.hour(2)
    assert one.there() == one.held() + other.held()
    server.set_price("BTC/USDT", "97.00")  # the other's stop fires, and its process has not looked yet
    assert one.there() == one.held()
    one.hour(3)
    assert (one.halts(), other.halts()) == ({}, {})
    other.hour(3)
    assert other.held() == 0
    assert other.halts() == {}


def test_without_asking_the_sibling_s_orders_it_would_be_one(
    tell: Tell, server: BinanceTradingServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The negative control: judged by the ledgers alone, healthy deployments are halted."""
    monkeypatch.setattr("algo_py.deployment.reconcile.open_orders_at", lambda *_: [])
    plan = {"BTC/USDT": {0: IN}}
    one = tell(plan, stop_loss=0.05, name="one", size=0.4)
    other = tell(plan, stop_loss=0.02, name="other", size=0.4)
    one.hour(2)
    other.hour(2)
    server.set_price("BTC/USDT", "97.00")
    one.hour()
    assert set(one.halts()) == {"BTC/USDT"}


def test_a_sale_by_hand_halts_that_symbol_alone_and_is_booked(tell: Tell, server: BinanceTradingServer) -> None:
    story = tell({"BTC/USDT": {0: IN}, "ETH/USDT": {0: IN, 6: OUT}}, size=0.3)
    story.hour(2)
    half = story.held() / 2
    story.take_away(half)
    story.hour()
    assert set(story.halts()) == {"BTC/USDT"}
    assert halt_of(story.database, story.id) is None
    story.hour(5)
    assert story.held("ETH/USDT") == 0, "the other symbol goes on"
    told = story.manager.book(
        story.id, TradeMade(symbol="BTC/USDT", side=Side.SELL, quantity=half, price=Decimal(101), fee=Decimal(1))
    )
    assert told.startswith("SELL 15 BTC/USDT at 101")
    assert story.pipeline.needs_following
    story.follow()
    assert story.held() == half == Decimal(str(story.pipeline._fold.account.position("BTC/USDT")))
    story.hour()
    assert story.halts() == {}, "the books agree again"


def test_an_exit_sells_what_the_account_really_has(tell: Tell) -> None:
    story = tell({"BTC/USDT": {0: IN, 4: OUT}}, stop_loss=0.05)
    story.hour(2)
    held = story.held()
    for order in story.server.matching.orders:
        if order.is_open:
            story.server.matching.cancel(order)
    story.take_away(Decimal(3))
    story.hour(4)
    assert story.there() == 0
    assert story.held() == 3
    assert story.newest().status is OrderStatus.FILLED or any(
        order.filled_quantity == held - 3 for order in story.journal.orders()
    )


def test_fees_in_bnb_are_taken_out_of_a_bnb_position_and_paid_for(tell: Tell, server: BinanceTradingServer) -> None:
    server.list_symbol("BNB/USDT", "100")
    server.set_bars  # noqa: B018  the price of BNB in the minute of a fill is asked for
    plan = {"BNB/USDT": {0: IN, 20: OUT}, "BTC/USDT": dict.fromkeys(range(1, 19, 2), IN) | dict.fromkeys(range(2, 20, 2), OUT)}
    story = tell(plan, size=0.3)
    server.matching.fee_asset = "BNB"
    story.hour(2)
    bought = story.held("BNB/USDT")
    cash = story.journal.ledger.cash + story.there("BNB/USDT") * 100
    story.hour(18)
    assert story.halts() == {}
    assert story.held("BNB/USDT") < bought
    assert abs(story.held("BNB/USDT") - story.there("BNB/USDT")) <= Decimal("0.00001") * 20
    assert story.events("fee.taken")
    quote = server.matching.balance("USDT")
    assert abs((quote.free + quote.locked) - story.journal.ledger.cash) < Decimal("0.01")
    assert cash > 0
    story.hour(3)
    assert story.held("BNB/USDT") <= Decimal("0.0002")


def test_dust_of_a_small_deployment_is_kept_when_a_minimum_is_raised(tell: Tell, server: BinanceTradingServer) -> None:
    story = tell({"BTC/USDT": {0: IN, 4: OUT}}, initial_cash=100.0, size=0.3)
    story.hour(2)
    assert story.held() == Decimal("0.3")
    server.set_filter("BTC/USDT", notional_min="50.00000000")
    story.hour(4)
    assert story.held() == Decimal("0.3"), "nearly a third of it is no dust"
    assert "takes no order so small" in story.protection().reason or story.protection().reason == "no stop is configured"
    server.set_filter("BTC/USDT", notional_min="5.00000000")
    story.hour()
    story.assert_nothing_is_left()


def test_what_was_written_off_comes_back_with_the_next_position(tell: Tell, server: BinanceTradingServer) -> None:
    story = tell({"BTC/USDT": {0: IN, 2: OUT, 5: IN, 8: OUT}}, size=0.29999)
    server.matching.fee_asset = ""  # fees are kept back from what is bought
    story.hour(4)
    dust = story.journal.ledger.written_off()
    assert set(dust) == {"BTC/USDT"}
    assert story.there() == dust["BTC/USDT"]
    story.hour(3)
    assert story.held() == story.there(), "it belongs to the position again"


# What others did


def test_a_split_multiplies_units_and_divides_levels(tell: Tell) -> None:
    story = tell({"BTC/USDT": {0: IN}}, stop_loss=0.05)
    story.hour(2)
    held, cash = story.held(), story.journal.ledger.cash
    story.server.matching.balance("BTC").free += held
    story.server.matching.prices["BTCUSDT"] = Decimal(50)
    story.manager.book(story.id, Split(symbol="BTC/USDT", ratio=Decimal(2)))
    story.follow(2)
    assert (story.held(), story.journal.ledger.cash) == (held * 2, cash)
    assert story.stops() == [held * 2]
    stop = next(order for order in story.server.matching.orders if order.is_open and order.side == "SELL")
    assert stop.stop_price == Decimal("47.50")


def test_a_booking_is_answered_by_its_counter_entry(tell: Tell) -> None:
    story = tell({"BTC/USDT": {0: IN}})
    story.hour(2)
    held, cash = story.held(), story.journal.ledger.cash
    manager = story.manager
    manager.book(story.id, Transfer(symbol="BTC/USDT", quantity=Decimal(-5)))
    manager.book(story.id, CashMoved(amount=Decimal(100)))
    [out, paid] = manager.entries(story.id)
    assert (story.held(), story.journal.ledger.cash) == (held - 5, cash + 100)
    manager.book(story.id, Correction(of=out.entry_id))
    manager.book(story.id, Correction(of=paid.entry_id))
    assert (story.held(), story.journal.ledger.cash) == (held, cash)
    with pytest.raises(Refused, match="is booked already"):
        manager.book(story.id, Correction(of=out.entry_id))
    fill = story.journal.fills()[0]
    manager.book(story.id, Correction(of=fill.trade_id))
    assert story.held() == held - fill.quantity


@pytest.mark.parametrize(
    "booking",
    [
        TradeMade(symbol="BTC/USDT", side=Side.SELL, quantity=Decimal("NaN"), price=Decimal(1)),
        TradeMade(symbol="BTC/USDT", side=Side.SELL, quantity=Decimal(1), price=Decimal(0)),
        TradeMade(symbol="BTC/USDT", side=Side.SELL, quantity=Decimal(1), price=Decimal(100), fee=Decimal(200)),
        TradeMade(symbol="DOGE/USDT", side=Side.BUY, quantity=Decimal(1), price=Decimal(100)),
        Transfer(symbol="BTC/USDT", quantity=Decimal("Infinity")),
        Split(symbol="BTC/USDT", ratio=Decimal(-2)),
        CashMoved(amount=Decimal("NaN")),
    ],
)
def test_a_booking_that_cannot_be_is_refused(tell: Tell, booking: object) -> None:
    story = tell({"BTC/USDT": {0: IN}})
    story.hour(2)
    with pytest.raises(InvalidInput):
        story.manager.book(story.id, booking)  # type: ignore[arg-type]
    with pytest.raises(Refused, match="holds 40 BTC/USDT"):
        story.manager.book(story.id, TradeMade(symbol="BTC/USDT", side=Side.SELL, quantity=Decimal(41), price=Decimal(100)))


# Numbers from outside


@pytest.mark.parametrize(
    "nonsense", [{"price": "0"}, {"price": "NaN"}, {"price": "1e400"}, {"price": "-100"}, {"qty": "1000000"}, {"price": "99999"}]
)
def test_what_cannot_be_is_not_booked_and_calls_a_person(
    tell: Tell, server: BinanceTradingServer, nonsense: dict[str, str]
) -> None:
    story = tell({"BTC/USDT": {0: IN}}, order=OrderChoice(type="limit", offset_bps=-100.0, timeout_s=7200.0))
    story.hour()
    entry = story.newest()
    server.fail(distorted(is_trades, **nonsense), times=1_000)
    server.fill(entry.request.client_order_id, Decimal(10))
    story.follow(2)
    assert story.held() == 0
    assert story.newest().status in (OrderStatus.UNKNOWN, OrderStatus.ACCEPTED, OrderStatus.PARTIALLY_FILLED)
    server.forget()
    story.follow(2)
    assert story.held() == 10, "once the venue makes sense again, it is booked"
    assert story.halts() == {}


# What is spent


def test_an_entry_shrinks_to_what_the_ledger_can_pay(tell: Tell, server: BinanceTradingServer) -> None:
    story = tell({"BTC/USDT": {0: IN}}, size=1.0)
    server.set_price("BTC/USDT", "103.00")
    story.hour()
    assert story.held() > 0
    assert story.journal.ledger.cash >= 0
    assert story.held() * 103 <= 10_000


def test_an_entry_far_from_its_price_is_denied_by_default(tell: Tell, server: BinanceTradingServer) -> None:
    story = tell({"BTC/USDT": {0: IN}}, size=1.0)
    server.set_price("BTC/USDT", "190.00")
    story.hour()
    assert story.held() == 0
    assert "price_collar_fraction: 0.9 breaks the bound 0.05" in story.newest().reason


def test_an_entry_is_no_larger_than_the_account_s_free_cash(tell: Tell, server: BinanceTradingServer) -> None:
    story = tell({"BTC/USDT": {0: IN}}, size=1.0)
    server.matching.balance("USDT").free = Decimal(100)
    story.hour()
    assert 0 < story.held() <= 1


def test_an_entry_whose_price_is_not_known_is_denied_and_an_exit_is_not(tell: Tell, server: BinanceTradingServer) -> None:
    story = tell({"BTC/USDT": {0: IN, 3: OUT}, "ETH/USDT": {3: IN}}, size=0.3)
    story.hour(2)
    server.fail(server.server_error(taken=False, applies=lambda request: "ticker" in request.path), times=1_000)
    story.hour(2)
    assert story.held() == 0
    assert "the venue's price is not known" in story.newest("ETH/USDT").reason
    off = story.pipeline._guard.limits.model_copy(update={"price_collar_fraction": None})
    assert isinstance(off, Limits)


# Bars


def test_a_symbol_without_bars_keeps_the_others_from_nothing(tell: Tell) -> None:
    story = tell({"BTC/USDT": {0: IN, 4: OUT}, "ETH/USDT": {0: IN}, "XRP/USDT": {}}, size=0.2, stop_loss=0.05)
    story.hour(2)
    story.feed._stale = lambda bars, now: {"ETH/USDT": "no bar has come"}  # type: ignore[method-assign]
    result = story.hour(3)
    assert result.outcome == "ok"
    assert dict(result.incomplete) == {"ETH/USDT": "no bar has come"}
    assert story.held("BTC/USDT") == 0
    assert story.stops("ETH/USDT") == [story.held("ETH/USDT")]


def test_a_limit_entry_that_waits_is_taken_back_when_it_is_stopped(tell: Tell, server: BinanceTradingServer) -> None:
    story = tell({"BTC/USDT": {0: IN}}, order=OrderChoice(type="limit", offset_bps=-100.0, timeout_s=7200.0), stop_loss=0.05)
    story.hour()
    assert story.newest().status is OrderStatus.ACCEPTED
    story.pipeline.stop_entering(story.clock.now())
    assert story.newest().status is OrderStatus.CANCELED
    server.set_price("BTC/USDT", "90.00")
    assert story.there() == 0
    assert story.pipeline.open_orders == []


# Whose account it is


def test_another_account_s_key_halts_until_the_right_one_is_back(tell: Tell) -> None:
    story = tell({"BTC/USDT": {0: IN}})
    bind(story.database, story.config, "binance-1", at=story.clock.now(), log=story.log)
    with pytest.raises(OtherAccount, match="trades on the account binance-1, and the credentials are those of binance-2"):
        bind(story.database, story.config, "binance-2", at=story.clock.now(), log=story.log)
    halted = halt_of(story.database, story.id)
    assert halted is not None
    assert halted.by == HaltedBy.ACCOUNT
    bind(story.database, story.config, "binance-1", at=story.clock.now() + timedelta(minutes=1), log=story.log)
    assert halt_of(story.database, story.id) is None
