"""Yahoo Finance as a source of NSE's bars, through yfinance (the extra `yahoo`).

Its prices are adjusted for splits and not for dividends, so the past changes with a split. Bars of minutes and hours go back only
some days. Yahoo publishes no rules for programs and may change anything at any time: something for history, not to trade on.
"""

from __future__ import annotations

import os
import threading
import warnings
from collections.abc import Callable, Mapping, Sequence
from datetime import datetime, time, timedelta
from typing import Any, ClassVar, Final, TypeVar
from zoneinfo import ZoneInfo

import pandas as pd

from algo_py.clock import as_utc
from algo_py.errors import InvalidInput, RateLimited, Refused, VenueDown
from algo_py.finstore.frames import COLUMNS
from algo_py.finstore.sources.answers import AGAIN_LATER, base_and_host, check_range, empty_frame, time_left_s
from algo_py.finstore.sources.limits import SharedLimit
from algo_py.finstore.sources.protocol import Answer
from algo_py.market import Instrument, Timeframe

# Its name, the days that one request may cover, and how many days back it goes at all. Half-hours are left out: yfinance makes
# them of quarters of an hour, aligned to the full hour, and NSE opens at 09:15.
_INTERVALS: Final = {
    Timeframe.M1: ("1m", 7, 30),
    Timeframe.M5: ("5m", 60, 60),
    Timeframe.M15: ("15m", 60, 60),
    Timeframe.H1: ("1h", 730, 730),
    Timeframe.D1: ("1d", 3_650, None),
    Timeframe.W1: ("1wk", 3_650, None),
}
# A page leaves room within these days for a stored bar that is asked along, from before a long weekend.
_ROOM = timedelta(days=5)
# Yahoo names no limit; people report to be shut out from about two thousand requests an hour.
_REQUESTS_PER_S, _BURST = 0.5, 20
_INDIA = ZoneInfo("Asia/Kolkata")
_DAY = timedelta(days=1)
_TURN_S = 60.0
_SHOWN_CHARACTERS = 200

# What yfinance raises, beside its own errors and curl_cffi's (which are OSErrors), when an answer is not built as it expects.
_MISREAD = (ValueError, LookupError, TypeError, AttributeError, ArithmeticError)

_T = TypeVar("_T")


def yahoo_source(*, base_url: str | None) -> YahooSource:
    """Return the source with the limit that all processes of this host share. base_url None is Yahoo's own address."""
    return YahooSource(base_url=base_url, limit=SharedLimit("yahoo", per_s=_REQUESTS_PER_S, burst=_BURST))


