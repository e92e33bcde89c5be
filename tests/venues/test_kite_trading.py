"""The local Kite, asked by Kite's own client: a day of trading, its night, and the rules at its door."""

from __future__ import annotations

import warnings
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any

import pytest

from algo_py.clock import FrozenClock
from tests.venues.kite import Share
from tests.venues.kite_trading import KiteTradingServer
from tests.venues.server import distorted

with warnings.catch_warnings():
    warnings.simplefilter("ignore")
    from kiteconnect import KiteConnect
    from kiteconnect.exceptions import GeneralException, InputException, NetworkException, OrderException, TokenException

NOON = datetime(2025, 6, 2, 6, 0, tzinfo=UTC)
ORDER = {"exchange": "NSE", "tradingsymbol": "SBIN", "quantity": 10, "product": "CNC", "variety": "regular"}
BUY, LIMIT = {"transaction_type": "BUY"}, {"order_type": "LIMIT", "price": 790}
MARKET = {"order_type": "MARKET", "market_protection": -1}


@pytest.fixture
def server() -> Iterator[KiteTradingServer]:
    with KiteTradingServer(FrozenClock(NOON), access_token="") as server:
        server.shares["SBIN"] = Share(token=779521)
        server.set_price("SBIN", "800")
        yield server


@pytest.fixture
def kite(server: KiteTradingServer) -> Any:
    """A client that has logged in."""
    client: Any = KiteConnect("key", root=server.url)  # type: ignore[no-untyped-call]
    client.generate_session(server.log_in(), server.api_secret)
    return client


def test_a_day_and_its_night(server: KiteTradingServer, kite: Any) -> None:
    server.interim_looks = 2
    order_id = kite.place_order(**ORDER, **BUY, **LIMIT, tag="mine")
    assert [row["status"] for row in kite.order_history(order_id)] == ["PUT ORDER REQ RECEIVED", "VALIDATION PENDING"]
    kite.orders()
    assert kite.modify_order("regular", order_id, quantity=6, price=795.0) == order_id
    server.set_price("SBIN", "794.5")
    (row,) = kite.orders()
    assert (row["status"], row["filled_quantity"], row["average_price"], row["tag"]) == ("COMPLETE", 6, 794.5, "mine")
    assert [step["status"] for step in kite.order_history(order_id)] == [
        "PUT ORDER REQ RECEIVED",
        "VALIDATION PENDING",
        "OPEN",
        "MODIFY VALIDATION PENDING",
        "MODIFY PENDING",
        "OPEN",
        "COMPLETE",
    ]
    (trade,) = kite.order_trades(order_id)
    assert trade["fill_timestamp"] == datetime(2025, 6, 2, 11, 30)  # noqa: DTZ001 - India's time, as Kite gives it
    assert (kite.holdings(), kite.positions()["net"][0]["quantity"]) == ([], 6)
    (note,) = kite.get_virtual_contract_note([{"transaction_type": "BUY", "quantity": 6, "price": 794.5}])
    assert server.cash == Decimal(1_000_000) - 6 * Decimal("794.5") - Decimal(repr(note["charges"]["total"]))
    server.new_day()
    with pytest.raises(TokenException):
        kite.orders()
    kite.generate_session(server.log_in(), server.api_secret)
    assert (kite.orders(), kite.trades(), kite.positions()["net"]) == ([], [], [])
    (holding,) = kite.holdings()
    assert (holding["quantity"], holding["t1_quantity"], holding["opening_quantity"]) == (0, 6, 6)


def test_what_is_missing_in_an_order_is_said_at_once(server: KiteTradingServer, kite: Any) -> None:
    for changes, message in (
        ({"order_type": "MARKET"}, "without market protection"),
        ({"order_type": "MARKET", "market_protection": 0}, "without market protection"),
        ({**LIMIT, "price": 790.03}, "Tick size"),
        ({**LIMIT, "tag": "not-alphanumeric"}, "tag"),
        ({**LIMIT, "tag": "x" * 21}, "tag"),
        ({**LIMIT, "quantity": 100_001}, "Maximum quantity"),
        ({**LIMIT, "quantity": 1.5}, "quantity"),
        ({**LIMIT, "tradingsymbol": "NOBODY"}, "does not exist"),
        ({**LIMIT, "validity": "GTC"}, "validity"),
        ({**LIMIT, "variety": "amo"}, "variety"),
    ):
        with pytest.raises(InputException, match=message):
            kite.place_order(**{**ORDER, **BUY, **changes})
    assert not server.orders


