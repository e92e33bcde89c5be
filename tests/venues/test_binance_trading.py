"""The local Binance refuses, fills, charges and forgets as the real one does, so that what passes against it means something.

The rules are those of Binance's spot documentation: "Filters", "Errors" with its order rejection messages, "Self Trade
Prevention", "Cancel an Existing Order and Send a New Order", "Commission", and the test network's FAQ. Another source is named.
"""

from __future__ import annotations

import hashlib
import hmac
import json
from collections.abc import Iterator
from decimal import Decimal
from typing import Any
from urllib.parse import urlencode

import pytest
import requests

from tests.venues.binance_faults import is_look_up, is_market, is_order, is_stop
from tests.venues.binance_signed import ACCOUNT, CANCEL_REPLACE, OCO, ORDER, PRICE, TRADES
from tests.venues.binance_trading import BinanceTradingServer
from tests.venues.server import distorted

KEY, SECRET = "akey", "asecret"
_POOR = (-2010, "Account has insufficient balance for requested action.")
_AT_ONCE = (-2010, "Stop price would trigger immediately.")


@pytest.fixture
def server() -> Iterator[BinanceTradingServer]:
    with BinanceTradingServer(key=KEY, secret=SECRET) as server:
        server.list_symbol("BTC/USDT", "100")
        server.deposit("USDT", "10000")
        server.deposit("BTC", "10")
        server.matching.fee_asset = "USDT"
        yield server


def ask(server: BinanceTradingServer, method: str, path: str, *, key: str = KEY, secret: str = SECRET, **values: object) -> Any:
    """Sign a request as Binance wants it and return what the answer holds."""
    text = urlencode({**values, "timestamp": server.now_ms()})
    signature = hmac.new(secret.encode(), text.encode(), hashlib.sha256).hexdigest()
    url = f"{server.url}{path}?{text}&signature={signature}"
    return requests.request(method, url, headers={"X-MBX-APIKEY": key}, timeout=5).json()


def order(server: BinanceTradingServer, side: str = "SELL", kind: str = "MARKET", quantity: object = 1, **values: Any) -> Any:
    """Place an order of BTC and return the answer."""
    given: dict[str, Any] = {"symbol": "BTCUSDT", "side": side, "type": kind, "quantity": quantity, **values}
    if kind == "LIMIT":
        given["timeInForce"] = "GTC"
    return ask(server, "POST", ORDER, **given)


def stop(server: BinanceTradingServer, price: object = 90, quantity: object = 1, **values: object) -> Any:
    return order(server, "SELL", "STOP_LOSS", quantity, stopPrice=price, **values)


def pair(server: BinanceTradingServer, above: object = 120, below: object = 90, quantity: object = 1) -> Any:
    legs: dict[str, Any] = {
        "aboveType": "TAKE_PROFIT",
        "aboveStopPrice": above,
        "belowType": "STOP_LOSS",
        "belowStopPrice": below,
    }
    return ask(server, "POST", OCO, symbol="BTCUSDT", side="SELL", quantity=quantity, **legs)


def said(answer: Any) -> tuple[int, str]:
    return answer["code"], answer["msg"]


def held(server: BinanceTradingServer, asset: str) -> Any:
    """Return how much of an asset is free, and how much is locked."""
    balance = server.matching.balance(asset)
    return balance.free, balance.locked


# Stops


def test_a_stop_that_would_act_at_once_is_refused(server: BinanceTradingServer) -> None:
    assert said(stop(server, 100)) == _AT_ONCE
    assert said(order(server, "SELL", "TAKE_PROFIT", 1, stopPrice=99)) == _AT_ONCE
    relation = (-2010, "The relationship of the prices for the orders is not correct.")
    assert said(pair(server, 120, 100)) == relation
    assert said(pair(server, 99, 90)) == relation
    assert server.matching.orders == []
    server.fail(server.moves_before("BTC/USDT", "85", applies=is_stop))
    assert said(stop(server)) == _AT_ONCE


