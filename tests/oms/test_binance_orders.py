"""Orders of every kind at Binance: what leaves, what comes back, what it costs."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any

import pandas as pd
import pytest

from algo_py.clock import monotonic_s
from algo_py.errors import OutcomeUnknown, Rejected
from algo_py.oms.binance import BinanceOMS
from algo_py.orders.model import OrderRequest, OrderStatus, OrderType, Side, TimeInForce
from tests.oms.binance_desk import KEY, SECRET, Desk, desk_in
from tests.venues.binance import KLINES, error, too_many_requests, unavailable
from tests.venues.binance_signed import OCO, ORDER
from tests.venues.binance_trading import is_order
from tests.venues.server import Fault, Reply

S = OrderStatus


@pytest.fixture
def desk(tmp_path: Path) -> Iterator[Desk]:
    with desk_in(tmp_path) as desk:
        yield desk


def sent(desk: Desk) -> dict[str, str]:
    """Return what the last order said, without what is on every signed request."""
    values = dict([request for request in desk.server.asked() if is_order(request)][-1].values)
    return {name: value for name, value in values.items() if name not in ("timestamp", "signature", "recvWindow")}


def stop(desk: Desk, **prices: str) -> OrderRequest:
    """Make a stop that closes half a BTC."""
    named: dict[str, Any] = {name: Decimal(price) for name, price in prices.items()}
    return desk.order(side=Side.SELL, type=OrderType.STOP, reason="stop_loss", **named)


# What leaves


def test_a_market_order_goes_out_digit_by_digit_in_base_units(desk: Desk) -> None:
    desk.server.list_symbol("PEPE/USDT", "0.00001", step_size="1.00", quantity_min="1.00", tick_size="0.00000001")
    oms = desk.connected()
    order = desk.order("PEPE/USDT", quantity="2.5E+6", limit_price=Decimal("0.00001"))
    with pytest.raises(Rejected, match="LOT_SIZE"):  # beyond maxQty: but it left as it was asked for
        oms.submit(order)
    assert sent(desk) == {
        "symbol": "PEPEUSDT",
        "side": "BUY",
        "type": "MARKET",
        "quantity": "2500000",
        "newClientOrderId": order.client_order_id,
        "newOrderRespType": "FULL",
    }


def test_a_quantity_that_fits_no_step_is_not_made_to_fit(desk: Desk) -> None:
    oms = desk.connected()
    with pytest.raises(Rejected, match="LOT_SIZE"):
        oms.submit(desk.order(quantity="0.123456"))
    assert sent(desk)["quantity"] == "0.123456"
    assert not desk.server.matching.orders


def test_the_unified_method_would_have_changed_both(desk: Desk) -> None:
    """The control of the two tests before: why Binance's own methods are called."""
    from algo_py.finstore.sources.exchange_client import build

    client = build("binance", desk.server.url)
    client.session.until_s = monotonic_s() + 10
    client.apiKey, client.secret = KEY, SECRET
    client.create_order("BTC/USDT", "market", "buy", 0.5, 100.0)
    assert "quantity" not in sent(desk)
    assert sent(desk)["quoteOrderQty"] == "50"
    client.create_order("BTC/USDT", "market", "buy", 0.123456)
    assert sent(desk)["quantity"] == "0.12345"


def test_a_limit_order_says_how_long(desk: Desk) -> None:
    order = desk.order(type=OrderType.LIMIT, limit_price=Decimal("99.50"), time_in_force=TimeInForce.IOC)
    assert desk.connected().submit(order).status is S.EXPIRED
    assert {name: sent(desk)[name] for name in ("type", "price", "timeInForce")} == {
        "type": "LIMIT",
        "price": "99.50",
        "timeInForce": "IOC",
    }


@pytest.mark.parametrize(
    ("side", "above", "below"),
    [(Side.SELL, ("TAKE_PROFIT", "120"), ("STOP_LOSS", "90")), (Side.BUY, ("STOP_LOSS", "120"), ("TAKE_PROFIT", "90"))],
)
def test_a_stop_with_a_target_is_a_pair_with_our_id(
    desk: Desk, side: Side, above: tuple[str, str], below: tuple[str, str]
) -> None:
    desk.server.deposit("BTC", "1")
    stop_price, target_price = (below, above) if side is Side.SELL else (above, below)
    order = desk.order(side=side, type=OrderType.STOP, stop_price=Decimal(stop_price[1]), target_price=Decimal(target_price[1]))
    report = desk.connected().submit(order)
    assert (report.status, report.venue_order_id) == (S.ACCEPTED, "list-1")
    values = sent(desk)
    assert desk.server.asked(OCO)
    assert (values["aboveType"], values["aboveStopPrice"]) == above
    assert (values["belowType"], values["belowStopPrice"]) == below
    assert values["listClientOrderId"] == order.client_order_id
    assert all(values[name].startswith(order.client_order_id) for name in ("aboveClientOrderId", "belowClientOrderId"))


