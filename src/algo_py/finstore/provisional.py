"""Bars that have closed and are not final yet, such as a daily bar before the exchange's end-of-day run.

    market=<m>/timeframe=<t>/_provisional/bars.parquet       the provisional bars of all symbols; readers look here first

They lie apart from all others, so which bars are provisional needs no record that could be lost or be wrong: whoever loses this
file loses the bars, and they are fetched again. A bar moves from here to the final ones when it comes again after its time; where
it is met in both, the final one counts.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Final

import numpy as np

from algo_py.errors import Damaged
from algo_py.finstore.durable import remove_durably, remove_leftovers, write_durably
from algo_py.finstore.files import encode_delta, read_delta
from algo_py.finstore.frames import Block
from algo_py.finstore.layout import Layout
from algo_py.finstore.parquet import Signature, signature_of

PROVISIONAL_FILE: Final = "bars.parquet"


class ProvisionalBars:
    """The provisional bars of one market and timeframe. Threads may share it."""

    def __init__(self, layout: Layout) -> None:
        self._file: Path = layout.provisional / PROVISIONAL_FILE
        # Within a day every bar is final as it closes: there is nothing to look for.
        self._is_used = not layout.timeframe.is_intraday
        self._known: tuple[Signature, Mapping[str, Block]] | None = None

    def all(self) -> Mapping[str, Block]:
        """Return what is in the file now; one that is damaged holds nothing, and its bars are fetched again."""
        signature = signature_of(self._file) if self._is_used else None
        if signature is None:
            return {}
        if self._known is not None and self._known[0] == signature:
            return self._known[1]
        try:
            blocks = read_delta(self._file)
        except (FileNotFoundError, Damaged):
            return {}
        self._known = signature, blocks
        return blocks

    def of(self, symbol: str) -> Block:
        """Return the symbol's bars in the file; some may be final by now, and stored as such."""
        return self.all().get(symbol) or Block.empty()

    def write(self, blocks: Mapping[str, Block]) -> None:
        """Put these bars in the place of all that are in the file. Only the holder of the lock may call this."""
        before = self.all()
        filled = {symbol: block for symbol, block in blocks.items() if len(block)}
        if filled.keys() == before.keys() and all(_is_same(block, before[symbol]) for symbol, block in filled.items()):
            return
        if filled:
            write_durably(self._file, encode_delta(filled))
            remove_leftovers(self._file.parent)
        else:
            remove_durably(self._file)


def _is_same(one: Block, other: Block) -> bool:
    return np.array_equal(one.times, other.times) and np.array_equal(one.values, other.values)
