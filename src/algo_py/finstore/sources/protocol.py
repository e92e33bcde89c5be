"""What a source of bars must do.

| it must | because |
|---|---|
| answer one request at a time, of at most `page(timeframe)` | the caller stores each page and can stop in between |
| return every bar that it has in the range, in any order, even a forming one | the caller sorts, and judges what is closed |
| say an empty range with an empty frame, and a failure with an exception | an outage of the source is not an absence of bars |
| wait for its shared limit, never longer than the deadline | other processes of the host ask as well |
| never retry | the caller does, within its bounds |
| be usable from several threads at once | symbols are asked side by side |
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Protocol

import pandas as pd

from algo_py.market import Instrument, Timeframe


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Answer:
    """What a source said to one request.

    frame: index of open times (datetime64, UTC), columns open, high, low, close, volume (float64), as it came.
    as_of: what the source's own clock showed when it answered, None when it does not say. A bar that had not closed by then is
    forming, whatever the clock here shows; one that was not final by then is provisional.
    is_final: whether the bars are final as they close, whatever the sources outside do after the market's close.
    """

    frame: pd.DataFrame
    as_of: datetime | None = None
    is_final: bool = False


class Source(Protocol):
    """A place that bars come from. Building one touches neither network nor disk."""

    @property
    def name(self) -> str:
        """Its name in settings, reports and gaps, such as `binance`."""

    @property
    def parallel(self) -> int:
        """How many requests it may be sent side by side."""

    @property
    def rewrites_history(self) -> bool:
        """Whether it changes past bars, as for a split. Then the last stored bars are asked for again along with newer ones: a
        request may begin four days before its page, which is a long weekend."""

    def page(self, timeframe: Timeframe) -> timedelta:
        """Return the longest range of one request."""

    def fetch(self, timeframe: Timeframe, symbol: str, start: datetime, end: datetime, *, deadline_s: float) -> Answer:
        """Return the bars that open in [start, end).

        `deadline_s` is a moment of `clock.monotonic_s`: no wait goes beyond it. Raises NotFound (it does not know the symbol),
        InvalidInput (it has no such timeframe), AuthFailed, RateLimited (wait), VenueDown (anything that may pass: no
        connection, time-out, 5xx, an answer that is cut short or makes no sense).
        """

    def earliest(self, timeframe: Timeframe, symbol: str, *, deadline_s: float) -> datetime | None:
        """Return the open time of its first bar of a symbol; None when it cannot tell cheaply. Raises like `fetch`."""

    def instruments(self, symbols: Sequence[str], *, deadline_s: float) -> Mapping[str, Instrument]:
        """Return the order rules of those symbols that it knows; empty when it knows none. Raises like `fetch`."""
