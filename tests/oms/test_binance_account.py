"""Who may trade at Binance, and what the account says; nothing of the key is ever seen."""

from __future__ import annotations

import logging
import traceback
from collections.abc import Iterator
from datetime import timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from algo_py.clock import SystemClock, monotonic_s
from algo_py.credentials import Credentials
from algo_py.errors import AuthFailed, InvalidInput, RateLimited, Refused, VenueDown
from algo_py.finstore.sources.binance_spot import binance_limit
from algo_py.market import get_market
from algo_py.oms.binance import BinanceOMS
from algo_py.oms.binance.exchanges import exchange_of
from tests.oms.binance_desk import KEY, SECRET, Desk, desk_in
from tests.venues.binance_signed import ACCOUNT, ORDER, RESTRICTIONS
from tests.venues.server import Fault, Reply, Request, Server

MARKET = get_market("crypto_binance")


@pytest.fixture
def desk(tmp_path: Path) -> Iterator[Desk]:
    with desk_in(tmp_path) as desk:
        yield desk


def test_the_account_is_named_and_its_cash_is_what_is_free(desk: Desk) -> None:
    oms = desk.open()
    summary = oms.connect()
    assert (summary.account, summary.cash, summary.warnings) == ("binance-354937868", Decimal(10_000), ())
    assert oms.name == "binance"


def test_a_key_that_may_withdraw_is_refused_unless_that_is_wanted(desk: Desk) -> None:
    desk.server.change_key(may_withdraw=True)
    with pytest.raises(AuthFailed, match=r"may withdraw funds.*BINANCE_ALLOW_WITHDRAWALS=true"):
        desk.open().connect()
    summary = desk.open(BINANCE_ALLOW_WITHDRAWALS="true").connect()
    assert summary.warnings == ("the key may withdraw funds; trading does not need that",)


def test_an_adapter_that_was_refused_its_key_sends_nothing(desk: Desk) -> None:
    oms = desk.connected()
    desk.server.change_key(may_withdraw=True)
    with pytest.raises(AuthFailed):
        oms.connect()
    with pytest.raises(Refused, match="not connected"):
        oms.submit(desk.order())
    assert not desk.server.asked(ORDER)


def test_a_key_or_an_account_that_may_not_trade(desk: Desk) -> None:
    desk.server.change_key(may_trade=False)
    with pytest.raises(AuthFailed, match="the key in BINANCE_API_KEY may not trade"):
        desk.open().connect()
    desk.server.trading.can_trade = False
    with pytest.raises(AuthFailed, match="the account at binance may not trade"):
        desk.open().connect()


def test_a_key_that_works_from_anywhere_is_worth_a_warning(desk: Desk) -> None:
    desk.server.change_key(is_bound_to_addresses=False)
    assert desk.open().connect().warnings == ("the key works from any address; bind it to this machine's",)


def test_a_wrong_secret_is_a_wrong_signature(desk: Desk) -> None:
    with pytest.raises(AuthFailed, match="Signature for this request is not valid"):
        desk.open(secret="another").connect()


@pytest.mark.parametrize("missing", ["BINANCE_API_KEY", "BINANCE_API_SECRET"])
def test_what_is_missing_is_named(missing: str) -> None:
    values = {"BINANCE_API_KEY": KEY, "BINANCE_API_SECRET": SECRET}
    del values[missing]
    with pytest.raises(AuthFailed, match=f"{missing} is missing"):
        BinanceOMS(Credentials(values), market=MARKET, clock=SystemClock())


def test_a_switch_that_is_neither_on_nor_off(desk: Desk) -> None:
    with pytest.raises(InvalidInput, match=r"BINANCE_TESTNET in config/\.env must be true or false"):
        desk.open(BINANCE_TESTNET="maybe")


def test_the_test_network_has_other_fills_and_no_rights_to_ask_for(desk: Desk) -> None:
    desk.server.change_key(may_withdraw=True)
    oms = desk.open(BINANCE_TESTNET="true")
    summary = oms.connect()
    assert (oms.name, summary.account) == ("binance-testnet", "binance-testnet-354937868")
    assert "no real money" in summary.warnings[0]
    assert not desk.server.asked(RESTRICTIONS)


def test_the_test_network_is_where_its_orders_would_go() -> None:
    from algo_py.oms.binance.client import build_client

    key = Credentials({"K": KEY}).secret("K")

    def address(*, is_testnet: bool) -> str:
        client = build_client(
            "binance", base_url=None, is_testnet=is_testnet, key=key, secret=key, recv_window_ms=1, timestamp_ms=lambda: 0
        )
        return str(client.sign("order", ["private"], "POST", {})["url"])

    assert address(is_testnet=True) == "https://testnet.binance.vision/api/v3/order"
    assert address(is_testnet=False) == "https://api.binance.com/api/v3/order"


@pytest.mark.parametrize("exchange_id", ["kraken", "weex", "binanceusdm", "no-such-exchange"])
def test_an_exchange_that_could_not_be_followed_is_refused_by_name(exchange_id: str) -> None:
    with pytest.raises(Refused, match=f"orders cannot go to {exchange_id}"):
        BinanceOMS(Credentials({}), market=MARKET, clock=SystemClock(), exchange_id=exchange_id)


def test_recv_window_has_bounds() -> None:
    with pytest.raises(InvalidInput, match=r"at most 60 s \(was 61 s\)"):
        BinanceOMS(Credentials({}), market=MARKET, clock=SystemClock(), recv_window=timedelta(seconds=61))


