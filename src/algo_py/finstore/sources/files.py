"""A folder of the trader's own files as a source of bars.

A file is called <symbol>-<timeframe>.csv or .parquet, the symbol with "-" for "/": `BTC-USDT-1h.csv`, `RELIANCE-1d.parquet`. What
stands in it is what `algo-py data import` reads. A file may grow, or be written anew with adjusted prices, at any time.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta
from pathlib import Path

from algo_py.clock import as_utc
from algo_py.errors import InvalidInput, NotFound
from algo_py.finstore.sources.answers import check_range
from algo_py.finstore.sources.bar_files import read_bar_file
from algo_py.finstore.sources.protocol import Answer
from algo_py.market import Instrument, Market, Timeframe

_SUFFIXES = (".csv", ".parquet")
# Longer than any file, and short enough to be added to any moment that a bar can have.
_WHOLE = timedelta(days=36_525)


class FileSource:
    """Bars of one market in a folder. Each fetch reads the symbol's file, whole."""

    parallel = 2
    rewrites_history = True

    def __init__(self, folder: Path, market: Market) -> None:
        self.name = f"files:{folder}"
        self._folder = folder
        self._market = market

    def page(self, timeframe: Timeframe) -> timedelta:
        return _WHOLE

    def fetch(self, timeframe: Timeframe, symbol: str, start: datetime, end: datetime, *, deadline_s: float) -> Answer:
        check_range(start, end, _WHOLE)
        frame = read_bar_file(self._file(symbol, timeframe), self._market, timeframe)
        return Answer(frame=frame[(frame.index >= as_utc(start)) & (frame.index < as_utc(end))])

    def earliest(self, timeframe: Timeframe, symbol: str, *, deadline_s: float) -> datetime | None:
        frame = read_bar_file(self._file(symbol, timeframe), self._market, timeframe)
        first: datetime = frame.index[0].to_pydatetime()
        return first

    def instruments(self, symbols: Sequence[str], *, deadline_s: float) -> Mapping[str, Instrument]:
        return {}

    def _file(self, symbol: str, timeframe: Timeframe) -> Path:
        """Return the file of a symbol. Raises NotFound, InvalidInput for one with other timeframes only, or with two files."""
        stem = self._market.check_symbol(symbol).replace("/", "-")
        files = [self._folder / f"{stem}-{timeframe}{suffix}" for suffix in _SUFFIXES]
        there = [file for file in files if file.is_file()]
        if len(there) == 1:
            return there[0]
        if there:
            raise InvalidInput(f"{self.name} has both {there[0].name} and {there[1].name}", remedy="Keep one.")
        others = [t.value for t in Timeframe if any((self._folder / f"{stem}-{t}{suffix}").is_file() for suffix in _SUFFIXES)]
        if others:
            raise InvalidInput(
                f"{self.name} has no {timeframe} bars of {symbol}", remedy=f"It has {', '.join(others)}; add {files[0].name}."
            )
        raise NotFound(f"{self.name} has no bars of {symbol}", remedy=f"Put {files[0].name} or {files[1].name} there.")
