"""Bars and order rules from Binance's spot market, or from any other exchange that ccxt knows."""

from __future__ import annotations

import threading
from collections.abc import Callable, Mapping, Sequence
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any, TypeVar

import numpy as np
import pandas as pd

from algo_py.clock import monotonic_s
from algo_py.errors import InvalidInput, NotFound, RateLimited, VenueDown
from algo_py.finstore.frames import to_us
from algo_py.finstore.sources.answers import (
    AGAIN_LATER,
    base_and_host,
    check_range,
    date_of,
    empty_frame,
    frame_of,
    time_left_s,
)
from algo_py.finstore.sources.any_exchange import AnyExchange
from algo_py.finstore.sources.binance_spot import BinanceSpot
from algo_py.finstore.sources.limits import SharedLimit
from algo_py.finstore.sources.protocol import Answer
from algo_py.market import Instrument, Timeframe

if TYPE_CHECKING:
    from algo_py.finstore.sources.bounded_http import Pool

_REQUEST_S = 10.0
_SYMBOLS_AT_ONCE = 100
_FIELDS = 6

_T = TypeVar("_T")


def exchange_source(exchange_id: str, *, base_url: str | None = None) -> ExchangeSource:
    """Return the source of an exchange, named as in settings: `binance`, `ccxt:kraken`."""
    name = exchange_id if exchange_id == "binance" else f"ccxt:{exchange_id}"
    return ExchangeSource(exchange_id, name=name, base_url=base_url)


