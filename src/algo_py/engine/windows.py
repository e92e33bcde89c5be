"""Rule 12: between which times of day entries are allowed, and when every position is closed.

Both are masks on the signals, bar by bar, so that the backtest, the sweep and the live worker follow the same ones and nobody
pays who does not use them.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, time, timedelta
from typing import Final
from zoneinfo import ZoneInfo

import numpy as np
import pandas as pd

from algo_py.engine.config import PortfolioConfig
from algo_py.errors import InvalidInput
from algo_py.market import Calendar, Market, Timeframe, get_market
from algo_py.market.calendars import Session
from algo_py.strategy import Bars
from algo_py.strategy.session_table import SessionTable, calendars_of, microseconds, sessions_between, to_us

Flags = Mapping[str, np.ndarray | None]

SQUARE_OFF: Final = "square_off"  # the reason of its exits
_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
_DIRECTIONS: Final = (("entries", "exits"), ("short_entries", "short_exits"))


@dataclass(frozen=True, slots=True, eq=False)
class Windows:
    """What the times of day forbid and ask for, time x symbol, at each bar's close.

    no_entry: an entry decided there is dropped. square_off: every position is left; None where nothing is squared off.
    """

    no_entry: np.ndarray
    square_off: np.ndarray | None

    def follow(self, flags: Flags) -> dict[str, np.ndarray | None]:
        """Return the signals that are left of a strategy's. An exit that an entry of its bar contradicts stays contradicted."""
        found = dict(flags)
        for enter, leave in _DIRECTIONS:
            entries, exits = flags[enter], flags[leave]
            if exits is not None and entries is not None:
                exits = exits & ~(entries & self.no_entry)
            if entries is not None:
                found[enter] = entries & ~self.no_entry
            if self.square_off is not None and (entries is not None or exits is not None):
                exits = self.square_off if exits is None else exits | self.square_off
            found[leave] = exits
        return found

    def is_square_off(self, flags: Flags, rows: np.ndarray, places: np.ndarray, is_long: np.ndarray) -> np.ndarray:
        """Return which exits, decided at these rows for these symbols, are of the square-off and not of the strategy itself."""
        if self.square_off is None:
            return np.zeros(len(rows), dtype=np.bool_)
        found: np.ndarray = self.square_off[rows, places]
        for (enter, leave), of_side in zip(_DIRECTIONS, (is_long, ~is_long), strict=True):
            entries, exits = flags[enter], flags[leave]
            if exits is not None:
                own = exits[rows, places]
                own = own if entries is None else own & ~entries[rows, places]
                found = found & ~(own & of_side)
        return found


def windows_of(bars: Bars, config: PortfolioConfig, *, first: int = 0, not_before: datetime | None = None) -> Windows | None:
    """Return the masks from row `first` on, None where no time is set.

    An entry counts by the moment at which its order can fill first: the close of its bar while the symbol trades continuously,
    else the next opening. `not_before`: a run that comes so late that its orders cannot go out earlier. Raises InvalidInput for
    bars of a day or more, and for bars of no market.
    """
    if not config.windows:
        return None
    name = next(iter(config.windows))
    if bars.market is None or bars.timeframe is None:
        raise InvalidInput(f"{name} needs bars of a market with a timeframe", remedy="Name both when the bars are built.")
    if not bars.timeframe.is_intraday:
        raise InvalidInput(
            f"{name} needs bars shorter than a day (timeframe was {bars.timeframe})", remedy="Use intraday bars, or leave it out."
        )
    market, timeframe, bars = get_market(bars.market), bars.timeframe, bars.tail(first)
    opens_us, closes_us = microseconds(bars.index), microseconds(bars.close_times())
    shape = (len(bars.index), len(bars.symbols))
    no_entry = np.zeros(shape, dtype=np.bool_, order="F")
    square_off = None if config.square_off_at is None else np.zeros(shape, dtype=np.bool_, order="F")
    for calendar, places in calendars_of(market, bars.symbols).items():
        late_us = closes_us if not_before is None else np.maximum(closes_us, to_us(not_before))
        table = _table(calendar, market, int(opens_us[0]), int(late_us[-1]))
        forbidden = _outside(_first_fills(table, opens_us, late_us, config), config, market)
        if square_off is not None and config.square_off_at is not None:
            zone = _square_off_zone(table, opens_us, closes_us, config.square_off_at, market, timeframe)
            square_off[:, places] = zone[:, np.newaxis]
            forbidden = forbidden | zone
        no_entry[:, places] = forbidden[:, np.newaxis]
    return Windows(no_entry, square_off)


