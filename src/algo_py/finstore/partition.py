"""Reading the bars of one market and timeframe. Nothing here takes a lock or writes."""

from __future__ import annotations

import bisect
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from algo_py.errors import Damaged
from algo_py.finstore.damage import Case, Cases, reported
from algo_py.finstore.files import read_bars
from algo_py.finstore.frames import Block, union
from algo_py.finstore.layout import Layout
from algo_py.finstore.parquet import Group, InfoCache
from algo_py.finstore.pending import Pending, load_pending
from algo_py.finstore.provisional import ProvisionalBars
from algo_py.finstore.reports import SetAside
from algo_py.finstore.revisions import RevisionLogs
from algo_py.market import Market


class Partition:
    """A reader of one market and timeframe. It keeps footers and pending bars that it has seen; threads may share it.

    Provisional and pending bars are looked at first, then a symbol's files from the latest to the earliest; writers go the other
    way round. A bar that moves meanwhile is therefore met, and no bar is met without those that were stored before it.
    """

    def __init__(self, layout: Layout) -> None:
        self.layout = layout
        self.cache = InfoCache()
        self.revisions = RevisionLogs(layout)
        self.cases = Cases(layout)
        self.provisional = ProvisionalBars(layout)
        self._pending = Pending({}, {})

    def pending(self) -> Pending:
        """Return what is pending now."""
        pending = self._pending = load_pending(self.layout, self._pending)
        return pending

    def symbols(self) -> list[str]:
        """Return all symbols with bars, sorted."""
        return sorted(self.pending().symbols().union(self.provisional.all(), self.layout.symbols_with_folder()))

    def held(self, symbol: str) -> Block:
        """Return the symbol's provisional bars."""
        block = self.provisional.of(symbol)
        if not len(block):
            return block
        final = self.read(symbol, int(block.times[0]), int(block.times[-1]) + 1, times_only=True, final_only=True)
        return block.rows(~np.isin(block.times, final.times, assume_unique=True))

    def read(
        self,
        symbol: str,
        start_us: int | None = None,
        end_us: int | None = None,
        *,
        times_only: bool = False,
        final_only: bool = False,
    ) -> Block:
        """Return the bars with start <= open time < end; with `times_only` the values have no rows.

        With `final_only` provisional bars are left out.
        """
        held = Block.empty() if final_only else self.provisional.of(symbol).between(start_us, end_us)
        pending = self.pending().of(symbol).between(start_us, end_us)
        if times_only:
            held, pending = (Block(block.times, block.values[:0]) for block in (held, pending))

        def choose(groups: tuple[Group, ...]) -> range:
            first = 0 if start_us is None else bisect.bisect_left(groups, start_us, key=lambda group: group.last)
            last = len(groups) if end_us is None else bisect.bisect_left(groups, end_us, key=lambda group: group.first)
            return range(first, last)

        parts = [
            self._read_file(file, choose, times_only=times_only)
            for file in reversed(self.layout.chunks(symbol, start_us, end_us))
        ]
        return union([union(reversed(parts)).between(start_us, end_us), pending, held])

    def tail(self, symbol: str, rows: int, end_us: int | None = None) -> Block:
        """Return the last `rows` bars that open before `end_us`."""
        held = self.provisional.of(symbol).between(None, end_us)
        pending = self.pending().of(symbol).between(None, end_us)
        parts: list[Block] = []
        wanted = rows

        def choose(groups: tuple[Group, ...]) -> range:
            last = len(groups) if end_us is None else bisect.bisect_left(groups, end_us, key=lambda group: group.first)
            first, sure = last, 0
            while first > 0 and sure < wanted:
                first -= 1
                # The group that holds `end_us` may have only one bar before it.
                sure += groups[first].rows if end_us is None or groups[first].last < end_us else 1
            return range(first, last)

        for file in reversed(self.layout.chunks(symbol, None, end_us)):
            part = self._read_file(file, choose).between(None, end_us)
            parts.append(part)
            wanted -= len(part)
            if wanted <= 0:
                break
        return union([union(reversed(parts)), pending, held]).tail(rows)

    def groups(self, symbol: str, start_us: int | None = None, end_us: int | None = None) -> list[Group]:
        """Return the row groups of the symbol's own files that may hold bars of [start, end), ascending, without reading them."""
        found: list[Group] = []
        for file in reversed(self.layout.chunks(symbol, start_us, end_us)):
            try:
                groups = self.cache.get(file).groups
            except FileNotFoundError:
                continue
            found[:0] = groups
        return [
            group for group in found if (start_us is None or group.last >= start_us) and (end_us is None or group.first < end_us)
        ]

    def reported(self, cases: Sequence[Case] | None, market: Market) -> list[SetAside]:
        """Return these cases of files that were set aside (all when None) as the store shows them."""
        times: dict[str, NDArray[np.int64] | None] = {}

        def stored(symbol: str) -> NDArray[np.int64] | None:
            if symbol not in times:
                try:
                    times[symbol] = self.read(symbol, times_only=True).times
                except Damaged:
                    times[symbol] = None
            return times[symbol]

        return [reported(case, market, self.layout, stored) for case in (self.cases.all() if cases is None else cases)]

    def _read_file(self, file: Path, choose: Callable[[tuple[Group, ...]], range], *, times_only: bool = False) -> Block:
        try:
            return read_bars(file, self.cache, choose, times_only=times_only)
        except FileNotFoundError:
            return Block.empty()