@pytest.mark.parametrize(
    ("change", "why"),
    [
        ({"time_in_force": TimeInForce.DAY}, "cannot be DAY"),
        ({"quantity": Decimal(0)}, "quantity must be above 0"),
        ({"quantity": Decimal("NaN")}, "quantity must be above 0"),
        ({"symbol": "RELIANCE"}, "not spelled like BTC/USDT"),
        ({"type": OrderType.STOP_LIMIT}, "no STOP_LIMIT orders"),
        ({"type": OrderType.LIMIT}, r"limit_price must be above 0 \(was None\)"),
        ({"type": OrderType.STOP}, r"stop_price must be above 0 \(was None\)"),
        ({"type": OrderType.STOP, "stop_price": Decimal(-1)}, "stop_price must be above 0"),
        ({"type": OrderType.STOP, "stop_price": Decimal(9), "time_in_force": TimeInForce.IOC}, "cannot be IOC"),
    ],
)
def test_what_could_not_mean_the_same_there_is_never_sent(desk: Desk, change: dict[str, Any], why: str) -> None:
    oms = desk.connected()
    with pytest.raises(Rejected, match=why):
        oms.submit(desk.order(**change))
    assert not desk.server.asked(ORDER)


# What comes back


def test_an_order_in_several_trades_is_one_report(desk: Desk) -> None:
    oms = desk.connected()
    order = desk.order()
    report = oms.submit(order)
    assert (report.status, report.venue_order_id, len(report.fills)) == (S.FILLED, "1", 3)
    assert desk.found(oms, order) == report
    assert [fill.trade_id for fill in report.fills] == ["1000", "1001", "1002"]


def test_a_market_order_without_enough_to_trade_with_expires_with_what_it_got(desk: Desk) -> None:
    desk.server.set_depth("BTC/USDT", "0.2")
    oms = desk.connected()
    order = desk.order()
    report = oms.submit(order)
    assert report.status is S.EXPIRED
    assert report.reason == "nobody to trade with any more: 0.2 of 0.5 filled"
    assert sum(fill.quantity for fill in report.fills) == Decimal("0.2")
    assert desk.found(oms, order) == report


@pytest.mark.parametrize(
    ("time_in_force", "status", "quantity"),
    [("IOC", S.EXPIRED, "0.2"), ("FOK", S.EXPIRED, "0"), ("GTC", S.PARTIALLY_FILLED, "0.2")],
)
def test_a_limit_order_at_a_thin_book(desk: Desk, time_in_force: str, status: OrderStatus, quantity: str) -> None:
    desk.server.set_depth("BTC/USDT", "0.2")
    oms = desk.connected()
    order = desk.order(type=OrderType.LIMIT, limit_price=Decimal(101), time_in_force=TimeInForce(time_in_force))
    report = oms.submit(order)
    assert report.status is status
    assert sum(fill.quantity for fill in report.fills) == Decimal(quantity)
    assert desk.found(oms, order).status is status


@pytest.mark.parametrize(
    ("venue_status", "status", "reason"),
    [
        ("NEW", S.ACCEPTED, ""),
        ("PENDING_NEW", S.ACCEPTED, ""),
        ("PENDING_CANCEL", S.ACCEPTED, ""),
        ("CANCELED", S.CANCELED, "canceled: 0 of 0.5 filled"),
        ("REJECTED", S.REJECTED, "rejected after it was taken"),
        ("EXPIRED", S.EXPIRED, "expired: 0 of 0.5 filled"),
        ("EXPIRED_IN_MATCH", S.EXPIRED, "it would have traded with an order of the same account: 0 of 0.5 filled"),
    ],
)
def test_each_status_has_a_word_of_ours(desk: Desk, venue_status: str, status: OrderStatus, reason: str) -> None:
    oms = desk.connected()
    order = desk.order(type=OrderType.LIMIT, limit_price=Decimal(90))
    oms.submit(order)
    desk.server.orders_of(order.client_order_id)[0].status = venue_status
    report = desk.found(oms, order)
    assert (report.status, report.reason) == (status, reason)