def test_a_lack_of_funds_is_only_an_error_type_or_comes_later(server: KiteTradingServer, kite: Any) -> None:
    server.cash = Decimal(100)
    kite.place_order(**ORDER, **BUY, **MARKET)
    assert kite.orders()[0]["status"] == "REJECTED"
    server.refuses_at_entry = True
    with pytest.raises(GeneralException, match="Insufficient funds") as caught:
        kite.place_order(**ORDER, **BUY, **MARKET)
    assert caught.value.code == 400
    server.is_open = False
    with pytest.raises(Exception, match="Markets are closed"):
        kite.place_order(**ORDER, **BUY, **MARKET)


def test_too_many_and_too_late(server: KiteTradingServer, kite: Any) -> None:
    server.orders_per_s, server.quotes_per_s = 2, 1
    for _ in range(2):
        kite.place_order(**ORDER, **BUY, **LIMIT)
    with pytest.raises(NetworkException, match="Too many requests"):
        kite.place_order(**ORDER, **BUY, **LIMIT)
    assert kite.ltp("NSE:SBIN")["NSE:SBIN"]["last_price"] == 800.0
    with pytest.raises(NetworkException):
        kite.ltp("NSE:SBIN")
    assert server.token_ends_at == datetime(2025, 6, 3, 0, 30, tzinfo=UTC)
    server.clock.sleep((server.token_ends_at - NOON - timedelta(seconds=1)).total_seconds())
    kite.orders()
    server.clock.sleep(1)
    with pytest.raises(TokenException, match="expired"):
        kite.orders()


def test_a_thin_market(server: KiteTradingServer, kite: Any) -> None:
    server.depth["SBIN"] = 4
    resting, gone = (kite.place_order(**ORDER, **BUY, **MARKET, validity=validity) for validity in ("DAY", "IOC"))
    found = {row["order_id"]: (row["status"], row["filled_quantity"], row["cancelled_quantity"]) for row in kite.orders()}
    assert found == {resting: ("OPEN", 4, 0), gone: ("CANCELLED", 0, 10)}


# What the day, the broker and people do


def at(server: KiteTradingServer, clock_time: str) -> None:
    """Let India's clock show this time of the day, which is a Monday."""
    moment = datetime.fromisoformat(f"2025-06-02T{clock_time}+05:30")
    server.clock.sleep((moment - server.clock.now()).total_seconds())


def test_a_day_s_order_ends_with_the_session(server: KiteTradingServer, kite: Any) -> None:
    """kite.trade/docs/connect/v3/orders: validity DAY. The book is empty the next morning."""
    server.keeps_hours = True
    order_id = kite.place_order(**ORDER, **BUY, **LIMIT)
    at(server, "15:29:59")
    assert kite.orders()[0]["status"] == "OPEN"
    at(server, "15:30:00")
    assert [(row["order_id"], row["status"], row["cancelled_quantity"]) for row in kite.orders()] == [(order_id, "CANCELLED", 10)]
    with pytest.raises(OrderException, match="Markets are closed"):
        kite.place_order(**ORDER, **BUY, **LIMIT)
    server.new_day(keeps_token=True)
    assert kite.orders() == []


def test_the_broker_closes_intraday_positions_itself(server: KiteTradingServer, kite: Any) -> None:
    """support.zerodha.com, "auto square-off": from 15:20 on, after waiting orders were canceled. None of it has our tag."""
    server.keeps_hours = True
    kite.place_order(**{**ORDER, **BUY, **MARKET, "product": "MIS"}, tag="mine")
    kite.place_order(**{**ORDER, **BUY, **LIMIT, "product": "MIS"}, tag="mine")
    kite.place_order(**ORDER, **BUY, **MARKET, tag="mine")
    at(server, "15:20:00")
    found = [(row["product"], row["transaction_type"], row["status"], row["tag"]) for row in kite.orders()]
    assert found == [
        ("MIS", "BUY", "COMPLETE", "mine"),
        ("MIS", "BUY", "CANCELLED", "mine"),
        ("CNC", "BUY", "COMPLETE", "mine"),
        ("MIS", "SELL", "COMPLETE", None),
    ]
    assert {row["product"]: row["quantity"] for row in kite.positions()["net"]} == {"MIS": 0, "CNC": 10}


