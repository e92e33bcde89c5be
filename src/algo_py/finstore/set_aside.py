"""Moving damaged files out of the way, without losing what is sound in them and without forgetting what is not.

In this order, so that a crash leaves either the file in its place or a note of what was lost: the note, a second name for the
file beside the note, what is sound in the file, and only then the file goes. A round that was cut short starts again.
"""

# pyarrow carries no types.
# mypy: disable-error-code="attr-defined,no-untyped-call"

from __future__ import annotations

import secrets
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from algo_py.errors import Damaged, InvalidInput
from algo_py.finstore.bartimes import expected_opens
from algo_py.finstore.check import check_file, check_partition, never_on_calendar
from algo_py.finstore.damage import Case, Lost, Note
from algo_py.finstore.durable import keep_durably, remove_durably, remove_leftovers, write_all_durably, writing
from algo_py.finstore.files import bars_by_symbol, bars_of, encode_bars, encode_delta, read_bars
from algo_py.finstore.frames import Block, from_us, to_us, union, unusable
from algo_py.finstore.layout import data_files, number_of, numbered
from algo_py.finstore.parquet import FileInfo, Group, InfoCache, encode_table, read_group, read_info
from algo_py.finstore.partition import Partition
from algo_py.finstore.pending import PendingFile
from algo_py.finstore.reports import Finding
from algo_py.market import Market, latest_closed_open

# When a file of several symbols does not say any more which they are, those that lack no more bars than this are suspected.
_SUSPECT_BARS = 500


@dataclass(slots=True)
class _Remains:
    """What is sound in a damaged file, as the files that are to hold it, and what is lost."""

    contents: dict[Path, bytes] = field(default_factory=dict)
    kept: int = 0
    lost: list[Lost] = field(default_factory=list)
    is_complete: bool = True


