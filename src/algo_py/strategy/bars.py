"""Bars: the frames that a strategy reads, per symbol and wide, all read-only."""

from __future__ import annotations

from collections.abc import Container, Iterator, Mapping
from typing import Final

import numpy as np
import pandas as pd

from algo_py.errors import InvalidInput, NoData
from algo_py.market import Timeframe, get_market
from algo_py.strategy.session_table import close_times

COLUMNS: Final = ("open", "high", "low", "close", "volume")


class Bars(Mapping[str, pd.DataFrame]):
    """OHLCV frames of one timeframe, symbol by symbol, over the union of their open times.

    `bars["BTC/USDT"]` is that symbol's own frame: index open_time (UTC, ascending, unique), columns open, high, low, close,
    volume (float64), one row for each bar that it has. `bars.close` and its siblings are wide: time x symbol, NaN where a
    symbol has no bar. Symbols keep the order in which they were given; that order is the universe's order. Writing to a frame
    raises ValueError.
    """

    def __init__(
        self,
        index: pd.DatetimeIndex,
        symbols: tuple[str, ...],
        fields: dict[str, np.ndarray],
        *,
        market: str | None,
        timeframe: Timeframe | None,
    ) -> None:
        self.index = index
        self.symbols = symbols
        self.market = market
        self.timeframe = timeframe
        self._fields = fields
        self._wide: dict[str, pd.DataFrame] = {}

    @classmethod
    def from_frames(
        cls,
        frames: Mapping[str, pd.DataFrame],
        *,
        market: str | None = None,
        timeframe: str | None = None,
        may_lack: Container[str] = (),
    ) -> Bars:
        """Build bars from each symbol's own frame; only those in `may_lack` may have no bars.

        Every frame has a UTC DatetimeIndex of open times and the five columns; more columns are left out. Unsorted or
        duplicate times, prices that are not finite and above 0, and negative volumes are refused by symbol and name.
        """
        if not frames:
            raise NoData("no symbol was given", remedy="Name at least one.")
        own = {symbol: _checked(symbol, frame, may_lack=symbol in may_lack) for symbol, frame in frames.items()}
        index = _union([frame.index for frame in own.values() if len(frame)])
        fields = {name: np.full((len(index), len(own)), np.nan, order="F") for name in COLUMNS}
        for column, frame in enumerate(own.values()):
            if frame.empty:
                continue
            rows = slice(None) if len(frame) == len(index) else index.get_indexer(frame.index)
            for name in COLUMNS:
                fields[name][rows, column] = frame[name].to_numpy(dtype=np.float64)
        for values in fields.values():
            values.flags.writeable = False
        return cls(index, tuple(own), fields, market=market, timeframe=Timeframe.parse(timeframe) if timeframe else None)

    def head(self, rows: int) -> Bars:
        """Return the first `rows` bars as a view, without copying."""
        if rows == len(self.index):
            return self
        fields = {name: values[:rows] for name, values in self._fields.items()}
        return Bars(self.index[:rows], self.symbols, fields, market=self.market, timeframe=self.timeframe)

    def tail(self, first: int) -> Bars:
        """Return the bars from row `first` on as a view, without copying."""
        if first == 0:
            return self
        fields = {name: values[first:] for name, values in self._fields.items()}
        return Bars(self.index[first:], self.symbols, fields, market=self.market, timeframe=self.timeframe)

    @property
    def open(self) -> pd.DataFrame:
        return self._frame("open")

    @property
    def high(self) -> pd.DataFrame:
        return self._frame("high")

    @property
    def low(self) -> pd.DataFrame:
        return self._frame("low")

    @property
    def close(self) -> pd.DataFrame:
        return self._frame("close")

    @property
    def volume(self) -> pd.DataFrame:
        return self._frame("volume")

    def array(self, name: str) -> np.ndarray:
        """Return one field as a read-only float64 array, time x symbol, each symbol's column contiguous."""
        return self._fields[name]

    def close_times(self) -> pd.DatetimeIndex:
        """Return the close time of every bar: by the calendar of the universe where the market is known, else the next bar's
        open time. A bar that several symbols have closes as the last of them does.
        """
        if self.market is not None and self.timeframe is not None:
            return close_times(self.index, get_market(self.market), self.timeframe, self.symbols)
        spacing = self.index[1:] - self.index[:-1]
        last = spacing.min() if len(spacing) else pd.Timedelta(0)
        return pd.DatetimeIndex(self.index[1:].append(self.index[-1:] + last))

    def __getitem__(self, symbol: str) -> pd.DataFrame:
        try:
            column = self.symbols.index(symbol)
        except ValueError:
            raise KeyError(symbol) from None
        present = ~np.isnan(self._fields["close"][:, column])
        rows = slice(None) if present.all() else present
        values = np.column_stack([self._fields[name][rows, column] for name in COLUMNS])
        values.flags.writeable = False
        return pd.DataFrame(values, index=self.index[rows], columns=list(COLUMNS), copy=False)

    def __iter__(self) -> Iterator[str]:
        return iter(self.symbols)

    def __len__(self) -> int:
        return len(self.symbols)

    def _frame(self, name: str) -> pd.DataFrame:
        if name not in self._wide:
            self._wide[name] = pd.DataFrame(self._fields[name], index=self.index, columns=list(self.symbols), copy=False)
        return self._wide[name]


def _union(indexes: list[pd.Index]) -> pd.DatetimeIndex:
    if not indexes:
        raise NoData("there are no bars of any symbol")
    union = indexes[0]
    for index in indexes[1:]:
        if not index.equals(union):
            union = union.union(index)
    return pd.DatetimeIndex(union, name="open_time")


def _checked(symbol: str, frame: pd.DataFrame, *, may_lack: bool) -> pd.DataFrame:
    index = frame.index
    if not isinstance(index, pd.DatetimeIndex) or str(index.tz) != "UTC":
        raise InvalidInput(f"the bars of {symbol} need open times in UTC as their index (was {index.dtype})")
    missing = [name for name in COLUMNS if name not in frame.columns]
    if missing:
        raise InvalidInput(f"the bars of {symbol} have no column {missing[0]!r}")
    if frame.empty:
        if may_lack:
            return frame
        raise NoData(f"there are no bars of {symbol}")
    if not index.is_unique:
        raise InvalidInput(f"the bars of {symbol} have the time {index[index.duplicated()][0]} twice")
    if not index.is_monotonic_increasing:
        raise InvalidInput(f"the bars of {symbol} are not sorted by time")
    for name in COLUMNS:
        values = frame[name].to_numpy(dtype=np.float64)
        bad = ~np.isfinite(values) | ((values < 0) if name == "volume" else (values <= 0))
        if bad.any():
            row = int(np.argmax(bad))
            raise InvalidInput(f"the {name} of {symbol} at {index[row]} cannot be used (was {values[row]})")
    return frame
