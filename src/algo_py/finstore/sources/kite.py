"""Zerodha's Kite Connect as a source of NSE's bars.

Its candles are stamped with their open in Indian time, a daily one with midnight, as this market's bars are
(kite.trade/docs/connect/v3/historical). Prices are adjusted for splits and bonus issues, so the past changes when one happens.
Three requests a second may leave; what one may cover depends on the interval, and Kite names the bound when it is passed.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any, Final
from zoneinfo import ZoneInfo

import numpy as np
import pandas as pd

from algo_py.clock import Clock, SystemClock, as_utc
from algo_py.credentials import Credentials
from algo_py.errors import InvalidInput, NotFound
from algo_py.finstore.frames import COLUMNS, to_us
from algo_py.finstore.sources.answers import base_and_host, check_range, empty_frame, frame_of
from algo_py.finstore.sources.kite_client import KiteClient
from algo_py.finstore.sources.kite_derivatives import KiteDerivatives
from algo_py.finstore.sources.kite_listing import KiteListing, Listed
from algo_py.finstore.sources.limits import SharedLimit
from algo_py.finstore.sources.protocol import Answer
from algo_py.market import Instrument, Timeframe

# The interval's name, and the days that one request may cover.
_INTERVALS: Final = {
    Timeframe.M1: ("minute", 60),
    Timeframe.M3: ("3minute", 100),
    Timeframe.M5: ("5minute", 100),
    Timeframe.M15: ("15minute", 200),
    Timeframe.M30: ("30minute", 200),
    Timeframe.H1: ("60minute", 400),
    Timeframe.D1: ("day", 2_000),
}
# A page leaves room within these days for a stored bar that is asked along, from before a long weekend.
_ROOM = timedelta(days=10)
# A little less than the three that are allowed: requests that leave evenly do not arrive so.
_REQUESTS_PER_S = 2.8
_INDIA = ZoneInfo("Asia/Kolkata")


def kite_source(
    credentials: Credentials | Callable[[], Credentials], *, folder: Path, derivatives: Path | None = None
) -> KiteSource:
    """Return the source with the address in the credentials, if any, and the limit that all processes of this host share.

    A process that lives longer than a day gives a function that reads its credentials: Kite's access token ends each morning.
    """
    limit = SharedLimit("kite-historical", per_s=_REQUESTS_PER_S, burst=1)
    given = credentials if isinstance(credentials, Credentials) else credentials()
    return KiteSource(credentials, base_url=given.base_url("zerodha"), limit=limit, folder=folder, derivatives=derivatives)


class KiteSource:
    """NSE's bars from Kite. Credentials are looked at only when it is asked for something.

    `folder` is where the list of instruments is kept, shared by processes. base_url None is Kite's own address. `derivatives` is
    the file that says which shares have derivatives, and is renewed; None: it is not.
    """

    name = "kite"
    parallel = 3
    rewrites_history = True

    def __init__(
        self,
        credentials: Credentials | Callable[[], Credentials],
        *,
        base_url: str | None,
        limit: SharedLimit,
        folder: Path,
        clock: Clock | None = None,
        derivatives: Path | None = None,
    ) -> None:
        address = None if base_url is None else base_and_host(base_url)[0]
        read = (lambda: credentials) if isinstance(credentials, Credentials) else credentials
        self._client = KiteClient(read, base_url=address, limit=limit)
        own_clock = SystemClock() if clock is None else clock
        self._listing = KiteListing(self._client, folder, own_clock)
        self._derivatives = None if derivatives is None else KiteDerivatives(self._client, folder, derivatives, own_clock)

    def page(self, timeframe: Timeframe) -> timedelta:
        _, days = _interval(timeframe)
        return timedelta(days=days) - _ROOM

    def fetch(self, timeframe: Timeframe, symbol: str, start: datetime, end: datetime, *, deadline_s: float) -> Answer:
        interval, days = _interval(timeframe)
        check_range(start, end, timedelta(days=days))
        share = self._shares(deadline_s).get(symbol)
        if share is None:
            raise NotFound(f"Kite lists no share {symbol!r} on NSE", remedy="Write it as Kite does, such as RELIANCE or M&M.")
        start, end = as_utc(start), as_utc(end)
        # Both ends are included there, and they are whole seconds.
        first = (start + timedelta(microseconds=999_999)).replace(microsecond=0)
        last = (end - timedelta(microseconds=1)).replace(microsecond=0)
        if first > last:
            return Answer(frame=empty_frame())
        frame, as_of = self._client.ask(
            lambda kite: _frame(kite.historical_data(share.token, _indian(first), _indian(last), interval)),
            subject=symbol,
            deadline_s=deadline_s,
        )
        return Answer(frame=frame[(frame.index >= start) & (frame.index < end)], as_of=as_of)

    def earliest(self, timeframe: Timeframe, symbol: str, *, deadline_s: float) -> datetime | None:
        return None  # it has no such question, and asking for all days would cost a page for each 2,000

    def instruments(self, symbols: Sequence[str], *, deadline_s: float) -> Mapping[str, Instrument]:
        shares = self._shares(deadline_s)
        return {symbol: shares[symbol].instrument(symbol) for symbol in symbols if symbol in shares}

    def _shares(self, deadline_s: float) -> Mapping[str, Listed]:
        """Return the list of shares, and see to it that the one of those with derivatives is not old."""
        shares = self._listing.shares(deadline_s=deadline_s)
        if self._derivatives is not None:
            self._derivatives.renew(deadline_s=deadline_s)
        return shares


def _interval(timeframe: Timeframe) -> tuple[str, int]:
    if timeframe not in _INTERVALS:
        raise InvalidInput(
            f"Kite has no {timeframe} bars", remedy=f"Make them of shorter ones; it has {', '.join(t.value for t in _INTERVALS)}."
        )
    return _INTERVALS[timeframe]


def _indian(moment: datetime) -> str:
    return f"{moment.astimezone(_INDIA):%Y-%m-%d %H:%M:%S}"


def _frame(candles: list[dict[str, Any]]) -> pd.DataFrame:
    """Return candles as bars. Raises ValueError, KeyError or TypeError when they are none."""
    times = [candle["date"] for candle in candles]
    if any(time.utcoffset() is None for time in times):
        raise ValueError("a candle's time has no offset")
    values = np.array([[float(candle[name]) for name in COLUMNS] for candle in candles], dtype=np.float64)
    return frame_of(np.array([to_us(time) for time in times], dtype=np.int64), values.reshape(-1, len(COLUMNS)))