def test_a_status_that_nobody_knows_is_not_guessed(desk: Desk) -> None:
    oms = desk.connected()
    order = desk.order(type=OrderType.LIMIT, limit_price=Decimal(90))
    oms.submit(order)
    desk.server.orders_of(order.client_order_id)[0].status = "FROZEN"
    with pytest.raises(OutcomeUnknown, match="cannot be understood"):
        oms.find(order, desk.clock.now())


def test_an_order_is_not_over_while_its_trades_are_not_listed(desk: Desk) -> None:
    oms = desk.connected()
    order = desk.order()
    desk.server.fail(desk.server.drop(taken=True))
    with pytest.raises(OutcomeUnknown):
        oms.submit(order)
    desk.server.trading.withholds_trades = True
    report = desk.found(oms, order)
    assert (report.status, report.fills) == (S.ACCEPTED, ())
    desk.server.trading.withholds_trades = False
    assert desk.found(oms, order).status is S.FILLED


def test_more_trades_than_one_answer_holds(desk: Desk) -> None:
    desk.server.matching.pieces = 2_300
    oms = desk.connected()
    order = desk.order()
    oms.submit(order)
    report = desk.found(oms, order)
    assert len(report.fills) == 2_300
    assert sum(fill.quantity for fill in report.fills) == order.quantity
    assert len(oms.fills_since(report.fills[0].time)) == 2_300


def test_fills_of_orders_that_somebody_else_placed_keep_their_id(desk: Desk) -> None:
    oms = desk.connected()
    mine, theirs = desk.order(), desk.order("ETH/USDT", client_order_id="web_by_hand")
    for order in (mine, theirs):
        oms.submit(order)
    fills = oms.fills_since(desk.clock.now() - timedelta(minutes=1))
    assert {(fill.symbol, fill.client_order_id) for fill in fills} == {
        ("BTC/USDT", mine.client_order_id),
        ("ETH/USDT", "web_by_hand"),
    }


# Stops


@pytest.mark.parametrize(
    ("prices", "moves_to", "reason"),
    [
        ({"stop_price": "90"}, "89", "stop_loss"),
        ({"target_price": "120"}, "121", "take_profit"),
        ({"stop_price": "90", "target_price": "120"}, "89", "stop_loss"),
        ({"stop_price": "90", "target_price": "120"}, "121", "take_profit"),
    ],
)
def test_a_stop_rests_and_then_closes_at_the_market(desk: Desk, prices: dict[str, str], moves_to: str, reason: str) -> None:
    desk.server.deposit("BTC", "0.5")
    oms = desk.connected()
    order = stop(desk, **prices)
    assert oms.submit(order).status is S.ACCEPTED
    assert desk.found(oms, order).status is S.ACCEPTED
    desk.server.set_price("BTC/USDT", "95")
    assert desk.found(oms, order).status is S.ACCEPTED
    desk.server.set_price("BTC/USDT", moves_to)
    report = desk.found(oms, order)
    assert (report.status, report.reason) == (S.FILLED, reason)
    assert {fill.price for fill in report.fills} == {Decimal(moves_to)}
    assert sum(fill.quantity for fill in report.fills) == order.quantity
    assert {fill.client_order_id for fill in oms.fills_since(report.fills[0].time)} == {order.client_order_id}
    assert oms.positions() == []


def test_a_pair_that_ran_into_a_thin_book_reports_what_it_got(desk: Desk) -> None:
    desk.server.deposit("BTC", "0.5")
    oms = desk.connected()
    order = stop(desk, stop_price="90", target_price="120")
    oms.submit(order)
    desk.server.set_depth("BTC/USDT", "0.1")
    desk.server.set_price("BTC/USDT", "85")
    report = desk.found(oms, order)
    assert (report.status, report.reason) == (S.EXPIRED, "expired: 0.1 of 0.5 filled")
    assert sum(fill.quantity for fill in report.fills) == Decimal("0.1")


@pytest.mark.parametrize("prices", [{"stop_price": "90"}, {"stop_price": "90", "target_price": "120"}])
def test_canceling_a_stop_frees_what_it_held(desk: Desk, prices: dict[str, str]) -> None:
    desk.server.deposit("BTC", "0.5")
    oms = desk.connected()
    order = stop(desk, **prices)
    oms.submit(order)
    assert desk.server.matching.balance("BTC").locked == Decimal("0.5")
    oms.cancel(order, desk.clock.now())
    assert (desk.found(oms, order).status, desk.found(oms, order).fills) == (S.CANCELED, ())
    assert desk.server.matching.balance("BTC").locked == 0
    desk.server.set_price("BTC/USDT", "80")
    assert desk.found(oms, order).status is S.CANCELED
    oms.submit(desk.order(side=Side.SELL))