def test_a_split_multiplies_what_is_held_and_divides_its_price(server: KiteTradingServer, kite: Any) -> None:
    server.transfer("SBIN", 10)
    server.split("SBIN", new=2)
    (holding,) = kite.holdings()
    assert (holding["quantity"], holding["average_price"]) == (20, 400.0)
    assert kite.ltp("NSE:SBIN")["NSE:SBIN"]["last_price"] == 400.0
    server.split("SBIN", new=3, old=2)
    assert kite.holdings()[0]["quantity"] == 30


def test_shares_that_were_sold_by_hand_or_left_without_a_trade(server: KiteTradingServer, kite: Any) -> None:
    server.transfer("SBIN", 10)
    server.by_hand("SBIN", "SELL", 4)
    (row,) = kite.orders()
    assert (row["status"], row["tag"], row["tags"]) == ("COMPLETE", None, ["mktp", "mktp:2.00"])
    assert (kite.holdings()[0]["quantity"], kite.positions()["net"][0]["quantity"]) == (6, -4)
    server.transfer("SBIN", -5)
    assert kite.holdings()[0]["quantity"] == 1
    assert len(kite.trades()) == 1


def test_an_order_that_stays_on_its_way(server: KiteTradingServer, kite: Any) -> None:
    server.stays_in = "OPEN PENDING"
    kite.place_order(**ORDER, **BUY, **MARKET, tag="mine")
    for _ in range(5):
        assert kite.orders()[0]["status"] == "OPEN PENDING"
    server.let_go()
    assert kite.orders()[0]["status"] == "COMPLETE"


@pytest.mark.parametrize(("kind", "filled"), [("SL-M", "789.0"), ("SL", None)])
def test_a_stop_order_waits_for_its_trigger(server: KiteTradingServer, kite: Any, kind: str, filled: str | None) -> None:
    server.transfer("SBIN", 10)
    price = {"price": 790} if kind == "SL" else {"market_protection": -1}
    with pytest.raises(InputException, match="trigger_price"):
        kite.place_order(**ORDER, transaction_type="SELL", order_type=kind, **price)
    kite.place_order(**ORDER, transaction_type="SELL", order_type=kind, trigger_price=790, **price)
    server.set_price("SBIN", "791")
    assert (kite.orders()[0]["status"], kite.orders()[0]["trigger_price"]) == ("TRIGGER PENDING", 790.0)
    server.set_price("SBIN", "789")
    (row,) = kite.orders()
    assert row["status"] == ("COMPLETE" if filled else "OPEN")
    assert row["average_price"] == (float(filled) if filled else 0)


def test_a_login_of_another_user_opens_another_account(server: KiteTradingServer, kite: Any) -> None:
    server.transfer("SBIN", 10)
    other: Any = KiteConnect("key", root=server.url)  # type: ignore[no-untyped-call]
    assert other.generate_session(server.log_in("ZZ9999"), server.api_secret)["user_id"] == "ZZ9999"
    assert (other.profile()["user_id"], kite.profile()["user_id"]) == ("ZZ9999", "AB1234")
    assert (other.holdings(), len(kite.holdings())) == ([], 1)
    other.place_order(**ORDER, transaction_type="SELL", **MARKET)
    assert (len(server.strangers_orders), server.orders) == (1, {})
    kite.generate_session(server.log_in(), server.api_secret)
    assert kite.profile()["user_id"] == "AB1234"


def test_numbers_that_make_no_sense(server: KiteTradingServer, kite: Any) -> None:
    order_id = kite.place_order(**ORDER, **BUY, **MARKET)
    server.fail(distorted(lambda request: request.path.endswith("/trades"), average_price=-100, quantity=10**9))
    (trade,) = kite.order_trades(order_id)
    assert (trade["average_price"], trade["quantity"]) == (-100, 10**9)
    assert kite.order_trades(order_id)[0]["average_price"] == 800.0


def test_the_prices_of_several_shares_are_one_request(server: KiteTradingServer, kite: Any) -> None:
    server.shares["INFY"] = Share(token=408065)
    server.set_price("INFY", "1500")
    prices = kite.ltp(["NSE:SBIN", "NSE:INFY", "NSE:NOBODY"])
    assert {name: row["last_price"] for name, row in prices.items()} == {"NSE:SBIN": 800.0, "NSE:INFY": 1500.0}
