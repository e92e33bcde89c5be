"""How far ahead the days are known, as a person is told of it."""

from __future__ import annotations

from datetime import datetime, timedelta

import pytest

from algo_py.market import get_market
from algo_py.market.horizon import horizon_of
from algo_py.market.nse import nse_calendar

NSE = get_market("indian_equity")
LAST = nse_calendar().last_day
NOON = datetime(LAST.year, LAST.month, LAST.day, 12, tzinfo=NSE.time_zone)


@pytest.mark.parametrize(
    ("days", "threshold"), [(61, None), (60, 60), (31, 60), (30, 30), (8, 30), (7, 7), (1, 7), (0, 7), (-1, 7), (-400, 7)]
)
def test_a_person_is_told_sixty_thirty_and_seven_days_ahead(days: int, threshold: int | None) -> None:
    horizon = horizon_of(NSE, NOON - timedelta(days=days))
    assert horizon is not None
    assert (horizon.known_through, horizon.days_left, horizon.threshold) == (LAST, days, threshold)


def test_it_is_said_in_words() -> None:
    def said(days: int) -> str:
        return str(horizon_of(NSE, NOON - timedelta(days=days)))

    known = f"the trading days of Indian equities (NSE) are known to {LAST}"
    assert said(31) == f"{known}, 31 days from now; after that Monday to Friday are assumed, and everything goes on"
    assert said(1).startswith(f"{known}, 1 day from now")
    assert said(0).startswith(f"{known}, today")
    assert said(-3) == f"{known}; since then Monday to Friday are assumed"


def test_a_market_round_the_clock_has_no_horizon() -> None:
    assert horizon_of(get_market("crypto_binance"), NOON) is None


def test_a_day_that_somebody_has_named_is_no_assumption() -> None:
    muhurat = datetime(2026, 11, 8, 18, 30, tzinfo=NSE.time_zone)
    assert not NSE.calendar.is_assumed(muhurat)
    assert NSE.calendar.is_assumed(NOON + timedelta(days=1))
