"""NSE's phases by date and by share, against the exchange's own times written out here once more."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta
from zoneinfo import ZoneInfo

import pytest

from algo_py.errors import InvalidInput
from algo_py.market import Timeframe, get_market, latest_closed_open, latest_final_open
from algo_py.market.facts import Dated, record_on
from algo_py.market.phases import LIMIT, MARKET, STOP, STOP_LIMIT

INDIA = ZoneInfo("Asia/Kolkata")
NSE = get_market("indian_equity")
WITH_DERIVATIVES, OTHER = "RELIANCE", "NOTLISTEDTHERE"

BOTH, ONE = {LIMIT, MARKET}, {LIMIT}
NO: set[str] = set()
EVERY = {LIMIT, MARKET, STOP, STOP_LIMIT}
# From this time on, until the next one: the types of new orders that the exchange takes.
DAYS: dict[str, tuple[str, tuple[str, ...], dict[str, set[str] | None]]] = {
    "before closing auctions, any share": (
        "2026-07-31",
        (WITH_DERIVATIVES, OTHER),
        {"09:00": BOTH, "09:08": NO, "09:15": EVERY, "15:30": None, "15:40": BOTH, "16:00": None},
    ),
    "a closing auction from 15:15": (
        "2026-08-03",
        (WITH_DERIVATIVES,),
        {
            "09:00": BOTH,
            "09:08": NO,
            "09:15": EVERY,
            "15:15": NO,
            "15:20": BOTH,
            "15:25": ONE,
            "15:30": NO,
            "15:35": None,
        },
    ),
    "a share without derivatives on that day": (
        "2026-08-03",
        (OTHER,),
        {"09:00": BOTH, "09:08": NO, "09:15": EVERY, "15:30": None, "15:50": BOTH, "16:00": None},
    ),
    "the pre-open as it was aligned": (
        "2026-09-07",
        (WITH_DERIVATIVES, OTHER),
        {"09:00": BOTH, "09:05": ONE, "09:10": NO, "09:15": EVERY},
    ),
    "the day before the closing auction moved": (
        "2026-12-04",
        (WITH_DERIVATIVES,),
        {"09:15": EVERY, "15:15": NO, "15:20": BOTH, "15:25": ONE, "15:30": NO, "15:35": None, "15:50": BOTH},
    ),
    "a closing auction from 15:30": (
        "2026-12-07",
        (WITH_DERIVATIVES,),
        {
            "09:15": EVERY,
            "15:30": NO,
            "15:31": BOTH,
            "15:36": ONE,
            "15:40": NO,
            "15:45": None,
            "15:50": BOTH,
            "16:00": None,
        },
    ),
    "Muhurat trading": ("2026-11-08", (WITH_DERIVATIVES, OTHER), {"18:15": EVERY, "19:15": None}),
    "an assumed day": ("2027-01-04", (WITH_DERIVATIVES,), {"09:15": EVERY, "15:30": NO, "15:31": BOTH, "15:36": ONE}),
}


def at(day: str, clock: str) -> datetime:
    return datetime.fromisoformat(f"{day}T{clock}").replace(tzinfo=INDIA)


@pytest.mark.parametrize("name", DAYS)
def test_what_each_minute_of_a_day_takes(name: str) -> None:
    day, symbols, changes = DAYS[name]
    for symbol in symbols:
        calendar = NSE.calendar_of(symbol)
        times = sorted(changes)
        for begin, end in zip(times, [*times[1:], None], strict=True):
            last = at(day, begin) + timedelta(minutes=1) if end is None else at(day, end)
            moment = at(day, begin)
            while moment < last:
                phase = calendar.phase(moment)
                assert (None if phase is None else set(phase.takes)) == changes[begin], (symbol, moment)
                moment += timedelta(minutes=1)


@pytest.mark.parametrize(
    ("order_type", "moment", "start"),
    [
        (MARKET, "2026-09-01 15:14:59", "2026-09-01 09:15"),
        (MARKET, "2026-09-01 15:15", "2026-09-01 15:20"),
        (MARKET, "2026-09-01 15:25", "2026-09-02 09:15"),  # limit orders alone from here on
        (LIMIT, "2026-09-01 15:25", "2026-09-01 15:25"),
        (LIMIT, "2026-09-01 15:30", "2026-09-02 09:15"),  # not in the post-close, and not in the pre-open
        (STOP, "2026-09-01 15:15", "2026-09-02 09:15"),  # an auction takes no stop-loss orders
        (MARKET, "2026-12-07 15:29", "2026-12-07 09:15"),
        (MARKET, "2026-12-07 15:30", "2026-12-07 15:31"),
        (LIMIT, "2026-12-07 15:36", "2026-12-07 15:36"),
        (STOP_LIMIT, "2026-12-24 15:31", "2026-12-28 09:15"),  # Christmas is a Friday
        (MARKET, "2026-12-31 16:00", "2027-01-01 09:15"),  # assumed: nobody has said yet
    ],
)
def test_the_first_phase_that_takes_an_order(order_type: str, moment: str, start: str) -> None:
    day, clock = moment.split()
    phase = NSE.calendar_of(WITH_DERIVATIVES).next_entry(order_type, at(day, clock))
    assert phase.start == at(*start.split())
    assert order_type in phase.takes


@pytest.mark.parametrize(
    ("day", "timeframe", "bars", "last"),
    [
        ("2026-07-31", "1m", 375, ("15:29", "15:30")),
        ("2026-08-03", "1m", 361, ("15:30", "15:35")),
        ("2026-08-03", "5m", 73, ("15:30", "15:35")),
        ("2026-08-03", "1h", 7, ("15:30", "15:35")),
        ("2026-08-03", "4h", 3, ("15:30", "15:35")),
        ("2026-12-07", "1m", 376, ("15:40", "15:45")),
        ("2026-12-07", "15m", 26, ("15:40", "15:45")),
        ("2026-12-07", "1d", 1, ("00:00", "15:45")),
    ],
)
def test_the_auction_is_a_bar_of_its_own(day: str, timeframe: str, bars: int, last: tuple[str, str]) -> None:
    calendar, frame = NSE.calendar_of(WITH_DERIVATIVES), Timeframe(timeframe)
    opens = list(calendar.bar_opens(frame, at(day, "00:00"), at(day, "23:59")))
    assert len(opens) == bars
    assert (opens[-1], calendar.bar_close(opens[-1], frame)) == (at(day, last[0]), at(day, last[1]))
    is_auction = [calendar.is_auction(moment, frame) for moment in opens]
    assert is_auction == [False] * (bars - 1) + [frame.is_intraday and day >= "2026-08-03"]
    if frame.is_intraday and is_auction[-1]:
        continuous_end = at(day, "15:15" if day < "2026-12-07" else "15:30")
        assert calendar.bar_close(opens[-2], frame) == continuous_end
        assert calendar.next_bar_close(frame, continuous_end) == at(day, last[1])
        assert latest_closed_open(calendar, frame, at(day, "15:36")) == opens[-2 if day > "2026-12" else -1]


def test_a_daily_bar_is_final_in_the_evening_and_others_as_they_close() -> None:
    calendar = NSE.calendar_of(WITH_DERIVATIVES)
    midnight = at("2026-10-09", "00:00")
    assert calendar.bar_close(midnight, Timeframe.D1) == at("2026-10-09", "15:35")
    assert calendar.final_at(midnight, Timeframe.D1) == at("2026-10-09", "20:00")
    assert calendar.next_final(Timeframe.D1, at("2026-10-09", "15:35")) == at("2026-10-09", "20:00")
    assert calendar.next_final(Timeframe.D1, at("2026-10-09", "20:00")) == at("2026-10-12", "20:00")
    assert latest_final_open(calendar, Timeframe.D1, at("2026-10-09", "19:59")) == at("2026-10-08", "00:00")
    assert calendar.final_at(at("2026-11-08", "00:00"), Timeframe.D1) == at("2026-11-08", "21:15")  # Muhurat ends at 19:15
    for open_time in (at("2026-10-09", "15:14"), at("2026-10-09", "15:30")):
        assert calendar.final_at(open_time, Timeframe.M1) == calendar.bar_close(open_time, Timeframe.M1)
    crypto = get_market("crypto_binance").calendar
    assert crypto.final_at(datetime(2026, 1, 1, tzinfo=UTC), Timeframe.D1) == datetime(2026, 1, 2, tzinfo=UTC)


class TestAUniverse:
    """Shares that trade differently, at once."""

    calendar = NSE.calendar_over([WITH_DERIVATIVES, OTHER])

    def test_shares_that_trade_alike_share_a_calendar(self) -> None:
        assert NSE.calendar_over(["TCS", "INFY"]) is NSE.calendar_of("RELIANCE")
        assert NSE.calendar_over([OTHER]) is NSE.calendar

    def test_it_has_the_bars_of_all(self) -> None:
        opens = list(self.calendar.bar_opens(Timeframe.M5, at("2026-09-01", "15:05"), at("2026-09-02", "09:20")))
        expected = ["15:05", "15:10", "15:15", "15:20", "15:25", "15:30", "09:15"]
        assert [moment.astimezone(INDIA).strftime("%H:%M") for moment in opens] == expected
        assert self.calendar.is_auction(at("2026-09-01", "15:30"), Timeframe.M5)
        assert not self.calendar.is_auction(at("2026-09-01", "15:25"), Timeframe.M5)

    def test_a_bar_that_several_have_closes_as_the_last_of_them_does(self) -> None:
        assert self.calendar.bar_close(at("2026-09-01", "13:15"), Timeframe.H4) == at("2026-09-01", "15:30")
        assert self.calendar.bar_close(at("2026-09-01", "00:00"), Timeframe.D1) == at("2026-09-01", "15:35")
        closes = [at("2026-09-01", "15:30")]
        for _ in range(2):
            closes.append(self.calendar.next_bar_close(Timeframe.M5, closes[-1]))
        assert closes[1:] == [at("2026-09-01", "15:35"), at("2026-09-02", "09:20")]
        with pytest.raises(InvalidInput, match="no symbol has a 5m bar"):
            self.calendar.bar_close(at("2026-09-01", "15:31"), Timeframe.M5)

    def test_it_trades_while_one_of_them_does(self) -> None:
        moment = at("2026-09-01", "15:20")
        assert self.calendar.is_open(moment)
        assert not NSE.calendar_of(WITH_DERIVATIVES).is_open(moment)
        assert self.calendar.next_entry(STOP, moment).start == at("2026-09-01", "09:15")


def test_of_records_the_one_that_began_last_holds() -> None:
    records = [
        Dated(valid_from=date(2026, 1, 1), value="first", source="a"),
        Dated(
            valid_from=date(2026, 3, 1),
            value="second",
            source="b",
            valid_until=date(2026, 3, 31),
            known_through=date(2026, 3, 15),
        ),
    ]
    assert [record_on(records, date(2026, month, 1)).value for month in (2, 3, 4)] == ["first", "second", "first"]
    assert records[1].is_known_on(date(2026, 3, 15))
    assert not records[1].is_known_on(date(2026, 3, 16))
    with pytest.raises(InvalidInput, match="nothing is recorded for 2025-12-31"):
        record_on(records, date(2025, 12, 31))
