"""Looking at every byte of a store."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path

import numpy as np

from algo_py.errors import AlgoPyError, Damaged, InvalidInput
from algo_py.finstore.bartimes import off_calendar
from algo_py.finstore.files import read_bars, read_delta
from algo_py.finstore.frames import Block, check_blocks, from_us
from algo_py.finstore.layout import Layout, data_files
from algo_py.finstore.parquet import InfoCache
from algo_py.finstore.reports import Finding
from algo_py.finstore.revisions import read_log
from algo_py.market import Market


def check_partition(layout: Layout, market: Market) -> Iterator[Finding]:
    """Verify all files of one market and timeframe: checksums, order, values, and that each bar lies where it belongs.

    Files that a writer replaces or moves meanwhile are left to the next check.
    """
    for symbol in layout.symbols_with_folder():
        folder = layout.symbol_folder(symbol)
        yield from _found(check_bars(folder / name, symbol, layout, market) for name in data_files(folder))
    for folder in (layout.deltas, layout.merged):
        yield from _found(check_delta(folder / name, layout, market) for name in data_files(folder))
    yield from _found(check_revisions(layout.revisions / name) for name in data_files(layout.revisions))


def check_bars(file: Path, symbol: str, layout: Layout, market: Market) -> Finding | None:
    """Return what is wrong with a file of one symbol, None when it is sound or not there."""
    try:
        block = read_bars(file, InfoCache())
        return _checked(file, {symbol: block}, market, layout) or _misplaced(file, symbol, block, layout)
    except FileNotFoundError:
        return None
    except (AlgoPyError, OSError) as error:
        return _finding(file, error)


def check_delta(file: Path, layout: Layout, market: Market) -> Finding | None:
    """Return what is wrong with a file of several symbols, None when it is sound or not there."""
    try:
        return _checked(file, read_delta(file), market, layout)
    except FileNotFoundError:
        return None
    except (AlgoPyError, OSError) as error:
        return _finding(file, error)


def check_revisions(file: Path) -> Finding | None:
    """Return what is wrong with a log of revisions, None when it is sound or not there."""
    try:
        read_log(file)
    except FileNotFoundError:
        return None
    except (AlgoPyError, OSError) as error:
        return _finding(file, error)
    return None


def _checked(file: Path, blocks: Mapping[str, Block], market: Market, layout: Layout) -> Finding | None:
    try:
        check_blocks(blocks)
        times = np.unique(np.concatenate([block.times for block in blocks.values()]))
        wrong = off_calendar(market, layout.timeframe, times)
    except InvalidInput as error:
        return Finding(file=file, problem=error.message, is_damaged=True)
    if wrong.any():
        moment = from_us(times[np.argmax(wrong)]).isoformat()
        problem = f"{market.name} has no {layout.timeframe} bar that opens at {moment}"
        return Finding(file=file, problem=problem, is_damaged=True)
    return None


def _misplaced(file: Path, symbol: str, block: Block, layout: Layout) -> Finding | None:
    if all(target == file for target, _ in layout.split(symbol, block)):
        return None
    return Finding(file=file, problem="it holds bars that belong into another file", is_damaged=True)


def _finding(file: Path, error: Exception) -> Finding:
    """Return what an error says. A file that may not be read, or of a newer format, is not damaged."""
    problem = error.message if isinstance(error, AlgoPyError) else str(error)
    return Finding(file=file, problem=problem, is_damaged=isinstance(error, Damaged))


def _found(findings: Iterator[Finding | None]) -> Iterator[Finding]:
    return (finding for finding in findings if finding is not None)
