"""A source in memory that notes what it was asked; tests of the protocol's real speakers are in sources/."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta

import pandas as pd

from algo_py.errors import NotFound
from algo_py.finstore.sources import Answer
from algo_py.market import Instrument, Timeframe


@dataclass
class MemorySource:
    """Answers from `frames`. `spoil` may change an answer or raise; it is given the number of the request, from 0."""

    frames: dict[str, pd.DataFrame]
    page_bars: int = 100
    name: str = "memory"
    parallel: int = 4
    rewrites_history: bool = False
    as_of: datetime | None = None
    knows_earliest: bool = False
    spoil: Callable[[int, pd.DataFrame], pd.DataFrame] = lambda _number, frame: frame
    asked: list[tuple[str, datetime, datetime]] = field(default_factory=list)

    def page(self, timeframe: Timeframe) -> timedelta:
        return self.page_bars * timeframe.delta

    def fetch(self, timeframe: Timeframe, symbol: str, start: datetime, end: datetime, *, deadline_s: float) -> Answer:
        number = len(self.asked)
        self.asked.append((symbol, start, end))
        if symbol not in self.frames:
            raise NotFound(f"{self.name} does not know {symbol}")
        frame = self.frames[symbol]
        return Answer(frame=self.spoil(number, frame[(frame.index >= start) & (frame.index < end)]), as_of=self.as_of)

    def earliest(self, timeframe: Timeframe, symbol: str, *, deadline_s: float) -> datetime | None:
        return self.frames[symbol].index[0].to_pydatetime() if self.knows_earliest else None

    def instruments(self, symbols: Sequence[str], *, deadline_s: float) -> Mapping[str, Instrument]:
        return {}
