"""The bars that come with Algo.Py as a source: to try fetching and filling without a network."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta

from algo_py.errors import InvalidInput, NotFound
from algo_py.finstore.files import InfoCache, read_bars
from algo_py.finstore.frames import Block, from_us, to_frame, to_us
from algo_py.finstore.sample import SAMPLE
from algo_py.finstore.sources.answers import check_range
from algo_py.finstore.sources.protocol import Answer
from algo_py.market import Instrument, Market, Timeframe

# Longer than the sample, and short enough to be added to any moment that a bar can have.
_WHOLE = timedelta(days=36_525)


class SampleSource:
    """The bundled bars of one market. They end on a day of the past, and nothing follows."""

    name = "sample"
    parallel = 2
    rewrites_history = False

    def __init__(self, market: Market) -> None:
        self._market = market

    def page(self, timeframe: Timeframe) -> timedelta:
        return _WHOLE

    def fetch(self, timeframe: Timeframe, symbol: str, start: datetime, end: datetime, *, deadline_s: float) -> Answer:
        check_range(start, end, _WHOLE)
        return Answer(frame=to_frame(self._bars(timeframe, symbol).between(to_us(start), to_us(end))))

    def earliest(self, timeframe: Timeframe, symbol: str, *, deadline_s: float) -> datetime | None:
        return from_us(self._bars(timeframe, symbol).times[0])

    def instruments(self, symbols: Sequence[str], *, deadline_s: float) -> Mapping[str, Instrument]:
        return {}

    def _bars(self, timeframe: Timeframe, symbol: str) -> Block:
        name = self._market.name
        there = [bars for bars in SAMPLE if (bars.market, bars.symbol) == (name, symbol)]
        if not there:
            symbols = dict.fromkeys(bars.symbol for bars in SAMPLE if bars.market == name)
            raise NotFound(
                f"the sample has no {symbol} of {name}",
                remedy=f"It has {', '.join(symbols)}." if symbols else "It has other markets only.",
            )
        for bars in there:
            if bars.timeframe == timeframe:
                return read_bars(bars.file, InfoCache())
        timeframes = ", ".join(bars.timeframe for bars in there)
        raise InvalidInput(f"the sample has no {timeframe} bars of {symbol}", remedy=f"It has {timeframes}.")
