"""Zerodha's adapter: what is sent, what an answer means, and when the order book proves something."""

from __future__ import annotations

import time
from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from pathlib import Path

import pytest

from algo_py.clock import FrozenClock, monotonic_s
from algo_py.credentials import Credentials
from algo_py.errors import (
    AlgoPyError,
    AuthFailed,
    Conflict,
    InvalidInput,
    NotEnough,
    NotNow,
    OutcomeUnknown,
    RateLimited,
    Rejected,
    RuleBroken,
    VenueDown,
)
from algo_py.finstore.sources.limits import SharedLimit
from algo_py.market import get_market
from algo_py.oms.zerodha import KiteLimits, ZerodhaOMS, zerodha_oms
from algo_py.oms.zerodha.access import KiteLimit
from algo_py.oms.zerodha.charges import TradeCharges
from algo_py.orders.model import OrderStatus, OrderType, Side, TimeInForce
from tests.oms.zerodha_desk import API_KEY, API_SECRET, INFY, NOON, SBIN, TOKEN, Desk
from tests.venues.kite import error
from tests.venues.kite_books import INTERIM, Holding, contract_note
from tests.venues.kite_trading import KiteTradingServer, placing
from tests.venues.server import Fault, Reply, Request, distorted


@pytest.fixture
def desk(tmp_path: Path) -> Iterator[Desk]:
    clock = FrozenClock(NOON)
    with KiteTradingServer(clock, api_key=API_KEY, api_secret=API_SECRET, access_token=TOKEN) as server:
        yield Desk(server, clock, tmp_path)


def placed(desk: Desk) -> list[dict[str, str]]:
    return [dict(request.values) for request in desk.server.requests if placing(request)]


# What is sent.


def test_a_market_order_is_protected_and_tagged(desk: Desk) -> None:
    order = desk.order()
    report = desk.oms.submit(order)
    assert report.status is OrderStatus.ACCEPTED
    assert placed(desk) == [
        {
            "variety": "regular",
            "exchange": "NSE",
            "tradingsymbol": INFY,
            "transaction_type": "BUY",
            "quantity": "10",
            "product": "CNC",
            "order_type": "MARKET",
            "validity": "DAY",
            "tag": order.client_order_id,
            "market_protection": "-1",
        }
    ]


def test_a_limit_order_has_its_price(desk: Desk) -> None:
    order = replace(desk.order(limit="1450.50"), time_in_force=TimeInForce.IOC)
    desk.oms.submit(order)
    (sent,) = placed(desk)
    assert (sent["order_type"], sent["price"], sent["validity"]) == ("LIMIT", "1450.5", "IOC")
    assert "market_protection" not in sent
    report = desk.find(order)
    assert (report.status, report.fills) == (OrderStatus.CANCELED, ())


def test_what_kite_could_not_be_told_is_not_sent(desk: Desk) -> None:
    order = desk.order()
    for wrong, message in (
        (replace(order, quantity=Decimal("1.5")), r"whole shares \(was 1.5\)"),
        (replace(order, quantity=Decimal("0.5")), "whole shares"),
        (replace(order, quantity=Decimal(100_001)), r"at most 100,000 shares \(was 100001\)"),
        (replace(order, time_in_force=TimeInForce.FOK), "no orders that are FOK"),
        (replace(order, type=OrderType.STOP, stop_price=Decimal(1400)), "not sent STOP orders"),
        (replace(order, type=OrderType.LIMIT), "must have a limit_price"),
        (replace(order, limit_price=Decimal(1400)), "a MARKET order none"),
    ):
        with pytest.raises(Rejected, match=message):
            desk.oms.submit(wrong)
    assert not desk.server.requests
    desk.server.cash = Decimal(10**9)
    desk.oms.submit(replace(order, quantity=Decimal(100_000)))


@pytest.mark.parametrize(
    ("moment", "until"),
    [
        ("2025-06-02T09:14:59", "2025-06-02 09:15"),
        ("2025-06-02T15:30:00", "2025-06-03 09:15"),
        ("2025-06-07T11:00:00", "2025-06-09 09:15"),
        ("2025-08-15T11:00:00", "2025-08-18 09:15"),  # Independence Day, a Friday
    ],
)
def test_while_the_market_is_closed_nothing_is_sent(desk: Desk, moment: str, until: str) -> None:
    def at(text: str) -> None:
        desk.clock.sleep((datetime.fromisoformat(f"{text}+05:30") - desk.clock.now()).total_seconds())

    at(moment)
    with pytest.raises(Rejected, match=f"closed until {until}"):
        desk.oms.submit(desk.order())
    assert not desk.server.requests
    at(until.replace(" ", "T") + ":00")
    desk.server.token_ends_at = desk.clock.now() + timedelta(hours=1)
    desk.oms.submit(desk.order())


