"""Whose account it is, from one morning's access token to the next one's."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from datetime import datetime
from decimal import Decimal
from pathlib import Path

import pytest

from algo_py.clock import FrozenClock
from algo_py.errors import AuthFailed, VenueDown
from algo_py.orders.model import OrderStatus, Side
from tests.oms.zerodha_desk import API_KEY, API_SECRET, INFY, NOON, SBIN, TOKEN, Desk
from tests.venues.kite_trading import KiteTradingServer, placing
from tests.venues.server import Fault

_PROFILE = "/user/profile"


@pytest.fixture
def desk(tmp_path: Path) -> Iterator[Desk]:
    clock = FrozenClock(NOON)
    with KiteTradingServer(clock, api_key=API_KEY, api_secret=API_SECRET, access_token=TOKEN) as server:
        desk = Desk(server, clock, tmp_path)
        desk.oms.connect()
        yield desk


def log_in(desk: Desk, user_id: str | None = None) -> None:
    """Have somebody log in, and their access token stand in config/.env."""
    desk.values["ZERODHA_ACCESS_TOKEN"] = desk.server.issue_token(user_id)


def each_action(desk: Desk) -> list[Callable[[], object]]:
    order = desk.order(side=Side.SELL)
    return [
        desk.oms.connect,
        lambda: desk.oms.submit(order),
        lambda: desk.oms.find(order, NOON),
        lambda: desk.oms.cancel(order, NOON),
        lambda: desk.oms.fills_since(NOON),
        desk.oms.positions,
        desk.oms.free_cash,
        lambda: desk.oms.last_prices([INFY]),
        lambda: desk.oms.instruments([INFY]),
    ]


def test_the_same_user_s_next_token_is_used_after_a_look_at_it(desk: Desk) -> None:
    log_in(desk)
    desk.server.forget()
    assert desk.oms.last_prices([INFY, SBIN]) == {INFY: Decimal("1500.0"), SBIN: Decimal("800.0")}
    assert desk.oms.free_cash() == 1_000_000
    assert [request.path for request in desk.server.requests] == [_PROFILE, "/quote/ltp", "/user/margins/equity"]


def test_another_user_s_token_is_never_used(desk: Desk) -> None:
    log_in(desk, "ZZ9999")
    for action in each_action(desk):
        desk.server.forget()
        with pytest.raises(AuthFailed, match="is that of ZZ9999, and this trades for AB1234") as caught:
            action()
        assert "as AB1234" in caught.value.remedy
        assert [request.path for request in desk.server.requests] == [_PROFILE]
    assert (desk.server.strangers_orders, desk.server.orders) == ([], {})
    log_in(desk)
    order = desk.order()
    desk.oms.submit(order)
    assert desk.find(order).status is OrderStatus.FILLED


def test_without_the_look_the_other_s_shares_would_have_been_sold(desk: Desk) -> None:
    """The control of the test before: an adapter that was never connected is bound to nobody."""
    loose = desk.open()
    log_in(desk, "ZZ9999")
    loose.submit(desk.order(side=Side.SELL))
    assert len(desk.server.strangers_orders) == 1


def test_whose_token_it_is_cannot_be_asked_now(desk: Desk) -> None:
    log_in(desk)
    desk.server.fail(Fault(applies=lambda request: request.path == _PROFILE, drop=True))
    with pytest.raises(VenueDown):
        desk.oms.submit(desk.order())
    assert not any(placing(request) for request in desk.server.requests)
    desk.oms.submit(desk.order())
    assert len(desk.server.orders) == 1


def test_over_night_the_token_ends_and_the_next_one_goes_on(desk: Desk) -> None:
    desk.clock.sleep((datetime.fromisoformat("2025-06-03T06:00:00+05:30") - NOON).total_seconds())
    desk.server.new_day(keeps_token=True)
    with pytest.raises(AuthFailed):
        desk.oms.positions()
    log_in(desk)
    assert desk.oms.positions() == []


def test_what_the_broker_and_people_do_shows_in_the_holdings(desk: Desk) -> None:
    desk.deal(INFY, Side.BUY, 10)
    desk.next_day()
    desk.server.split(INFY, new=2)
    assert desk.held() == {INFY: 20}
    desk.server.by_hand(INFY, "SELL", 5)
    assert desk.held() == {INFY: 15}
    desk.server.transfer(INFY, -5)
    assert desk.held() == {INFY: 10}
    assert desk.oms.fills_since(NOON) == []  # none of it was ours


def test_the_intraday_square_off_is_no_fill_of_ours(desk: Desk) -> None:
    oms = desk.open(product="MIS")
    oms.submit(desk.order())
    desk.server.square_off()
    assert list(oms.positions()) == []
    assert [fill.side for fill in oms.fills_since(NOON)] == [Side.BUY]


def test_a_stop_of_the_day_that_waits_is_open(desk: Desk) -> None:
    desk.server.stays_in = "OPEN PENDING"
    order = desk.order()
    desk.oms.submit(order)
    for _ in range(3):
        report = desk.find(order)
        assert (report.status, report.reason) == (OrderStatus.ACCEPTED, "Open pending")
    desk.server.let_go()
    assert desk.find(order).status is OrderStatus.FILLED


def test_a_day_s_order_of_yesterday_has_ended_for_certain(desk: Desk) -> None:
    desk.server.keeps_hours = True
    order = desk.order(limit="1000")
    desk.oms.submit(order)
    desk.clock.sleep(4 * 3_600)  # 15:30
    assert desk.find(order).status is OrderStatus.CANCELED
    desk.next_day()
    report = desk.oms.find(order, NOON)
    assert report is not None
    assert (report.status, report.is_complete) == (OrderStatus.EXPIRED, False)
