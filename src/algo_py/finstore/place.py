"""Where fetched bars come from and go to: a store, a source, a market and a timeframe, and what was found of them before."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime

from algo_py.clock import Clock
from algo_py.finstore.absences import AbsenceLog
from algo_py.finstore.layout import Layout
from algo_py.finstore.partition import Partition
from algo_py.finstore.sources.protocol import Source
from algo_py.finstore.store import FinStore
from algo_py.market import Market, Timeframe, get_market


@dataclass(frozen=True, slots=True, kw_only=True)
class Place:
    """Where bars come from and go to, and what is remembered between calls.

    complete_to maps a symbol and the start that was asked for to the last stored bar up to which nothing was lacking.
    """

    store: FinStore
    source: Source
    market: Market
    timeframe: Timeframe
    clock: Clock
    layout: Layout
    partition: Partition
    absences: AbsenceLog
    complete_to: dict[tuple[str, datetime | None], int] = field(default_factory=dict)

    @classmethod
    def of(cls, store: FinStore, source: Source, market: str, timeframe: str, *, clock: Clock) -> Place:
        known, length = get_market(market), Timeframe.parse(timeframe)
        layout = Layout.of(store.folder, known.name, length)
        return cls(
            store=store,
            source=source,
            market=known,
            timeframe=length,
            clock=clock,
            layout=layout,
            partition=Partition(layout),
            absences=AbsenceLog(layout),
        )