def test_beyond_the_known_calendar_only_an_exit_is_tried_where_the_weekly_rule_says_closed(desk: Desk) -> None:
    desk.clock.sleep((datetime.fromisoformat("2045-06-03T11:00+05:30") - desk.clock.now()).total_seconds())  # a Saturday
    desk.server.token_ends_at = desk.clock.now() + timedelta(hours=1)
    with pytest.raises(NotNow, match="closed, as far as anybody knows, until 2045-06-05 09:15"):
        desk.oms.submit(desk.order())
    assert not desk.server.requests
    desk.server.holdings[INFY] = Holding(settled=10)
    leave = desk.order(side=Side.SELL)
    desk.oms.submit(leave)
    assert desk.find(leave).status is OrderStatus.FILLED


def test_while_the_market_is_known_to_be_closed_no_exit_is_sent_either(desk: Desk) -> None:
    desk.clock.sleep(6 * 3_600)
    with pytest.raises(Rejected, match="closed until 2025-06-03 09:15"):
        desk.oms.submit(desk.order(side=Side.SELL))
    assert not desk.server.requests


# What an answer means.


def html(status: int) -> Reply:
    return Reply(status=status, content_type="text/html", body=b"<html>gateway</html>")


@pytest.mark.parametrize(
    ("reply", "kind", "message"),
    [
        (error(400, "InputException", "Invalid `price`."), RuleBroken, "Kite says to an order of INFY: Invalid `price`"),
        (error(400, "OrderException", "Trading is blocked."), Rejected, "Trading is blocked"),
        (error(400, "MarginException", "Insufficient funds."), NotEnough, "Insufficient funds"),
        (error(400, "HoldingException", "Insufficient stock holding."), NotEnough, "stock holding"),
        (error(400, "InputException", "Maximum quantity per order for Equity is 100000."), RuleBroken, "Maximum quantity"),
        (error(400, "InputException", "Tick size for this script is 0.10."), RuleBroken, "Tick size"),
        (error(400, "OrderException", "Quantity should be multiple of lot size."), RuleBroken, "lot size"),
        (error(400, "InputException", "Invalid `tag`."), Rejected, "tag"),
        (error(428, "HoldingException", "Authorise the sale."), Rejected, "Authorise the sale"),
        (error(403, "UserException", "Account blocked."), Rejected, "Account blocked"),
        (error(500, "MarginException", "Insufficient funds."), NotEnough, "Insufficient funds"),
        (error(400, "GeneralException", "Something"), Rejected, "Something"),
        (error(403, "TokenException", "Token is invalid or has expired."), AuthFailed, "algo-py login zerodha"),
        (error(403, "PermissionException", "Insufficient permission for that call."), AuthFailed, "developers.kite.trade"),
        (error(429, "NetworkException", "Too many requests"), RateLimited, "left alone"),
        (html(429), RateLimited, "left alone"),
        (error(500, "GeneralException", "Something"), OutcomeUnknown, "status 500, GeneralException"),
        (error(500, "OrderException", "A corrupt fetch"), OutcomeUnknown, "status 500, OrderException"),
        (error(502, "DataException", "The OMS said what?"), OutcomeUnknown, "looked up before anything is sent again"),
        (error(503, "NetworkException", "The OMS is away"), OutcomeUnknown, "does not tell"),
        (error(504, "NetworkException", "Gateway timed out"), OutcomeUnknown, "does not tell"),
        (error(400, "NetworkException", "Whatever"), OutcomeUnknown, "does not tell"),
        (error(408, "GeneralException", "Timed out"), OutcomeUnknown, "does not tell"),
        (html(504), OutcomeUnknown, "no error type"),
        (html(403), OutcomeUnknown, "no error type"),
        (html(200), OutcomeUnknown, "does not tell"),
        (Reply(body=b'{"status":"success","data":{}}'), OutcomeUnknown, "makes no sense"),
        (Reply(body=b'{"status":"success","data":null}'), OutcomeUnknown, "makes no sense"),
        (Reply(body=b'{"status":"success","data":{"order_id":""}}'), OutcomeUnknown, "makes no sense"),
        (Reply(body=b"[]"), OutcomeUnknown, "makes no sense"),
        (Reply(body=b'{"status":"succ'), OutcomeUnknown, "does not tell"),
    ],
)
def test_an_answer_to_an_order_has_one_meaning(desk: Desk, reply: Reply, kind: type[AlgoPyError], message: str) -> None:
    desk.server.fail(Fault(applies=placing, reply=reply))
    with pytest.raises(AlgoPyError, match=message) as caught:
        desk.oms.submit(desk.order())
    assert type(caught.value) is kind
    assert len(placed(desk)) == 1  # never again by itself
    for secret in (TOKEN, API_SECRET):
        assert secret not in str(caught.value)