def test_canceling_a_pair_that_has_fired_leaves_it(desk: Desk) -> None:
    desk.server.deposit("BTC", "0.5")
    oms = desk.connected()
    order = stop(desk, stop_price="90", target_price="120")
    oms.submit(order)
    desk.server.set_price("BTC/USDT", "121")
    oms.cancel(order, desk.clock.now())
    assert desk.found(oms, order).status is S.FILLED


def test_a_stop_that_would_fire_at_once_is_refused(desk: Desk) -> None:
    desk.server.deposit("BTC", "0.5")
    oms = desk.connected()
    with pytest.raises(Rejected, match="would trigger immediately"):
        oms.submit(stop(desk, stop_price="101"))
    with pytest.raises(Rejected, match="relationship of the prices"):
        oms.submit(stop(desk, stop_price="101", target_price="120"))


def test_selling_what_is_not_there_is_refused(desk: Desk) -> None:
    with pytest.raises(Rejected, match="insufficient balance"):
        desk.connected().submit(desk.order(side=Side.SELL))


@pytest.mark.parametrize(
    ("change", "filter_name"),
    [
        ({"quantity": Decimal("0.000001")}, "LOT_SIZE"),
        ({"quantity": Decimal("0.00001")}, "NOTIONAL"),
        ({"quantity": Decimal("0.15"), "symbol": "SOL/USDT"}, "MARKET_LOT_SIZE"),
        ({"type": OrderType.LIMIT, "limit_price": Decimal("90.001")}, "PRICE_FILTER"),
    ],
)
def test_the_filters_of_a_symbol(desk: Desk, change: dict[str, Any], filter_name: str) -> None:
    desk.server.list_symbol("SOL/USDT", "50", market_step_size="0.10000000")
    with pytest.raises(Rejected, match=f"Filter failure: {filter_name}$"):
        desk.connected().submit(desk.order(**change))


# What it costs


def test_a_fee_in_base_units_never_reaches_the_account(desk: Desk) -> None:
    desk.server.matching.fee_asset = ""
    oms = desk.connected()
    report = oms.submit(desk.order(quantity="0.6"))
    assert [(fill.quantity, fill.fee) for fill in report.fills] == [(Decimal("0.1998"), Decimal("0.02"))] * 3
    held = oms.positions()
    assert held is not None
    assert held[0].quantity == sum(fill.quantity for fill in report.fills)
    # What left is what the traded quantity cost, however it is split into quantity and fee.
    spent = sum(fill.quantity * fill.price + fill.fee for fill in report.fills)
    assert spent == 10_000 - desk.server.matching.balance("USDT").free
    sold = oms.submit(desk.order(side=Side.SELL, quantity="0.599"))
    assert sum(fill.fee for fill in sold.fills) == Decimal("0.0599")
    assert sum(fill.quantity for fill in sold.fills) == Decimal("0.599")


def test_a_fee_in_bnb_is_worth_what_bnb_cost_in_that_minute(desk: Desk) -> None:
    desk.server.list_symbol("BNB/USDT", "500")
    desk.server.deposit("BNB", "1")
    desk.server.matching.fee_asset = "BNB"
    minute = datetime.fromtimestamp(desk.server.now_s(), UTC).replace(second=0, microsecond=0)
    frame = pd.DataFrame(
        {"open": 610.0, "high": 630.0, "low": 590.0, "close": 600.0, "volume": 5.0},
        index=pd.DatetimeIndex([minute, minute + timedelta(minutes=1)]),
    )
    desk.server.set_bars("BNB/USDT", "1m", frame)
    oms = desk.connected()
    order = desk.order(quantity="0.6")
    oms.submit(order)
    desk.pass_time(timedelta(minutes=3))  # the bars have closed
    report = desk.open().find(order, desk.clock.now())
    assert report is not None
    # 20 traded, a thousandth of it in BNB at 500: 0.00004 each.
    assert [(fill.quantity, fill.fee) for fill in report.fills] == [(Decimal("0.2"), Decimal("0.00004") * 600)] * 3
    assert len(desk.server.asked(KLINES)) <= 3


def test_a_minute_without_a_trade_in_bnb_takes_its_latest_price(desk: Desk) -> None:
    desk.server.list_symbol("BNB/USDT", "500")
    desk.server.deposit("BNB", "1")
    desk.server.matching.fee_asset = "BNB"
    report = desk.connected().submit(desk.order(quantity="0.6"))
    assert [fill.fee for fill in report.fills] == [Decimal("0.02")] * 3


