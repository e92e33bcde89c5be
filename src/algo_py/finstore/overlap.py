"""The stored bars that are asked for along with newer ones: whether they say that the source has rewritten its history."""

from __future__ import annotations

from datetime import timedelta

import numpy as np

from algo_py.clock import format_time
from algo_py.errors import AlgoPyError
from algo_py.finstore.asking import Asker, Page
from algo_py.finstore.frames import COLUMNS, Block, from_us, union
from algo_py.finstore.lacks import Times
from algo_py.finstore.place import Place
from algo_py.finstore.rewritten import BARS_LEAST, History, Verdict, judged

# So many stored bars are asked for along with newer ones.
_BARS = 5
# Sources that rewrite their history leave room for a request that begins so much before its page.
LONG_WEEKEND_US = 4 * 86_400_000_000

_CLOSE = COLUMNS.index("close")
_MICROSECOND = timedelta(microseconds=1)


class Overlap:
    """Compares what is stored with what a source says of it now."""

    def __init__(self, place: Place, asker: Asker) -> None:
        self._place = place
        self._asker = asker

    def of(self, symbol: str, last_us: int, held: Times) -> Times:
        """Return the last final bars up to a stored one; none where the source does not rewrite, and -1 for no bar.

        `held` are the symbol's provisional bars, which compare with nothing.
        """
        if last_us < 0 or not self._place.source.rewrites_history:
            return np.empty(0, dtype=np.int64)
        found = self._place.partition.tail(symbol, _BARS + len(held), last_us + 1).times
        return found[~np.isin(found, held)][-_BARS:]

    def problem(self, symbol: str, offered: Block) -> str:
        """Return why newer bars must not be stored after those that the source offers anew; empty when they may.

        When so few bars differ that they cannot tell, earlier ones are asked for, and that may fail.
        """
        place, us = self._place, int(offered.times[0])
        verdict = self._judged(symbol, offered)
        if verdict.history is History.UNDECIDED:
            before = place.partition.tail(symbol, _BARS, us).times
            before = before[before > us - place.source.page(place.timeframe) // _MICROSECOND]
            if not len(before):
                return ""
            try:
                asked = self._asker.ask(Page(symbol, before))
            except AlgoPyError as error:
                return str(error)
            verdict = self._judged(symbol, union([asked.block, offered]))
        if verdict.history is not History.REWRITTEN:
            return ""
        return (
            f"{place.source.name} now gives closes before {format_time(from_us(offered.times[-1]))} that are {verdict.ratio:.4g} "
            "times the stored ones: its history was rewritten (as for a split), and newer bars would not fit. Fetch its history "
            "again and adopt it"
        )

    def are_all(self, symbol: str, asked: Times) -> bool:
        """Return whether these few bars are all that is stored: then nothing can be told from them, and they are replaced."""
        if not 0 < len(asked) < BARS_LEAST:
            return False
        return len(self._place.partition.read(symbol, times_only=True, final_only=True)) == len(asked)

    def _judged(self, symbol: str, offered: Block) -> Verdict:
        stored = self._place.partition.read(symbol, int(offered.times[0]), int(offered.times[-1]) + 1, final_only=True)
        _, ours, theirs = np.intersect1d(stored.times, offered.times, assume_unique=True, return_indices=True)
        tick = float(self._place.market.default_rules.tick_size)
        return judged(stored.values[_CLOSE, ours], offered.values[_CLOSE, theirs], tick=tick)