def test_a_refusal_cut_short_is_none(desk: Desk) -> None:
    refusal = error(400, "InputException", "Invalid `price`.")
    desk.server.fail(Fault(applies=placing, reply=replace(refusal, truncated=True)))
    with pytest.raises(OutcomeUnknown):
        desk.oms.submit(desk.order())


def test_the_limit_of_orders_is_kept_and_a_short_silence_too(desk: Desk, tmp_path: Path) -> None:
    limits = KiteLimits.shared(desk.server.url, folder=tmp_path / "shared")
    oms = ZerodhaOMS(
        Credentials(desk.values),
        market=get_market("indian_equity"),
        clock=desk.clock,
        folder=tmp_path,
        base_url=desk.server.url,
        limits=limits,
    )
    began = monotonic_s()
    for number in range(12):
        oms.submit(desk.order(quantity="1", number=number))
    assert monotonic_s() - began > 11 / 8 - 0.05
    assert len(desk.server.orders) == 12
    assert desk.server.orders_per_s == 10
    # Without the limit the server would have said no.
    with pytest.raises(RateLimited):
        in_a_hurry(desk)


def in_a_hurry(desk: Desk) -> None:
    for number in range(12, 30):
        desk.oms.submit(desk.order(quantity="1", number=number))


def test_when_kite_does_not_say_how_long_everybody_waits_five_seconds(tmp_path: Path) -> None:
    limit = KiteLimit("kite", per_s=8, burst=1, folder=tmp_path)
    limit.silence(None)
    with pytest.raises(RateLimited) as caught:
        SharedLimit("kite", per_s=8, burst=1, folder=tmp_path).acquire(1.0, deadline_s=monotonic_s() + 1)
    assert 4 < (caught.value.retry_after_s or 0) <= 5


# What became of an order.


def test_registered_is_not_filled(desk: Desk) -> None:
    desk.server.interim_looks = 3
    order = desk.order()
    desk.oms.submit(order)
    for status in (*INTERIM[1:][::-1], None):
        report = desk.find(order)
        if status is not None:
            assert (report.status, report.reason, report.fills) == (OrderStatus.ACCEPTED, status.capitalize(), ())
    assert report.status is OrderStatus.FILLED


def test_a_rejection_comes_later_and_says_why(desk: Desk) -> None:
    desk.server.cash = Decimal(100)
    desk.server.interim_looks = 2
    order = desk.order()
    assert desk.oms.submit(order).status is OrderStatus.ACCEPTED
    assert desk.find(order).status is OrderStatus.ACCEPTED
    report = desk.find(order)
    assert report.status is OrderStatus.REJECTED
    assert report.reason.startswith("Insufficient funds. Required margin is 15000.00 but available margin is 100.00.")


def test_what_is_sold_must_be_held(desk: Desk) -> None:
    order = desk.order(side=Side.SELL)
    desk.oms.submit(order)
    assert desk.find(order).reason.startswith("Insufficient stock holding")
    desk.server.refuses_at_entry = True
    with pytest.raises(Rejected, match="Insufficient stock holding"):
        desk.oms.submit(desk.order(side=Side.SELL, number=1))


@pytest.mark.parametrize(
    "status",
    [
        "TRIGGER PENDING",
        "MODIFY VALIDATION PENDING",
        "MODIFY PENDING",
        "CANCEL PENDING",
        "AMO REQ RECEIVED",
        "OPEN",
        "SOMETHING NEW",
    ],
)
def test_a_status_that_is_no_end_is_open(desk: Desk, status: str) -> None:
    order = desk.order(limit="1000")
    desk.oms.submit(order)
    (kept,) = desk.server.orders.values()
    kept.status = status
    assert desk.find(order).status is OrderStatus.ACCEPTED