class Setter:
    """Sets aside the damaged files of one market and timeframe."""

    def __init__(self, partition: Partition, market: Market, now: datetime, *, lock_timeout_s: float) -> None:
        self._partition = partition
        self._layout = partition.layout
        self._market = market
        self._now = now
        self._lock_timeout_s = lock_timeout_s

    def run(self) -> list[Case]:
        """Set aside every file that a check finds damaged; return the new cases."""
        found = [finding.file for finding in check_partition(self._layout, self._market) if finding.is_damaged]
        if not found:
            return []
        # A file with bars that belong into another one comes after that other one.
        found.sort(key=lambda file: (file.name not in self._proper_names(file), file))
        cases = []
        with writing(self._layout.folder, self._layout.lock, timeout_s=self._lock_timeout_s):
            self._partition.cases.sweep()
            for file in found:
                finding = check_file(file, self._layout, self._market)
                if finding is not None and finding.is_damaged:
                    cases.append(self._one(finding))
        return cases

    def _proper_names(self, file: Path) -> list[str]:
        symbol = self._layout.symbol_of(file)
        return [file.name] if symbol is None else [chunk.name for chunk in self._layout.chunks(symbol)]

    def _one(self, finding: Finding) -> Case:
        file = finding.file
        symbol = self._layout.symbol_of(file)
        if symbol is not None:
            remains = self._own(file, symbol)
        elif file.parent == self._layout.revisions:
            remains = self._revisions(file)
        else:
            remains = self._shared(file)
        note = Note(
            file=file.relative_to(self._layout.folder).as_posix(),
            problem=finding.problem.partition(" are damaged: ")[2] or finding.problem,
            set_aside_at=self._now,
            kept=remains.kept,
            lost=tuple(remains.lost),
            is_complete=remains.is_complete,
        )
        case = Case(self._layout.damaged / f"{self._now:%Y%m%dT%H%M%SZ}-{secrets.token_hex(4)}", note)
        case.write()
        keep_durably(file, case.moved_to)
        remove_leftovers(file.parent)
        # The file itself is the last to be replaced.
        write_all_durably(dict(sorted(remains.contents.items(), key=lambda item: item[0] == file)))
        if file not in remains.contents:
            remove_durably(file)
        return case

    def _own(self, file: Path, symbol: str) -> _Remains:
        """Take apart a file with bars of one symbol."""
        remains = _Remains()
        info = _info(file)
        if info is None:
            period = self._layout.period(file)
            last = min(self._newest(), from_us(period[1] - 1)) if period else self._newest()
            remains.lost.append(Lost(symbol=symbol, first=from_us(period[0]) if period else None, last=last))
            return remains
        blocks = []
        for number, group in enumerate(info.groups):
            table = _sound(file, info, number)
            if table is None:
                remains.lost.append(_lost(symbol, group, bars=group.rows, whole=group.rows))
            else:
                blocks.append(self._usable(symbol, bars_of(table), remains))
        for target, part in self._layout.split(symbol, union(blocks)) if any(map(len, blocks)) else ():
            there = _bars(target) if target != file else Block.empty()
            remains.contents[target] = encode_bars(union([there, part]))
            remains.kept += len(part)
        return remains

    def _shared(self, file: Path) -> _Remains:
        """Take apart a file with bars of several symbols."""
        remains = _Remains()
        info = _info(file)
        if info is None or not info.symbols:
            remains.is_complete = False
            remains.lost += self._suspects()
            return remains
        parts: dict[str, list[Block]] = {}
        rows = np.cumsum([0, *(count for _, count in info.symbols)])
        start = 0
        for number, group in enumerate(info.groups):
            table = _sound(file, info, number)
            if table is not None:
                for symbol, block in bars_by_symbol(table).items():
                    parts.setdefault(symbol, []).append(self._usable(symbol, block, remains))
            else:
                for (symbol, _), first, end in zip(info.symbols, rows[:-1], rows[1:], strict=True):
                    count = int(min(end, start + group.rows) - max(first, start))
                    if count > 0:
                        remains.lost.append(_lost(symbol, group, bars=count))
            start += group.rows
        blocks = {symbol: block for symbol, some in parts.items() if len(block := union(some))}
        remains.kept = sum(map(len, blocks.values()))
        if blocks:
            name = numbered(number_of(file.name), secrets.token_hex(4))
            remains.contents[file.with_name(name)] = encode_delta(blocks)
        return remains

    def _revisions(self, file: Path) -> _Remains:
        """Take apart a log of revisions; with it no bars are lost."""
        remains = _Remains()
        info = _info(file)
        tables = [] if info is None else [_sound(file, info, number) for number in range(len(info.groups))]
        sound = [table for table in tables if table is not None]
        if sound:
            together = pa.concat_tables(sound)
            remains.contents[file] = encode_table(together)
            remains.kept = together.num_rows
        return remains

    def _usable(self, symbol: str, block: Block, remains: _Remains) -> Block:
        """Return the bars of a sound row group that can be bars, in order; note those that cannot."""
        is_bad = unusable(block)
        try:
            is_bad |= never_on_calendar(self._market, self._layout.timeframe, symbol, block.times)
        except InvalidInput:  # before the first day that the calendar knows
            is_bad[:] = True
        if is_bad.any():
            times = block.times[is_bad]
            remains.lost.append(Lost(symbol=symbol, first=from_us(times.min()), last=from_us(times.max()), bars=len(times)))
            block = block.rows(~is_bad)
        order = np.argsort(block.times, kind="stable")
        times, first = np.unique(block.times[order], return_index=True)
        return Block(times, block.values[:, order[first]])

    def _suspects(self) -> list[Lost]:
        """Return the bars missing after each symbol's own files: a file that says nothing any more may have held them."""
        newest_us = to_us(self._newest())
        suspects = []
        for symbol, parts in self._recent().items():
            stored = np.unique(np.concatenate(parts))
            if stored[0] > newest_us:
                continue
            expected = expected_opens(self._market.calendar_of(symbol), self._layout.timeframe, int(stored[0]), newest_us)
            missing = expected[~np.isin(expected, stored, assume_unique=True)]
            if 0 < len(missing) <= _SUSPECT_BARS:
                suspects.append(Lost(symbol=symbol, first=from_us(missing[0]), last=from_us(missing[-1])))
        return suspects

    def _recent(self) -> dict[str, list[NDArray[np.int64]]]:
        """Return the open times from the last bar in each symbol's own files on, as far as files are sound."""
        recent: dict[str, list[NDArray[np.int64]]] = {}
        for symbol in self._layout.symbols_with_folder():
            for file in reversed(self._layout.chunks(symbol)):
                info = _info(file)
                if info is not None and info.groups:
                    recent[symbol] = [np.array([info.groups[-1].last])]
                    break
        for folder in (self._layout.merged, self._layout.deltas):
            for name in data_files(folder):
                try:
                    blocks = PendingFile.read(folder / name).blocks
                except Damaged:
                    continue  # it is set aside itself, in its turn
                for symbol, block in blocks.items():
                    parts = recent.setdefault(symbol, [])
                    parts.append(block.between(int(parts[0][0]) if parts else None, None).times)
        return recent

    def _newest(self) -> datetime:
        return latest_closed_open(self._market.calendar, self._layout.timeframe, self._now)


def _lost(symbol: str, group: Group, *, bars: int, whole: int | None = None) -> Lost:
    return Lost(symbol=symbol, first=from_us(group.first), last=from_us(group.last), bars=bars, whole=whole)


def _info(file: Path) -> FileInfo | None:
    """Return what a file's footer says; None when it is damaged or there is no file."""
    try:
        return read_info(file)
    except (Damaged, FileNotFoundError):
        return None


def _sound(file: Path, info: FileInfo, number: int) -> Any:
    """Return a row group, None when it is damaged."""
    try:
        return read_group(file, info, number)
    except Damaged:
        return None


def _bars(file: Path) -> Block:
    try:
        return read_bars(file, InfoCache())
    except FileNotFoundError:
        return Block.empty()
