"""What is stored of one market and timeframe, put together for the page: at most half a minute old."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

import numpy as np
import pandas as pd
import streamlit as st

from algo_py.dashboard.clients import Clients, forget_coverage
from algo_py.dashboard.screens.data.strip import Buckets, Strip, strip_of
from algo_py.errors import AlgoPyError, InvalidInput
from algo_py.finstore import Coverage, FinStore
from algo_py.finstore.bartimes import expected_opens
from algo_py.finstore.frames import to_us
from algo_py.market import Market, Timeframe, get_market, latest_closed_open, market_names
from algo_py.market.calendars import AlwaysOpen

_KEPT_S = 30
_MICROSECOND = timedelta(microseconds=1)


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Series:
    """The bars of one symbol. coverage and strip: None when there are none or they cannot be read, and `problem` says why.

    behind: how many closed bars follow the last stored one. waiting: for how many bars another value was offered that nobody has
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
    is_open: bool | None
    problems: tuple[str, ...] = ()


def stored(clients: Clients, market: str, timeframe: str) -> Stored:
    """Return what is stored."""
    return _stored(str(clients.workspace.root), market, timeframe, clients)


def forget() -> None:
    """Have everything looked at anew: the page has just changed what is stored."""
    _stored.clear()
    forget_coverage()


@st.cache_resource(show_spinner="Looking at the stored bars", ttl=_KEPT_S, max_entries=16)
def _stored(root: str, market: str, timeframe: str, _clients: Clients) -> Stored:
    return gather(_clients.bars, get_market(market), Timeframe.parse(timeframe), now=_clients.clock.now())


def places(store: FinStore) -> dict[str, list[str]]:
    """Return the timeframes of each market with stored bars, or with bars that were lost and are not back."""
    there = {(market, timeframe) for market, timeframe, _ in [*store.keys(), *_lost(store)]}
    found = {name: [one.value for one in Timeframe if (name, one.value) in there] for name in market_names()}
    return {market: timeframes for market, timeframes in found.items() if timeframes}


def gather(store: FinStore, market: Market, timeframe: Timeframe, *, now: datetime) -> Stored:
    """Look at all symbols, also at those of which everything was lost; one that cannot be read hurts no other."""
    lost = {symbol for place, length, symbol in _lost(store) if (place, length) == (market.name, timeframe.value)}
    symbols = sorted(lost.union(store.symbols(market.name, timeframe)))
    covers = {symbol: _cover(store, market, timeframe, symbol) for symbol in symbols}
    known = [cover for cover in covers.values() if isinstance(cover, Coverage)]
    problems: list[str] = []
    newest: datetime | None = None
    is_open: bool | None = None
    waiting: Mapping[str, int] | None = None
    try:
        newest = latest_closed_open(market.calendar, timeframe, now)
        is_open = _is_open(market, now)
    except InvalidInput as error:
        problems.append(f"How fresh the bars are is not known: {error}")
    try:
        waiting = waiting_by_symbol(store.revisions(market.name, timeframe))
    except AlgoPyError as error:
        problems.append(f"Revisions cannot be read: {error}")
    buckets, behind = _buckets(market, timeframe, known), _behind(market, timeframe, known, newest)
    series = tuple(
        Series(
            symbol=symbol,
            coverage=cover,
            behind=behind.get(cover.last),
            waiting=None if waiting is None else waiting.get(symbol, 0),
            strip=strip_of(cover, buckets),
        )
        if isinstance(cover, Coverage)
        else Series(symbol=symbol, coverage=None, problem=cover)
        for symbol, cover in covers.items()
    )
    return Stored(market=market, timeframe=timeframe, series=series, buckets=buckets, is_open=is_open, problems=tuple(problems))


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


def _buckets(market: Market, timeframe: Timeframe, covers: Sequence[Coverage]) -> Buckets:
    """Return buckets over the time of all symbols together, lost bars included."""
    moments = [moment for cover in covers for moment in (cover.first, cover.last)]
    moments += [moment for cover in covers for gap in cover.gaps for moment in (gap.first, gap.last)]
    if not moments:
        return Buckets.of(np.empty(0, dtype=np.int64))
    return Buckets.of(expected_opens(market, timeframe, to_us(min(moments)), to_us(max(moments))))


def _behind(market: Market, timeframe: Timeframe, covers: Sequence[Coverage], newest: datetime | None) -> dict[datetime, int]:
    """Return for each last bar how many bars have closed since."""
    lasts = sorted({cover.last for cover in covers})
    if newest is None or not lasts:
        return {}
    if newest <= lasts[0]:
        return dict.fromkeys(lasts, 0)
    due = expected_opens(market, timeframe, to_us(lasts[0]), to_us(newest))
    return {last: len(due) - int(np.searchsorted(due, to_us(last), side="right")) for last in lasts}


def _is_open(market: Market, now: datetime) -> bool | None:
    if isinstance(market.calendar, AlwaysOpen):
        return None
    minutes = market.calendar.bar_opens(Timeframe.M1, now - Timeframe.M1.delta + _MICROSECOND, now + _MICROSECOND)
    return next(minutes, None) is not None