def test_a_stop_fires_between_being_taken_and_its_answer(server: BinanceTradingServer) -> None:
    server.fail(server.moves_after("BTC/USDT", "85", applies=is_stop))
    answer = stop(server, newOrderRespType="RESULT", newClientOrderId="s1")
    assert (answer["status"], answer["executedQty"]) == ("NEW", "0.00000000")
    now = ask(server, "GET", ORDER, symbol="BTCUSDT", origClientOrderId="s1")
    assert (now["status"], now["executedQty"]) == ("FILLED", "1.00000000")


def test_at_most_five_stops_rest_on_a_symbol(server: BinanceTradingServer) -> None:
    """MAX_NUM_ALGO_ORDERS counts both stops of a pair; the code is that of JKorf/Binance.Net/issues/1212."""
    many = (-2010, "Filter failure: MAX_NUM_ALGO_ORDERS")
    assert pair(server)["listOrderStatus"] == "EXECUTING"
    assert pair(server)["listOrderStatus"] == "EXECUTING"
    assert said(pair(server)) == many
    assert "orderId" in stop(server)
    assert said(stop(server)) == many
    assert "orderId" in order(server, "SELL", "LIMIT", 1, price=110)  # no algorithmic order
    assert order(server)["status"] == "FILLED"
    server.set_filter("BTC/USDT", orders_max=6)
    assert said(order(server, "SELL", "LIMIT", 1, price=110)) == (-2010, "Filter failure: MAX_NUM_ORDERS")


def test_what_a_stop_locks_cannot_be_sold_twice(server: BinanceTradingServer) -> None:
    stop(server, quantity=8)
    assert held(server, "BTC") == (2, 8)
    assert said(order(server, quantity=3)) == _POOR
    assert said(stop(server, quantity=3)) == _POOR
    assert order(server, quantity=2)["status"] == "FILLED"
    assert said(order(server, "BUY", quantity=103)) == _POOR


def test_a_stop_s_sale_ends_an_own_order_that_it_would_meet(server: BinanceTradingServer) -> None:
    """EXPIRE_MAKER is the default of all symbols ("defaultSelfTradePreventionMode")."""
    order(server, "BUY", "LIMIT", 1, price=89, newClientOrderId="entry")
    stop(server, 90, newClientOrderId="stop")
    server.rest_at_best("BTC/USDT")
    server.set_price("BTC/USDT", "90")
    (entry,), (fired,) = server.orders_of("entry"), server.orders_of("stop")
    assert (entry.status, fired.status) == ("EXPIRED_IN_MATCH", "FILLED")
    assert held(server, "USDT")[1] == 0


# Filters, and what becomes of them


@pytest.mark.parametrize(
    ("rules", "kind", "values", "filter_name"),
    [
        ({}, "MARKET", {"quantity": "0.000001"}, "LOT_SIZE"),
        ({"quantity_min": "0.5"}, "MARKET", {"quantity": "0.4"}, "LOT_SIZE"),
        ({"quantity_max": "2"}, "LIMIT", {"quantity": 3, "price": 110}, "LOT_SIZE"),
        ({"market_quantity_max": "2"}, "MARKET", {"quantity": 3}, "MARKET_LOT_SIZE"),
        ({"market_quantity_min": "2"}, "STOP_LOSS", {"quantity": 1, "stopPrice": 90}, "MARKET_LOT_SIZE"),
        ({"market_step_size": "0.1"}, "MARKET", {"quantity": "0.15"}, "MARKET_LOT_SIZE"),
        ({}, "MARKET", {"quantity": "0.049"}, "NOTIONAL"),
        ({"has_notional": False}, "MARKET", {"quantity": "0.049"}, "MIN_NOTIONAL"),
        ({"notional_max": "100"}, "LIMIT", {"quantity": 2, "price": 110}, "NOTIONAL"),
        ({}, "STOP_LOSS", {"quantity": 1, "stopPrice": "90.005"}, "PRICE_FILTER"),
        ({}, "LIMIT", {"quantity": 1, "price": 501}, "PERCENT_PRICE_BY_SIDE"),
        ({"ask_down": "0.95"}, "LIMIT", {"quantity": 1, "price": 94}, "PERCENT_PRICE_BY_SIDE"),
    ],
)
def test_each_filter_has_its_words(
    server: BinanceTradingServer, rules: dict[str, Any], kind: str, values: dict[str, object], filter_name: str
) -> None:
    server.set_filter("BTC/USDT", **rules)
    assert said(order(server, "SELL", kind, **values)) == (-1013, f"Filter failure: {filter_name}")


