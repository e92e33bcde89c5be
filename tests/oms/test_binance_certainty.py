"""What is known of an order when its answer was lost, and from when on: what makes sending again safe."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from datetime import timedelta
from decimal import Decimal
from pathlib import Path

import pytest

from algo_py.errors import (
    AuthFailed,
    NotEnough,
    OutcomeUnknown,
    RateLimited,
    Rejected,
    RuleBroken,
    TooManyStops,
    VenueDown,
    VenueError,
    WouldTrigger,
)
from algo_py.oms.binance import BinanceOMS
from algo_py.oms.binance.failures import Failure, of_order, of_read
from algo_py.orders.model import OrderRequest, OrderStatus, OrderType, Side
from tests.limits import aged
from tests.oms.binance_desk import Desk, desk_in
from tests.venues.binance import error
from tests.venues.binance_signed import ORDER
from tests.venues.binance_trading import is_order
from tests.venues.server import Fault

LONG_AGO = timedelta(days=30)


@pytest.fixture
def desk(tmp_path: Path) -> Iterator[Desk]:
    with desk_in(tmp_path) as desk:
        yield desk


def lost(desk: Desk, oms: BinanceOMS) -> OrderRequest:
    """Send an order that does not arrive, with nothing heard of it."""
    order = desk.order()
    desk.server.fail(desk.server.drop(taken=False))
    with pytest.raises(OutcomeUnknown):
        oms.submit(order)
    return order


def is_open_question(desk: Desk, oms: BinanceOMS, order: OrderRequest, planned: timedelta = timedelta()) -> bool:
    """Return whether nobody can tell yet; else it is certainly not there."""
    try:
        report = oms.find(order, desk.clock.now() - planned)
    except OutcomeUnknown:
        return True
    assert report is None
    return False


def test_not_known_is_certain_only_when_the_request_can_no_longer_be_carried_out(desk: Desk) -> None:
    oms = desk.connected()
    desk.pass_time()
    order = lost(desk, oms)
    for _ in range(7):
        assert is_open_question(desk, oms, order, LONG_AGO)
        desk.pass_time(timedelta(seconds=2))
    assert is_open_question(desk, oms, order, LONG_AGO)  # after 14 s
    desk.pass_time(timedelta(seconds=2))
    assert not is_open_question(desk, oms, order, LONG_AGO)


def test_an_order_that_was_held_up_arrives_after_we_gave_up_on_it(desk: Desk) -> None:
    """Whoever believed the first "does not exist" and sent it again would have two."""
    oms = desk.connected()
    desk.pass_time()
    order = desk.order()
    desk.server.hold_orders_up()
    with pytest.raises(OutcomeUnknown):
        oms.submit(order)
    assert is_open_question(desk, oms, order, LONG_AGO)
    desk.server.let_orders_through()
    assert desk.found(oms, order).status is OrderStatus.FILLED
    assert len(desk.server.matching.orders) == 1


def test_an_order_that_was_held_up_for_longer_is_not_carried_out(desk: Desk) -> None:
    """The exchange keeps its side: what comes after recvWindow is refused, so that sending again is safe."""
    oms = desk.connected()
    order = desk.order()
    desk.server.hold_orders_up()
    with pytest.raises(OutcomeUnknown):
        oms.submit(order)
    desk.pass_time()
    desk.server.let_orders_through()
    assert desk.server.judged == 1
    assert not desk.server.matching.orders
    assert not is_open_question(desk, oms, order, LONG_AGO)
    assert oms.submit(order).status is OrderStatus.FILLED


def test_an_order_that_is_taken_but_not_shown_yet_is_not_unknown(desk: Desk) -> None:
    oms = desk.connected()
    desk.pass_time()
    desk.server.trading.lag_ms = 3_000
    order = desk.order()
    oms.submit(order)
    assert is_open_question(desk, oms, order, LONG_AGO)
    desk.pass_time(timedelta(seconds=4))
    assert desk.found(oms, order).status is OrderStatus.FILLED


def test_what_a_process_before_us_sent_is_in_question_after_we_connect(desk: Desk) -> None:
    """It may have died just after sending an order that it had planned long before."""
    first = desk.connected()
    desk.pass_time()
    order = lost(desk, first)
    second = desk.connected()
    assert is_open_question(desk, second, order, LONG_AGO)
    desk.pass_time()
    assert not is_open_question(desk, second, order, LONG_AGO)


def test_a_plan_that_lies_ahead_keeps_the_question_open(desk: Desk) -> None:
    oms = desk.connected()
    desk.pass_time()
    assert is_open_question(desk, oms, desk.order(), timedelta(seconds=-5))


def test_it_is_the_exchange_s_clock_that_counts(desk: Desk) -> None:
    """Ours may jump, as when it is set by hand."""
    oms = desk.connected()
    desk.pass_time()
    order = lost(desk, oms)
    desk.clock.shift += timedelta(hours=1)
    assert is_open_question(desk, oms, order, LONG_AGO)
    desk.clock.shift += timedelta(hours=-2)
    assert is_open_question(desk, oms, order, LONG_AGO)
    desk.pass_time()
    assert not is_open_question(desk, oms, order, LONG_AGO)


def test_an_order_that_was_certainly_not_executed_is_not_in_question(desk: Desk) -> None:
    oms = desk.connected()
    desk.pass_time()
    order = desk.order()
    desk.server.fail(desk.server.refuse(-2010, "This symbol is restricted for this account."))
    with pytest.raises(Rejected, match="restricted for this account"):
        oms.submit(order)
    assert not is_open_question(desk, oms, order, LONG_AGO)


def test_a_refusal_says_nothing_of_what_was_sent_before(desk: Desk) -> None:
    oms = desk.connected()
    desk.pass_time()
    order = lost(desk, oms)
    desk.server.fail(desk.server.refuse(-1013, "Filter failure: NOTIONAL"))
    with pytest.raises(Rejected):
        oms.submit(order)
    assert is_open_question(desk, oms, order, LONG_AGO)


def test_a_clock_that_is_off_means_not_executed_and_is_set_before_the_next_order(desk: Desk) -> None:
    oms = desk.connected()
    desk.pass_time()
    desk.clock.shift += timedelta(seconds=-30)
    order = desk.order()
    with pytest.raises(RateLimited, match="did not execute"):
        oms.submit(order)
    assert not desk.server.matching.orders
    assert sum(is_order(request) for request in desk.server.asked()) == 1
    assert oms.submit(desk.order()).status is OrderStatus.FILLED
    assert not is_open_question(desk, oms, order, LONG_AGO)


def test_an_id_that_is_open_already_is_not_a_refusal_of_its_order(desk: Desk) -> None:
    """It would be recorded as rejected, and rest at the exchange with nobody looking."""
    oms = desk.connected()
    order = desk.order(type=OrderType.LIMIT, limit_price=Decimal(90))
    oms.submit(order)
    with pytest.raises(OutcomeUnknown, match="has an open order with the id"):
        oms.submit(order)
    assert len(desk.server.matching.orders) == 1


def test_the_exchange_takes_an_id_again_once_its_order_has_filled(desk: Desk) -> None:
    """Why the look-up is the guarantee, and not the id."""
    oms = desk.connected()
    order = desk.order()
    for _ in range(2):
        oms.submit(order)
    assert len(desk.server.orders_of(order.client_order_id)) == 2


def test_another_order_under_our_id_is_not_taken_for_ours(desk: Desk) -> None:
    oms = desk.connected()
    order = desk.order()
    oms.submit(desk.order(quantity="0.7", client_order_id=order.client_order_id))
    with pytest.raises(OutcomeUnknown, match="another order under the id"):
        oms.find(order, desk.clock.now())


def test_an_order_of_long_ago_has_ended(desk: Desk) -> None:
    words = "Order was canceled or expired with no executed qty over 90 days ago and has been archived."
    desk.server.fail(Fault(applies=lambda request: request.path == ORDER, reply=error(-2026, words)))
    report = desk.connected().find(desk.order(), desk.clock.now() - timedelta(days=100))
    assert report is not None
    assert (report.status, report.fills) == (OrderStatus.CANCELED, ())


def test_a_symbol_that_is_not_listed_any_more_cannot_tell(desk: Desk) -> None:
    oms = desk.connected()
    with pytest.raises(OutcomeUnknown, match="Invalid symbol"):
        oms.find(desk.order("GONE/USDT"), desk.clock.now())


def test_half_of_a_pair_is_never_all_that_is_known(desk: Desk) -> None:
    """Both come into being together: while one is not shown yet, the other counts as open."""
    desk.server.deposit("BTC", "1")
    oms = desk.connected()
    order = desk.order(side=Side.SELL, type=OrderType.STOP, stop_price=Decimal(90), target_price=Decimal(120))
    oms.submit(order)
    stop_id, target_id = f"{order.client_order_id}-stop", f"{order.client_order_id}-target"
    hidden = Fault(
        applies=lambda request: request.values.get("origClientOrderId") == stop_id, reply=error(-2013, "Order does not exist.")
    )
    desk.server.fail(hidden)
    assert desk.found(oms, order).status is OrderStatus.ACCEPTED
    desk.server.set_price("BTC/USDT", "80")  # the stop fires, the target expires
    assert desk.server.orders_of(target_id)[0].status == "EXPIRED"
    desk.server.fail(hidden)
    with pytest.raises(OutcomeUnknown, match="half"):
        oms.find(order, desk.clock.now())
    assert desk.found(oms, order).status is OrderStatus.FILLED


@pytest.mark.parametrize("taken", [True, False])
def test_a_cancel_that_nobody_answered_is_settled_by_the_look_up(desk: Desk, *, taken: bool) -> None:
    oms = desk.connected()
    order = desk.order(type=OrderType.LIMIT, limit_price=Decimal(90))
    oms.submit(order)
    desk.server.fail(Fault(applies=lambda request: request.method == "DELETE", drop=True, late=taken))
    with pytest.raises(OutcomeUnknown):
        oms.cancel(order, desk.clock.now())
    assert desk.found(oms, order).status is (OrderStatus.CANCELED if taken else OrderStatus.ACCEPTED)


@pytest.mark.parametrize("first", range(8))
def test_whatever_happens_on_the_way_the_order_is_there_once(desk: Desk, first: int) -> None:
    """Sent again whenever the look-up says that it is not known, and only then."""
    server = desk.server
    faults = (
        server.drop(taken=False),
        server.drop(taken=True),
        server.server_error(taken=False),
        server.server_error(taken=True, status=500),
        server.nonsense(),
        server.too_many(0),
        server.refuse(-1021, "Timestamp for this request is outside of the recvWindow."),
        server.refuse(-1007, "Timeout waiting for response from backend server. Send status unknown; execution status unknown."),
    )
    oms = desk.connected()
    server.trading.lag_ms = 1_000
    for second in faults:
        order = desk.order(quantity="0.1")
        server.fail(faults[first])
        server.fail(second)
        sent_times = 0
        while not _is_there(desk, oms, order):
            sent_times += 1
            assert sent_times <= 3
            with contextlib.suppress(OutcomeUnknown, RateLimited):
                oms.submit(order)
        assert len(server.orders_of(order.client_order_id)) == 1
        server.forget()


def _is_there(desk: Desk, oms: BinanceOMS, order: OrderRequest) -> bool:
    """Look an order up until it is certain; return whether it is there."""
    for _ in range(20):
        try:
            return oms.find(order, desk.clock.now() - LONG_AGO) is not None
        except OutcomeUnknown:
            desk.pass_time(timedelta(seconds=4))
    raise AssertionError("it never becomes certain")


# The table of failures.py, line by line


@pytest.mark.parametrize(
    ("status", "code", "words", "kind", "kind_of_read"),
    [
        (None, None, "no answer came in time", OutcomeUnknown, VenueDown),
        (200, None, "the answer is not JSON", OutcomeUnknown, VenueDown),
        (307, None, "moved", OutcomeUnknown, VenueDown),
        (400, None, "a proxy's page", OutcomeUnknown, VenueDown),
        (404, None, "a proxy's page", OutcomeUnknown, VenueDown),
        (500, None, "", OutcomeUnknown, VenueDown),
        (503, -1000, "", OutcomeUnknown, VenueDown),
        (504, -1007, "", OutcomeUnknown, VenueDown),
        (500, -2010, "", OutcomeUnknown, VenueDown),
        (500, -1003, "", OutcomeUnknown, VenueDown),
        *((400, code, "", OutcomeUnknown, VenueDown) for code in (-1000, -1001, -1006, -1007, -1008, -1016)),
        (429, None, "", RateLimited, RateLimited),
        (429, -1015, "Too many new orders.", RateLimited, RateLimited),
        (418, -1003, "", RateLimited, RateLimited),
        (400, -1003, "", RateLimited, RateLimited),
        (400, -1034, "", RateLimited, RateLimited),
        (403, None, "", RateLimited, RateLimited),
        (400, -1021, "", RateLimited, VenueDown),
        (401, -2015, "", AuthFailed, AuthFailed),
        (401, -2014, "", AuthFailed, AuthFailed),
        (400, -1022, "", AuthFailed, AuthFailed),
        (400, -1002, "", AuthFailed, AuthFailed),
        (451, 0, "", AuthFailed, AuthFailed),
        (400, -2010, "Duplicate order sent.", OutcomeUnknown, VenueDown),
        (400, -2010, "Account has insufficient balance for requested action.", NotEnough, VenueDown),
        (400, -1013, "Filter failure: LOT_SIZE", RuleBroken, VenueDown),
        (400, -1111, "Parameter 'quantity' has too much precision.", RuleBroken, VenueDown),
        (400, -2010, "Stop price would trigger immediately.", WouldTrigger, VenueDown),
        (400, -2010, "Order would trigger immediately.", WouldTrigger, VenueDown),
        (400, -2010, "The relationship of the prices for the orders is not correct.", WouldTrigger, VenueDown),
        (400, -2010, "Filter failure: MAX_NUM_ALGO_ORDERS", TooManyStops, VenueDown),
        (400, -1013, "Filter failure: EXCHANGE_MAX_NUM_ALGO_ORDERS", TooManyStops, VenueDown),
        (400, -2010, "Filter failure: MAX_NUM_ORDERS", TooManyStops, VenueDown),
        (400, -1013, "Filter failure: MARKET_LOT_SIZE", RuleBroken, VenueDown),
        (400, -1013, "Filter failure: NOTIONAL", RuleBroken, VenueDown),
        (400, -2010, "Filter failure: PERCENT_PRICE_BY_SIDE", RuleBroken, VenueDown),
        (400, -1013, "Market is closed.", Rejected, VenueDown),
        (503, -2010, "Filter failure: LOT_SIZE", OutcomeUnknown, VenueDown),
        (400, -1121, "Invalid symbol.", Rejected, VenueDown),
        (400, -9999, "a code of tomorrow", Rejected, VenueDown),
    ],
)
def test_what_a_failure_means(
    status: int | None, code: int | None, words: str, kind: type[VenueError], kind_of_read: type[VenueError]
) -> None:
    failure = Failure(status=status, code=code, words=words)
    assert type(of_order(failure, name="binance", subject="an order")) is kind
    assert type(of_read(failure, name="binance", subject="a thing")) is kind_of_read


def test_what_was_not_sent_is_certainly_not_there() -> None:
    failure = Failure(status=None, code=None, words="", was_sent=False)
    assert type(of_order(failure, name="binance", subject="an order")) is VenueDown


# Silence that Binance asks for


def test_a_silence_without_end_keeps_nobody_from_what_makes_a_position_safe(desk: Desk, tmp_path: Path) -> None:
    oms = desk.connected()
    bought, resting = desk.order(), desk.order(type=OrderType.LIMIT, limit_price=Decimal(50))
    for order in (bought, resting):
        oms.submit(order)
    desk.server.fail(desk.server.too_many(99_999_999))
    with pytest.raises(RateLimited):
        oms.submit(desk.order())
    sold = desk.order(side=Side.SELL)
    with pytest.raises(RateLimited):
        oms.submit(sold)
    aged(tmp_path / "limits", 30)
    with pytest.raises(RateLimited):
        oms.submit(desk.order())  # an entry waits as long as our bound is
    assert oms.submit(sold).status is OrderStatus.FILLED
    oms.cancel(resting, desk.clock.now())
    assert desk.found(oms, resting).status is OrderStatus.CANCELED
    assert oms.positions() == []
    assert desk.connected().positions() == []  # and whoever starts anew can look
    aged(tmp_path / "limits", 270)
    assert oms.submit(desk.order()).status is OrderStatus.FILLED
