"""Longer bars made of shorter ones: whole bars only, aligned as the market's calendar aligns them."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from algo_py.errors import InvalidInput
from algo_py.finstore.bartimes import expected_opens
from algo_py.finstore.frames import Block, from_frames, from_us, to_frame, to_us
from algo_py.market import Calendar, Market, Timeframe


def resample(
    frame: pd.DataFrame,
    market: Market,
    timeframe_from: Timeframe,
    timeframe_to: Timeframe,
    *,
    symbol: str | None = None,
    absent: pd.DatetimeIndex | None = None,
) -> pd.DataFrame:
    """Return the bars of `timeframe_to` that the bars of `timeframe_from` make up, a frame as `FinStore.read` returns them.

    A bar comes out only when each of the shorter bars that the market has within it is there, or is one of `absent`: open times
    of bars that are known not to exist. It is made of the bars with volume; of all of them when none has any; and there is no bar
    when none is there. (So Binance makes its own longer bars: it fills the minutes without trades with flat bars, and leaves
    those out again.) A closing auction stays a bar of its own within the day, and closes the daily bar. `symbol` says whose bars
    they are, None: an ordinary symbol's. Raises InvalidInput when the one timeframe does not consist of whole bars of the other,
    or a bar lies off the calendar.
    """
    block = from_frames({"the frame": frame})["the frame"]
    missing = None if absent is None else absent.as_unit("us").asi8
    calendar = market.calendar if symbol is None else market.calendar_of(symbol)
    return to_frame(resample_block(block, market.name, calendar, timeframe_from, timeframe_to, absent=missing))


def resample_block(
    block: Block,
    name: str,
    calendar: Calendar,
    timeframe_from: Timeframe,
    timeframe_to: Timeframe,
    *,
    absent: NDArray[np.int64] | None = None,
) -> Block:
    """Do what `resample` does, on a block; `name` is the market's, `absent` in microseconds since 1970 UTC."""
    check_nesting(timeframe_from, timeframe_to)
    if not len(block):
        return block
    plan = _Plan.of(name, calendar, timeframe_from, timeframe_to, int(block.times[0]), int(block.times[-1]))
    position = np.searchsorted(plan.shorter, block.times)
    found = plan.shorter[np.minimum(position, len(plan.shorter) - 1)] == block.times
    if not found.all():
        moment = from_us(block.times[np.argmin(found)])
        raise InvalidInput(f"{name} has no {timeframe_from} bar that opens at {moment.isoformat()}", remedy="Leave it out.")
    accounted = np.zeros(len(plan.shorter), dtype=np.bool_) if absent is None else np.isin(plan.shorter, absent)
    accounted[position] = True
    is_whole = np.bincount(plan.owner, weights=~accounted, minlength=len(plan.longer)) == 0
    owner = plan.owner[position]
    traded = block.values[4] > 0
    any_traded = np.bincount(owner, weights=traded, minlength=len(plan.longer)) > 0
    used = is_whole[owner] & (traded | ~any_traded[owner])
    return _merged(block.rows(used), owner[used], plan.longer)


def check_nesting(timeframe_from: Timeframe, timeframe_to: Timeframe) -> None:
    """Refuse two timeframes of which the second is not a multiple of the first, or is the same."""
    if timeframe_to.seconds <= timeframe_from.seconds or timeframe_to.seconds % timeframe_from.seconds:
        whole = [t.value for t in Timeframe if t.seconds > timeframe_from.seconds and t.seconds % timeframe_from.seconds == 0]
        remedy = f"Of {timeframe_from} bars one can make {', '.join(whole)}." if whole else "There are no longer bars."
        raise InvalidInput(f"{timeframe_to} bars do not consist of {timeframe_from} bars", remedy=remedy)


@dataclass(frozen=True, slots=True, eq=False)
class _Plan:
    """A calendar's bars over a period: open times of the longer ones, of the shorter ones, and which longer one owns each."""

    longer: NDArray[np.int64]
    shorter: NDArray[np.int64]
    owner: NDArray[np.intp]

    @classmethod
    def of(
        cls, name: str, calendar: Calendar, timeframe_from: Timeframe, timeframe_to: Timeframe, first_us: int, last_us: int
    ) -> _Plan:
        """Return all longer bars that the bars from `first_us` to `last_us` belong to, with all that these consist of."""
        length_us = timeframe_to.seconds * 1_000_000
        longer = expected_opens(calendar, timeframe_to, first_us - length_us, last_us)
        # The one that holds first_us is the last to open before it; none does when first_us lies off the calendar.
        longer = longer[max(0, int(np.searchsorted(longer, first_us, side="right")) - 1) :]
        if not len(longer):
            raise InvalidInput(f"{name} has no {timeframe_to} bar around {from_us(first_us).isoformat()}")
        end_us = to_us(calendar.bar_close(from_us(longer[-1]), timeframe_to))
        shorter = expected_opens(calendar, timeframe_from, int(longer[0]), end_us - 1)
        return cls(longer, shorter, np.searchsorted(longer, shorter, side="right") - 1)


def _merged(block: Block, owner: NDArray[np.intp], longer: NDArray[np.int64]) -> Block:
    """Return one bar for each run of equal owners."""
    if not len(block):
        return Block.empty()
    starts = np.concatenate(([0], np.flatnonzero(np.diff(owner)) + 1))
    ends = np.concatenate((starts[1:], [len(block)])) - 1
    opens, highs, lows, closes, volumes = block.values
    values = (
        opens[starts],
        np.maximum.reduceat(highs, starts),
        np.minimum.reduceat(lows, starts),
        closes[ends],
        np.add.reduceat(volumes, starts),
    )
    return Block(longer[owner[starts]], np.array(values))
