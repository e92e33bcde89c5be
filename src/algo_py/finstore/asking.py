"""One request to a source: asked again when that may help, and its answer looked at before anybody believes it."""

from __future__ import annotations

import threading
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import datetime
from typing import TypeVar

import numpy as np

from algo_py.clock import Clock, monotonic_s
from algo_py.errors import InvalidInput, RateLimited, VenueDown
from algo_py.finstore.auction import asked_range, folded
from algo_py.finstore.bartimes import closed, off_calendar
from algo_py.finstore.frames import Block, check_blocks, from_us, raw_block, to_us
from algo_py.finstore.lacks import Times
from algo_py.finstore.sources.protocol import Answer, Source
from algo_py.market import Market, Timeframe

# A request that failed in a way that may pass is sent so many times, with these pauses in between.
_PAUSES_S = (0.2, 0.6, 1.2)
_REQUEST_S = 60.0
_LOOK_S = 0.2

_T = TypeVar("_T")


def _no_times() -> Times:
    return np.empty(0, dtype=np.int64)


class Cancelled(Exception):
    """Somebody asked to stop; nothing is wrong."""


@dataclass(frozen=True, slots=True, eq=False)
class Page:
    """What to ask for: the bars `times` of a symbol. `overlap` are stored bars just before them that are asked for along."""

    symbol: str
    times: Times
    overlap: Times = field(default_factory=_no_times)


@dataclass(frozen=True, slots=True, eq=False)
class Asked:
    """What a source said about a page, made safe: closed bars of the page, ascending, each once.

    `overlap` are the bars asked for along. `unexpected` counts bars that the calendar does not have. `as_of_us` is what the
    source's clock showed, or ours where that is earlier; None when the source did not say. `asked_us` is our clock before it was
    asked, or the source's where that is earlier: as of then the values hold. `is_final`: whatever the time.
    """

    page: Page
    block: Block
    overlap: Block
    unexpected: int
    as_of_us: int | None
    asked_us: int
    is_final: bool

    @property
    def missing(self) -> Times:
        """The bars of the page that did not come."""
        return self.page.times[~np.isin(self.page.times, self.block.times)]


class Asker:
    """Sends requests to one source for one market and timeframe; threads share it."""

    def __init__(
        self, source: Source, market: Market, timeframe: Timeframe, *, clock: Clock, deadline_s: float, cancelled: threading.Event
    ) -> None:
        self._source = source
        self._market = market
        self._timeframe = timeframe
        self._clock = clock
        self._deadline_s = deadline_s
        self._cancelled = cancelled
        self._lock = threading.Lock()
        self.requests: Counter[str] = Counter()

    def ask(self, page: Page) -> Asked:
        """Ask for a page. Raises what the source raises once it does not help to ask again, Cancelled."""
        calendar = self._market.calendar_of(page.symbol)
        first_us = int(page.overlap[0] if len(page.overlap) else page.times[0])
        start, end = map(from_us, asked_range(calendar, self._timeframe, first_us, int(page.times[-1])))

        def once() -> Asked:
            before = self._clock.now()
            answer = self._source.fetch(self._timeframe, page.symbol, start, end, deadline_s=self._request_deadline_s())
            block, unexpected = self._believed(answer, page.symbol, start, end)
            overlap = block.rows(np.isin(block.times, page.overlap))
            wanted = block.rows(np.isin(block.times, page.times))
            as_of_us = None if answer.as_of is None else to_us(min(answer.as_of, self._clock.now()))
            asked_us = to_us(before if answer.as_of is None else min(answer.as_of, before))
            return Asked(page, wanted, overlap, unexpected, as_of_us, asked_us, answer.is_final)

        return self._again(page.symbol, once)

    def earliest(self, symbol: str) -> datetime | None:
        """Ask for the open time of the symbol's first bar. Raises like `ask`."""
        return self._again(symbol, lambda: self._source.earliest(self._timeframe, symbol, deadline_s=self._request_deadline_s()))

    def _again(self, symbol: str, once: Callable[[], _T]) -> _T:
        for pause_s in (*_PAUSES_S, None):
            if self._cancelled.is_set():
                raise Cancelled
            with self._lock:
                self.requests[symbol] += 1
            try:
                return once()
            except (VenueDown, RateLimited) as error:
                wait_s = pause_s or 0.0
                if isinstance(error, RateLimited):
                    wait_s = max(wait_s, error.retry_after_s or 0.0)
                if pause_s is None or monotonic_s() + wait_s >= self._deadline_s:
                    raise
            self._pause(wait_s)
        raise AssertionError("unreachable: the last round returns or raises")

    def _pause(self, wait_s: float) -> None:
        until_s = monotonic_s() + wait_s
        while (left_s := until_s - monotonic_s()) > 0:
            if self._cancelled.is_set():
                raise Cancelled
            self._clock.sleep(min(left_s, _LOOK_S))

    def _request_deadline_s(self) -> float:
        return min(self._deadline_s, monotonic_s() + _REQUEST_S)

    def _believed(self, answer: Answer, symbol: str, start: datetime, end: datetime) -> tuple[Block, int]:
        """Return the closed bars of [start, end), and how many were off the calendar; VenueDown when they cannot be true."""
        name = self._source.name
        try:
            block = _in_order(raw_block(symbol, answer.frame), symbol, name)
            block = block.between(to_us(start), to_us(end))
            if not len(block):
                return block, 0
            check_blocks({symbol: block})
        except InvalidInput as error:
            raise VenueDown(f"{name} sent what cannot be a bar: {error.message}", remedy="It is asked again later.") from None
        calendar = self._market.calendar_of(symbol)
        block = folded(block, calendar, self._timeframe)
        if not len(block):
            return block, 0
        wrong = off_calendar(calendar, self._timeframe, block.times)
        block = block.rows(~wrong)
        now = self._clock.now() if answer.as_of is None else min(answer.as_of, self._clock.now())
        return block.rows(closed(calendar, self._timeframe, block.times, to_us(now))), int(wrong.sum())


def _in_order(block: Block, symbol: str, source: str) -> Block:
    """Sort, and drop exact repeats; two different bars of one time cannot both be true."""
    order = np.argsort(block.times, kind="stable")
    block = Block(block.times[order], block.values[:, order])
    same_time = np.flatnonzero(block.times[1:] == block.times[:-1])
    differs = (block.values[:, same_time] != block.values[:, same_time + 1]).any(axis=0)
    if differs.any():
        moment = from_us(block.times[same_time[np.argmax(differs)]])
        raise VenueDown(
            f"{source} sent two different bars of {symbol} at {moment.isoformat()}", remedy="It is asked again later."
        )
    is_first = np.ones(len(block), dtype=np.bool_)
    is_first[same_time + 1] = False
    return block.rows(is_first)
