"""Bars in memory: the arrays that the store works on, and the frames that go in and come out.

Inside the room bars are a `Block`: open times as integers and prices as one array. Frames are checked on their way in and are
read-only on their way out.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from itertools import pairwise
from typing import Final

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from algo_py.clock import as_utc
from algo_py.errors import InvalidInput

COLUMNS: Final = ("open", "high", "low", "close", "volume")

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_MICROSECOND = timedelta(microseconds=1)
_COLUMN_INDEX = pd.Index(COLUMNS)
_PER_SECOND = {"s": 1, "ms": 1_000, "us": 1_000_000, "ns": 1_000_000_000}
# Back-adjusted and split-adjusted prices are rounded, so a high may miss the close by a hair.
_RANGE_TOLERANCE_FRACTION = 1e-6


def to_us(moment: datetime) -> int:
    """Return an aware moment as whole microseconds since 1970 UTC."""
    return (as_utc(moment) - _EPOCH) // _MICROSECOND


def from_us(us: int) -> datetime:
    """Return the moment, in UTC, that is `us` microseconds after 1970."""
    return _EPOCH + timedelta(microseconds=int(us))


@dataclass(frozen=True, slots=True, eq=False)
class Block:
    """Bars of one symbol: `times` int64 microseconds since 1970 UTC, ascending and unique; `values` float64, 5 x rows."""

    times: NDArray[np.int64]
    values: NDArray[np.float64]

    @classmethod
    def empty(cls) -> Block:
        return cls(np.empty(0, dtype=np.int64), np.empty((len(COLUMNS), 0), dtype=np.float64))

    def __len__(self) -> int:
        return len(self.times)

    def rows(self, chosen: slice | NDArray[np.bool_]) -> Block:
        """Return the bars of a slice or a mask."""
        return Block(self.times[chosen], self.values[:, chosen])

    def between(self, start_us: int | None, end_us: int | None) -> Block:
        """Return the bars with start <= open time < end; None is open."""
        first = 0 if start_us is None else int(np.searchsorted(self.times, start_us))
        last = len(self.times) if end_us is None else int(np.searchsorted(self.times, end_us))
        return self if first == 0 and last == len(self.times) else self.rows(slice(first, max(first, last)))

    def tail(self, rows: int) -> Block:
        """Return the last `rows` bars, or all when there are fewer."""
        return self if len(self.times) <= rows else self.rows(slice(len(self.times) - rows, None))


def union(blocks: Iterable[Block]) -> Block:
    """Return the bars of all blocks in order of time; of two bars of one time, the one of the earlier block."""
    parts = [block for block in blocks if len(block)]
    if not parts:
        return Block.empty()
    if len(parts) == 1:
        return parts[0]
    parts_in_order = all(one.times[-1] < other.times[0] for one, other in pairwise(parts))
    times = np.concatenate([block.times for block in parts])
    values = np.concatenate([block.values for block in parts], axis=1)
    if parts_in_order:
        return Block(times, values)
    order = np.argsort(times, kind="stable")
    times = times[order]
    first = np.concatenate(([True], times[1:] != times[:-1]))
    return Block(times[first], values[:, order[first]])


def to_frame(block: Block) -> pd.DataFrame:
    """Return bars as a frame: index open_time (datetime64[us, UTC]), five float64 columns; writing to it raises ValueError."""
    values = np.ascontiguousarray(block.values)
    if values is block.values:
        values = values.view()
    values.flags.writeable = False
    index = pd.DatetimeIndex(block.times.view("M8[us]"), name="open_time").tz_localize("UTC")
    return pd.DataFrame(values.T, index=index, columns=_COLUMN_INDEX, copy=False)


def from_frames(frames: Mapping[str, pd.DataFrame]) -> dict[str, Block]:
    """Take each symbol's frame apart, and refuse what is not a series of bars.

    A frame has a DatetimeIndex in UTC, ascending and unique, and the five columns; more columns are left out. Prices are finite
    and above 0, low <= open, close <= high, volume is 0 or more. The first offence is named by symbol, column and time.
    """
    blocks = {symbol: raw_block(symbol, frame) for symbol, frame in frames.items()}
    if blocks:
        check_blocks(blocks)
    return blocks


def raw_block(symbol: str, frame: pd.DataFrame) -> Block:
    """Take one frame apart; the order of its bars and their values are not looked at. Raises InvalidInput."""
    if not len(frame):
        return Block.empty()
    index = frame.index
    if not isinstance(index, pd.DatetimeIndex) or str(index.tz) != "UTC":
        raise InvalidInput(f"the bars of {symbol} need open times in UTC as their index (was {index.dtype})")
    if index.hasnans:
        raise InvalidInput(f"the bars of {symbol} have a row without an open time")
    per_second = _PER_SECOND[index.unit]
    raw = index.asi8
    if per_second > 1_000_000:
        if (raw % 1_000).any():
            raise InvalidInput(f"the open times of {symbol} must be whole microseconds")
        raw = raw // 1_000
    times = np.asarray(raw * (1_000_000 // min(per_second, 1_000_000)), dtype=np.int64)
    if not frame.columns.equals(_COLUMN_INDEX):
        missing = [name for name in COLUMNS if name not in frame.columns]
        if missing:
            raise InvalidInput(f"the bars of {symbol} have no column {missing[0]!r}", remedy=f"They need {', '.join(COLUMNS)}.")
        frame = frame[list(COLUMNS)]
    try:
        return Block(times, np.asarray(frame.to_numpy(dtype=np.float64).T))
    except (TypeError, ValueError) as error:
        raise InvalidInput(f"the bars of {symbol} have a value that is not a number ({error})") from None


def check_blocks(blocks: Mapping[str, Block]) -> None:
    """Refuse bars that are out of order or cannot be prices; all symbols at once, since most calls bring one bar for many."""
    times = np.concatenate([block.times for block in blocks.values()])
    values = np.concatenate([block.values for block in blocks.values()], axis=1)
    lengths = np.array([len(block) for block in blocks.values()])
    owner = np.repeat(np.arange(len(lengths)), lengths)

    same_symbol = np.concatenate(([False], owner[1:] == owner[:-1]))
    step = np.concatenate(([1], np.diff(times)))
    in_order = [
        (same_symbol & (step == 0), "bars of {place} are there twice", None),
        (same_symbol & (step < 0), "bars of {place} are out of order", None),
    ]
    for bad, problem, column in (*in_order, *_offences(values)):
        if bad.any():
            row = int(np.argmax(bad))
            place = f"{list(blocks)[owner[row]]} at {from_us(times[row]).isoformat()}"
            value = "" if column is None else f" (was {values[column, row]})"
            raise InvalidInput(f"the {problem.format(place=place)}{value}")


def unusable(block: Block) -> NDArray[np.bool_]:
    """Return which rows cannot be bars by their values."""
    return np.asarray(np.any([bad for bad, _, _ in _offences(block.values)], axis=0))


def _offences(values: NDArray[np.float64]) -> Iterator[tuple[NDArray[np.bool_], str, int]]:
    """Yield what prices and volumes can do wrong: which rows do, a message, the column that it is about."""
    for column, name in enumerate(COLUMNS):
        bad = ~np.isfinite(values[column]) | ((values[column] < 0) if name == "volume" else (values[column] <= 0))
        yield bad, f"{name} of {{place}} cannot be used", column
    opens, highs, lows, closes = values[:4]
    slack = highs * _RANGE_TOLERANCE_FRACTION
    yield highs + slack < np.maximum(opens, closes), "high of {place} is below its open or close", 1
    yield lows - slack > np.minimum(opens, closes), "low of {place} is above its open or close", 2
