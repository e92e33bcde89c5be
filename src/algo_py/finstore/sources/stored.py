"""Longer bars made from the shorter ones of the same store, for a timeframe that no place outside has."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta

import numpy as np
from numpy.typing import NDArray

from algo_py.clock import format_time
from algo_py.errors import NoData
from algo_py.finstore.absences import AbsenceLog, covering
from algo_py.finstore.bartimes import expected_opens
from algo_py.finstore.frames import Block, from_frames, from_us, to_frame, to_us
from algo_py.finstore.layout import Layout
from algo_py.finstore.reports import Coverage
from algo_py.finstore.resample import check_nesting, resample_block
from algo_py.finstore.sources.answers import check_range, empty_frame
from algo_py.finstore.sources.protocol import Answer
from algo_py.finstore.store import FinStore
from algo_py.market import Instrument, Market, Timeframe

# So many of the shorter bars are read at once.
_ROWS = 100_000
# A closing auction is asked for from the end of continuous trading to the end of matching, which may be a little more.
_ROOM = timedelta(hours=1)


class StoredSource:
    """Bars of one market out of its stored `timeframe_from` bars, by the rules of `finstore.resample`.

    A hole in those that is not known to be one of the exchange's is refused (NoData) and not passed on as an absence: it may be
    filled any day. Of provisional bars nothing is made; what is made of final ones is final.
    """

    parallel = 2
    rewrites_history = False

    def __init__(self, store: FinStore, market: Market, timeframe_from: Timeframe) -> None:
        self.name = f"stored:{timeframe_from}"
        self._store = store
        self._market = market
        self._shorter = timeframe_from
        self._absences = AbsenceLog(Layout.of(store.folder, market.name, timeframe_from))

    def page(self, timeframe: Timeframe) -> timedelta:
        check_nesting(self._shorter, timeframe)
        return self._shorter.delta * _ROWS

    def fetch(self, timeframe: Timeframe, symbol: str, start: datetime, end: datetime, *, deadline_s: float) -> Answer:
        check_range(start, end, self.page(timeframe) + _ROOM)
        stored = self._coverage(symbol)
        calendar = self._market.calendar_of(symbol)
        longer = expected_opens(calendar, timeframe, to_us(start), to_us(end) - 1)
        if not len(longer):
            return Answer(frame=empty_frame())
        closes_us = to_us(calendar.bar_close(from_us(longer[-1]), timeframe))
        first_us, last_us = max(int(longer[0]), to_us(stored.first)), min(closes_us - 1, to_us(stored.last))
        if first_us > last_us:
            return Answer(frame=empty_frame())
        block = self._read(symbol, first_us, last_us)
        expected = expected_opens(calendar, self._shorter, first_us, last_us)
        missing = expected[~np.isin(expected, block.times, assume_unique=True)]
        absent = missing[self._is_absent(symbol, missing)]
        if len(absent) < len(missing):
            self._refuse(timeframe, symbol, np.setdiff1d(missing, absent, assume_unique=True))
        made = resample_block(block, self._market.name, calendar, self._shorter, timeframe, absent=absent)
        early = [to_us(moment) for moment in self._store.provisional(self._market.name, self._shorter, symbol)]
        not_final = longer[np.searchsorted(longer, early, side="right") - 1]
        return Answer(frame=to_frame(made.rows(~np.isin(made.times, not_final))), is_final=True)

    def earliest(self, timeframe: Timeframe, symbol: str, *, deadline_s: float) -> datetime | None:
        """Return the open time of the first of the longer bars that begins with a stored one."""
        check_nesting(self._shorter, timeframe)
        first_us = to_us(self._coverage(symbol).first)
        length_us = timeframe.seconds * 1_000_000
        calendar = self._market.calendar_of(symbol)
        for us in expected_opens(calendar, timeframe, first_us - length_us, first_us + 5 * length_us):
            begins = expected_opens(calendar, self._shorter, int(us), int(us) + length_us - 1)
            if len(begins) and begins[0] >= first_us:
                return from_us(us)
        return None

    def instruments(self, symbols: Sequence[str], *, deadline_s: float) -> Mapping[str, Instrument]:
        return {}

    def _coverage(self, symbol: str) -> Coverage:
        try:
            return self._store.coverage(self._market.name, self._shorter, symbol)
        except NoData as error:
            raise NoData(f"{self.name} has nothing to make bars of: {error.message}", remedy=error.remedy) from None

    def _read(self, symbol: str, first_us: int, last_us: int) -> Block:
        try:
            frame = self._store.read(self._market.name, self._shorter, symbol, from_us(first_us), from_us(last_us + 1))
        except NoData:
            return Block.empty()  # a hole: the coverage says that there are bars before and after
        return from_frames({symbol: frame})[symbol]

    def _is_absent(self, symbol: str, times: NDArray[np.int64]) -> NDArray[np.bool_]:
        """Return which of these bars some source was asked for, and finally did not have."""
        result = np.zeros(len(times), dtype=np.bool_)
        for absences in self._absences.sources(symbol).values():
            result |= covering([absence for absence in absences if absence.is_final], times) >= 0
        return result

    def _refuse(self, timeframe: Timeframe, symbol: str, missing: NDArray[np.int64]) -> None:
        raise NoData(
            f"{timeframe} bars of {symbol} cannot be made: {len(missing):,} {self._shorter} bars are missing between "
            f"{format_time(from_us(missing[0]))} and {format_time(from_us(missing[-1]))}",
            remedy=f"Fill them first: algo-py data fill-gap --market {self._market.name} --timeframe {self._shorter} "
            f"--symbols {symbol}",
        )