class YahooSource:
    """NSE's bars from Yahoo. Raises Refused, when it is first asked for something, if yfinance is not installed."""

    name = "yahoo"
    parallel = 1
    rewrites_history = True

    # yfinance keeps one session, its crumb and its switches for the whole process: one question at a time, whoever asks.
    _turn: ClassVar[threading.Lock] = threading.Lock()

    def __init__(self, *, base_url: str | None, limit: SharedLimit) -> None:
        self._base_url = None if base_url is None else base_and_host(base_url)[0]
        self._limit = limit
        self._session: Any = None

    def page(self, timeframe: Timeframe) -> timedelta:
        _, days, _ = _interval(timeframe)
        return timedelta(days=days) - _ROOM

    def fetch(self, timeframe: Timeframe, symbol: str, start: datetime, end: datetime, *, deadline_s: float) -> Answer:
        interval, days, _ = _interval(timeframe)
        check_range(start, end, timedelta(days=days))
        start, end = as_utc(start), as_utc(end)
        if start == end:
            return Answer(frame=empty_frame())
        first, last = _whole(timeframe, start, end)
        bars, as_of = self._ask(
            symbol,
            lambda ticker: _bars(
                ticker.history(start=first, end=last, interval=interval, auto_adjust=False, actions=False, prepost=False)
            ),
            deadline_s=deadline_s,
        )
        if bars is None:
            return Answer(frame=empty_frame(), as_of=as_of)
        return Answer(frame=bars[(bars.index >= start) & (bars.index < end)], as_of=as_of)

    def earliest(self, timeframe: Timeframe, symbol: str, *, deadline_s: float) -> datetime | None:
        _, _, days_back = _interval(timeframe)
        found, as_of = self._ask(symbol, _first_trade, deadline_s=deadline_s)
        if found is None:
            return None
        first = _midnight(found)
        if timeframe is Timeframe.W1:
            return first - first.astimezone(_INDIA).weekday() * _DAY
        if days_back is None or as_of is None:
            return first
        return max(first, _midnight(as_of) - (days_back - 1) * _DAY)

    def instruments(self, symbols: Sequence[str], *, deadline_s: float) -> Mapping[str, Instrument]:
        return {}

    def _ask(self, symbol: str, question: Callable[[Any], _T], *, deadline_s: float) -> tuple[_T | None, datetime | None]:
        """Put a question to yfinance's Ticker; return the answer, None when there is nothing, and what Yahoo's clock showed."""
        self._limit.acquire(1.0, deadline_s=deadline_s)
        left_s = time_left_s("Yahoo", symbol, deadline_s=deadline_s, at_most_s=_TURN_S)
        if not self._turn.acquire(timeout=left_s):
            raise VenueDown(f"Yahoo was not asked for {symbol}: others are still asking", remedy=AGAIN_LATER)
        try:
            return self._ask_now(symbol, question, deadline_s)
        except RateLimited as error:
            self._limit.silence(error.retry_after_s)
            raise
        finally:
            self._turn.release()

    def _ask_now(self, symbol: str, question: Callable[[Any], _T], deadline_s: float) -> tuple[_T | None, datetime | None]:
        yfinance = _yfinance()
        from algo_py.finstore.sources.yahoo_session import NothingThere, YahooSession

        if self._session is None:
            self._session = YahooSession(base_url=self._base_url)
        session = self._session
        session.prepare(symbol, deadline_s=deadline_s)
        yfinance.data.YfData.cache_get.cache_clear()  # it would give a bar of the past as it was when it was first asked for
        hides_errors = yfinance.config.debug.hide_exceptions
        yfinance.config.debug.hide_exceptions = False
        try:
            with warnings.catch_warnings():
                # It uses what pandas has deprecated; that is not for a trader to read.
                warnings.simplefilter("ignore", DeprecationWarning)
                ticker = yfinance.Ticker(f"{symbol}.NS", session=session)
                ticker._tz = _INDIA.key  # known; it would ask for it
                return question(ticker), session.as_of
        except NothingThere:
            return None, session.as_of
        except OSError as error:
            raise VenueDown(f"Yahoo cannot be reached for {symbol} ({type(error).__name__})", remedy=AGAIN_LATER) from None
        except (yfinance.exceptions.YFException, *_MISREAD) as error:
            said = f"{type(error).__name__}: {' '.join(str(error).split())[:_SHOWN_CHARACTERS]}"
            raise VenueDown(f"Yahoo's answer for {symbol} makes no sense ({said})", remedy=AGAIN_LATER) from None
        finally:
            yfinance.config.debug.hide_exceptions = hides_errors


def _yfinance() -> Any:
    """Import yfinance, and have it keep nothing on disk: a folder that cannot be turns its caches off."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            import yfinance
    except ImportError:
        raise Refused("Yahoo's bars need yfinance", remedy="Install it: pip install 'algo-py[yahoo]'") from None
    yfinance.set_tz_cache_location(os.devnull)
    return yfinance


def _interval(timeframe: Timeframe) -> tuple[str, int, int | None]:
    if timeframe not in _INTERVALS:
        raise InvalidInput(
            f"Yahoo has no {timeframe} bars of NSE",
            remedy=f"Make them of shorter ones; it has {', '.join(t.value for t in _INTERVALS)}.",
        )
    return _INTERVALS[timeframe]


def _whole(timeframe: Timeframe, start: datetime, end: datetime) -> tuple[datetime, datetime]:
    """Return the range to ask for: whole seconds; of days and weeks all whose midnight lies in the range, to their end."""
    last_us = end - timedelta(microseconds=1)
    if timeframe.is_intraday:
        return start.replace(microsecond=0), last_us.replace(microsecond=0) + timedelta(seconds=1)
    first, last = _midnight(start), _midnight(last_us)
    if timeframe is Timeframe.W1:
        first -= first.astimezone(_INDIA).weekday() * _DAY
        last += (6 - last.astimezone(_INDIA).weekday()) * _DAY
    return first, last + _DAY


def _midnight(moment: datetime) -> datetime:
    """Return the last midnight in India that is not after `moment`."""
    return as_utc(datetime.combine(moment.astimezone(_INDIA).date(), time(), _INDIA))


def _first_trade(ticker: Any) -> datetime | None:
    ticker.history(period="5d", interval="1d", auto_adjust=False, actions=False)
    first = ticker.history_metadata.get("firstTradeDate")
    return None if first is None else pd.Timestamp(first).to_pydatetime()


def _bars(frame: pd.DataFrame) -> pd.DataFrame:
    """Return yfinance's table as bars. A row in which it has no prices is a bar that it does not have."""
    bars = frame.rename(columns=str.lower)[list(COLUMNS)].astype("float64").dropna()
    bars.index = pd.DatetimeIndex(bars.index, name="open_time").tz_convert("UTC").as_unit("us")
    return bars