class ExchangeSource:
    """A spot exchange, asked through ccxt's own client; `binance` by its klines, others by ccxt's unified methods.

    No keys are needed and none are used. ccxt is loaded when the first request leaves. Flat bars without volume, which Binance
    makes of minutes without trades, are given as they come.
    """

    rewrites_history = False

    def __init__(
        self,
        exchange_id: str = "binance",
        *,
        name: str | None = None,
        base_url: str | None = None,
        limit: SharedLimit | None = None,
    ) -> None:
        """Name the exchange by ccxt's id. `base_url` is where it is asked instead of its own address.

        `limit` None is the exchange's own, shared by all processes that ask the same address.
        """
        self._id = exchange_id
        self._name = name or exchange_id
        self._base_url: str | None = None
        self._host: str | None = None
        if base_url is not None:
            self._base_url, self._host = base_and_host(base_url)
        self._limit = limit
        self._dialect: BinanceSpot | AnyExchange = (
            BinanceSpot(self._name) if exchange_id == "binance" else AnyExchange(self._name)
        )
        self._pool: Pool[Any] | None = None
        self._lock = threading.Lock()

    @property
    def name(self) -> str:
        return self._name

    @property
    def parallel(self) -> int:
        return self._dialect.parallel

    def page(self, timeframe: Timeframe) -> timedelta:
        if isinstance(self._dialect, BinanceSpot):
            return timeframe.delta * self._dialect.bars_at_once()
        with self._clients().one() as client:
            return timeframe.delta * self._dialect.bars_at_once(client)

    def fetch(self, timeframe: Timeframe, symbol: str, start: datetime, end: datetime, *, deadline_s: float) -> Answer:
        check_range(start, end, self.page(timeframe))
        # Bars open at whole milliseconds: those from `start` on, and those before `end`.
        since_ms, until_ms = (-(-to_us(moment) // 1_000) for moment in (start, end))
        if since_ms == until_ms:
            return Answer(frame=empty_frame())

        def ask(client: Any) -> pd.DataFrame:
            self._check_timeframe(client, timeframe)
            rows = self._dialect.rows(client, timeframe, symbol, since_ms, until_ms)
            return _bars(rows, since_ms, until_ms, exact=self._dialect.is_exact)

        frame, as_of = self._ask(ask, weight=self._dialect.bars_weight, subject=symbol, deadline_s=deadline_s)
        return Answer(frame=frame, as_of=as_of)

    def earliest(self, timeframe: Timeframe, symbol: str, *, deadline_s: float) -> datetime | None:
        dialect = self._dialect
        if not isinstance(dialect, BinanceSpot):
            return None

        def ask(client: Any) -> pd.DataFrame:
            return _bars(dialect.first_row(client, timeframe, symbol), 0, None, exact=True)

        first, _ = self._ask(ask, weight=dialect.bars_weight, subject=symbol, deadline_s=deadline_s)
        return first.index[0].to_pydatetime() if len(first) else None

    def instruments(self, symbols: Sequence[str], *, deadline_s: float) -> Mapping[str, Instrument]:
        wanted = list(dict.fromkeys(symbols))
        known: dict[str, Instrument] = {}
        for first in range(0, len(wanted), _SYMBOLS_AT_ONCE):
            known |= self._rules(wanted[first : first + _SYMBOLS_AT_ONCE], deadline_s)
        return {symbol: known[symbol] for symbol in wanted if symbol in known}

    def _rules(self, symbols: list[str], deadline_s: float) -> dict[str, Instrument]:
        """Ask for all at once; when one of them is unknown Binance answers for none, so the halves are asked."""
        try:
            rules, _ = self._ask(
                lambda client: self._dialect.rules(client, symbols),
                weight=self._dialect.rules_weight,
                subject=symbols[0] if len(symbols) == 1 else f"{len(symbols)} symbols",
                deadline_s=deadline_s,
            )
        except NotFound:
            half = len(symbols) // 2
            return self._rules(symbols[:half], deadline_s) | self._rules(symbols[half:], deadline_s) if half else {}
        return rules

    def _ask(self, action: Callable[[Any], _T], *, weight: float, subject: str, deadline_s: float) -> tuple[_T, datetime | None]:
        """Send one request when the limit lets it through; return what was read from the answer, and the server's clock."""
        time_left_s(self._name, subject, deadline_s=deadline_s, at_most_s=_REQUEST_S)
        clients = self._clients()
        limit = self._limit_of(clients)
        limit.acquire(weight, deadline_s=deadline_s)
        left_s = time_left_s(self._name, subject, deadline_s=deadline_s, at_most_s=_REQUEST_S)
        with clients.one() as client:
            return self._sent(client, action, limit=limit, subject=subject, left_s=left_s)

    def _sent(
        self, client: Any, action: Callable[[Any], _T], *, limit: SharedLimit, subject: str, left_s: float
    ) -> tuple[_T, datetime | None]:
        from ccxt.base.errors import BaseError

        from algo_py.finstore.sources.exchange_client import MISREAD, translated

        client.session.until_s = monotonic_s() + left_s
        client.timeout = left_s * 1_000
        client.last_response_headers = None
        try:
            result = action(client)
        except BaseError as error:
            problem = translated(error, name=self._name, subject=subject, headers=client.last_response_headers or {})
            if isinstance(problem, RateLimited):
                limit.silence(problem.retry_after_s)
            raise problem from None
        except MISREAD as error:
            raise VenueDown(f"the answer of {self._name} for {subject} makes no sense: {error}", remedy=AGAIN_LATER) from error
        headers: Mapping[str, str] = client.last_response_headers or {}
        pause_s = self._dialect.pause_s(headers)
        if pause_s is not None:
            limit.silence(pause_s)
        return result, date_of(headers)

    def _clients(self) -> Pool[Any]:
        with self._lock:
            if self._pool is None:
                from algo_py.finstore.sources.bounded_http import Pool
                from algo_py.finstore.sources.exchange_client import build

                self._pool = Pool(lambda: build(self._id, self._base_url))
            return self._pool

    def _limit_of(self, clients: Pool[Any]) -> SharedLimit:
        if self._limit is None:
            if isinstance(self._dialect, BinanceSpot):
                self._limit = self._dialect.limit(self._host)
            else:
                with clients.one() as client:
                    self._limit = self._dialect.limit(client, self._host)
        return self._limit

    def _check_timeframe(self, client: Any, timeframe: Timeframe) -> None:
        offered = [known for known in Timeframe if known in (client.timeframes or {})]
        if timeframe not in offered:
            raise InvalidInput(f"{self._name} has no bars of {timeframe}", remedy=f"It has {', '.join(offered) or 'none'}.")


def _bars(rows: object, since_ms: int, until_ms: int | None, *, exact: bool) -> pd.DataFrame:
    """Take the bars out of rows of [open time in ms, open, high, low, close, volume, ...].

    Bars outside of the range are left out, or with `exact` refused. Raises ValueError, or what reading a row raises.
    """
    if not isinstance(rows, list):
        raise ValueError(f"it is not a list of bars but {str(rows)[:40]!r}")
    if not rows:
        return empty_frame()
    table = np.array([row[:_FIELDS] for row in rows], dtype=np.float64)
    if table.shape != (len(rows), _FIELDS) or not np.isfinite(table).all():
        raise ValueError("a bar lacks a number")
    times_ms = table[:, 0]
    inside = (times_ms >= since_ms) & (times_ms < (np.inf if until_ms is None else until_ms))
    if exact and not inside.all():
        raise ValueError(f"a bar opens at {times_ms[~inside][0]:.0f} ms, which was not asked for")
    table = table[inside]
    return frame_of((table[:, 0] * 1_000).astype(np.int64), table[:, 1:])