def test_parts_fill_at_their_prices_and_times(desk: Desk) -> None:
    order = desk.order(limit="1490")
    order_id = desk.oms.submit(order).venue_order_id
    desk.server.trade(order_id, 4, "1490")
    desk.clock.sleep(5)
    desk.server.trade(order_id, 5, "1489.95")
    report = desk.find(order)
    assert (report.status, report.venue_order_id) == (OrderStatus.PARTIALLY_FILLED, order_id)
    assert [(fill.quantity, fill.price, fill.time) for fill in report.fills] == [
        (Decimal(4), Decimal("1490.0"), NOON),
        (Decimal(5), Decimal("1489.95"), NOON + timedelta(seconds=5)),
    ]
    assert [fill.time.tzinfo for fill in report.fills] == [UTC, UTC]
    desk.oms.cancel(order, NOON)
    ended = desk.find(order)
    assert (ended.status, ended.fills) == (OrderStatus.CANCELED, report.fills)


def test_an_order_ends_only_with_all_its_trades(desk: Desk) -> None:
    """Book and trades are two answers: where the trades are behind, nothing may be lost by an end that comes too early."""
    order = desk.order()
    desk.oms.submit(order)
    trades, desk.server.trades = desk.server.trades, []
    assert desk.find(order).status is OrderStatus.ACCEPTED
    desk.server.trades = trades
    assert desk.find(order).status is OrderStatus.FILLED
    # A part that filled before the rest was canceled.
    part = desk.order(limit="1000", number=1)
    desk.server.trade(desk.oms.submit(part).venue_order_id, 4, "1000")
    desk.oms.cancel(part, NOON)
    trades, desk.server.trades = desk.server.trades, []
    assert desk.find(part).status is OrderStatus.ACCEPTED
    desk.server.trades = trades
    assert desk.find(part).status is OrderStatus.CANCELED
    # And the other way round: the trades say more than the book.
    (kept, _) = desk.server.orders.values()
    kept.status, kept.filled = "OPEN", 1
    assert desk.find(order).status is OrderStatus.FILLED


def test_trade_numbers_of_another_day_are_other_trades(desk: Desk) -> None:
    """NSE counts anew each day: the journal, which knows a fill by its number, must not take today's for yesterday's."""
    first = desk.order()
    desk.oms.submit(first)
    before = desk.find(first).fills
    desk.next_day()
    second = desk.order(number=1)
    desk.oms.submit(second)
    after = desk.find(second).fills
    assert before[0].trade_id.rpartition("-")[2] == after[0].trade_id.rpartition("-")[2]
    assert before[0].trade_id != after[0].trade_id


def test_only_own_fills_since_a_moment(desk: Desk) -> None:
    desk.oms.submit(desk.order())
    desk.clock.sleep(60)
    later = desk.order(number=1)
    desk.oms.submit(later)
    for number, tag in enumerate((None, "mine", "2025", "UPPERCASEUPPERCASE20")):
        by_hand = desk.order(number=10 + number)
        desk.oms.submit(by_hand)
        (*_, kept) = desk.server.orders.values()
        kept.tag = tag
    assert len(desk.oms.fills_since(NOON)) == 2
    (fill,) = desk.oms.fills_since(NOON + timedelta(seconds=1))
    assert (fill.client_order_id, fill.time) == (later.client_order_id, NOON + timedelta(seconds=60))


@pytest.mark.parametrize("side", Side)
def test_the_fee_is_what_kite_s_contract_note_says(desk: Desk, side: Side) -> None:
    desk.server.holdings = {}
    desk.deal(INFY, Side.BUY, 7)
    order = desk.order(side=side, quantity="7", number=500)
    desk.oms.submit(order)
    (fill,) = desk.find(order).fills
    note = contract_note({"transaction_type": side.value, "quantity": 7, "price": 1500.0})
    assert abs(fill.fee - Decimal(repr(note["total"]))) <= Decimal("0.00005")
    assert fill.fee == fill.fee.quantize(Decimal("0.0001"))


