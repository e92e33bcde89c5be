"""What each no of Binance means, and what the account and the prices say when they say nonsense."""

from __future__ import annotations

from collections.abc import Iterator
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from algo_py.errors import AuthFailed, NotEnough, OutcomeUnknown, Rejected, RuleBroken, TooManyStops, VenueDown, WouldTrigger
from algo_py.oms.binance import BinanceOMS
from algo_py.orders.model import OrderRequest, OrderStatus, OrderType, Side, TimeInForce
from tests.oms.binance_desk import Desk, desk_in
from tests.venues.binance_faults import is_account, is_order, is_price, is_stop
from tests.venues.binance_signed import PRICE
from tests.venues.server import distorted


@pytest.fixture
def desk(tmp_path: Path) -> Iterator[Desk]:
    with desk_in(tmp_path) as desk:
        desk.server.deposit("BTC", "10")
        yield desk


def stop(desk: Desk, stop_price: str | None = "90", target_price: str | None = None, **more: object) -> OrderRequest:
    prices: dict[str, Any] = {"stop_price": stop_price, "target_price": target_price}
    given = {name: None if price is None else Decimal(price) for name, price in prices.items()}
    wanted: dict[str, Any] = {"side": Side.SELL, "type": OrderType.STOP, "reason": "stop_loss", **given, **more}
    return desk.order(**wanted)


def is_absent(desk: Desk, oms: BinanceOMS, order: OrderRequest) -> bool:
    """Return whether it is certain that an order does not exist."""
    planned_at = desk.clock.now()
    desk.pass_time()
    return oms.find(order, planned_at) is None


# Refusals of a kind


@pytest.mark.parametrize("prices", [("100", None), ("101", None), (None, "100"), ("101", "120"), ("90", "99")])
def test_a_stop_that_would_act_at_once(desk: Desk, prices: tuple[str | None, str | None]) -> None:
    order = stop(desk, *prices)
    oms = desk.connected()
    with pytest.raises(WouldTrigger):
        oms.submit(order)
    assert is_absent(desk, oms, order)


def test_the_price_falls_while_the_stop_is_on_its_way(desk: Desk) -> None:
    desk.server.fail(desk.server.moves_before("BTC/USDT", "85", applies=is_stop))
    with pytest.raises(WouldTrigger, match="would trigger immediately"):
        desk.connected().submit(stop(desk))


def test_the_price_falls_between_the_stop_and_its_answer(desk: Desk) -> None:
    desk.server.fail(desk.server.moves_after("BTC/USDT", "85", applies=is_stop))
    oms, order = desk.connected(), stop(desk)
    assert oms.submit(order).status is OrderStatus.ACCEPTED
    report = desk.found(oms, order)
    assert (report.status, report.reason) == (OrderStatus.FILLED, "stop_loss")


@pytest.mark.parametrize(("side", "stop_price", "target_price"), [(Side.SELL, "120", "90"), (Side.BUY, "90", "120")])
def test_a_pair_with_its_prices_the_wrong_way_round_is_no_stop_that_has_been_passed(
    desk: Desk, side: Side, stop_price: str, target_price: str
) -> None:
    oms = desk.connected()
    with pytest.raises(Rejected, match="stop_price must lie") as caught:
        oms.submit(stop(desk, stop_price, target_price, side=side))
    assert type(caught.value) is Rejected
    assert not any(is_order(request) for request in desk.server.requests)


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"quantity": Decimal("0.123456")}, "LOT_SIZE"),
        ({"quantity": Decimal("0.0123456789")}, "too much precision"),
        ({"quantity": Decimal("0.00001")}, "NOTIONAL"),
        ({"type": OrderType.LIMIT, "limit_price": Decimal("90.001")}, "PRICE_FILTER"),
        ({"type": OrderType.LIMIT, "limit_price": Decimal(10)}, "PERCENT_PRICE_BY_SIDE"),
    ],
)
def test_a_rule_of_the_symbol(desk: Desk, change: dict[str, Any], words: str) -> None:
    with pytest.raises(RuleBroken, match=words):
        desk.connected().submit(desk.order(**change))


