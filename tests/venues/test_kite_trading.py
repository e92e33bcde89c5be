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

with warnings.catch_warnings():
    warnings.simplefilter("ignore")
    from kiteconnect import KiteConnect
    from kiteconnect.exceptions import GeneralException, InputException, NetworkException, TokenException

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
