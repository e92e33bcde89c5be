"""Appending bars to one market and timeframe, and moving them down into their symbols' files. One writer at a time."""

from __future__ import annotations

import secrets
from collections.abc import Mapping
from contextlib import AbstractContextManager
from dataclasses import replace
from datetime import datetime
from pathlib import Path

import numpy as np

from algo_py.errors import Damaged
from algo_py.finstore.auction import folded
from algo_py.finstore.bartimes import closed, off_calendar, off_calendar_error, provisional
from algo_py.finstore.damage import settled
from algo_py.finstore.durable import remove_leftovers, write_all_durably, write_durably, write_hint, writing
from algo_py.finstore.files import encode_bars, encode_delta, read_bars
from algo_py.finstore.frames import Block, union
from algo_py.finstore.layout import Layout, number_of, numbered
from algo_py.finstore.partition import Partition
from algo_py.finstore.pending import Pending, PendingFile, gathered
from algo_py.finstore.reports import AppendCounts
from algo_py.finstore.revisions import Offer
from algo_py.market import Calendar, Market

LOCK_TIMEOUT_S = 30.0

# So many bars of one symbol at once are a load of history: they go straight into the symbol's file. When an append brings more
# than a delta should hold, fewer are enough.
_BULK_ROWS, _BULK_ROWS_IN_A_CROWD = 500, 32
_DELTA_ROWS_MAX = 20_000
_FILES_AT_ONCE = 32
# So many deltas become one merged file; so many merged files start the folding of all that is pending into symbols' files.
_DELTAS_MAX = 16
_MERGED_MAX = 8
# Folding is spread over appends, so that none of them takes long: this share of the symbols each time.
_FOLD_SHARE = 128
_FOLD_MIN = 4


