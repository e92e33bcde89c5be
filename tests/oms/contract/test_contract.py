"""What every OMS must do, whatever the venue behind it. See harness.py for how an OMS joins."""

from __future__ import annotations

import traceback
from dataclasses import replace
from datetime import UTC, timedelta
from decimal import Decimal

import pytest

from algo_py.errors import AuthFailed, OutcomeUnknown, RateLimited, Refused, Rejected, VenueDown, WouldTrigger
from algo_py.market import Instrument
from algo_py.oms import StopReplacer
from algo_py.orders.model import OrderReport, OrderRequest, OrderStatus, OrderType, Side
from tests.oms.contract.harness import OPEN_ENDED, RETRY_AFTER_S, Harness, Lack, Trouble

_TAKEN = (OrderStatus.ACCEPTED, OrderStatus.PARTIALLY_FILLED, OrderStatus.FILLED)
_OPEN = (OrderStatus.ACCEPTED, OrderStatus.PARTIALLY_FILLED)


def needs(harness: Harness, *lacks: Lack) -> None:
    """Skip the test where the venue cannot do what it is about."""
    for lack in lacks:
        if lack in harness.lacks:
            pytest.skip(f"{lack}: {harness.lacks[lack]}")


def found(harness: Harness, order: OrderRequest) -> OrderReport:
    """Look an order up that the venue knows."""
    report = harness.oms().find(order, harness.now() - timedelta(seconds=1))
    assert report is not None
    return report


def is_unknown(harness: Harness, order: OrderRequest) -> bool:
    """Return whether the venue says, once it must know, that it does not know the order."""
    planned_at = harness.now()  # of today: a venue may have forgotten what was before
    harness.settle()
    return harness.oms().find(order, planned_at) is None


def test_connecting_names_the_account_and_no_secret(harness: Harness) -> None:
    first, second = harness.oms().connect(), harness.oms().connect()
    assert first.account
    assert first.account == second.account
    assert first.cash is None or isinstance(first.cash, Decimal)
    for secret in harness.secrets:
        assert secret not in f"{first!r} {harness.oms()!r}"


def test_credentials_that_the_venue_does_not_accept(harness: Harness) -> None:
    needs(harness, Lack.CREDENTIALS)
    with pytest.raises(AuthFailed) as caught:
        harness.stranger().connect()
    shown = "".join(traceback.format_exception(caught.value)) + repr(caught.value)
    assert harness.secrets
    for secret in harness.secrets:
        assert secret not in shown
    assert caught.value.remedy


def test_the_rules_of_the_symbols_that_were_asked_for(harness: Harness) -> None:
    rules = harness.oms().instruments(harness.symbols)
    if Lack.RULES in harness.lacks:
        assert not rules
        return
    assert list(rules) == list(harness.symbols)
    assert all(isinstance(rule, Instrument) and rule.symbol == symbol for symbol, rule in rules.items())


def test_rules_are_those_of_now(harness: Harness) -> None:
    needs(harness, Lack.RULE_CHANGES)
    before = harness.oms().instruments(harness.symbols)
    harness.change_rules()
    after = harness.oms().instruments(harness.symbols)
    first, *others = harness.symbols
    assert after[first] != before[first]
    assert [after[symbol] for symbol in others] == [before[symbol] for symbol in others]


def test_an_order_is_taken_once_and_found(harness: Harness) -> None:
    order = harness.filling()
    report = harness.oms().submit(order)
    assert report.client_order_id == order.client_order_id
    assert report.status in _TAKEN
    assert (harness.asked(), harness.taken()) == (1, 1)
    needs(harness, Lack.LOOK_UP)
    again = found(harness, order)
    assert again.client_order_id == order.client_order_id
    assert again.venue_order_id == report.venue_order_id
    assert again.status in _TAKEN


def test_without_a_look_up_the_answer_is_that_nobody_can_tell(harness: Harness) -> None:
    if Lack.LOOK_UP not in harness.lacks:
        assert harness.oms().capabilities.can_look_up_by_client_id
        return
    assert not harness.oms().capabilities.can_look_up_by_client_id
    with pytest.raises(OutcomeUnknown):
        harness.oms().find(harness.filling(), harness.now())


def test_fills_say_what_changed_hands(harness: Harness) -> None:
    needs(harness, Lack.LOOK_UP, Lack.FILLS)
    order = harness.filling()
    harness.oms().submit(order)
    report = found(harness, order)
    assert report.status is OrderStatus.FILLED
    assert sum(fill.quantity for fill in report.fills) == order.quantity
    assert len({fill.trade_id for fill in report.fills}) == len(report.fills)
    assert list(report.fills) == sorted(report.fills, key=lambda fill: fill.time)
    for fill in report.fills:
        assert (fill.client_order_id, fill.symbol, fill.side) == (order.client_order_id, order.symbol, order.side)
        assert isinstance(fill.price, Decimal)
        assert fill.price > 0
        assert fill.fee >= 0
        assert fill.time.tzinfo is UTC
    assert found(harness, order) == report


