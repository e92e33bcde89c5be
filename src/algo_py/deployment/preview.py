"""What can be said of a deployment before it runs: when it will, and what will not work then."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime, time, timedelta
from statistics import mode
from zoneinfo import ZoneInfo

from algo_py.deployment.config import DeploymentConfig, Replay
from algo_py.deployment.schedule import AtTime
from algo_py.oms import oms_choice

_TICK = timedelta(microseconds=1)
_RUNS = 5
# By then most shares have had their first trade of the day.
_AFTER_OPENING = timedelta(minutes=5)


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
    """Return what a person should know about when the deployment runs: now, whether its orders find the market closed.

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
            return []
        openings.append((calendar.first_open(fire) + _AFTER_OPENING).astimezone(zone).time())
        closed.append(fire)
    if not closed:
        return []
    what = f"no order can be sent: {config.market.title} is closed when a run sees a new bar"
    when = f"the next time at {_moment(closed[0].astimezone(zone))} {zone.key}"
    return [f"{what}, {when}. Let it run after the opening, such as --at {mode(openings):%H:%M} --tz {zone.key}."]


def _moment(moment: datetime) -> str:
    return f"{moment:%Y-%m-%d %H:%M:%S}" if moment.second else f"{moment:%Y-%m-%d %H:%M}"