def test_positions_are_free_and_locked_and_never_the_quote_currency(desk: Desk) -> None:
    oms = desk.connected()
    desk.server.deposit("BTC", "0.3")
    desk.server.matching.balance("BTC").locked = Decimal("0.2")
    desk.server.deposit("XRP", "7")
    desk.server.deposit("x-odd", "1")
    held = oms.positions()
    assert held is not None
    assert {position.symbol: position.quantity for position in held} == {"BTC/USDT": Decimal("0.5"), "XRP/USDT": Decimal(7)}


def test_rules_are_those_that_a_market_order_has_to_keep_too(desk: Desk) -> None:
    desk.server.list_symbol("SOL/USDT", "50", market_step_size="0.10000000", tick_size="0.01000000", notional_min="5.00000000")
    rules = desk.open().instruments(["SOL/USDT", "NOBODY/USDT", "odd", "ETH/BTC", "BTC/USDT"])
    assert list(rules) == ["SOL/USDT", "BTC/USDT"]
    assert rules["SOL/USDT"].lot_size == Decimal("0.1")
    assert (rules["BTC/USDT"].lot_size, rules["BTC/USDT"].notional_min) == (Decimal("0.00001"), Decimal(5))


def test_the_price_of_a_symbol_that_is_not_traded_is_not_known(desk: Desk) -> None:
    oms = desk.open()
    assert oms.last_prices(["BTC/USDT", "NOBODY/USDT", "ETH/BTC"]) == {"BTC/USDT": 100}


@pytest.mark.parametrize("status", [500, 503])
def test_a_read_that_fails_says_that_the_venue_is_down(desk: Desk, status: int) -> None:
    desk.server.fail(Fault(applies=lambda request: request.path == ACCOUNT, reply=Reply(status=status, body=b"{}")))
    with pytest.raises(VenueDown):
        desk.open().connect()


def test_an_answer_that_cannot_be_understood(desk: Desk) -> None:
    desk.server.fail(Fault(applies=lambda request: request.path == ACCOUNT, reply=Reply(body=b'{"canTrade":true}')))
    with pytest.raises(VenueDown, match="cannot be understood"):
        desk.open().connect()


def test_a_clock_that_is_off_is_set_and_a_read_is_asked_once_more(desk: Desk) -> None:
    oms = desk.connected()
    desk.clock.shift += timedelta(minutes=-10)
    desk.server.forget()
    assert oms.positions() is not None
    assert [request.path for request in desk.server.asked()] == [ACCOUNT, "/api/v3/time", ACCOUNT]


class _Elsewhere(Server):
    """A host to which requests are sent on."""

    def respond(self, request: Request) -> Reply:
        return Reply(body=b'{"canTrade":true,"balances":[]}')


def test_a_key_is_not_carried_to_another_host(desk: Desk) -> None:
    oms = desk.connected()
    with _Elsewhere() as elsewhere:
        redirect = Reply(status=307, headers={"Location": f"{elsewhere.url}{ACCOUNT}"})
        desk.server.fail(Fault(applies=lambda request: request.path == ACCOUNT, reply=redirect))
        with pytest.raises(VenueDown):
            oms.positions()
        assert not elsewhere.asked()


def test_nothing_of_the_key_is_written_down_even_at_debug(desk: Desk, caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.DEBUG):
        oms = desk.connected()
        oms.submit(desk.order())
        desk.server.fail(desk.server.drop(taken=False))
        with pytest.raises(Exception, match="did not say") as caught:
            oms.submit(desk.order())
    seen = caplog.text + "".join(traceback.format_exception(caught.value)) + repr(vars(oms))
    assert caught.value.__context__ is None  # not even behind the scenes
    assert KEY not in seen
    assert SECRET not in seen


def test_what_is_signed_is_what_is_sent_percent_encoded(desk: Desk) -> None:
    """Since 15 January 2026 Binance refuses (-1022) a signature over anything else; the local one checks it over the bytes."""
    client = _plain_client(desk)
    for method, code in (("private_get_order", -2013), ("private_delete_order", -2011)):
        with pytest.raises(Exception, match=f'"code":{code}'):
            getattr(client, method)({"symbol": "BTCUSDT", "origClientOrderId": 'a "b" & [c]'})


def test_without_care_ccxt_would_write_the_key_down(desk: Desk, caplog: pytest.LogCaptureFixture) -> None:
    """The control of the test before."""
    client = _plain_client(desk)
    with caplog.at_level(logging.DEBUG):
        client.private_get_account()
    assert KEY in caplog.text


def test_orders_keep_the_limit_that_bars_keep_but_do_not_wait_behind_them(tmp_path: Path) -> None:
    bars = binance_limit("api.binance.com", folder=tmp_path)
    orders = exchange_of("binance").limit("api.binance.com", folder=tmp_path)
    bars.acquire(300, deadline_s=monotonic_s() + 0.1)
    with pytest.raises(RateLimited):
        bars.acquire(20, deadline_s=monotonic_s() + 0.1)
    for _ in range(100):
        orders.acquire(4, deadline_s=monotonic_s() + 0.1)
    orders.silence(30)
    for limit in (bars, orders):
        with pytest.raises(RateLimited, match="asked to be left alone"):
            limit.acquire(1, deadline_s=monotonic_s() + 1)


def test_after_a_429_nothing_more_is_sent(desk: Desk) -> None:
    oms = desk.connected()
    desk.server.fail(desk.server.too_many(30))
    with pytest.raises(RateLimited):
        oms.submit(desk.order())
    desk.server.forget()
    with pytest.raises(RateLimited):
        oms.submit(desk.order())
    with pytest.raises(RateLimited):
        desk.open().connect()
    assert not desk.server.asked()


def _plain_client(desk: Desk) -> Any:
    from algo_py.finstore.sources.exchange_client import build

    client = build("binance", desk.server.url)
    client.session.until_s = monotonic_s() + 10
    client.apiKey, client.secret = KEY, SECRET
    return client