def test_fills_since_a_moment(harness: Harness) -> None:
    needs(harness, Lack.LOOK_UP, Lack.FILLS)
    order = harness.filling()
    harness.oms().submit(order)
    report = found(harness, order)
    first, last = report.fills[0].time, report.fills[-1].time
    assert tuple(harness.oms().fills_since(first)) == report.fills
    assert tuple(harness.oms().fills_since(last + timedelta(seconds=1))) == ()


def test_an_order_that_was_never_sent_is_not_known(harness: Harness) -> None:
    needs(harness, Lack.LOOK_UP)
    assert is_unknown(harness, harness.filling())


def test_an_order_that_the_venue_refuses(harness: Harness) -> None:
    needs(harness, Lack.REFUSALS)
    order = harness.refused()
    with pytest.raises(Rejected):
        harness.oms().submit(order)
    assert harness.taken() == 0
    needs(harness, Lack.LOOK_UP)
    assert is_unknown(harness, order)


@pytest.mark.parametrize("trouble", OPEN_ENDED)
def test_after_a_lost_answer_only_the_look_up_knows(harness: Harness, trouble: Trouble) -> None:
    if trouble not in harness.troubles:
        pytest.skip("this cannot happen here")
    order = harness.filling()
    harness.cause(trouble)
    with pytest.raises(OutcomeUnknown) as caught:
        harness.oms().submit(order)
    for secret in harness.secrets:
        assert secret not in "".join(traceback.format_exception(caught.value))
    assert harness.asked() == 1  # nothing is sent a second time
    needs(harness, Lack.LOOK_UP)
    if OPEN_ENDED[trouble]:
        assert found(harness, order).status in _TAKEN
        assert harness.taken() == 1
    else:
        assert is_unknown(harness, order)
        assert harness.taken() == 0


def test_where_nobody_listens_nothing_was_sent(harness: Harness) -> None:
    if Trouble.CONNECTION_REFUSED not in harness.troubles:
        pytest.skip("this cannot happen here")
    order = harness.filling()
    harness.cause(Trouble.CONNECTION_REFUSED)
    with pytest.raises(VenueDown):
        harness.oms().submit(order)
    assert (harness.asked(), harness.taken()) == (0, 0)


def test_an_order_too_many_was_not_executed(harness: Harness) -> None:
    if Trouble.TOO_MANY not in harness.troubles:
        pytest.skip("this cannot happen here")
    harness.cause(Trouble.TOO_MANY)
    with pytest.raises(RateLimited) as caught:
        harness.oms().submit(harness.filling())
    assert caught.value.retry_after_s == RETRY_AFTER_S
    assert (harness.asked(), harness.taken()) == (1, 0)


def test_a_part_and_then_the_rest(harness: Harness) -> None:
    needs(harness, Lack.LOOK_UP, Lack.FILLS, Lack.PARTIAL_FILLS)
    order = harness.resting()
    assert harness.oms().submit(order).status is OrderStatus.ACCEPTED
    harness.fill(order, order.quantity / 2)
    half = found(harness, order)
    assert half.status is OrderStatus.PARTIALLY_FILLED
    assert sum(fill.quantity for fill in half.fills) == order.quantity / 2
    harness.fill(order, order.quantity / 2)
    whole = found(harness, order)
    assert whole.status is OrderStatus.FILLED
    assert sum(fill.quantity for fill in whole.fills) == order.quantity
    assert whole.fills[: len(half.fills)] == half.fills


def test_trades_that_are_listed_twice_count_once(harness: Harness) -> None:
    needs(harness, Lack.LOOK_UP, Lack.FILLS, Lack.REPEATED_TRADES)
    order = harness.filling()
    harness.oms().submit(order)
    once = found(harness, order)
    harness.repeat_trades()
    assert found(harness, order) == once
    assert tuple(harness.oms().fills_since(once.fills[0].time)) == once.fills


def test_canceling_ends_an_open_order(harness: Harness) -> None:
    needs(harness, Lack.CANCEL, Lack.LOOK_UP)
    order = harness.resting()
    harness.oms().submit(order)
    assert found(harness, order).status in _OPEN
    harness.oms().cancel(order, harness.now())
    report = found(harness, order)
    assert (report.status, report.fills) == (OrderStatus.CANCELED, ())