def test_bnb_that_is_sold_pays_its_fee_from_what_else_is_held(desk: Desk) -> None:
    desk.server.list_symbol("BNB/USDT", "500")
    desk.server.deposit("BNB", "1")
    desk.server.matching.fee_asset = "BNB"
    report = desk.connected().submit(desk.order("BNB/USDT", side=Side.SELL, quantity="0.5"))
    assert sum(fill.quantity for fill in report.fills) == Decimal("0.5")
    assert sum(fill.fee for fill in report.fills) == Decimal("0.25")


def test_a_fee_that_nobody_can_value_is_estimated_and_said(desk: Desk) -> None:
    desk.server.deposit("ODD", "1")
    desk.server.matching.fee_asset, desk.server.matching.pieces = "ODD", 1
    report = desk.connected().submit(desk.order(quantity="0.6"))
    assert report.status is S.FILLED
    assert report.fills[0].fee == Decimal("0.06")
    assert report.reason == "a fee of 0.01000000 ODD was taken as 0.06 USDT"


def bnb_paid(desk: Desk) -> BinanceOMS:
    """Connect an account that pays its fees in BNB."""
    desk.server.list_symbol("BNB/USDT", "500")
    desk.server.deposit("BNB", "1")
    desk.server.matching.fee_asset = "BNB"
    return desk.connected()


def klines(text: str) -> Fault:
    return Fault(applies=lambda request: request.path == KLINES, reply=Reply(body=text.encode()))


NO_PRICE = {
    "503": Fault(applies=lambda request: request.path == KLINES, reply=unavailable()),
    "429": Fault(applies=lambda request: request.path == KLINES, reply=too_many_requests(99_999_999)),
    "401": Fault(applies=lambda request: request.path == KLINES, reply=error(-2015, "Invalid API-key.", status=401)),
    "no answer": Fault(applies=lambda request: request.path == KLINES, drop=True),
    "nonsense": klines("<html>"),
    "no row": klines('[["a"]]'),
    "null": klines("[[0, 1, 1, 1, null]]"),
    "a list": klines('{"price": []}'),
    "not a number": klines('[[0, "1", "1", "1", "NaN"]]'),
    "for ever": klines('[[0, "1", "1", "1", "1e400"]]'),
    "zero": klines('[[0, "1", "1", "1", "0.00000000"]]'),
    "below zero": klines('[[0, "1", "1", "1", "-500"]]'),
    "absurd": klines('[[0, "1", "1", "1", "500000000"]]'),
}


@pytest.mark.parametrize("fault", NO_PRICE.values(), ids=NO_PRICE.keys())
def test_a_fee_whose_price_cannot_be_had_keeps_no_fill_from_being_booked(desk: Desk, fault: Fault) -> None:
    oms = bnb_paid(desk)
    desk.server.fail(fault, times=9)
    report = oms.submit(desk.order(quantity="0.6"))
    assert (report.status, sum(fill.quantity for fill in report.fills)) == (S.FILLED, Decimal("0.6"))
    assert [fill.fee for fill in report.fills] == [Decimal("0.02")] * 3  # what the market usually takes
    assert [(fill.fee_asset, fill.fee_quantity) for fill in report.fills] == [("BNB", Decimal("0.00004"))] * 3
    assert "a fee of 0.00004000 BNB was taken as 0.02 USDT" in report.reason
    assert len(desk.server.asked(KLINES)) == 1  # each time-out would keep the fills waiting


def test_what_was_charged_in_another_asset_is_named_and_nothing_else(desk: Desk) -> None:
    oms = bnb_paid(desk)
    bought = oms.submit(desk.order(quantity="0.6"))
    assert {(fill.fee_asset, fill.fee_quantity) for fill in bought.fills} == {("BNB", Decimal("0.00004"))}
    sold = oms.submit(desk.order("BNB/USDT", side=Side.SELL, quantity="0.5"))
    assert {fill.fee_asset for fill in sold.fills} == {"BNB"}
    assert sum(fill.fee_quantity or 0 for fill in sold.fills) == Decimal("0.0005")
    for asset in ("USDT", ""):  # quote currency, and kept back from what is bought
        desk.server.matching.fee_asset = asset
        report = oms.submit(desk.order(quantity="0.6"))
        assert {(fill.fee_asset, fill.fee_quantity) for fill in report.fills} == {(None, None)}