def test_the_fee_is_that_of_kite_s_own_sample() -> None:
    """A share of SBIN bought for 560 in 2023 (kiteconnect-mocks, virtual_contract_note): 0.5826968.

    The sample leaves out the stamp duty, and the tax on SEBI's fee.
    """
    fee = TradeCharges().fee(Side.BUY, Decimal(560), datetime(2023, 7, 10, 6, 0, tzinfo=UTC))
    assert abs(fee - (Decimal("0.5826968") + Decimal("0.084") + Decimal("0.18") * Decimal("0.00056"))) < Decimal("0.0001")


# What a look-up proves.


def test_the_tag_is_found_wherever_kite_shows_it(desk: Desk) -> None:
    desk.server.hides_tag = True
    order = desk.order()
    desk.oms.submit(order)
    assert desk.find(order).status is OrderStatus.FILLED


def test_a_request_that_arrives_late_is_not_taken_for_absent(desk: Desk) -> None:
    oms = desk.open(timeout_s=0.5)
    hasty = desk.open(timeout_s=0.5, settling_s=0.0)
    order, other = desk.order(), desk.order(number=1)
    for venue, one in ((oms, order), (hasty, other)):
        desk.server.fail(Fault(applies=placing, delay_s=1.0))
        with pytest.raises(OutcomeUnknown):
            venue.submit(one)
        if venue is hasty:
            # The negative control: an adapter that does not wait would have the order sent a second time.
            assert venue.find(one, NOON) is None
        else:
            with pytest.raises(OutcomeUnknown, match="may still be on its way"):
                venue.find(one, NOON - timedelta(hours=1))
        until = monotonic_s() + 5
        while len(desk.server.orders) < (1 if venue is oms else 2) and monotonic_s() < until:
            time.sleep(0.02)
        report = venue.find(one, NOON)
        assert report is not None
        assert report.status is OrderStatus.FILLED


def test_absence_is_proved_a_minute_after_the_request_ended(desk: Desk) -> None:
    order = desk.order()
    desk.clock.sleep(1_000)  # the adapter was built long ago
    desk.server.fail(Fault(applies=placing, drop=True))
    with pytest.raises(OutcomeUnknown):
        desk.oms.submit(order)
    desk.clock.sleep(59)
    with pytest.raises(OutcomeUnknown, match="for 1 s"):
        desk.oms.find(order, NOON)
    desk.clock.sleep(1)
    assert desk.oms.find(order, NOON) is None
    assert desk.oms.submit(order).status is OrderStatus.ACCEPTED  # so it may be sent again
    desk.server.forget()
    assert desk.find(order).status is OrderStatus.FILLED
    # A second request of the same order is a new one on its way.
    desk.server.orders.clear()
    with pytest.raises(OutcomeUnknown):
        desk.oms.find(order, NOON)


def test_a_new_process_waits_for_what_the_old_one_may_have_sent(desk: Desk) -> None:
    """It does not know when that was: only that it was before it began itself."""
    order = desk.order()
    desk.clock.sleep(3_600)
    reborn = desk.open()
    with pytest.raises(OutcomeUnknown, match="for 60 s"):
        reborn.find(order, NOON)
    desk.clock.sleep(60)
    assert reborn.find(order, NOON) is None


def test_an_order_of_yesterday_is_forgotten_not_absent(desk: Desk) -> None:
    order = desk.order(limit="1000")
    desk.oms.submit(order)
    desk.next_day()
    reborn = desk.open()
    with pytest.raises(OutcomeUnknown, match="may still be on its way"):
        reborn.find(order, NOON)  # it does not know what was sent just now
    desk.clock.sleep(60)
    for oms in (desk.oms, reborn):
        report = oms.find(order, NOON)
        assert report is not None
        assert (report.status, report.is_complete, report.fills) == (OrderStatus.EXPIRED, False, ())
        assert "it ended with 2025-06-02" in report.reason
        assert "Tradebook" in report.reason
    # Planned yesterday, but first sent today: then today's book tells.
    late = desk.order(number=1)
    desk.server.fail(Fault(applies=placing, drop=True))
    with pytest.raises(OutcomeUnknown):
        desk.oms.submit(late)
    desk.clock.sleep(60)
    assert desk.oms.find(late, NOON) is None


def test_the_day_is_india_s(desk: Desk) -> None:
    desk.clock.sleep((datetime(2025, 6, 2, 18, 29, 59, tzinfo=UTC) - NOON).total_seconds())
    assert desk.oms.find(desk.order(), NOON) is None
    desk.clock.sleep(1)  # midnight in India, while it is the same day in UTC
    report = desk.oms.find(desk.order(), NOON)
    assert report is not None
    assert not report.is_complete


