"""The bar of a closing auction: everything that is stamped between the end of continuous trading and the end of matching.

Sources know no auctions. Kite, for one, goes on with minutes: flat ones without volume while orders are collected, then one with
the print; of its quarters of an hour the one at 15:15 holds the print, as its half-hours and hours do. All of them become the one
bar that the calendar has, at the auction's price.

Bars end with continuous trading. A source whose half-hour begins in it and ends after the auction cannot be taken apart: such a
bar keeps the print as its close, and the auction is missing beside it. Make these of shorter bars (`stored:15m`).
"""

from __future__ import annotations

from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

from algo_py.finstore.bartimes import Times, sessions_of_year, years_of
from algo_py.finstore.frames import Block, to_us, union
from algo_py.market import Calendar, Timeframe
from algo_py.market.sessions import SessionCalendar

_US = 1_000_000
_CLOSE, _VOLUME = 3, 4


def folded(block: Block, calendar: Calendar, timeframe: Timeframe) -> Block:
    """Return the bars with one bar for each closing auction, which opens when the calendar says.

    Its one price is the close of the last bar of the auction that has volume, its volume the sum of all of them; without volume
    there was no auction. What was folded before stays as it is.
    """
    if not len(block) or not timeframe.is_intraday or not isinstance(calendar, SessionCalendar):
        return block
    starts, opens, ends = _auctions(calendar, int(block.times[0]), int(block.times[-1]))
    if not len(starts):
        return block
    place = np.searchsorted(starts, block.times, side="right") - 1
    is_inside = (place >= 0) & (block.times < ends[place])
    if not is_inside.any():
        return block
    rows = np.flatnonzero(is_inside & (block.values[_VOLUME] > 0))
    firsts = np.flatnonzero(np.diff(place[rows], prepend=-1))
    lasts = np.append(firsts[1:], len(rows))[: len(firsts)] - 1
    values = np.tile(block.values[_CLOSE, rows[lasts]], (len(block.values), 1))
    values[_VOLUME] = np.add.reduceat(block.values[_VOLUME, rows], firsts) if len(rows) else 0
    return union([block.rows(~is_inside), Block(opens[place[rows[lasts]]], values)])


def asked_range(calendar: Calendar, timeframe: Timeframe, first_us: int, last_us: int) -> tuple[int, int]:
    """Return the range [start, end) that a source has to be asked for so that the bars from first to last come whole."""
    end_us = last_us + timeframe.seconds * _US
    if not timeframe.is_intraday or not isinstance(calendar, SessionCalendar):
        return first_us, end_us
    starts, opens, ends = _auctions(calendar, first_us, last_us)
    start_us = int(starts[np.searchsorted(opens, first_us)]) if first_us in opens else first_us
    return start_us, int(ends[np.searchsorted(opens, last_us)]) if last_us in opens else end_us


def _auctions(calendar: SessionCalendar, first_us: int, last_us: int) -> tuple[Times, Times, Times]:
    """Return where each auction's stamps begin, where its bar opens, and where both end; of the years of these bars."""
    parts = [_auctions_of_year(calendar, year) for year in years_of(calendar, first_us, last_us)]
    if not parts:
        return (np.empty(0, dtype=np.int64),) * 3
    starts, opens, ends = np.concatenate(parts, axis=1)
    return starts, opens, ends


@lru_cache(maxsize=256)
def _auctions_of_year(calendar: SessionCalendar, year: int) -> NDArray[np.int64]:
    rows = [
        (to_us(session.close), to_us(session.auction[0]), to_us(session.auction[1]))
        for session in sessions_of_year(calendar, year)
        if session.auction is not None and session.close.year == year
    ]
    return np.array(rows, dtype=np.int64).reshape(-1, 3).T
