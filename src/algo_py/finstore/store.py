"""FinStore: bars on disk, by market, timeframe and symbol. It never reaches for the network."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from pathlib import Path

import pandas as pd

from algo_py.clock import as_utc, format_time
from algo_py.errors import InvalidInput, NoData
from algo_py.finstore.check import check_partition
from algo_py.finstore.coverage import coverage_of, lost_ranges
from algo_py.finstore.frames import Block, from_frames, from_us, to_frame, to_us
from algo_py.finstore.layout import Layout, partition_values
from algo_py.finstore.no_data import bars_set_aside, no_bars
from algo_py.finstore.partition import Partition
from algo_py.finstore.reports import AppendReport, Coverage, Finding, SetAside
from algo_py.finstore.revisions import revision_frame
from algo_py.finstore.set_aside import Setter
from algo_py.finstore.writer import LOCK_TIMEOUT_S, Writer
from algo_py.market import Timeframe, get_market, market_names


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
        self,
        market: str,
        timeframe: str,
        frames: Mapping[str, pd.DataFrame],
        *,
        now: datetime,
        source: str = "",
        as_of: datetime | None = None,
        are_final: bool = False,
    ) -> AppendReport:
        """Store the bars that are closed at `now` and not stored yet, and report on all of them.

        Frames are as `read` returns them; the index may have any unit. Nothing is stored when any frame is refused
        (InvalidInput); one without rows brings nothing. What is stamped within a closing auction becomes its one bar (see
        `finstore.auction`). A stored bar is never changed: other values for it are a revision, logged with `source`, where they
        come from (see `revisions`). But a bar that was not final by the market's calendar at `as_of` (when it was asked for;
        None: `now`) is stored as provisional, unless it is said that they `are_final`: it is replaced when it comes again after
        its time. When this returns, the bars are on the disk; after an error or a crash the same call can be repeated. New bars
        are stored together or not at all, provisional ones apart from final ones; only a load of history (500 bars or more a
        symbol) is stored symbol by symbol. Raises Conflict when another writer holds the lock too long, Refused when the disk
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
        writer = self._writer(partition, market)
        counts = writer.append(blocks, now_us, source=source, as_of_us=_bound(as_of), are_final=are_final)
        return AppendReport(counts)

    def provisional(self, market: str, timeframe: str, symbol: str) -> tuple[datetime, ...]:
        """Return the open times of the symbol's bars that are stored and not final, ascending. `read` returns them all the same.

        A bar stays provisional until it has come again after its time (`Calendar.final_at`); within a day none is.
        """
        return tuple(from_us(us) for us in self._partition(market, timeframe).held(symbol).times)

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
        return self._coverage(market, timeframe, symbol)

    def sql(self, query: str, *, market: str | None = None, timeframe: str | None = None) -> pd.DataFrame:
        """Return the answer to one SELECT over all stored bars, or those of one market or timeframe.

        The table is bars(market, timeframe, symbol, open_time, open, high, low, close, volume): each bar once, in no
        order; open_time is a TIMESTAMP WITH TIME ZONE in UTC. The query reads nothing else and changes nothing. Raises
        InvalidInput with DuckDB's message, Damaged when files that it needs are not as they were written.
        """
        from algo_py.finstore.questions import Place, answer  # with DuckDB and more of Arrow, which nothing else needs

        wanted = None if market is None else get_market(market).name
        length = None if timeframe is None else Timeframe.parse(timeframe)
        places = [
            Place(name, each.value, self._partition(name, each))
            for name, each in self._stored_partitions()
            if wanted in (None, name) and length in (None, each)
        ]
        return answer(query, places)

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

    def set_aside(self, *, now: datetime) -> list[SetAside]:
        """Move every damaged file out of the way, keep what is sound in it, and note what is lost; return what was moved.

        Reads and appends work again; the bars that are lost are gaps in their symbols' coverage until they are stored again.
        After an error or a crash the same call goes on. Raises Conflict and Refused like `append`.
        """
        moment = as_utc(now)
        found: list[SetAside] = []
        for market, timeframe in self._stored_partitions():
            partition = self._partition(market, timeframe)
            cases = Setter(partition, get_market(market), moment, lock_timeout_s=self._lock_timeout_s).run()
            found.extend(partition.reported(cases, get_market(market)))
        return found

    def damaged_files(self) -> list[SetAside]:
        """Return all files that were ever set aside and still lie there, oldest first by market and timeframe."""
        return [
            one
            for market, timeframe in self._stored_partitions()
            for one in self._partition(market, timeframe).reported(None, get_market(market))
        ]

    def lost_ranges(self, market: str, timeframe: str, symbol: str) -> list[tuple[int | None, int]]:
        """Return which bars were lost with files that were set aside and are not back, as stretches in ascending order.

        Each is the open time of the first and of the last, both included, in microseconds since 1970. The first is None when it
        is not known where the lost bars began. A symbol that is not stored (any more) is fine.
        """
        return lost_ranges(self._partition(market, timeframe), get_market(market), symbol)

    def settle_lost(self, market: str, timeframe: str, symbol: str, *, now: datetime) -> None:
        """Note that what can be had again of a symbol's lost bars is stored; what is still missing is an ordinary gap then."""
        self._writer(self._partition(market, timeframe), market).settle_lost(symbol, as_utc(now))

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
        there = self._coverage(market, timeframe, symbol)
        period = " ".join(f"{word} {format_time(moment)}" for word, moment in (("from", start), ("before", end)) if moment)
        raise NoData(
            f"there are no {timeframe} bars of {symbol} on {market} {period}",
            remedy=f"Choose a period within {format_time(there.first)} to {format_time(there.last)}, or store more bars.",
        )

    def _coverage(self, market: str, timeframe: str, symbol: str) -> Coverage:
        partition = self._partition(market, timeframe)
        coverage = coverage_of(partition, get_market(market), symbol)
        if coverage is None:
            cases = partition.cases.of(symbol)
            raise bars_set_aside(market, timeframe, symbol, cases) if cases else no_bars(self, market, timeframe, symbol)
        return coverage


def _bound(moment: datetime | None) -> int | None:
    return None if moment is None else to_us(moment)