def test_filters_that_change_while_it_runs_hold_at_once_and_are_told(server: BinanceTradingServer) -> None:
    assert order(server, quantity="0.123")["status"] == "FILLED"
    server.set_filter("BTC/USDT", step_size="0.10000000", market_quantity_max="1.00000000")
    assert said(order(server, quantity="0.123")) == (-1013, "Filter failure: LOT_SIZE")
    (entry,) = requests.get(f"{server.url}/api/v3/exchangeInfo?symbol=BTCUSDT", timeout=5).json()["symbols"]
    filters = {one["filterType"]: one for one in entry["filters"]}
    assert (filters["LOT_SIZE"]["stepSize"], filters["MARKET_LOT_SIZE"]["maxQty"]) == ("0.10000000", "1.00000000")


def test_a_market_order_is_worth_its_quantity_at_the_average_of_five_minutes(server: BinanceTradingServer) -> None:
    server.set_price("BTC/USDT", "20")  # the average is 60
    assert order(server, quantity="0.09")["status"] == "FILLED"
    server.clock_offset_s += 301
    assert said(order(server, quantity="0.09")) == (-1013, "Filter failure: NOTIONAL")
    server.set_filter("BTC/USDT", min_applies_to_market=False)
    assert order(server, quantity="0.09")["status"] == "FILLED"


@pytest.mark.parametrize("status", ["BREAK", "HALT", "CANCEL_ONLY"])
def test_a_symbol_that_does_not_trade(server: BinanceTradingServer, status: str) -> None:
    stop(server, newClientOrderId="stop")
    server.set_filter("BTC/USDT", status=status)
    assert said(order(server)) == (-1013, "Market is closed.")
    server.set_price("BTC/USDT", "80")
    assert server.orders_of("stop")[0].status == "NEW"
    assert ask(server, "DELETE", ORDER, symbol="BTCUSDT", origClientOrderId="stop")["status"] == "CANCELED"


def test_a_symbol_that_is_delisted_is_not_known_any_more(server: BinanceTradingServer) -> None:
    stop(server)
    server.delist("BTC/USDT")
    for answer in (
        order(server),
        ask(server, "GET", ORDER, symbol="BTCUSDT", orderId=1),
        ask(server, "GET", PRICE, symbol="BTCUSDT"),
    ):
        assert said(answer) == (-1121, "Invalid symbol.")
    assert held(server, "BTC") == (10, 0)


# Fees and fills


def test_fees_in_bnb_eat_a_holding_of_bnb_and_then_what_is_received(server: BinanceTradingServer) -> None:
    server.list_symbol("BNB/USDT", "500")
    server.matching.fee_asset = "BNB"
    server.deposit("BNB", "0.0003")
    (first,) = order(server, "BUY")["fills"]
    assert (first["commission"], first["commissionAsset"]) == ("0.00020000", "BNB")
    assert held(server, "BNB")[0] == Decimal("0.0001")
    (second,) = order(server, "BUY")["fills"]
    assert (second["commission"], second["commissionAsset"]) == ("0.00100000", "BTC")
    assert held(server, "BNB")[0] == Decimal("0.0001")


