"""FinStore: bars on disk, by market, timeframe and symbol. It never reaches for the network."""

from __future__ import annotations

import difflib
from collections.abc import Mapping
from datetime import datetime
from pathlib import Path

import pandas as pd

from algo_py.clock import format_time
from algo_py.errors import InvalidInput, NoData
from algo_py.finstore.check import check_partition
from algo_py.finstore.coverage import coverage_of
from algo_py.finstore.frames import Block, from_frames, to_frame, to_us
from algo_py.finstore.layout import Layout, partition_values
from algo_py.finstore.partition import Partition
from algo_py.finstore.reports import AppendReport, Coverage, Finding
from algo_py.finstore.revisions import revision_frame
from algo_py.finstore.writer import LOCK_TIMEOUT_S, Writer
from algo_py.market import Timeframe, get_market, market_names

_NAMES_SHOWN = 8


class FinStore:
    """Bars in a folder. Building one touches nothing on disk; processes and threads may share the folder and the object.

    Readers take no lock and see every bar that an append had finished storing before they began. Appends to one market and
    timeframe wait for one another, at most `lock_timeout_s`.
    """

    def __init__(self, folder: Path, *, lock_timeout_s: float = LOCK_TIMEOUT_S) -> None:
        self.folder = Path(folder)
        self._lock_timeout_s = lock_timeout_s
        self._partitions: dict[tuple[str, Timeframe], Partition] = {}

    def read(
        self, market: str, timeframe: str, symbol: str, start: datetime | None = None, end: datetime | None = None
    ) -> pd.DataFrame:
        """Return the bars that open in [start, end), ascending; None is open.

        Index open_time (datetime64[us, UTC]), columns open, high, low, close, volume (float64), read-only. Raises NoData when
        there is no such bar (the message says what there is), Damaged when a file is not as it was written.
        """
        start_us, end_us = _bound(start), _bound(end)
        if start_us is not None and end_us is not None and start_us >= end_us:
            raise InvalidInput(f"start must be before end (was {format_time(start)} and {format_time(end)})")
        partition = self._partition(market, timeframe)
        block = partition.read(symbol, start_us, end_us)
        return to_frame(self._some(block, market, timeframe, symbol, start, end))

    def read_tail(self, market: str, timeframe: str, symbol: str, rows: int, *, end: datetime | None = None) -> pd.DataFrame:
        """Return the last `rows` bars that open before `end`, or all when there are fewer; otherwise like `read`."""
        if rows < 1:
            raise InvalidInput(f"rows must be 1 or more (was {rows})")
        partition = self._partition(market, timeframe)
        block = partition.tail(symbol, rows, _bound(end))
        return to_frame(self._some(block, market, timeframe, symbol, None, end))

    def append(
        self, market: str, timeframe: str, frames: Mapping[str, pd.DataFrame], *, now: datetime, source: str = ""
    ) -> AppendReport:
        """Store the bars that are closed at `now` and not stored yet, and report on all of them.

        Frames are as `read` returns them; the index may have any unit. Nothing is stored when any frame is refused
        (InvalidInput); one without rows brings nothing. A stored bar is never changed: other values for it are a revision, logged
        with `source`, where they come from (see `revisions`). When this returns, the bars are on the disk; after an error or a
        crash the same call can be repeated. New bars are stored together or not at all; only a load of history (500 bars or more
        a symbol) is stored symbol by symbol. Raises Conflict when another writer holds the lock too long, Refused when the disk
        does not take it, Damaged when bars to compare with, or a log of revisions, are not as they were written.
        """
        now_us = to_us(now)
        own_market = get_market(market)
        partition = self._partition(market, timeframe)
        for symbol in frames:
            own_market.check_symbol(symbol)
        blocks = from_frames(frames)
        if not blocks:
            return AppendReport({})
        return AppendReport(self._writer(partition, market).append(blocks, now_us, source=source))

    def revisions(self, market: str, timeframe: str, symbol: str | None = None) -> pd.DataFrame:
        """Return the other values that were offered for stored bars, of one symbol or of all, in the order they were seen.

        Columns symbol, open_time, seen_at, source, adopted_at (NaT: not adopted; only the latest offer for a bar can be), then
        stored_open to stored_volume, what was stored when it was seen, and offered_open to offered_volume. An offer with equal
        values says that the source has returned to what is stored. None is a frame without rows. Raises Damaged.
        """
        partition = self._partition(market, timeframe)
        symbols = partition.layout.symbols_with_revisions() if symbol is None else [symbol]
        return revision_frame({name: partition.revisions.of(name) for name in symbols})

    def adopt_revisions(self, market: str, timeframe: str, symbol: str, *, now: datetime) -> int:
        """Give the symbol's stored bars the values that were offered for them last; return how many bars have new values.

        Readers see each file before or after it. The log keeps the revisions, as adopted at `now`. After an error or a crash
        the same call goes on. Raises Conflict, Refused and Damaged like `append`.
        """
        return self._writer(self._partition(market, timeframe), market).adopt(symbol, to_us(now))

    def coverage(self, market: str, timeframe: str, symbol: str) -> Coverage:
        """Return the first and last bar, how many there are, and the gaps between by the market's calendar. Raises NoData."""
        coverage = coverage_of(self._partition(market, timeframe), get_market(market), symbol)
        if coverage is None:
            raise self._no_symbol(market, timeframe, symbol)
        return coverage

    def symbols(self, market: str, timeframe: str) -> tuple[str, ...]:
        """Return the symbols with bars of this market and timeframe, sorted; none is an empty tuple."""
        return tuple(self._partition(market, timeframe).symbols())

    def keys(self) -> list[tuple[str, str, str]]:
        """Return (market, timeframe, symbol) of everything stored, in the order of markets, bar lengths and names."""
        return [
            (market, timeframe.value, symbol)
            for market, timeframe in self._stored_partitions()
            for symbol in self.symbols(market, timeframe)
        ]

    def compact(self, market: str, timeframe: str) -> None:
        """Move recent appends into their symbols' files now. Appends do it little by little; no bar is changed by it."""
        self._writer(self._partition(market, timeframe), market).compact()

    def check(self) -> list[Finding]:
        """Read and verify every file; return what is not as it was written. An empty list is a sound store."""
        findings: list[Finding] = []
        for market, timeframe in self._stored_partitions():
            findings.extend(check_partition(self._partition(market, timeframe).layout, get_market(market)))
        return findings

    def _stored_partitions(self) -> list[tuple[str, Timeframe]]:
        found = []
        for market in market_names():
            values = partition_values(self.folder / f"market={market}", "timeframe")
            found += [(market, timeframe) for timeframe in Timeframe if timeframe.value in values]
        return found

    def _partition(self, market: str, timeframe: str) -> Partition:
        key = (get_market(market).name, Timeframe.parse(timeframe))
        if key not in self._partitions:
            self._partitions[key] = Partition(Layout.of(self.folder, *key))
        return self._partitions[key]

    def _writer(self, partition: Partition, market: str) -> Writer:
        return Writer(partition, get_market(market), lock_timeout_s=self._lock_timeout_s)

    def _some(
        self, block: Block, market: str, timeframe: str, symbol: str, start: datetime | None, end: datetime | None
    ) -> Block:
        """Return `block` unless it is empty; then say what there is."""
        if len(block):
            return block
        there = coverage_of(self._partition(market, timeframe), get_market(market), symbol)
        if there is None:
            raise self._no_symbol(market, timeframe, symbol)
        period = " ".join(f"{word} {format_time(moment)}" for word, moment in (("from", start), ("before", end)) if moment)
        raise NoData(
            f"there are no {timeframe} bars of {symbol} on {market} {period}",
            remedy=f"Choose a period within {format_time(there.first)} to {format_time(there.last)}, or store more bars.",
        )

    def _no_symbol(self, market: str, timeframe: str, symbol: str) -> NoData:
        message = f"there are no {timeframe} bars of {symbol!r} on {market}"
        keys = self.keys()
        others = [other for place, other, name in keys if place == market and name == symbol]
        if others:
            return NoData(message, remedy=f"{symbol} has {', '.join(others)} bars: use one of these, or store {timeframe} bars.")
        names = [name for place, other, name in keys if place == market and other == timeframe]
        if not names:
            if not keys:
                return NoData(message, remedy=f"No bars are stored in {self.folder}: `algo-py init` puts sample bars there.")
            pairs = sorted({f"{place} {other}" for place, other, _ in keys})
            return NoData(message, remedy=f"Stored are {', '.join(pairs)}.")
        spelled = {name.replace("/", "").upper(): name for name in names}
        close = difflib.get_close_matches(symbol.replace("/", "").upper(), spelled, n=1)
        if close:
            return NoData(message, remedy=f"Did you mean {spelled[close[0]]}?")
        more = f" and {len(names) - _NAMES_SHOWN} more" if len(names) > _NAMES_SHOWN else ""
        return NoData(message, remedy=f"Stored are {', '.join(names[:_NAMES_SHOWN])}{more}.")


def _bound(moment: datetime | None) -> int | None:
    return None if moment is None else to_us(moment)