def test_a_rule_that_has_changed_is_read_anew_and_kept(desk: Desk) -> None:
    oms = desk.connected()
    assert oms.instruments(["BTC/USDT"])["BTC/USDT"].market_quantity_max == 120
    desk.server.set_filter("BTC/USDT", market_quantity_max="2.00000000", step_size="0.01000000")
    for quantity, words in (("3", "MARKET_LOT_SIZE"), ("0.123", "LOT_SIZE")):
        with pytest.raises(RuleBroken, match=words):
            oms.submit(desk.order(side=Side.SELL, quantity=quantity))
    rules = oms.instruments(["BTC/USDT"])["BTC/USDT"]
    assert (rules.lot_size, rules.quantity_max, rules.market_quantity_max) == (Decimal("0.01"), Decimal(9000), Decimal(2))
    for quantity in ("2", "1", "0.12"):
        assert oms.submit(desk.order(side=Side.SELL, quantity=quantity)).status is OrderStatus.FILLED


def test_the_sixth_stop(desk: Desk) -> None:
    oms = desk.connected()
    for _ in range(5):
        oms.submit(stop(desk))
    sixth = stop(desk)
    with pytest.raises(TooManyStops, match="MAX_NUM_ALGO_ORDERS"):
        oms.submit(sixth)
    assert is_absent(desk, oms, sixth)


def test_what_is_not_there_or_locked(desk: Desk) -> None:
    oms = desk.connected()
    with pytest.raises(NotEnough):
        oms.submit(desk.order(quantity="101"))
    oms.submit(stop(desk, quantity=Decimal(8)))
    with pytest.raises(NotEnough):
        oms.submit(desk.order(side=Side.SELL, quantity="3"))
    positions = oms.positions()
    assert positions is not None
    assert [position.quantity for position in positions] == [10]  # free and locked: the stop's is held still


@pytest.mark.parametrize("status", ["BREAK", "HALT", "CANCEL_ONLY"])
def test_a_symbol_that_does_not_trade_keeps_its_rules_and_lets_go_of_its_stops(desk: Desk, status: str) -> None:
    oms, order = desk.connected(), stop(desk)
    oms.submit(order)
    desk.server.set_filter("BTC/USDT", status=status)
    with pytest.raises(Rejected, match="Market is closed"):
        oms.submit(desk.order())
    assert "BTC/USDT" in oms.instruments(["BTC/USDT"])
    oms.cancel(order, desk.clock.now())
    assert desk.found(oms, order).status is OrderStatus.CANCELED


def test_a_symbol_that_is_delisted(desk: Desk) -> None:
    oms = desk.connected()
    desk.server.delist("BTC/USDT")
    with pytest.raises(Rejected, match="Invalid symbol"):
        oms.submit(desk.order())
    assert list(oms.instruments(["BTC/USDT", "ETH/USDT"])) == ["ETH/USDT"]
    assert oms.last_prices(["BTC/USDT", "ETH/USDT"]) == {"ETH/USDT": 100}


def test_an_own_order_that_a_stop_would_have_met(desk: Desk) -> None:
    oms = desk.connected()
    entry = desk.order(type=OrderType.LIMIT, limit_price=Decimal(89), time_in_force=TimeInForce.GTC)
    order = stop(desk)
    oms.submit(entry)
    oms.submit(order)
    desk.server.rest_at_best("BTC/USDT")
    desk.server.set_price("BTC/USDT", "90")
    assert desk.found(oms, order).status is OrderStatus.FILLED
    report = desk.found(oms, entry)
    assert report.status is OrderStatus.EXPIRED
    assert "of the same account" in report.reason


def test_nobody_answers_a_stop(desk: Desk) -> None:
    oms, order = desk.connected(), stop(desk)
    desk.server.fail(desk.server.server_error(taken=True, applies=is_stop))
    with pytest.raises(OutcomeUnknown):
        oms.submit(order)
    assert desk.found(oms, order).status is OrderStatus.ACCEPTED