def test_canceling_keeps_what_has_filled(harness: Harness) -> None:
    needs(harness, Lack.CANCEL, Lack.LOOK_UP, Lack.FILLS, Lack.PARTIAL_FILLS)
    order = harness.resting()
    harness.oms().submit(order)
    harness.fill(order, order.quantity / 2)
    harness.oms().cancel(order, harness.now())
    report = found(harness, order)
    assert report.status is OrderStatus.CANCELED
    assert sum(fill.quantity for fill in report.fills) == order.quantity / 2


def test_canceling_leaves_an_order_that_has_ended(harness: Harness) -> None:
    needs(harness, Lack.CANCEL, Lack.LOOK_UP, Lack.FILLS)
    order = harness.filling()
    harness.oms().submit(order)
    before = found(harness, order)
    harness.oms().cancel(order, harness.now())
    assert found(harness, order) == before


def test_canceling_what_is_not_there_does_nothing(harness: Harness) -> None:
    needs(harness, Lack.CANCEL, Lack.LOOK_UP)
    order = harness.resting()
    harness.oms().cancel(order, harness.now())
    assert (harness.asked(), harness.taken()) == (0, 0)
    assert is_unknown(harness, order)


def test_positions_are_what_is_held(harness: Harness) -> None:
    positions = harness.oms().positions()
    if Lack.POSITIONS in harness.lacks:
        assert positions is None
        return
    assert positions is not None
    order = harness.filling()
    before = {held.symbol: held.quantity for held in positions}
    harness.oms().submit(order)
    needs(harness, Lack.LOOK_UP, Lack.FILLS)
    found(harness, order)
    after = {held.symbol: held.quantity for held in harness.oms().positions() or ()}
    assert after[order.symbol] - before.get(order.symbol, Decimal(0)) == order.quantity
    assert {symbol: held for symbol, held in after.items() if symbol != order.symbol} == {
        symbol: held for symbol, held in before.items() if symbol != order.symbol
    }


@pytest.mark.parametrize("kind", OrderType)
def test_orders_of_a_kind_that_it_does_not_list_are_never_sent(harness: Harness, kind: OrderType) -> None:
    if kind in harness.oms().capabilities.order_types:
        pytest.skip("it lists them")
    price = harness.filling().reference_price
    order = replace(harness.filling(), type=kind, limit_price=price, stop_price=price)
    with pytest.raises((Rejected, Refused)):
        harness.oms().submit(order)
    assert (harness.asked(), harness.taken()) == (0, 0)


def test_targets_that_it_does_not_hold_are_never_sent(harness: Harness) -> None:
    capabilities = harness.oms().capabilities
    if capabilities.holds_targets:
        assert OrderType.STOP in capabilities.order_types
        return
    order = harness.filling()
    price = order.reference_price
    with_target = replace(
        order, type=OrderType.STOP, side=Side.SELL, stop_price=price * Decimal("0.9"), target_price=price * Decimal("1.1")
    )
    with pytest.raises((Rejected, Refused)):
        harness.oms().submit(with_target)
    assert (harness.asked(), harness.taken()) == (0, 0)


def test_a_stop_whose_price_is_passed_is_refused_as_such(harness: Harness) -> None:
    if OrderType.STOP not in harness.oms().capabilities.order_types:
        pytest.skip("it has no stops")
    needs(harness, Lack.JUDGED_STOPS)
    order = harness.passed()
    with pytest.raises(WouldTrigger):
        harness.oms().submit(order)
    assert harness.taken() == 0
    assert is_unknown(harness, order)


def test_what_can_be_spent_is_less_by_what_was(harness: Harness) -> None:
    before = harness.oms().free_cash()
    if Lack.CASH in harness.lacks:
        assert before is None
        return
    assert before is not None
    order = harness.filling()
    harness.oms().submit(order)
    report = found(harness, order)
    spent = sum(fill.quantity * fill.price + fill.fee for fill in report.fills)
    after = harness.oms().free_cash()
    assert after is not None
    assert 0 < after < before
    assert abs(before - after - spent) < Decimal("0.01")


def test_replacing_is_offered_by_who_can(harness: Harness) -> None:
    assert harness.oms().capabilities.replaces_stops is (
        isinstance(harness.oms(), StopReplacer) and OrderType.STOP in harness.oms().capabilities.order_types
    )


def test_a_price_is_a_price_or_not_known(harness: Harness) -> None:
    prices = harness.oms().last_prices(harness.symbols)
    assert set(prices) <= set(harness.symbols)
    assert all(isinstance(price, Decimal) and price > 0 for price in prices.values())
