"""A calendar's sessions as arrays: what a loop over a hundred thousand bars asks, a few array operations answer."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta
from functools import lru_cache
from typing import Final
from zoneinfo import ZoneInfo

import numpy as np
import pandas as pd

from algo_py.errors import InvalidInput
from algo_py.market import Calendar, Market, Timeframe
from algo_py.market.calendars import AlwaysOpen, Session, UnknownDays
from algo_py.market.phases import MARKET, PhaseKind

_DAY: Final = timedelta(days=1)
_MICROSECOND: Final = timedelta(microseconds=1)
_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
_NEVER: Final = np.iinfo(np.int64).max


@dataclass(frozen=True, slots=True, eq=False)
class SessionTable:
    """The sessions of some days, ascending. All arrays are int64, microseconds since 1970 in UTC.

    day_starts and day_ends are the midnights of the market's zone round each session. Without an auction, auction_opens and
    auction_ends are later than everything. entry_ends: until when the auction takes market orders.
    """

    sessions: tuple[Session, ...]
    day_starts: np.ndarray
    day_ends: np.ndarray
    opens: np.ndarray
    closes: np.ndarray
    ends: np.ndarray
    auction_opens: np.ndarray
    auction_ends: np.ndarray
    entry_ends: np.ndarray

    @property
    def has_auction(self) -> np.ndarray:
        """Whether each session ends with an auction."""
        found: np.ndarray = self.auction_opens != _NEVER
        return found

    def rows_of(self, opens_us: np.ndarray) -> np.ndarray:
        """Return the session of the day on which each bar opens, -1 where that day has none."""
        places = np.searchsorted(self.day_starts, opens_us, side="right") - 1
        if not len(self.sessions):
            return places
        return np.where((places >= 0) & (opens_us < self.day_ends[places]), places, -1)

    def is_auction(self, opens_us: np.ndarray) -> np.ndarray:
        """Return which of these intraday bars are closing auctions."""
        if not self.has_auction.any():
            return np.zeros(len(opens_us), dtype=np.bool_)
        places = self.rows_of(opens_us)
        found: np.ndarray = (places >= 0) & (opens_us >= self.closes[places]) & self.has_auction[places]
        return found


def to_us(moment: datetime) -> int:
    """Return microseconds since 1970."""
    return (moment - _EPOCH) // _MICROSECOND


def microseconds(index: pd.DatetimeIndex) -> np.ndarray:
    """Return an index in UTC as microseconds since 1970."""
    found: np.ndarray = (index if index.unit == "us" else index.as_unit("us")).asi8
    return found


def calendars_of(market: Market, symbols: Iterable[str]) -> dict[Calendar, list[int]]:
    """Return each calendar of a universe with the places of its symbols."""
    found: dict[Calendar, list[int]] = {}
    for place, symbol in enumerate(symbols):
        found.setdefault(market.calendar_of(symbol), []).append(place)
    return found


def sessions_between(calendar: Calendar, zone: ZoneInfo, first_us: int, last_us: int) -> SessionTable:
    """Return the sessions of the days from `first_us` to `last_us`, both included; days that are not known have none."""
    first, last = (_EPOCH + timedelta(microseconds=int(us)) for us in (first_us, last_us))
    return _table(_Identity(calendar), zone, first.astimezone(zone).date(), last.astimezone(zone).date())


@dataclass(frozen=True, slots=True, eq=False)
class _Identity:
    """A calendar by identity: a market gives the same one as long as no fact changes."""

    calendar: Calendar

    def __eq__(self, other: object) -> bool:
        return isinstance(other, _Identity) and other.calendar is self.calendar

    def __hash__(self) -> int:
        return id(self.calendar)


@lru_cache(maxsize=64)
def _table(identity: _Identity, zone: ZoneInfo, first: date, last: date) -> SessionTable:
    days = (first + timedelta(days=n) for n in range((last - first).days + 1))
    sessions = tuple(session for day in days if (session := _session(identity.calendar, day)) is not None)
    starts = [to_us(_midnight(session.day, zone)) for session in sessions]
    ends = [to_us(_midnight(session.day + _DAY, zone)) for session in sessions]
    auctions = [(_NEVER, _NEVER, _NEVER) if s.auction is None else (*map(to_us, s.auction), _entry_end(s)) for s in sessions]
    columns = (
        starts,
        ends,
        [to_us(session.open) for session in sessions],
        [to_us(session.close) for session in sessions],
        [to_us(session.end) for session in sessions],
        *([auction[n] for auction in auctions] for n in range(3)),
    )
    return SessionTable(sessions, *(np.array(column, dtype=np.int64) for column in columns))


def _session(calendar: Calendar, day: date) -> Session | None:
    try:
        return calendar.day(day).session
    except UnknownDays:
        return None


def _entry_end(session: Session) -> int:
    ends = [p.end for p in session.phases if p.kind is PhaseKind.CLOSING_AUCTION and MARKET in p.takes]
    return to_us(max(ends)) if ends else to_us(session.close)


def _midnight(day: date, zone: ZoneInfo) -> datetime:
    return datetime.combine(day, time(), zone).astimezone(UTC)


def close_times(index: pd.DatetimeIndex, market: Market, timeframe: Timeframe, symbols: Iterable[str]) -> pd.DatetimeIndex:
    """Return when the bars of a universe close: as `market.calendar_over(symbols).bar_close` says of each."""
    calendars = list(calendars_of(market, symbols))
    if all(isinstance(calendar, AlwaysOpen) for calendar in calendars):
        return index + timeframe.delta
    if timeframe is Timeframe.W1:
        over = market.calendar_over(symbols)
        return pd.DatetimeIndex([over.bar_close(moment, timeframe) for moment in index.to_pydatetime()])
    opens = microseconds(index)
    closes, late = np.full(len(opens), -1, dtype=np.int64), np.full(len(opens), -1, dtype=np.int64)
    for calendar in calendars:
        table = sessions_between(calendar, market.time_zone, int(opens[0]), int(opens[-1]))
        own, is_on_grid = _closes_of(table, opens, timeframe)
        late = np.maximum(late, own)
        closes = np.maximum(closes, np.where(is_on_grid, own, -1))
    closes = np.where(closes < 0, late, closes)  # a bar that opens where no calendar has one closes as if it had
    if (closes < 0).any():
        moment = index[int(np.argmax(closes < 0))]
        day = moment.tz_convert(market.time_zone).date()
        raise InvalidInput(f"there is no session on {day}, so no bar opens at {moment.isoformat()}")
    return pd.DatetimeIndex(closes.view("M8[us]"), tz="UTC").as_unit(index.unit)


def _closes_of(table: SessionTable, opens: np.ndarray, timeframe: Timeframe) -> tuple[np.ndarray, np.ndarray]:
    """Return one calendar's close of each bar (-1: it has no session that day), and whether it has that bar at all."""
    places = table.rows_of(opens)
    is_known = places >= 0
    if not len(table.sessions):
        return np.full(len(opens), -1, dtype=np.int64), is_known
    if not timeframe.is_intraday:
        return np.where(is_known, table.ends[places], -1), is_known
    length = timeframe.seconds * 1_000_000
    is_auction = table.has_auction[places] & (opens >= table.closes[places])
    closes = np.where(is_auction, table.auction_ends[places], np.minimum(opens + length, table.closes[places]))
    since_open = opens - table.opens[places]
    is_bar = (since_open >= 0) & (since_open % length == 0) & (opens < table.closes[places])
    has = is_known & (is_bar | (opens == table.auction_opens[places]))
    return np.where(is_known, closes, -1), has