def test_a_venue_that_began_anew_does_not_know_the_order(desk: Desk) -> None:
    oms, order = desk.connected(), stop(desk)
    oms.submit(order)
    desk.server.begin_anew(USDT="10000")
    assert is_absent(desk, oms, order)
    assert oms.positions() == []


# Prices and cash


def test_several_prices_are_one_request(desk: Desk) -> None:
    oms = desk.open()
    assert oms.last_prices(["BTC/USDT", "ETH/USDT", "BTC/USDT"]) == {"BTC/USDT": 100, "ETH/USDT": 100}
    (request,) = desk.server.asked(PRICE)
    assert request.values == {"symbols": '["BTCUSDT","ETHUSDT"]'}
    assert oms.last_prices([]) == {}


def test_one_bad_symbol_does_not_hide_the_others(desk: Desk) -> None:
    desk.server.list_symbol("SOL/USDT", "50")
    prices = desk.open().last_prices(["BTC/USDT", "NOBODY/USDT", "ETH/USDT", "SOL/USDT"])
    assert prices == {"BTC/USDT": 100, "ETH/USDT": 100, "SOL/USDT": 50}


@pytest.mark.parametrize("price", ["0", "-100", "NaN", "Infinity", "1e400", "1e-400", "", "soon", None, []])
def test_a_price_that_can_be_none_is_left_out(desk: Desk, price: object) -> None:
    for symbols in (["BTC/USDT"], ["BTC/USDT", "ETH/USDT"]):
        desk.server.fail(distorted(is_price, price=price))
        assert desk.open().last_prices(symbols) == {}


def test_prices_of_something_else_are_nobody_s(desk: Desk) -> None:
    desk.server.fail(distorted(is_price, symbol="XRPUSDT"))
    assert desk.open().last_prices(["BTC/USDT", "ETH/USDT"]) == {}


def test_what_is_locked_cannot_be_spent(desk: Desk) -> None:
    oms = desk.connected()
    assert oms.free_cash() == 10_000
    oms.submit(desk.order(type=OrderType.LIMIT, limit_price=Decimal(90), quantity="10"))
    assert oms.free_cash() == 9_100


@pytest.mark.parametrize("amount", ["NaN", "-1", "Infinity", "soon"])
def test_cash_that_is_no_amount(desk: Desk, amount: str) -> None:
    oms = desk.connected()
    desk.server.fail(distorted(is_account, free=amount))
    with pytest.raises(VenueDown, match="cannot be understood"):
        oms.free_cash()
    desk.server.fail(distorted(is_account, free=amount))
    with pytest.raises(VenueDown, match="cannot be understood"):
        desk.open().connect()


# The account


def test_the_account_is_named_by_its_number_and_not_by_its_key(desk: Desk) -> None:
    before = desk.connected()
    desk.server.change_key(name="anewkey", secret="anewsecret")
    assert desk.open(key="anewkey", secret="anewsecret").connect().account == "binance-354937868"
    other = desk.server.add_account(key="otherkey", secret="othersecret", uid=7)
    other.matching.balance("BTC").free = Decimal(3)
    assert desk.open(key="otherkey", secret="othersecret").connect().account == "binance-7"
    with pytest.raises(AuthFailed):  # an adapter keeps to the key that it was built with
        before.submit(desk.order(side=Side.SELL))
    assert other.matching.orders == []


def test_connecting_again_never_opens_another_account(desk: Desk) -> None:
    oms = desk.connected()
    desk.server.account.uid = 7
    with pytest.raises(AuthFailed, match="the account binance-7, and not binance-354937868 as before"):
        oms.connect()
    desk.server.account.uid = 354_937_868
    assert oms.connect().account == "binance-354937868"


def test_a_key_that_is_revoked_for_a_while(desk: Desk) -> None:
    oms = desk.connected()
    desk.server.revoke_key()
    with pytest.raises(AuthFailed):
        oms.submit(desk.order())
    desk.server.restore_key()
    assert oms.submit(desk.order()).status is OrderStatus.FILLED
