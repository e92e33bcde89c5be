"""Looking at every byte of a store."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from algo_py.errors import AlgoPyError, Damaged, InvalidInput
from algo_py.finstore.bartimes import off_calendar
from algo_py.finstore.damage import Cases
from algo_py.finstore.files import read_bars, read_delta
from algo_py.finstore.frames import Block, check_blocks, from_us
from algo_py.finstore.layout import Layout, data_files
from algo_py.finstore.parquet import InfoCache
from algo_py.finstore.provisional import PROVISIONAL_FILE
from algo_py.finstore.reports import Finding
from algo_py.finstore.revisions import read_log
from algo_py.market import Market, Timeframe
from algo_py.market.phases import PhaseKind

# Where the auction's bar of other shares may be.
_AFTER_THE_CLOSE = (PhaseKind.CLOSING_AUCTION, PhaseKind.POST_CLOSE)


def check_partition(layout: Layout, market: Market) -> Iterator[Finding]:
    """Verify all files of one market and timeframe: checksums, order, values, and that each bar lies where it belongs.

    Files that a writer replaces or moves meanwhile are left to the next check.
    """
    folders = [layout.symbol_folder(symbol) for symbol in layout.symbols_with_folder()]
    for folder in (*folders, layout.deltas, layout.merged, layout.revisions):
        for name in data_files(folder):
            finding = check_file(folder / name, layout, market)
            if finding is not None:
                yield finding
    finding = check_file(layout.provisional / PROVISIONAL_FILE, layout, market)
    if finding is not None:
        # To set it aside would help nobody: it holds nothing any more, and the next append replaces it.
        yield Finding(file=finding.file, problem=f"{finding.problem}; its bars are fetched again", is_damaged=False)
    try:
        Cases(layout).all()
    except AlgoPyError as error:
        yield Finding(file=layout.damaged, problem=error.message, is_damaged=False)


def check_file(file: Path, layout: Layout, market: Market) -> Finding | None:
    """Return what is wrong with one file; None when it is sound, or not there."""
    symbol = layout.symbol_of(file)
    try:
        if symbol is not None:
            block = read_bars(file, InfoCache())
            return _checked(file, {symbol: block}, market, layout) or _misplaced(file, symbol, block, layout)
        if file.parent == layout.revisions:
            read_log(file)
            return None
        return _checked(file, read_delta(file), market, layout)
    except FileNotFoundError:
        return None
    except (AlgoPyError, OSError) as error:
        # One that may not be read, or of a newer format, is not damaged.
        problem = error.message if isinstance(error, AlgoPyError) else str(error)
        return Finding(file=file, problem=problem, is_damaged=isinstance(error, Damaged))


def _checked(file: Path, blocks: Mapping[str, Block], market: Market, layout: Layout) -> Finding | None:
    try:
        check_blocks(blocks)
    except InvalidInput as error:
        return Finding(file=file, problem=error.message, is_damaged=True)
    for symbol, block in blocks.items():
        wrong = never_on_calendar(market, layout.timeframe, symbol, block.times)
        if wrong.any():
            moment = from_us(block.times[np.argmax(wrong)]).isoformat()
            problem = f"{market.name} has no {layout.timeframe} bar that opens at {moment}"
            return Finding(file=file, problem=problem, is_damaged=True)
    return None


def never_on_calendar(market: Market, timeframe: Timeframe, symbol: str, times: NDArray[np.int64]) -> NDArray[np.bool_]:
    """Return which of these open times are those of no bar, neither of this symbol nor of any other of its market.

    Which shares close by auction changes, and what is known of it does: a bar that was stored before is not damaged by that.
    """
    wrong = off_calendar(market.calendar_of(symbol), timeframe, times)
    if wrong.any():
        wrong &= off_calendar(market.calendar, timeframe, times)
    if timeframe.is_intraday:
        for row in np.flatnonzero(wrong):
            phase = market.calendar.phase(from_us(times[row]))
            wrong[row] = phase is None or phase.kind not in _AFTER_THE_CLOSE
    return wrong


def _misplaced(file: Path, symbol: str, block: Block, layout: Layout) -> Finding | None:
    if all(target == file for target, _ in layout.split(symbol, block)):
        return None
    return Finding(file=file, problem="it holds bars that belong into another file", is_damaged=True)