def test_two_orders_with_one_tag_are_for_a_person(desk: Desk) -> None:
    order = desk.order()
    numbers = [desk.oms.submit(order).venue_order_id for _ in range(2)]
    with pytest.raises(Conflict, match=f"2 orders with the tag {order.client_order_id}: {numbers[0]}, {numbers[1]}"):
        desk.oms.find(order, NOON)
    with pytest.raises(Conflict):
        desk.oms.cancel(order, NOON)


@pytest.mark.parametrize(
    "body",
    [
        b'{"status":"success","data":null}',
        b'{"status":"success","data":"none"}',
        b'{"status":"success","data":[{}]}',
        b'{"status":"success","data":[{"order_id":"1","status":"OPEN"}]}',
        b'{"status":"success","data":[null]}',
        b'{"status":"success"}',
        b"<html>",
    ],
)
def test_a_book_that_makes_no_sense_proves_nothing(desk: Desk, body: bytes) -> None:
    desk.clock.sleep(3_600)
    assert desk.oms.find(desk.order(), NOON) is None
    desk.server.fail(Fault(applies=lambda request: request.path == "/orders", reply=Reply(body=body)))
    with pytest.raises(VenueDown):
        desk.oms.find(desk.order(), NOON)


def test_a_book_that_cannot_be_read(desk: Desk) -> None:
    for reply, kind in (
        (error(400, "InputException", "no"), VenueDown),
        (error(503, "NetworkException", "away"), VenueDown),
        (error(403, "TokenException", "ended"), AuthFailed),
    ):
        desk.server.fail(Fault(reply=reply))
        with pytest.raises(kind):
            desk.oms.find(desk.order(), NOON)


# Canceling.


def test_kite_may_refuse_to_cancel(desk: Desk) -> None:
    order = desk.order(limit="1000")
    desk.oms.submit(order)
    refusal = error(400, "OrderException", "Order cannot be cancelled as it is being processed. Try later.")
    desk.server.fail(Fault(applies=lambda request: request.method == "DELETE", reply=refusal))
    with pytest.raises(OutcomeUnknown, match="being processed"):
        desk.oms.cancel(order, NOON)
    assert desk.find(order).status is OrderStatus.ACCEPTED
    desk.server.fail(Fault(applies=lambda request: request.method == "DELETE", drop=True, late=True))
    with pytest.raises(OutcomeUnknown):
        desk.oms.cancel(order, NOON)
    assert desk.find(order).status is OrderStatus.CANCELED


def test_a_fill_that_crosses_the_cancel(desk: Desk) -> None:
    """The book shows it open, then it fills, and Kite refuses to cancel what has filled: nothing is wrong."""
    order = desk.order(limit="1000")
    desk.oms.submit(order)

    def crosses(request: Request) -> bool:
        if request.method == "DELETE":
            desk.server.set_price(INFY, "990")
        return False  # nothing goes wrong: Kite itself refuses to cancel what has filled

    desk.server.fail(Fault(applies=crosses))
    desk.oms.cancel(order, NOON)
    assert [request.method for request in desk.server.requests][-2:] == ["DELETE", "GET"]
    assert desk.find(order).status is OrderStatus.FILLED


# The account.


def test_connecting_says_what_a_person_should_know(desk: Desk) -> None:
    summary = desk.oms.connect()
    assert (summary.account, summary.cash, summary.warnings) == ("AB1234", Decimal("1000000.00"), ())
    desk.oms.submit(desk.order(limit="1000"))
    assert desk.oms.connect().cash == Decimal("990000.00")
    desk.server.profile |= {"exchanges": ["BSE"], "products": ["NRML"], "consent": ""}
    assert [line.split()[0] for line in desk.oms.connect().warnings] == ["NSE", "the", "shares"]
    assert "closes positions of MIS" in " ".join(desk.open(product="MIS").connect().warnings)


def test_rules_and_prices(desk: Desk) -> None:
    rules = desk.oms.instruments([SBIN, "NOBODY"])
    assert {symbol: (rule.tick_size, rule.lot_size) for symbol, rule in rules.items()} == {SBIN: (Decimal("0.05"), Decimal(1))}
    assert {(rule.quantity_max, rule.market_quantity_max) for rule in rules.values()} == {(Decimal(100_000), Decimal(100_000))}
    assert desk.oms.last_prices([SBIN, "NOBODY"]) == {SBIN: Decimal("800.0")}