class Writer:
    """Appends to one market and timeframe. Every public method takes the lock, and may be repeated after a crash at any point."""

    def __init__(self, partition: Partition, market: Market, *, lock_timeout_s: float = LOCK_TIMEOUT_S) -> None:
        self._partition = partition
        self._layout: Layout = partition.layout
        self._market = market
        self._lock_timeout_s = lock_timeout_s

    def append(
        self, blocks: Mapping[str, Block], now_us: int, *, source: str = "", as_of_us: int | None = None, are_final: bool = False
    ) -> dict[str, AppendCounts]:
        """Store the closed bars that are new, log the revisions; return what became of each symbol's bars.

        Bars that were not final at `as_of_us` (None: at `now_us`) are stored as provisional, unless all `are_final`.
        """
        calendars = {symbol: self._market.calendar_of(symbol) for symbol in blocks}
        blocks = {symbol: folded(block, calendars[symbol], self._layout.timeframe) for symbol, block in blocks.items()}
        candidates = self._closed(blocks, calendars, now_us)
        early: dict[str, Block] = {}
        if not (self._layout.timeframe.is_intraday or are_final):
            early = self._early(candidates, calendars, now_us if as_of_us is None else as_of_us)
            candidates = {
                symbol: block.rows(~np.isin(block.times, early[symbol].times)) if symbol in early else block
                for symbol, block in candidates.items()
            }
        with self._writing():
            pending = self._partition.pending()
            held = self._partition.provisional.all()
            fresh: dict[str, Block] = {}
            offers: dict[str, Offer] = {}
            counts: dict[str, AppendCounts] = {}
            overlapping = self._overlapping(candidates, pending)
            for symbol, block in candidates.items():
                fresh[symbol], offer = self._compared(symbol, block, overlapping)
                revised = 0
                if offer is not None:
                    offers[symbol] = offer
                    revised = int(offer.differs.sum())
                settled = int(np.isin(fresh[symbol].times, held[symbol].times).sum()) if symbol in held else 0
                counts[symbol] = AppendCounts(
                    new=len(fresh[symbol]) - settled,
                    repeated=len(block) - len(fresh[symbol]) - revised,
                    revised=revised,
                    forming=len(blocks[symbol]) - len(block) - (len(early[symbol]) if symbol in early else 0),
                    settled=settled,
                )
            is_crowd = sum(len(block) for block in fresh.values()) > _DELTA_ROWS_MAX
            bulk_rows = _BULK_ROWS_IN_A_CROWD if is_crowd else _BULK_ROWS
            # What is pending goes along: a reader that looked before it was appended must not meet later bars alone.
            self._store(
                {symbol: union([pending.of(symbol), block]) for symbol, block in fresh.items() if len(block) >= bulk_rows}
            )
            small = {symbol: block for symbol, block in fresh.items() if 0 < len(block) < bulk_rows}
            if small:
                write_durably(self._layout.deltas / self._next_name(pending), encode_delta(small))
                self._maintain()
            if offers:
                self._log(offers, now_us, source)
            if early or held:
                self._hold(early, held, candidates, counts)
        return counts

    def adopt(self, symbol: str, now_us: int) -> int:
        """Give stored bars the values that were offered last; return how many have them now for the first time."""
        if not len(self._partition.revisions.of(symbol).waiting()):
            return 0
        with self._writing():
            log = self._partition.revisions.of(symbol)
            offered = log.waiting()
            if not len(offered):
                return 0
            first_us, end_us = int(offered.times[0]), int(offered.times[-1]) + 1
            stored = self._partition.read(symbol, first_us, end_us, times_only=True, final_only=True)
            offered = offered.rows(np.isin(offered.times, stored.times, assume_unique=True))
            # Bars that are pending come along: in its own file a bar counts before those above.
            write_all_durably(self._contents(symbol, self._partition.pending().of(symbol), instead=offered))
            remove_leftovers(self._layout.revisions)
            write_durably(self._layout.revision_log(symbol), log.with_adopted(offered.times, now_us=now_us).encode())
        return len(offered)

    def settle_lost(self, symbol: str, now: datetime) -> None:
        """Note that nothing of a symbol's lost bars is waited for any more."""
        if self._partition.cases.of(symbol):
            with self._writing():
                for case in self._partition.cases.of(symbol):
                    settled(case, symbol, now).write()

    def compact(self) -> None:
        """Move what is pending now into the symbols' files. Other writers may have their turn in between."""
        with self._writing():
            self._merge(at_least=1)
            last = max(self._partition.pending().merged, default="")
        is_left = bool(last)
        while is_left:
            with self._writing():
                self._fold()
                is_left = any(name <= last for name in self._partition.pending().merged)

    def _closed(self, blocks: Mapping[str, Block], calendars: Mapping[str, Calendar], now_us: int) -> dict[str, Block]:
        """Return the closed bars of each symbol, after refusing bars that its calendar does not have.

        Symbols that trade alike are looked at together: most calls bring one bar for many.
        """
        timeframe = self._layout.timeframe
        last_closed: dict[Calendar, int] = {}
        for calendar in dict.fromkeys(calendars.values()):
            own = [block.times for symbol, block in blocks.items() if calendars[symbol] is calendar]
            times = np.unique(np.concatenate(own))
            if not len(times):
                last_closed[calendar] = -1
                continue
            wrong = off_calendar(calendar, timeframe, times)
            if wrong.any():
                us = int(times[np.argmax(wrong)])
                symbol = next(s for s, b in blocks.items() if calendars[s] is calendar and us in b.times)
                raise off_calendar_error(self._market, timeframe, symbol, us)
            done = times[closed(calendar, timeframe, times, now_us)]
            last_closed[calendar] = int(done[-1]) if len(done) else -1
        return {symbol: block.between(None, last_closed[calendars[symbol]] + 1) for symbol, block in blocks.items()}

    def _early(self, blocks: Mapping[str, Block], calendars: Mapping[str, Calendar], as_of_us: int) -> dict[str, Block]:
        """Return the bars that were not final yet at a moment, of the symbols that have some."""
        since: dict[Calendar, int] = {}
        for calendar in dict.fromkeys(calendars.values()):
            own = [block.times for symbol, block in blocks.items() if calendars[symbol] is calendar]
            times = np.unique(np.concatenate(own))
            not_final = times[provisional(calendar, self._layout.timeframe, times, as_of_us)]
            if len(not_final):
                since[calendar] = int(not_final[0])  # whatever is newer is not final either
        return {
            symbol: block.between(since[calendar], None)
            for symbol, block in blocks.items()
            if (calendar := calendars[symbol]) in since and len(block) and block.times[-1] >= since[calendar]
        }

    def _hold(
        self,
        early: Mapping[str, Block],
        held: Mapping[str, Block],
        final: Mapping[str, Block],
        counts: dict[str, AppendCounts],
    ) -> None:
        """Replace the provisional bars by those that came now, and leave out the ones that are final; count them."""
        together: dict[str, Block] = {}
        for symbol in {**held, **early}:
            before, news = held.get(symbol, Block.empty()), early.get(symbol, Block.empty())
            if len(news):
                span = int(news.times[0]), int(news.times[-1]) + 1
                known = self._partition.read(symbol, *span, times_only=True, final_only=True).times
                is_new = int((~np.isin(news.times, np.union1d(known, before.times))).sum())
                count = counts[symbol]
                counts[symbol] = replace(count, new=count.new + is_new, repeated=count.repeated + len(news) - is_new)
                news = news.rows(~np.isin(news.times, known))  # what is final is not taken back
            left = union([news, before])
            together[symbol] = left.rows(~np.isin(left.times, final[symbol].times)) if symbol in final else left
        self._partition.provisional.write(together)

    def _overlapping(self, blocks: Mapping[str, Block], pending: Pending) -> list[PendingFile]:
        """Return the pending files that may hold some of these bars."""
        ends = [(int(block.times[0]), int(block.times[-1])) for block in blocks.values() if len(block)]
        return pending.within(min(first for first, _ in ends), max(last for _, last in ends)) if ends else []

    def _compared(self, symbol: str, block: Block, overlapping: list[PendingFile]) -> tuple[Block, Offer | None]:
        """Return the bars that are not stored yet, and those that are beside what is stored."""
        if not len(block):
            return block, None
        first, end = int(block.times[0]), int(block.times[-1]) + 1
        if not any(symbol in file.blocks for file in overlapping) and not self._partition.groups(symbol, first, end):
            return block, None
        stored = self._partition.read(symbol, first, end, final_only=True)
        known, rows_new, rows_stored = np.intersect1d(block.times, stored.times, assume_unique=True, return_indices=True)
        if not len(known):
            return block, None
        is_new = np.ones(len(block), dtype=np.bool_)
        is_new[rows_new] = False
        return block.rows(is_new), Offer(known, stored.values[:, rows_stored], block.values[:, rows_new])

    def _log(self, offers: Mapping[str, Offer], now_us: int, source: str) -> None:
        """Note which offers differ from what is stored, or from what the same source offered before."""
        logged = set(self._layout.symbols_with_revisions())
        contents: dict[Path, bytes] = {}
        for symbol, offer in offers.items():
            if symbol in logged or offer.differs.any():
                log = self._partition.revisions.of(symbol).with_offer(offer, seen_us=now_us, source=source)
                if log is not None:
                    contents[self._layout.revision_log(symbol)] = log.encode()
        if contents:
            remove_leftovers(self._layout.revisions)
        files = list(contents)
        for first in range(0, len(files), _FILES_AT_ONCE):
            write_all_durably({file: contents[file] for file in files[first : first + _FILES_AT_ONCE]})

    def _store(self, blocks: Mapping[str, Block]) -> None:
        """Put bars into their symbols' own files, some symbols at a time."""
        symbols = list(blocks)
        for first in range(0, len(symbols), _FILES_AT_ONCE):
            contents: dict[Path, bytes] = {}
            for symbol in symbols[first : first + _FILES_AT_ONCE]:
                contents.update(self._contents(symbol, blocks[symbol]))
            write_all_durably(contents)

    def _contents(self, symbol: str, block: Block, *, instead: Block | None = None) -> dict[Path, bytes]:
        """Return what the symbol's own files are to be, earliest first; those that have these bars already are left out.

        Bars of `block` come in where there is none; those of `instead` take the place of what is there.
        """
        first = Block.empty() if instead is None else instead
        contents: dict[Path, bytes] = {}
        for file, part in self._layout.split(symbol, union([first, block])):
            try:
                stored = read_bars(file, self._partition.cache)
            except FileNotFoundError:
                stored = Block.empty()
            remove_leftovers(file.parent)
            together = union([first.between(int(part.times[0]), int(part.times[-1]) + 1), stored, part])
            if len(together) > len(stored) or not np.array_equal(together.values, stored.values):
                contents[file] = encode_bars(together)
        return contents

    def _maintain(self) -> None:
        self._merge(at_least=_DELTAS_MAX)
        if self._layout.fold_progress.exists() or len(self._partition.pending().merged) >= _MERGED_MAX:
            self._fold()

    def _merge(self, *, at_least: int) -> None:
        """Make one merged file of all deltas when there are enough of them."""
        pending = self._partition.pending()
        deltas = list(pending.deltas.values())
        if len(deltas) < at_least:
            return
        together = {symbol: gathered(deltas, symbol) for symbol in set().union(*(delta.blocks for delta in deltas))}
        self._write_merged(together, numbered(number_of(deltas[-1].file.name), secrets.token_hex(4)))
        remove_leftovers(self._layout.deltas)
        for delta in deltas:
            delta.file.unlink(missing_ok=True)

    def _fold(self) -> None:
        """Move some symbols' merged bars into their files.

        After the last symbol the merged files go. The progress file says up to which merged file this round goes and which symbol
        was the last to be done. Without it the round starts again, and finds most of its work done.
        """
        pending = self._partition.pending()
        if not pending.merged:
            self._layout.fold_progress.unlink(missing_ok=True)
            return
        through, after = self._progress(pending) or (max(pending.merged), "")
        merged = [file for name, file in pending.merged.items() if name <= through]
        symbols = sorted(set().union(*(file.blocks for file in merged)))
        share = max(_FOLD_MIN, -(-len(symbols) // _FOLD_SHARE))
        todo = [symbol for symbol in symbols if symbol > after]
        contents: dict[Path, bytes] = {}
        waiting: dict[str, Block] = {}
        for symbol in todo[:share]:
            block = gathered(merged, symbol)
            try:
                contents.update(self._contents(symbol, block))
            except Damaged:
                # Reading that symbol says so, and so does a check. Its bars wait, and the other symbols' do not wait for it.
                waiting[symbol] = block
        write_all_durably(contents)
        if waiting:
            self._write_merged(waiting, self._next_name(pending))
        if len(todo) > share:
            write_hint(self._layout.fold_progress, f"{through}\n{todo[share - 1]}")
            return
        self._layout.fold_progress.unlink(missing_ok=True)
        for done in merged:
            done.file.unlink(missing_ok=True)

    def _write_merged(self, blocks: Mapping[str, Block], name: str) -> None:
        remove_leftovers(self._layout.merged)
        write_durably(self._layout.merged / name, encode_delta(blocks))

    def _progress(self, pending: Pending) -> tuple[str, str] | None:
        """Return how far the round has got; one whose last file has gone is over."""
        try:
            through, _, after = self._layout.fold_progress.read_text(encoding="utf-8").partition("\n")
        except (FileNotFoundError, UnicodeDecodeError):
            return None
        return (through, after) if through in pending.merged else None

    def _next_name(self, pending: Pending) -> str:
        return numbered(
            1 + max((number_of(name) for name in (*pending.merged, *pending.deltas)), default=0), secrets.token_hex(4)
        )

    def _writing(self) -> AbstractContextManager[None]:
        return writing(self._layout.folder, self._layout.lock, timeout_s=self._lock_timeout_s)
