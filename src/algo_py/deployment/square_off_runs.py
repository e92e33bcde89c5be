"""Whether a deployment has a run at which its positions can be squared off."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime, timedelta
from zoneinfo import ZoneInfo

from algo_py.deployment.config import DeploymentConfig
from algo_py.engine.day_time import written
from algo_py.engine.windows import square_off_from
from algo_py.errors import Refused
from algo_py.market import Calendar
from algo_py.market.calendars import Session

_TICK = timedelta(microseconds=1)
# A session outside of the usual hours need not have a run; of so many in a row one does, or none ever will.
_SESSIONS = 3
_DAYS_LOOKED_AT = 30


def refuse_without_a_run(config: DeploymentConfig, *, after: datetime) -> None:
    """Raise Refused for a schedule without a run between `square_off_at` and the end of continuous trading."""
    at = config.backtest.square_off_at
    if at is None:
        return
    begin = after if config.start is None else max(after, config.start)
    zone = config.market.time_zone
    for symbol in config.backtest.symbols:
        seen: list[tuple[datetime, datetime]] = []
        for session in _sessions(config.market.calendar_of(symbol), zone, begin):
            since = square_off_from(session, at, config.timeframe, zone)
            if since < begin:
                continue
            fire = config.next_fire(since - _TICK)
            if fire is None or fire < session.close:
                seen.clear()
                break
            seen.append((since, session.close))
            if len(seen) == _SESSIONS:
                break
        if seen:
            since, close = (moment.astimezone(zone) for moment in seen[0])
            raise Refused(
                f"square_off_at {written(at)} needs a run from {since:%H:%M} to {close:%H:%M} {zone.key}, "
                f"and '{config.schedule}' has none: {symbol} would not be squared off",
                remedy="Let it run on bar close.",
            )


def _sessions(calendar: Calendar, zone: ZoneInfo, begin: datetime) -> Iterator[Session]:
    today = begin.astimezone(zone).date()
    for ahead in range(_DAYS_LOOKED_AT):
        session = calendar.day(today + timedelta(days=ahead)).session
        if session is not None:
            yield session
