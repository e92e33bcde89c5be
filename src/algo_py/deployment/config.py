"""What a deployment is told once, when it is made: an immutable configuration."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Annotated, Any, Literal, Self

from pydantic import AwareDatetime, BaseModel, ConfigDict, Field, model_validator

from algo_py.backtest import BacktestConfig
from algo_py.clock import format_time
from algo_py.deployment.schedule import NoSession, Schedule
from algo_py.market import Market, Timeframe, get_market
from algo_py.market.calendars import Calendar
from algo_py.orders.risk import Limits

_TICK = timedelta(microseconds=1)


class LiveClock(BaseModel):
    """The machine's own clock."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    kind: Literal["live"] = "live"


class Replay(BaseModel):
    """A simulated clock over past bars; None runs as fast as the machine can."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    kind: Literal["replay"] = "replay"
    bars_per_s: float | None = Field(60.0, gt=0, le=100_000, description="Simulated bars per real second")


ClockChoice = Annotated[LiveClock | Replay, Field(discriminator="kind")]


class OrderChoice(BaseModel):
    """How orders are sent: to the market, or with a limit that is so many basis points better or worse than the last close.

    offset_bps above 0 pays more than the close when buying and takes less when selling, below 0 the other way round.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    type: Literal["market", "limit"] = "market"
    offset_bps: float = Field(0.0, ge=-1_000, le=1_000, description="Where the limit is, basis points from the last close")
    timeout_s: float = Field(60.0, gt=0, le=86_400, description="How long a limit order may rest")
    then: Literal["cancel", "market"] = Field("cancel", description="What becomes of the rest of it then")


class DeploymentConfig(BaseModel):
    """One deployment. `backtest` is the effective configuration, with the overrides made at deploying already in it.

    late_entries: take entries of bars that closed while no run took place, too. enter_open_position: the first run enters what
    the strategy holds by then. Both are off: what is past is past.

    use_provisional: act on bars that have closed and are not final yet, such as NSE's daily bars before the exchange's end-of-day
    run; else a run on bar close waits until its bar is final.

    The window is [start, end): no run happens before `start` or at and after `end`. On the replay clock both are set.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    schema_version: Literal[3] = 3
    id: str
    name: str = Field(min_length=1, max_length=100)
    backtest_id: str
    backtest: BacktestConfig
    strategy_file: str
    strategy_class: str
    schedule: Schedule
    start: AwareDatetime | None = None
    end: AwareDatetime | None = None
    oms: str
    clock: ClockChoice
    limits: Limits = Limits()
    order: OrderChoice = OrderChoice()
    late_entries: bool = False
    enter_open_position: bool = False
    use_provisional: bool = False

    @model_validator(mode="before")
    @classmethod
    def _from_earlier_versions(cls, values: Any) -> Any:
        """Read what an earlier Algo.Py wrote: version 1 had one limit, beside the others' place; 2 had no choice of entries."""
        version = values.get("schema_version", 3) if isinstance(values, dict) else 3
        if version == 1:
            now = {key: value for key, value in values.items() if key != "max_order_notional"}
            return now | {"schema_version": 3, "limits": {"max_order_notional": values.get("max_order_notional")}}
        return values | {"schema_version": 3} if version == 2 else values

    @model_validator(mode="after")
    def _window_is_one(self) -> Self:
        if self.start is not None and self.end is not None and self.start >= self.end:
            raise ValueError(f"start must be before end (was {format_time(self.start)} and {format_time(self.end)})")
        if isinstance(self.clock, Replay):
            if self.start is None or self.end is None:
                raise ValueError("a replay needs a start and an end")
            if self.oms != "paper":
                raise ValueError(f"a replay trades on paper only, past bars have no other venue (was {self.oms})")
        return self

    @property
    def market(self) -> Market:
        return get_market(self.backtest.market)

    @property
    def quote_currency(self) -> str:
        """What its cash is in. Raises InvalidInput for a deployment of an earlier version whose symbols have several."""
        return self.backtest.quote_currency

    @property
    def timeframe(self) -> Timeframe:
        return Timeframe.parse(self.backtest.timeframe)

    @property
    def calendar(self) -> Calendar:
        """The calendar of its universe. The same facts give the same answers; a file of facts that changes gives others."""
        return self.market.calendar_over(self.backtest.symbols)

    def next_fire(self, after: datetime) -> datetime | None:
        """Return when the next run after `after` is due, in UTC; None when the window has ended by then.

        On the live clock a run may take place at `start` itself. A replay's first run is later than its start: the bar that
        opens there is its first, and has not closed. Beyond the last known trading day the assumed ones count.
        """
        after = after.astimezone(UTC)
        if self.start is not None and after < self.start:
            after = self.start.astimezone(UTC) - (timedelta(0) if isinstance(self.clock, Replay) else _TICK)
        try:
            fire = self.schedule.next_fire(after, self.calendar, self.timeframe, provisional=self.use_provisional)
        except NoSession:
            if self.end is None:
                raise
            return None  # such a day does not come before the end
        return None if self.end is not None and fire >= self.end else fire

    def next_fires(self, after: datetime, count: int = 3) -> list[datetime]:
        """Return the next `count` runs after `after`, ascending; fewer when the window ends before."""
        fires: list[datetime] = []
        while len(fires) < count and (fire := self.next_fire(after)) is not None:
            fires.append(fire)
            after = fire
        return fires

    def clock_at(self, now: datetime) -> datetime:
        """Return what the deployment's own clock shows when it is deployed at `now`: a replay begins in the past."""
        return self.start if isinstance(self.clock, Replay) and self.start is not None else now