def test_a_resting_order_fills_in_parts_as_the_market_comes(server: BinanceTradingServer) -> None:
    order(server, "BUY", "LIMIT", 2, price=95, newClientOrderId="entry")
    (entry,) = server.orders_of("entry")
    server.set_price("BTC/USDT", "94", quantity="0.5")
    assert (entry.status, entry.executed) == ("PARTIALLY_FILLED", Decimal("0.5"))
    assert held(server, "USDT")[1] == Decimal("142.5")
    server.set_price("BTC/USDT", "96")
    server.set_price("BTC/USDT", "95")
    assert (entry.status, held(server, "USDT")[1]) == ("FILLED", 0)


# Accounts, keys, and a venue that begins anew


def test_each_key_opens_its_own_account(server: BinanceTradingServer) -> None:
    other = server.add_account(key="otherkey", secret="othersecret", uid=7)
    other.matching.balance("BTC").free = Decimal(3)
    theirs = {"key": "otherkey", "secret": "othersecret"}
    assert ask(server, "GET", ACCOUNT, **theirs)["uid"] == 7
    assert ask(server, "GET", ACCOUNT)["uid"] == server.account.uid
    sold = ask(server, "POST", ORDER, symbol="BTCUSDT", side="SELL", type="STOP_LOSS", quantity=2, stopPrice=90, **theirs)
    assert "orderId" in sold
    server.set_price("BTC/USDT", "89")
    assert other.matching.balance("BTC").free == 1
    assert held(server, "BTC") == (10, 0)
    server.change_key(name="newkey", secret="newsecret")
    assert ask(server, "GET", ACCOUNT)["code"] == -2015
    assert ask(server, "GET", ACCOUNT, key="newkey", secret="newsecret")["uid"] == server.account.uid


def test_a_key_that_is_revoked_for_a_while(server: BinanceTradingServer) -> None:
    server.revoke_key()
    assert ask(server, "GET", ACCOUNT)["code"] == -2015
    assert order(server)["code"] == -2015
    server.restore_key()
    assert order(server)["status"] == "FILLED"


def test_a_payload_that_was_signed_before_it_was_encoded_is_refused(server: BinanceTradingServer) -> None:
    """Changelog of 17 December 2025, in force since 15 January 2026."""
    values = f'symbol=BTCUSDT&timestamp={server.now_ms()}&origClientOrderId="one"'
    signature = hmac.new(SECRET.encode(), values.encode(), hashlib.sha256).hexdigest()
    encoded = values.replace('"', "%22")
    url = f"{server.url}{ORDER}?{encoded}&signature={signature}"
    assert requests.get(url, headers={"X-MBX-APIKEY": KEY}, timeout=5).json()["code"] == -1022
    signature = hmac.new(SECRET.encode(), encoded.encode(), hashlib.sha256).hexdigest()
    url = f"{server.url}{ORDER}?{encoded}&signature={signature}"
    assert requests.get(url, headers={"X-MBX-APIKEY": KEY}, timeout=5).json()["code"] == -2013


def test_a_test_network_that_begins_anew_uses_its_numbers_again(server: BinanceTradingServer) -> None:
    first = order(server, newClientOrderId="before")
    server.begin_anew(USDT="5000", BTC="1")
    assert said(ask(server, "GET", ORDER, symbol="BTCUSDT", origClientOrderId="before")) == (-2013, "Order does not exist.")
    assert ask(server, "GET", TRADES, symbol="BTCUSDT") == []
    again = order(server)
    assert again["orderId"] == first["orderId"]
    assert again["fills"][0]["tradeId"] == first["fills"][0]["tradeId"]
    assert held(server, "USDT")[0] == Decimal("5099.9")


# Replacing


