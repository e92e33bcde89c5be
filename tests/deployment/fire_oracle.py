"""When a schedule has to fire, found by looking at every single minute: slow, and without the product's calendars or schedules.

Wall clocks come from the zone database, NSE's days from its own daily bars.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta
from functools import cache
from pathlib import Path
from zoneinfo import ZoneInfo

from algo_py.backtest import BacktestConfig
from algo_py.deployment.config import DeploymentConfig, LiveClock
from algo_py.deployment.schedule import WEEK_DAYS, AtTime, EveryInterval, OnBarClose
from algo_py.market import Timeframe

AnySchedule = EveryInterval | AtTime | OnBarClose
MINUTE = timedelta(minutes=1)
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_INDIA = ZoneInfo("Asia/Kolkata")
_NSE_DAYS = frozenset(
    date.fromisoformat(line) for line in (Path(__file__).parents[1] / "market" / "nse_days.txt").read_text().split()
)
_NSE_HOURS = time(9, 15), time(15, 30)
_NSE_SETTLED = time(20)
# Muhurat trading and a Saturday in two parts, 2021 to 2024.
_NSE_SPECIAL_HOURS = {
    date(2021, 11, 4): (time(18, 15), time(19, 15)),
    date(2022, 10, 24): (time(18, 15), time(19, 15)),
    date(2023, 11, 12): (time(18, 15), time(19, 15)),
    date(2024, 3, 2): (time(9, 15), time(12, 30)),
    date(2024, 5, 18): (time(9, 15), time(12, 30)),
    date(2024, 11, 1): (time(18, 0), time(19, 0)),
}


@dataclass(frozen=True, slots=True)
class Days:
    """The days around a change of the clock, [first, last), UTC."""

    first: date
    last: date

    @property
    def begin(self) -> datetime:
        return datetime.combine(self.first, time(), UTC)

    @property
    def until(self) -> datetime:
        return datetime.combine(self.last, time(), UTC)

    def minutes(self) -> Sequence[datetime]:
        return _minutes(self)


@cache
def _minutes(days: Days) -> Sequence[datetime]:
    begin = days.begin
    return [begin + number * MINUTE for number in range((days.last - days.first).days * 1440)]


def deployed(schedule: AnySchedule, market: str, timeframe: Timeframe, **window: object) -> DeploymentConfig:
    """Return the configuration of a deployment that nobody starts."""
    symbol = {"crypto_binance": "BTC/USDT", "indian_equity": "INFY"}[market]
    return DeploymentConfig.model_validate(
        {
            "id": "id",
            "name": "name",
            "backtest_id": "backtest",
            "backtest": BacktestConfig(strategy="ema-cross", market=market, timeframe=timeframe, symbols=(symbol,)),
            "strategy_file": "ema_cross.py",
            "strategy_class": "EmaCross",
            "schedule": schedule,
            "oms": "paper",
            "clock": LiveClock(),
            **window,
        }
    )


def changes_of_the_clock(years: Sequence[int], *zones: str) -> list[Days]:
    """Return five days before and after each change of the clock in one of the zones."""
    found = set()
    for year in years:
        for zone in map(ZoneInfo, zones):
            days = [date(year, 1, 1) + timedelta(days=number) for number in range(364)]
            offsets = [datetime.combine(day, time(12), zone).utcoffset() for day in days]
            for row in range(1, len(days)):
                if offsets[row] != offsets[row - 1]:
                    found.add(Days(days[row] - timedelta(days=5), days[row] + timedelta(days=6)))
    return sorted(found, key=lambda around: around.first)


def all_fires(schedule: AnySchedule, days: Days, *, on_nse: bool, bar: timedelta) -> list[datetime]:
    """Return every moment within the days at which the schedule has to fire, ascending."""
    if isinstance(schedule, AtTime):
        named = [(m, day) for m, day in _once_a_day(schedule.at, schedule.tz, days) if WEEK_DAYS[day.weekday()] in schedule.days]
        due = [minute for minute, _ in named]
    elif isinstance(schedule, OnBarClose):
        delay = timedelta(seconds=schedule.delay_s)
        due = [m for m in days.minutes() if _is_bar_final(m - delay, bar, on_nse=on_nse)]
    else:
        every, none, origin = timedelta(seconds=schedule.every_s), timedelta(0), schedule.anchor or _EPOCH
        due = [m for m in days.minutes() if m >= origin and (m - origin) % every == none]
    return [minute for minute in due if not on_nse or in_india(minute).date() in _NSE_DAYS]


def disagreements(next_fire: Callable[[datetime], datetime | None], expected: Sequence[datetime], days: Days) -> list[str]:
    """Walk from fire to fire through the days, and say what is skipped, too many, out of order or not as expected."""
    fires, after = [], days.begin - timedelta(microseconds=1)
    while (fire := next_fire(after)) is not None and fire < days.until:
        if fire <= after:
            return [f"{fire} does not come after {after}"]
        fires.append(fire)
        after = fire
    skipped, surplus = sorted(set(expected) - set(fires)), sorted(set(fires) - set(expected))
    return [f"{moment} is skipped" for moment in skipped] + [f"{moment} is one too many" for moment in surplus]


def in_india(moment: datetime) -> datetime:
    return moment.astimezone(_INDIA)


def _once_a_day(at: time, zone: str, days: Days) -> Iterator[tuple[datetime, date]]:
    """Yield the first minute of each day at which the wall clock shows `at`, or that stands in its place where it is skipped."""
    seen: set[date] = set()
    for place, day in _shown(zone, days).get(at, []):
        if day not in seen:
            seen.add(day)
            yield place, day


@cache
def _shown(zone: str, days: Days) -> dict[time, list[tuple[datetime, date]]]:
    """Return for each time of day at which minutes a clock on the wall shows it; a skipped one at a minute in its place."""
    found: dict[time, list[tuple[datetime, date]]] = {}
    here = ZoneInfo(zone)
    walls = [minute.astimezone(here).replace(tzinfo=None) for minute in days.minutes()]
    for minute, wall, before in zip(days.minutes(), walls, [walls[0] - MINUTE, *walls], strict=False):
        if wall - before > MINUTE:
            skipped = [before + number * MINUTE for number in range(1, (wall - before) // MINUTE)]
            for lost in skipped:
                found.setdefault(lost.time(), []).append((minute + (lost - skipped[0]), lost.date()))
        found.setdefault(wall.time(), []).append((minute, wall.date()))
    return found


def _is_bar_final(minute: datetime, bar: timedelta, *, on_nse: bool) -> bool:
    if not on_nse:
        return (minute - _EPOCH) % bar == timedelta(0)
    wall = in_india(minute).replace(tzinfo=None)
    if wall.date() not in _NSE_DAYS:
        return False
    opens, closes = (datetime.combine(wall.date(), at) for at in _NSE_SPECIAL_HOURS.get(wall.date(), _NSE_HOURS))
    if bar >= timedelta(days=1):  # final in the evening, two hours after a late session's end
        return wall == max(datetime.combine(wall.date(), _NSE_SETTLED), closes + timedelta(hours=2))
    return opens < wall <= closes and (wall == closes or (wall - opens) % bar == timedelta(0))
