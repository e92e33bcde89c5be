"""Looking at every byte of a store."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path

import numpy as np

from algo_py.errors import AlgoPyError, InvalidInput
from algo_py.finstore.bartimes import off_calendar
from algo_py.finstore.files import read_bars, read_delta
from algo_py.finstore.frames import Block, check_blocks, from_us
from algo_py.finstore.layout import Layout, data_files
from algo_py.finstore.parquet import InfoCache
from algo_py.finstore.reports import Finding
from algo_py.market import Market


def check_partition(layout: Layout, market: Market) -> Iterator[Finding]:
    """Verify all files of one market and timeframe: checksums, order, values, and that each bar lies where it belongs.

    Files that a writer replaces or moves meanwhile are left to the next check.
    """
    for symbol in layout.symbols_with_folder():
        folder = layout.symbol_folder(symbol)
        for name in data_files(folder):
            file = folder / name
            try:
                block = read_bars(file, InfoCache())
            except FileNotFoundError:
                continue
            except (AlgoPyError, OSError) as error:
                yield _finding(file, error)
                continue
            yield from _checked(file, {symbol: block}, market, layout)
            if any(target != file for target, _ in layout.split(symbol, block)):
                yield Finding(file=file, problem="it holds bars that belong into another file")
    for folder in (layout.deltas, layout.merged):
        for name in data_files(folder):
            try:
                blocks = read_delta(folder / name)
            except FileNotFoundError:
                continue
            except (AlgoPyError, OSError) as error:
                yield _finding(folder / name, error)
                continue
            yield from _checked(folder / name, blocks, market, layout)


def _checked(file: Path, blocks: Mapping[str, Block], market: Market, layout: Layout) -> Iterator[Finding]:
    try:
        check_blocks(blocks)
    except InvalidInput as error:
        yield Finding(file=file, problem=error.message)
        return
    times = np.unique(np.concatenate([block.times for block in blocks.values()]))
    try:
        wrong = off_calendar(market, layout.timeframe, times)
    except InvalidInput as error:
        yield Finding(file=file, problem=error.message)
        return
    if wrong.any():
        moment = from_us(times[np.argmax(wrong)])
        yield Finding(file=file, problem=f"{market.name} has no {layout.timeframe} bar that opens at {moment.isoformat()}")


def _finding(file: Path, error: Exception) -> Finding:
    return Finding(file=file, problem=error.message if isinstance(error, AlgoPyError) else str(error))
