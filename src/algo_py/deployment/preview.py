"""What can be said of a deployment before it runs: when it will, and what will not work then."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime, time, timedelta
from statistics import mode
from zoneinfo import ZoneInfo

from algo_py.deployment.config import DeploymentConfig, Replay
from algo_py.deployment.schedule import AtTime
from algo_py.market.calendars import Calendar, Session
from algo_py.market.phases import LIMIT, MARKET, Phase, PhaseKind
from algo_py.oms import oms_choice

_TICK = timedelta(microseconds=1)
_RUNS = 5
# By then most shares have had their first trade of the day.
_AFTER_OPENING = timedelta(minutes=5)
_BEFORE_THE_END = timedelta(minutes=1)
_DAYS_LOOKED_AT = 8


def shown_runs(config: DeploymentConfig, fires: Sequence[datetime]) -> str:
    """Write runs as `2025-01-31 09:30 UTC`, with seconds where they have some; beside it the time in the schedule's own zone."""
    zone = ZoneInfo(config.schedule.tz) if isinstance(config.schedule, AtTime) else UTC
    if not fires:
        return "none"
    if str(zone) == "UTC":
        runs = f"{', '.join(map(_moment, fires))} UTC"
    else:
        runs = ", ".join(f"{_moment(fire)} UTC ({_moment(fire.astimezone(zone))} {zone})" for fire in fires)
    return f"{runs}, on the replay's clock" if isinstance(config.clock, Replay) else runs


def schedule_warnings(config: DeploymentConfig, *, after: datetime) -> list[str]:
    """Return what a person should know about when the deployment runs: whether its orders find the market closed,
    or in a phase that does not take them.

    A venue that trades certain markets takes orders only while they are open. A bar's orders are sent by the first run that sees
    it, so this looks at those of the next few bars after `after`; a bar whose run comes in time is enough.
    """
    if not oms_choice(config.oms).markets:
        return []
    calendar, zone = config.calendar, config.market.time_zone
    begin = after if config.start is None else max(after, config.start)
    closed: list[datetime] = []
    openings: list[time] = []
    while len(closed) < _RUNS:
        close = calendar.next_bar_close(config.timeframe, closed[-1] if closed else begin)
        fire = config.next_fire(close - _TICK)
        if fire is None:
            break
        if calendar.is_open(fire):
            return _phase_warnings(config, begin)
        openings.append((calendar.first_open(fire) + _AFTER_OPENING).astimezone(zone).time())
        closed.append(fire)
    if not closed:
        return []
    what = f"no order can be sent: {config.market.title} is closed when a run sees a new bar"
    when = f"the next time at {_moment(closed[0].astimezone(zone))} {zone.key}"
    if told := _phase_warnings(config, begin):
        return told  # closed, but not for everything
    return [f"{what}, {when}. Let it run after the opening, such as --at {mode(openings):%H:%M} --tz {zone.key}."]


def _phase_warnings(config: DeploymentConfig, begin: datetime) -> list[str]:
    """Return what to know of runs that fall into the closing auction of a share: the first such run of the next few days, by
    what happens then, for the shares of which it holds."""
    zone, told = config.market.time_zone, dict[str, list[str]]()
    for symbol in config.backtest.symbols:
        calendar = config.market.calendar_of(symbol)
        found = _first_in_the_auction(config, calendar, begin)
        if found is None:
            continue
        fire, phase, session = found
        opens = calendar.first_open(fire)
        exits = min((calendar.next_entry(kind, fire) for kind in (MARKET, LIMIT)), key=lambda one: one.start)
        leaves = "is sent into it" if exits.start <= fire else f"waits for {_moment(exits.start.astimezone(zone))}"
        what = (
            f"the run at {_moment(fire.astimezone(zone))} {zone.key} falls into the {phase.name}: an entry is refused until "
            f"{_moment(opens.astimezone(zone))}, an exit {leaves}. Orders of a run up to "
            f"{(session.close - _BEFORE_THE_END).astimezone(zone):%H:%M} are taken at once"
        )
        told.setdefault(what, []).append(symbol)
    return [f"{', '.join(symbols)}: {what}." for what, symbols in told.items()]


def _first_in_the_auction(
    config: DeploymentConfig, calendar: Calendar, begin: datetime
) -> tuple[datetime, Phase, Session] | None:
    """Return the first run of the next days that falls into the closing auction, with its phase and its session."""
    today = begin.astimezone(config.market.time_zone).date()
    for ahead in range(_DAYS_LOOKED_AT):
        session = calendar.day(today + timedelta(days=ahead)).session
        for phase in () if session is None else session.phases:
            if phase.kind is PhaseKind.CLOSING_AUCTION and phase.end > begin:
                fire = config.next_fire(max(phase.start, begin) - _TICK)
                if fire is not None and fire < phase.end and session is not None:
                    return fire, phase, session
    return None


def _moment(moment: datetime) -> str:
    return f"{moment:%Y-%m-%d %H:%M:%S}" if moment.second else f"{moment:%Y-%m-%d %H:%M}"