def replacement(server: BinanceTradingServer, price: object, **values: object) -> Any:
    given: dict[str, Any] = {"side": "SELL", "type": "STOP_LOSS", "quantity": 10, "stopPrice": price, **values}
    how = {"cancelReplaceMode": "STOP_ON_FAILURE", "cancelOrigClientOrderId": "old", "newClientOrderId": "new"}
    return ask(server, "POST", CANCEL_REPLACE, symbol="BTCUSDT", **given, **how)


def test_a_stop_takes_another_s_place_with_what_that_had_locked(server: BinanceTradingServer) -> None:
    stop(server, quantity=10, newClientOrderId="old")
    answer = replacement(server, 95)
    assert (answer["cancelResult"], answer["newOrderResult"]) == ("SUCCESS", "SUCCESS")
    assert [one.status for one in server.matching.orders] == ["CANCELED", "NEW"]
    assert held(server, "BTC") == (0, 10)


def test_what_filters_refuse_leaves_the_old_stop_and_what_the_engine_refuses_does_not(server: BinanceTradingServer) -> None:
    stop(server, quantity=6, newClientOrderId="old")
    for _ in range(4):
        stop(server)
    assert said(replacement(server, 95)) == (-2010, "Filter failure: MAX_NUM_ALGO_ORDERS")
    server.set_filter("BTC/USDT", stops_max=6)
    assert said(replacement(server, "95.001")) == (-1013, "Filter failure: PRICE_FILTER")
    assert server.orders_of("old")[0].is_open
    answer = replacement(server, 101, quantity=6)
    assert (answer["code"], said(answer["data"]["newOrderResponse"])) == (-2021, _AT_ONCE)
    assert server.orders_of("old")[0].status == "CANCELED"
    answer = replacement(server, 95)
    assert (answer["code"], answer["data"]["newOrderResult"]) == (-2022, "NOT_ATTEMPTED")
    assert server.orders_of("new") == []


# What may go wrong with exactly one kind of request


def test_a_503_for_nothing_but_the_stop(server: BinanceTradingServer) -> None:
    server.fail(server.server_error(taken=True, applies=is_stop))
    assert order(server)["status"] == "FILLED"
    assert said(stop(server, newClientOrderId="stop"))[0] == -1000
    assert server.orders_of("stop")[0].is_open


def test_numbers_that_make_no_sense(server: BinanceTradingServer) -> None:
    server.fail(distorted(is_market, price="NaN", commission="NaN"))
    answer = order(server, newClientOrderId="mine")
    assert (answer["fills"][0]["price"], answer["fills"][0]["commission"]) == ("NaN", "NaN")
    wrong = {"executedQty": "1000000", "side": "BUY", "symbol": "ETHUSDT", "clientOrderId": "another"}
    server.fail(distorted(is_look_up, **wrong, time=253_402_300_799_000))
    told = ask(server, "GET", ORDER, symbol="BTCUSDT", origClientOrderId="mine")
    assert {name: told[name] for name in wrong} == wrong
    assert told["time"] == 253_402_300_799_000
    assert ask(server, "GET", ORDER, symbol="BTCUSDT", origClientOrderId="mine")["executedQty"] == "1.00000000"
    assert not any(is_order(request) for request in server.requests[-2:])


def test_the_price_of_several_symbols_is_all_or_none(server: BinanceTradingServer) -> None:
    server.list_symbol("ETH/USDT", "50")
    both = json.dumps(["BTCUSDT", "ETHUSDT"], separators=(",", ":"))
    assert [one["price"] for one in ask_plain(server, symbols=both)] == ["100.00000000", "50.00000000"]
    assert ask_plain(server, symbols='["BTCUSDT","NOBODY"]')["code"] == -1121
    assert ask_plain(server, symbols="BTCUSDT")["code"] == -1100


def ask_plain(server: BinanceTradingServer, **values: str) -> Any:
    return requests.get(f"{server.url}{PRICE}?{urlencode(values)}", timeout=5).json()
