"""The way of every user, from a backtest to a stop, on days on which clocks, calendars and years turn.

What is wrong only on a certain day is found on that day; here the days come to the test. The clock is the one that the product is
given; the local Zerodha lives on it too.
"""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime, time, timedelta
from pathlib import Path

import pytest

from algo_py.clock import FrozenClock, SystemClock
from algo_py.deployment.schedule import AtTime, OnBarClose
from algo_py.errors import AlgoPyError
from algo_py.market import Timeframe
from algo_py.market.calendars import UnknownDays
from algo_py.market.nse import nse_calendar
from algo_py.market.sessions import SessionCalendar
from algo_py.orders.model import Leg, OrderStatus
from algo_py.settings import Workspace
from tests.deployment.moved_days import IN, NSE, OUT, SHARE, MovedLife, empty_workspace, prepare
from tests.oms import zerodha_desk
from tests.venues.kite_trading import KiteTradingServer

MORNING = AtTime(at=time(9, 30), tz="Asia/Kolkata")
TODAY = SystemClock().now().replace(hour=5, minute=0, second=0, microsecond=0)
FROM_TODAY = {f"today {days:+d}": TODAY + timedelta(days=days) for days in (0, 1, 18, 31, 60, 400)}
TURNS = {
    day: datetime.fromisoformat(f"{day}T05:00").replace(tzinfo=UTC)
    for day in (
        "2026-11-01",  # New York sets its clocks back
        "2027-03-14",  # and forward
        "2027-03-28",  # London forward
        "2027-10-31",  # London back
        "2027-11-07",  # New York back
        "2026-12-31",
        "2027-12-31",
        "2028-02-29",
        "2023-11-30",  # three years back
    )
}
MOMENTS = FROM_TODAY | TURNS


@pytest.fixture
def workspace(tmp_path: Path) -> Workspace:
    return empty_workspace(tmp_path / "workspace")


@pytest.fixture
def served(tmp_path: Path, request: pytest.FixtureRequest) -> Iterator[tuple[FrozenClock, zerodha_desk.Desk]]:
    clock = FrozenClock(request.param)
    with KiteTradingServer(
        clock, api_key=zerodha_desk.API_KEY, api_secret=zerodha_desk.API_SECRET, access_token=zerodha_desk.TOKEN
    ) as server:
        server.orders_per_s = None
        yield clock, zerodha_desk.Desk(server, clock, tmp_path)


def smoke(workspace: Workspace, clock: FrozenClock, desk: zerodha_desk.Desk) -> None:
    """Backtest, save, deploy on paper and at Zerodha, enter, leave, enter again and stop with nothing left."""
    prepare(workspace, clock.now())
    lives = [
        MovedLife.begin(workspace, clock, MORNING),
        MovedLife.begin(workspace, clock, MORNING, oms=desk.open(settling_s=1.0)),
    ]
    fire = began = clock.now()
    while NSE.calendar.bar_close(lives[0].newest_bar(fire), Timeframe.D1) <= began:  # what closed before is history
        fire = lives[0].config.next_fire(fire) or fire
    fire -= timedelta(microseconds=1)
    for wanted, held in ((IN, True), (OUT, False), (IN, True)):
        following = lives[0].config.next_fire(fire)
        assert following is not None
        assert fire < following <= fire + timedelta(days=6)
        fire = following
        clock.sleep((fire - clock.now()).total_seconds())
        desk.server.new_day(keeps_token=True)
        desk.server.token_ends_at = fire + timedelta(hours=12)
        for life in lives:
            result = life.run_at(fire, wanted)
            assert result.outcome == "ok", result
            told = [(str(order.status), order.reason) for order in life.journal.orders()]
            assert bool(life.journal.held(SHARE)) is held, (fire, told)
    for life in lives:
        life.pipeline.close_positions(clock.now())
        life.pipeline.close_positions(clock.now())
        assert not life.journal.positions()
        assert {order.status for order in life.journal.orders()} == {OrderStatus.FILLED}
    assert not desk.held().get(SHARE)


@pytest.mark.parametrize("served", MOMENTS.values(), ids=MOMENTS.keys(), indirect=True)
def test_the_whole_way(workspace: Workspace, served: tuple[FrozenClock, zerodha_desk.Desk]) -> None:
    smoke(workspace, *served)


@pytest.mark.parametrize("served", [datetime.combine(nse_calendar().last_day, time(5), UTC) - timedelta(days=2)], indirect=True)
def test_without_the_rule_of_the_horizon_the_last_days_of_what_is_known_fail(
    workspace: Workspace, served: tuple[FrozenClock, zerodha_desk.Desk], monkeypatch: pytest.MonkeyPatch
) -> None:
    """The negative control: a calendar that refuses to speak of days ahead, as it did."""

    def refuse(calendar: SessionCalendar, day: object) -> None:
        if isinstance(day, type(calendar.last_day)) and day > calendar.last_day:
            raise UnknownDays(f"the trading days around {day} are not known")

    monkeypatch.setattr(SessionCalendar, "_reach", refuse)
    with pytest.raises((AlgoPyError, AssertionError)):
        smoke(workspace, *served)


@pytest.mark.parametrize("moment", MOMENTS.values(), ids=MOMENTS.keys())
def test_an_assumed_day_without_a_bar_is_a_holiday(workspace: Workspace, moment: datetime) -> None:
    """On a day that nobody knows the run is skipped without alarm; on a known one the missing bar is missing data."""
    clock = FrozenClock(moment)
    prepare(workspace, moment)
    life = MovedLife.begin(workspace, clock, OnBarClose())
    first = life.config.next_fire(moment)
    assert first is not None
    assert life.run_at(first, IN).outcome == "ok"
    closed = life.config.next_fire(first)
    assert closed is not None
    clock.sleep((closed - clock.now()).total_seconds())
    result = life.pipeline.run(closed)  # no bar has come
    life.pipeline.follow(closed)
    assert result.outcome == "skipped"
    assert result.seems_closed is NSE.calendar.is_assumed(closed)
    if result.seems_closed:
        assert result.detail["reason"] == "the market seems closed"
        assert [event for event, _ in life.log.events].count("run.market_seems_closed") == 1
        assert "run.stale_data" not in [event for event, _ in life.log.events]
    following = life.config.next_fire(closed)
    assert following is not None
    if life.run_at(following, OUT).outcome == "ok":  # the bars are back: what is held can be left
        # Its run comes in the evening: on paper the order waits for the next opening.
        assert [order.request.leg for order in life.journal.orders(only_open=True)] == [Leg.EXIT] or not life.journal.held(SHARE)


def test_a_source_that_has_died_does_not_pass_for_a_holiday(workspace: Workspace) -> None:
    clock = FrozenClock(datetime(2033, 6, 6, 5, tzinfo=UTC))  # a year that no calendar knows
    prepare(workspace, clock.now())
    life = MovedLife.begin(workspace, clock, OnBarClose())
    said = []
    fire = clock.now()
    for _ in range(8):
        fire = life.config.next_fire(fire) or fire
        clock.sleep((fire - clock.now()).total_seconds())
        said.append(life.pipeline.run(fire).seems_closed)
    assert said[0] is True
    assert said[-1] is False