def _table(calendar: Calendar, market: Market, first_us: int, last_us: int) -> SessionTable:
    """Return the sessions up to the one in which an order sent at the last moment fills."""
    following = to_us(calendar.first_open(_EPOCH + timedelta(microseconds=last_us)))
    return sessions_between(calendar, market.time_zone, first_us, max(following, last_us))


def _first_fills(table: SessionTable, opens_us: np.ndarray, closes_us: np.ndarray, config: PortfolioConfig) -> np.ndarray:
    """Return when an order decided at each bar's close can fill first."""
    is_auction = table.is_auction(opens_us)
    following = np.searchsorted(table.closes, closes_us, side="right")
    at_opening: np.ndarray = np.maximum(closes_us, table.opens[following])
    if config.execution == "close":  # at that close itself
        return np.where(is_auction & (not config.auction_fills), at_opening, closes_us)
    if not config.auction_fills or not table.has_auction.any():
        return at_opening
    own = np.maximum(table.rows_of(opens_us), 0)
    is_ahead = table.has_auction[own] & ~is_auction & (closes_us >= table.closes[own]) & (closes_us <= table.entry_ends[own])
    return np.where(is_ahead, table.auction_opens[own], at_opening)


def _outside(moments_us: np.ndarray, config: PortfolioConfig, market: Market) -> np.ndarray:
    """Return which moments are not within the hours of entries, both ends of which belong to them."""
    found = np.zeros(len(moments_us), dtype=np.bool_)
    if config.no_entry_before is None and config.no_entry_after is None:
        return found
    local = pd.DatetimeIndex(moments_us.view("M8[us]"), tz="UTC").tz_convert(market.time_zone)
    of_day = (local.hour.to_numpy() * 3600 + local.minute.to_numpy() * 60 + local.second.to_numpy()).astype(np.int64)
    if config.no_entry_before is not None:
        found |= of_day < _seconds(config.no_entry_before)
    if config.no_entry_after is not None:
        found |= of_day > _seconds(config.no_entry_after)
    return found


def square_off_from(session: Session, at: time, timeframe: Timeframe, zone: ZoneInfo) -> datetime:
    """Return from which bar's close on positions are squared off: the last one by `at` whose order fills in continuous trading.

    The session's open where it has no such bar.
    """
    # Bars of a whole length begin with the session; the last one that allows it ends before continuous trading does.
    limit = min(datetime.combine(session.day, at, zone).astimezone(UTC), session.close - timedelta(microseconds=1))
    return session.open + max((limit - session.open) // timeframe.delta, 0) * timeframe.delta


def _square_off_zone(
    table: SessionTable, opens_us: np.ndarray, closes_us: np.ndarray, at: time, market: Market, timeframe: Timeframe
) -> np.ndarray:
    """Return the bars at whose close every position is left: from the last one that closes by `at`, and whose order fills on the
    same day before continuous trading ends, to the end of its session; the whole session where there is no such bar.
    """
    places = table.rows_of(opens_us)
    begins = np.array(
        [to_us(square_off_from(session, at, timeframe, market.time_zone)) for session in table.sessions], dtype=np.int64
    )
    found: np.ndarray = (places >= 0) & (closes_us >= begins[np.maximum(places, 0)])
    return found


def _seconds(moment: time) -> int:
    return moment.hour * 3600 + moment.minute * 60
