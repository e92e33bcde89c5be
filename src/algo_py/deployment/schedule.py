"""When a deployment runs: every so often, at a time of day, or as each bar closes.

A schedule is a value; it hides no clock. `next_fire(after)` is always later than `after`, so that no run is skipped or
doubled, whatever the daylight-saving time does, and never on a day on which the market is closed. Moments are UTC. Beyond the
last day that the calendar knows its assumed days count: no schedule ends for a lack of facts.
"""

from __future__ import annotations

from datetime import UTC, datetime, time, timedelta
from typing import Annotated, Literal, Self
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from pydantic import AwareDatetime, BaseModel, ConfigDict, Field, field_validator, model_validator

from algo_py.clock import format_duration, format_time
from algo_py.errors import InvalidInput
from algo_py.market import Calendar, Timeframe

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_TICK = timedelta(microseconds=1)
_HOLIDAYS_IN_A_ROW = 400
WEEK_DAYS = ("mon", "tue", "wed", "thu", "fri", "sat", "sun")


class NoSession(InvalidInput):
    """The market has no session on the days that were chosen, as far as anybody can say."""


class EveryInterval(BaseModel):
    """Runs at fixed intervals on the market's trading days, at every hour of them.

    Aligned to the clock, every 60 minutes is at the full hour, UTC. Aligned to the start, it is counted from `anchor`, which is
    the first run itself; deploying sets it. Closed days take runs away and move none: the grid goes on behind them.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    kind: Literal["interval"] = "interval"
    every_s: int = Field(ge=1, le=7 * 86_400, description="Seconds from one run to the next")
    align: Literal["clock", "start"] = Field("clock", description="What the runs are counted from")
    anchor: AwareDatetime | None = Field(None, description="The first run, where they are counted from the start")

    @field_validator("anchor")
    @classmethod
    def _in_utc(cls, anchor: datetime | None) -> datetime | None:
        return None if anchor is None else anchor.astimezone(UTC)

    @model_validator(mode="after")
    def _an_anchor_has_its_use(self) -> Self:
        if self.anchor is not None and self.align == "clock":
            raise ValueError(f"an interval that is aligned to the clock has no anchor (was {format_time(self.anchor)})")
        return self

    def next_fire(self, after: datetime, calendar: Calendar, timeframe: Timeframe, *, provisional: bool = False) -> datetime:
        """Return the first point of the grid after `after` on a trading day."""
        fire = self._point_after(after)
        while not calendar.is_trading_day(fire):
            fire = self._point_after(calendar.next_trading_day(fire) - _TICK)
        return fire

    def _point_after(self, after: datetime) -> datetime:
        every = timedelta(seconds=self.every_s)
        if self.align == "clock":
            return _EPOCH + ((after - _EPOCH) // every + 1) * every
        if self.anchor is None:
            raise InvalidInput("the interval is aligned to a start that is not set", remedy="Set its anchor.")
        return self.anchor + max((after - self.anchor) // every + 1, 0) * every

    def __str__(self) -> str:
        every = f"every {format_duration(timedelta(seconds=self.every_s))}"
        if self.align == "clock":
            return every
        return f"{every} from {'the start' if self.anchor is None else format_time(self.anchor)}"


class AtTime(BaseModel):
    """Runs at one time of day in a time zone, on some days of the week, on the market's trading days only.

    Where daylight-saving time skips the time it runs at the moment that stands in its place; where it comes twice, once.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    kind: Literal["at"] = "at"
    at: time = Field(description="Time of day, such as 09:30")
    tz: str = Field("UTC", description="IANA time zone, such as Asia/Kolkata")
    days: tuple[str, ...] = Field(WEEK_DAYS, min_length=1, description="Days of the week")

    @field_validator("tz")
    @classmethod
    def _known_zone(cls, name: str) -> str:
        try:
            ZoneInfo(name)
        except (ZoneInfoNotFoundError, ValueError):
            raise ValueError(f"there is no time zone {name!r}, write it like Asia/Kolkata") from None
        return name

    @field_validator("days")
    @classmethod
    def _known_days(cls, days: tuple[str, ...]) -> tuple[str, ...]:
        unknown = [day for day in days if day not in WEEK_DAYS]
        if unknown:
            raise ValueError(f"there is no day {unknown[0]!r}, use {', '.join(WEEK_DAYS)}")
        return tuple(day for day in WEEK_DAYS if day in days)

    def next_fire(self, after: datetime, calendar: Calendar, timeframe: Timeframe, *, provisional: bool = False) -> datetime:
        """Return the first such moment after `after` on a trading day."""
        zone = ZoneInfo(self.tz)
        # From the day before: a time that is skipped just before midnight comes when the next day has begun.
        day = after.astimezone(zone).date() - timedelta(days=1)
        for _ in range(_HOLIDAYS_IN_A_ROW):
            fire = datetime.combine(day, self.at, zone).astimezone(UTC)  # fold 0: of two such moments the first
            if fire > after and WEEK_DAYS[day.weekday()] in self.days and calendar.is_trading_day(fire):
                return fire
            day += timedelta(days=1)
        raise NoSession(f"the market has no session on {', '.join(self.days)}", remedy="Choose other days.")

    def __str__(self) -> str:
        days = "" if self.days == WEEK_DAYS else f" on {', '.join(self.days)}"
        return f"at {self.at.isoformat('seconds' if self.at.second else 'minutes')} {self.tz}{days}"


class OnBarClose(BaseModel):
    """Runs as each bar of the deployment's timeframe is final, by the market's calendar, after a delay.

    Most bars are final as they close. NSE's daily and weekly ones are in the evening, after the exchange's end-of-day run;
    provisional: run at their close all the same.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    kind: Literal["bar_close"] = "bar_close"
    delay_s: int = Field(0, ge=0, le=3600, description="Seconds to wait after the close")

    def next_fire(self, after: datetime, calendar: Calendar, timeframe: Timeframe, *, provisional: bool = False) -> datetime:
        """Return the first moment at which a bar is final (provisional: closes), plus the delay, that is after `after`."""
        delay = timedelta(seconds=self.delay_s)
        following = calendar.next_bar_close if provisional else calendar.next_final
        return following(timeframe, after - delay) + delay

    def __str__(self) -> str:
        return "on bar close" + (f" + {format_duration(timedelta(seconds=self.delay_s))}" if self.delay_s else "")


Schedule = Annotated[EveryInterval | AtTime | OnBarClose, Field(discriminator="kind")]


def anchored(schedule: Schedule, start: datetime) -> Schedule:
    """Return the schedule with `start` as its anchor, if it is counted from the start and has none yet."""
    if isinstance(schedule, EveryInterval) and schedule.align == "start" and schedule.anchor is None:
        return schedule.model_copy(update={"anchor": start.astimezone(UTC)})
    return schedule
