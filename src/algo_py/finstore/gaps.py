"""Filling gaps: what a symbol lacks is asked of a source, once for all processes, and stored.

A symbol is asked for under a lock of its own, so that of many deployments that need the same bar one asks, and the others find
it stored. What the source does not have either is noted, and not asked for again and again.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from datetime import datetime

from algo_py.clock import Clock, SystemClock
from algo_py.finstore.fill_report import FillProgress, FillReport
from algo_py.finstore.filling import Fill
from algo_py.finstore.place import Place
from algo_py.finstore.sources.protocol import Source
from algo_py.finstore.store import FinStore


def fill_gap(
    store: FinStore,
    source: Source,
    market: str,
    timeframe: str,
    symbols: Sequence[str],
    until: datetime | None = None,
    *,
    since: datetime | None = None,
    clock: Clock | None = None,
    timeout_s: float | None = None,
    patience_s: float = 0.0,
    again: bool = False,
    tick: Callable[[], None] | None = None,
    progress: Callable[[FillProgress], None] | None = None,
) -> FillReport:
    """Fetch every closed bar that the symbols lack from `since` (None: their first stored bar) to `until` (None: now).

    Only what is missing is asked for; `again` asks for all of it anew, so that revisions come to light. It may take `timeout_s`
    (None: as long as it takes); bars that are not there yet are asked for again within `patience_s`. `tick` is called several
    times a second while it waits, and may raise to end it; what was fetched before stays stored. A symbol's failure stands in
    the report and stops no other. Raises InvalidInput and NotFound for what cannot be asked, Refused when the disk does not
    take it, Damaged when stored bars cannot be read.
    """
    filler = GapFiller(store, source, market, timeframe, clock=clock)
    return filler.fill(
        symbols, until, since=since, timeout_s=timeout_s, patience_s=patience_s, again=again, tick=tick, progress=progress
    )


class GapFiller:
    """Fills gaps of one market and timeframe, and remembers up to where it has found each symbol complete."""

    def __init__(self, store: FinStore, source: Source, market: str, timeframe: str, *, clock: Clock | None = None) -> None:
        self._place = Place.of(store, source, market, timeframe, clock=SystemClock() if clock is None else clock)

    def fill(
        self,
        symbols: Sequence[str],
        until: datetime | None = None,
        *,
        since: datetime | None = None,
        timeout_s: float | None = None,
        patience_s: float = 0.0,
        again: bool = False,
        tick: Callable[[], None] | None = None,
        progress: Callable[[FillProgress], None] | None = None,
    ) -> FillReport:
        """Do what `fill_gap` says."""
        for symbol in symbols:
            self._place.market.check_symbol(symbol)
        fill = Fill(
            self._place, symbols, since=since, until=until, timeout_s=timeout_s, again=again, tick=tick, progress=progress
        )
        return fill.run(patience_s)
