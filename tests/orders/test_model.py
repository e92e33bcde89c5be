from __future__ import annotations

from datetime import UTC, datetime, timedelta
from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from algo_py.orders.model import TRANSITIONS, Leg, OrderStatus, Side, client_order_id, from_float, may_become

ENDED = [status for status in OrderStatus if not status.is_open]


def test_every_status_has_its_row_in_the_table() -> None:
    assert set(TRANSITIONS) == set(OrderStatus)


@pytest.mark.parametrize("status", OrderStatus)
def test_every_status_can_be_reached(status: OrderStatus) -> None:
    reached = {OrderStatus.PLANNED}
    for _ in OrderStatus:
        reached |= {following for current in reached for following in TRANSITIONS[current]}
    assert status in reached


@pytest.mark.parametrize("status", [OrderStatus.FILLED, OrderStatus.REJECTED, OrderStatus.DENIED])
def test_nothing_follows_a_final_status(status: OrderStatus) -> None:
    assert not TRANSITIONS[status]
    assert not status.is_open


def test_nothing_is_sent_without_being_marked_first() -> None:
    assert not may_become(OrderStatus.PLANNED, OrderStatus.ACCEPTED)
    assert not may_become(OrderStatus.PLANNED, OrderStatus.FILLED)


def test_a_canceled_order_may_still_turn_out_filled() -> None:
    assert may_become(OrderStatus.CANCELED, OrderStatus.FILLED)


def test_only_an_open_outcome_leads_back_to_planned() -> None:
    leading = {current for current, following in TRANSITIONS.items() if OrderStatus.PLANNED in following}
    assert leading == {OrderStatus.SUBMITTING, OrderStatus.UNKNOWN}


moments = st.datetimes(timezones=st.just(UTC))
intents = st.tuples(st.text(min_size=1), moments, st.text(min_size=1), st.sampled_from(Side), st.sampled_from(Leg))


@given(intents)
def test_an_id_depends_on_the_intent_alone_and_suits_every_venue(
    intent: tuple[str, datetime, str, Side, Leg],
) -> None:
    identifier = client_order_id(*intent)
    assert identifier == client_order_id(*intent)
    assert len(identifier) == 20
    assert identifier.isalnum()
    assert identifier.isascii()


@given(st.sets(intents, min_size=2, max_size=50))
def test_different_intents_have_different_ids(different: set[tuple[str, datetime, str, Side, Leg]]) -> None:
    assert len({client_order_id(*intent) for intent in different}) == len(different)


def test_the_same_moment_in_another_time_zone_would_be_another_text() -> None:
    # Bars are always in UTC; this is why the id may use the text.
    moment = datetime(2025, 1, 1, tzinfo=UTC)
    assert client_order_id("d", moment, "A", Side.BUY, Leg.ENTRY) != client_order_id(
        "d", moment + timedelta(hours=1), "A", Side.BUY, Leg.ENTRY
    )


@given(st.floats(allow_nan=False, allow_infinity=False))
def test_a_float_survives_the_crossing_to_an_amount(value: float) -> None:
    assert float(from_float(value)) == value
    assert isinstance(from_float(value), Decimal)