def test_several_prices_are_one_request_and_what_is_no_price_is_left_out(desk: Desk) -> None:
    assert desk.oms.last_prices([INFY, SBIN]) == {INFY: Decimal("1500.0"), SBIN: Decimal("800.0")}
    assert len(desk.server.asked("/quote/ltp")) == 1
    for price in (0, -5.5, float("nan"), float("inf")):
        desk.server.fail(distorted(lambda request: request.path == "/quote/ltp", last_price=price))
        assert desk.oms.last_prices([INFY, SBIN]) == {}


def test_what_waits_to_be_bought_cannot_be_spent(desk: Desk) -> None:
    assert desk.oms.free_cash() == Decimal(1_000_000)
    desk.oms.submit(desk.order(limit="1000"))
    assert desk.oms.free_cash() == Decimal(990_000)
    desk.server.cash = Decimal(-50)
    assert desk.oms.free_cash() == 0
    for balance in (float("nan"), float("inf"), None, "much"):
        desk.server.fail(distorted(lambda request: "margins" in request.path, live_balance=balance))
        with pytest.raises(VenueDown):
            desk.oms.free_cash()


def test_rules_are_of_now_and_of_this_morning_while_kite_is_away(desk: Desk) -> None:
    assert desk.oms.instruments([SBIN])[SBIN].tick_size == Decimal("0.05")
    desk.server.shares[SBIN] = replace(desk.server.shares[SBIN], tick_size="0.1")
    desk.clock.sleep(600)
    assert desk.oms.instruments([SBIN])[SBIN].tick_size == Decimal("0.1")
    desk.clock.sleep(600)
    desk.server.fail(Fault(applies=lambda request: request.path == "/instruments/NSE", drop=True))
    assert desk.oms.instruments([SBIN])[SBIN].tick_size == Decimal("0.1")


def test_what_it_is_not_for(desk: Desk, tmp_path: Path) -> None:
    with pytest.raises(InvalidInput, match="trades indian_equity, not crypto_binance"):
        zerodha_oms(Credentials({}), market=get_market("crypto_binance"), clock=desk.clock, folder=tmp_path)
    with pytest.raises(InvalidInput, match="one of CNC, MIS"):
        desk.open(product="NRML")


# Today's access token.


def test_a_token_that_has_ended_is_not_tried(desk: Desk) -> None:
    desk.values["ZERODHA_ACCESS_TOKEN_EXPIRES"] = "2025-06-02T06:30:00Z"
    desk.oms.connect()
    desk.server.forget()
    desk.clock.sleep(1_800)
    actions = (
        desk.oms.connect,
        desk.oms.positions,
        lambda: desk.oms.submit(desk.order()),
        lambda: desk.oms.find(desk.order(), NOON),
        lambda: desk.oms.instruments([INFY]),
        lambda: desk.oms.last_prices([INFY]),
    )
    for action in actions:
        with pytest.raises(AuthFailed) as caught:
            action()
        assert str(caught.value) == (
            "Zerodha's access token ended at 2025-06-02 12:00 IST. Run `algo-py login zerodha` for today's access token."
        )
    assert not desk.server.requests
    # A login in the meantime is seen without a restart.
    desk.values |= {"ZERODHA_ACCESS_TOKEN": "new", "ZERODHA_ACCESS_TOKEN_EXPIRES": "2025-06-03T00:30:00Z"}
    desk.server.access_token = "new"
    desk.oms.submit(desk.order())


def test_without_a_token_or_with_an_end_that_is_none(desk: Desk) -> None:
    desk.values["ZERODHA_ACCESS_TOKEN_EXPIRES"] = "tomorrow"
    with pytest.raises(AuthFailed, match=r"ZERODHA_ACCESS_TOKEN_EXPIRES is not a time.*login zerodha"):
        desk.oms.submit(desk.order())
    del desk.values["ZERODHA_ACCESS_TOKEN"]
    with pytest.raises(AuthFailed, match=r"ZERODHA_ACCESS_TOKEN is missing.*login zerodha"):
        desk.oms.submit(desk.order())
    assert not desk.server.requests


def test_a_token_that_ends_on_the_way(desk: Desk) -> None:
    order = desk.order()
    desk.server.token_ends_at = desk.clock.now()
    with pytest.raises(AuthFailed, match="login zerodha"):
        desk.oms.submit(order)
    assert not desk.server.orders
