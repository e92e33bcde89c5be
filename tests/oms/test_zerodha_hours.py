"""Whether NSE is open now: a question about now, whatever is known of later days."""

from __future__ import annotations

from datetime import datetime, time, timedelta

import pytest

from algo_py.errors import Rejected
from algo_py.market import get_market
from algo_py.market.nse import nse_calendar
from algo_py.oms.zerodha.hours import refuse_closed
from algo_py.orders.model import Leg

MARKET = get_market("indian_equity")
LAST_DAY = nse_calendar().last_day


def at(days_before_the_last: int, clock: str) -> datetime:
    day = LAST_DAY - timedelta(days=days_before_the_last)
    return datetime.combine(day, time.fromisoformat(clock), MARKET.time_zone)


@pytest.mark.parametrize("days", range(15))
def test_the_last_known_days_are_days_like_others(days: int) -> None:
    now = at(days, "10:00")
    if MARKET.calendar.is_trading_day(now):
        for leg in Leg:
            refuse_closed(MARKET, now, leg)
    else:
        with pytest.raises(Rejected, match="closed until"):
            refuse_closed(MARKET, now, Leg.ENTRY)


@pytest.mark.parametrize("days", range(1, 15))
def test_beyond_what_is_known_an_assumed_day_is_one_like_others(days: int) -> None:
    now = at(-days, "10:00")
    assert MARKET.calendar.is_assumed(now)
    if now.weekday() < 5:
        for leg in Leg:
            refuse_closed(MARKET, now, leg)


def test_before_and_after_a_session_it_is_said_when_the_next_one_opens() -> None:
    day = next(days for days in range(20, 40) if MARKET.calendar.is_trading_day(at(days, "10:00")))
    for clock in ("09:14", "15:30", "23:00"):
        with pytest.raises(Rejected, match=r"closed until \d{4}-\d\d-\d\d 09:15 \(Asia/Kolkata\)"):
            refuse_closed(MARKET, at(day, clock), Leg.EXIT)
