"""What is stored of one market and timeframe, put together for the page."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from pathlib import Path

import numpy as np
import pandas as pd
import streamlit as st
from numpy.typing import NDArray

from algo_py.dashboard.clients import Clients
from algo_py.dashboard.screens.data.strip import Buckets, Strip, span_of, strip_of
from algo_py.errors import AlgoPyError, InvalidInput
from algo_py.finstore import Coverage, FinStore
from algo_py.finstore.bartimes import expected_opens, opens_of_any
from algo_py.finstore.frames import to_us
from algo_py.finstore.layout import Layout
from algo_py.finstore.parquet import signature_of
from algo_py.market import Calendar, Market, Timeframe, get_market, latest_final_open, market_names
from algo_py.market.calendars import AlwaysOpen

_KEPT_S = 30
_KEPT = 16
_MICROSECOND = timedelta(microseconds=1)


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Series:
    """The bars of one symbol. coverage and strip: None when there are none or they cannot be read, and `problem` says why.

    behind: how many final bars follow the last stored one. waiting: for how many bars another value was offered that nobody has
    adopted. Both None when not known.
    """

    symbol: str
    coverage: Coverage | None
    problem: AlgoPyError | None = None
    behind: int | None = None
    waiting: int | None = None
    strip: Strip | None = None

    @property
    def missing(self) -> int | None:
        """How many bars the gaps have in all."""
        return None if self.coverage is None else sum(gap.bars for gap in self.coverage.gaps)


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Stored:
    """All symbols of one market and timeframe, by name. is_open: whether the market trades now, None when it has no sessions.

    problems: what could not be found out, in words.
    """

    market: Market
    timeframe: Timeframe
    series: tuple[Series, ...]
    buckets: Buckets
    is_open: bool | None = None
    problems: tuple[str, ...] = ()


def stored(clients: Clients, market: str, timeframe: str) -> Stored:
    """Return what is stored now. Files are looked at again only when one of them has changed, the clock every half minute."""
    known, length = get_market(market), Timeframe.parse(timeframe)
    return _stored(str(clients.workspace.root), market, timeframe, _state_of(clients.bars, known, length), clients)


@st.cache_resource(show_spinner=False, ttl=_KEPT_S, max_entries=_KEPT)
def _stored(root: str, market: str, timeframe: str, state: str, _clients: Clients) -> Stored:
    return with_freshness(_read(root, market, timeframe, state, _clients.bars), now=_clients.clock.now())


@st.cache_resource(show_spinner="Looking at the stored bars", max_entries=_KEPT)
def _read(root: str, market: str, timeframe: str, state: str, _store: FinStore) -> Stored:
    return read(_store, get_market(market), Timeframe.parse(timeframe))


def _state_of(store: FinStore, market: Market, timeframe: Timeframe) -> str:
    """Return a text that changes with every file of a market and timeframe, but for locks."""
    layout = Layout.of(store.folder, market.name, timeframe)
    digest = hashlib.blake2b(digest_size=16)
    for top in (layout.folder, layout.damaged):
        for folder, _, names in os.walk(top):
            for name in sorted(names):
                if not name.endswith(".lock"):
                    digest.update(repr((folder, name, signature_of(Path(folder, name)))).encode())
    return digest.hexdigest()


def places(store: FinStore) -> dict[str, list[str]]:
    """Return the timeframes of each market with stored bars, or with bars that were lost and are not back."""
    there = {(market, timeframe) for market, timeframe, _ in [*store.keys(), *_lost(store)]}
    found = {name: [one.value for one in Timeframe if (name, one.value) in there] for name in market_names()}
    return {market: timeframes for market, timeframes in found.items() if timeframes}


def gather(store: FinStore, market: Market, timeframe: Timeframe, *, now: datetime) -> Stored:
    """Look at all symbols, and at the clock."""
    return with_freshness(read(store, market, timeframe), now=now)


def read(store: FinStore, market: Market, timeframe: Timeframe) -> Stored:
    """Look at all symbols, also at those of which everything was lost; one that cannot be read hurts no other."""
    lost = {symbol for place, length, symbol in _lost(store) if (place, length) == (market.name, timeframe.value)}
    symbols = sorted(lost.union(store.symbols(market.name, timeframe)))
    covers = {symbol: _cover(store, market, timeframe, symbol) for symbol in symbols}
    buckets = _buckets(market, timeframe, {s: cover for s, cover in covers.items() if isinstance(cover, Coverage)})
    problems: list[str] = []
    waiting: Mapping[str, int] | None = None
    try:
        waiting = waiting_by_symbol(store.revisions(market.name, timeframe))
    except AlgoPyError as error:
        problems.append(f"Revisions cannot be read: {error}")
    series = tuple(
        Series(
            symbol=symbol,
            coverage=cover,
            waiting=None if waiting is None else waiting.get(symbol, 0),
            strip=strip_of(cover, buckets, expected_of(market, timeframe, symbol, cover)),
        )
        if isinstance(cover, Coverage)
        else Series(symbol=symbol, coverage=None, problem=cover)
        for symbol, cover in covers.items()
    )
    return Stored(market=market, timeframe=timeframe, series=series, buckets=buckets, problems=tuple(problems))


def with_freshness(stored: Stored, *, now: datetime) -> Stored:
    """Return it with how far each symbol is behind the newest bar that is final."""
    market = stored.market
    try:
        calendars = {one.symbol: market.calendar_of(one.symbol) for one in stored.series}
        newest = {calendar: latest_final_open(calendar, stored.timeframe, now) for calendar in set(calendars.values())}
        is_open = _is_open(market, now)
    except InvalidInput as error:
        problem = f"How fresh the bars are is not known: {error}"
        return replace(stored, problems=(*stored.problems, problem))
    behind: dict[str, int] = {}
    for calendar, latest in newest.items():
        own = {one.symbol: one.coverage.last for one in stored.series if one.coverage and calendars[one.symbol] is calendar}
        counts = _behind(calendar, stored.timeframe, sorted(set(own.values())), latest)
        behind |= {symbol: counts[last] for symbol, last in own.items()}
    series = tuple(replace(one, behind=behind.get(one.symbol)) for one in stored.series)
    return replace(stored, series=series, is_open=is_open)


def waiting_by_symbol(revisions: pd.DataFrame) -> dict[str, int]:
    """Return for how many bars of each symbol the latest offer was not adopted, given what `FinStore.revisions` returns."""
    latest = revisions.drop_duplicates(["symbol", "open_time"], keep="last")
    counts = latest.loc[latest["adopted_at"].isna(), "symbol"].value_counts()
    return {str(symbol): int(count) for symbol, count in counts.items()}


def _lost(store: FinStore) -> list[tuple[str, str, str]]:
    """Return market, timeframe and symbol of what was lost with files that were set aside, and is not back."""
    return [(one.market, one.timeframe, bars.symbol) for one in store.damaged_files() for bars in one.lost if not bars.is_back]


def _cover(store: FinStore, market: Market, timeframe: Timeframe, symbol: str) -> Coverage | AlgoPyError:
    try:
        return store.coverage(market.name, timeframe, symbol)
    except AlgoPyError as error:
        return error


def _buckets(market: Market, timeframe: Timeframe, covers: Mapping[str, Coverage]) -> Buckets:
    """Return buckets over the time of all symbols together, lost bars included."""
    spans = [span_of(cover) for cover in covers.values()]
    if not spans:
        return Buckets.of(np.empty(0, dtype=np.int64))
    first, last = to_us(min(first for first, _ in spans)), to_us(max(last for _, last in spans))
    return Buckets.of(opens_of_any((market.calendar_of(symbol) for symbol in covers), timeframe, first, last))


def expected_of(market: Market, timeframe: Timeframe, symbol: str, cover: Coverage) -> NDArray[np.int64]:
    """Return the open times of all bars that a symbol should have, lost ones included."""
    first, last = span_of(cover)
    return expected_opens(market.calendar_of(symbol), timeframe, to_us(first), to_us(last))


def _behind(calendar: Calendar, timeframe: Timeframe, lasts: Sequence[datetime], newest: datetime) -> dict[datetime, int]:
    """Return for each last bar, ascending, how many bars have become final since."""
    if not lasts or newest <= lasts[0]:
        return dict.fromkeys(lasts, 0)
    due = expected_opens(calendar, timeframe, to_us(lasts[0]), to_us(newest))
    return {last: len(due) - int(np.searchsorted(due, to_us(last), side="right")) for last in lasts}


def _is_open(market: Market, now: datetime) -> bool | None:
    if isinstance(market.calendar, AlwaysOpen):
        return None
    minutes = market.calendar.bar_opens(Timeframe.M1, now - Timeframe.M1.delta + _MICROSECOND, now + _MICROSECOND)
    return next(minutes, None) is not None
