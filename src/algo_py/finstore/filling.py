"""The work of one call of `fill_gap`: plan, ask side by side, store, note what is absent, and look again."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor, wait
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from itertools import islice, zip_longest
from pathlib import Path
from typing import TypeVar
from urllib.parse import quote

import numpy as np

from algo_py.clock import monotonic_s
from algo_py.errors import AlgoPyError, AuthFailed, Conflict, RateLimited, VenueDown
from algo_py.finstore.absences import Absence, covering, merged
from algo_py.finstore.asking import Asked, Asker, Page
from algo_py.finstore.bartimes import closed, expected_opens, newest_closed_us, provisional, seemingly_closed
from algo_py.finstore.coverage import lost_ranges
from algo_py.finstore.durable import explained, locked, make_folder
from algo_py.finstore.fill_report import FillProgress, FillReport, SymbolFill
from algo_py.finstore.frames import Block, from_us, to_frame, to_us, union
from algo_py.finstore.lacks import Lack, Times, lack_of, pages, runs
from algo_py.finstore.overlap import LONG_WEEKEND_US, Overlap
from algo_py.finstore.place import Place
from algo_py.finstore.reports import AppendCounts

_LOOK_S = 0.2
_LOCK_LOOK_S = 0.5
_PATIENCE_STEP_S = 1.0
_LOCKS_AT_ONCE = 32
_PAGES_EACH = 4
_UNBOUNDED_S = 7 * 86_400.0
# A source without a clock is not believed to lack what closed so short a while ago by ours, which may be wrong.
_NEWEST_PART = timedelta(days=1)

_K = TypeVar("_K")
_T = TypeVar("_T")


def _no_times() -> Times:
    return np.empty(0, dtype=np.int64)


@dataclass(frozen=True, slots=True, eq=False)
class _Plan:
    """What one symbol lacks. `expected` are the bars that the calendar has in the range; last_stored_us is -1 for none.

    overlap: the last stored bars that are final. due: provisional bars whose time has come; they lack. seems_closed: how many of
    the awaited and absent ones are of assumed days of which no bar is stored.
    """

    lack: Lack
    expected: Times
    last_stored_us: int
    overlap: Times = field(default_factory=_no_times)
    due: Times = field(default_factory=_no_times)
    seems_closed: int = 0


class Fill:
    """One call. Bars are stored after each slice of requests, so that little is lost whenever it ends."""

    def __init__(
        self,
        place: Place,
        symbols: Sequence[str],
        *,
        since: datetime | None,
        until: datetime | None,
        timeout_s: float | None,
        again: bool,
        tick: Callable[[], None] | None,
        progress: Callable[[FillProgress], None] | None,
    ) -> None:
        self._place = place
        self._since = since
        self._until = until
        self._is_again = again
        self._tick = tick or _nothing
        self._progress = progress
        self._timeout_s = _UNBOUNDED_S if timeout_s is None else timeout_s
        self._deadline_s = monotonic_s() + self._timeout_s
        self._began_us = to_us(place.clock.now())
        self._cancelled = threading.Event()
        self._asker = Asker(
            place.source, place.market, place.timeframe, clock=place.clock, deadline_s=self._deadline_s, cancelled=self._cancelled
        )
        self._overlap = Overlap(place, self._asker)
        self._told = {symbol: SymbolFill() for symbol in sorted(symbols)}
        self._left: dict[str, int] = {}
        self._first_known: set[str] = set()
        self._asked_again_to: dict[str, int] = {}
        # Not written down, since nobody but our clock says that these bars have closed: what did not come, and in which look.
        self._unsure: dict[str, list[Absence]] = {}
        self._unclosed: dict[str, tuple[Times, int]] = {}
        self._look = 0
        self._total = 0
        self._seem_closed: dict[str, int] = {}

    def run(self, patience_s: float) -> FillReport:
        """Fill what can be filled, then wait a little for bars that are late."""
        patient_until_s = min(self._deadline_s, monotonic_s() + patience_s)
        pool = ThreadPoolExecutor(max_workers=self._place.source.parallel, thread_name_prefix="fetch")
        try:
            with explained(self._place.layout.folder):
                self._fill(pool)
                while self._is_waiting() and monotonic_s() + _PATIENCE_STEP_S < patient_until_s:
                    self._rest(_PATIENCE_STEP_S)
                    self._began_us = to_us(self._place.clock.now())
                    self._look += 1
                    self._fill(pool)
        finally:
            self._cancelled.set()
            pool.shutdown(wait=False, cancel_futures=True)
        return FillReport({symbol: self._report(symbol, told) for symbol, told in self._told.items()})

    def _report(self, symbol: str, told: SymbolFill) -> SymbolFill:
        """Return what became of a symbol. Nobody waits any longer for bars of an assumed day of which not one has come."""
        closed_bars = self._seem_closed.get(symbol, 0)
        waited = min(closed_bars, told.awaited)
        return replace(
            told,
            requests=self._asker.requests[symbol],
            awaited=told.awaited - waited,
            absent=told.absent + waited,
            seems_closed=closed_bars,
        )

    def _fill(self, pool: ThreadPoolExecutor) -> None:
        todo = [symbol for symbol in self._told if self._lacks(symbol)]
        self._total = max(self._total, sum(self._left.values()))
        while todo:
            batch, todo = todo[:_LOCKS_AT_ONCE], todo[_LOCKS_AT_ONCE:]
            with self._holding(batch) as held:
                self._slice(pool, held)
            todo = [symbol for symbol in held if not self._told[symbol].problem and self._lacks(symbol)] + todo
            self._tell_progress()
            if monotonic_s() >= self._deadline_s:
                for symbol in todo:
                    self._fail(symbol, f"not done after {self._timeout_s:g} s")
                return

    # Planning

    def _lacks(self, symbol: str) -> bool:
        """Return whether there is something to ask for, and note how the symbol stands."""
        plan = self._plan(symbol)
        if plan is None:
            return False
        self._seem_closed[symbol] = plan.seems_closed
        before, left = self._left.get(symbol), len(plan.lack.ask)
        told = replace(self._told[symbol], absent=len(plan.lack.absent), awaited=len(plan.lack.awaited))
        if before is None:
            told = replace(told, missing=left + len(plan.lack.awaited))
        self._told[symbol] = told
        self._left[symbol] = left
        if not left and told.is_complete:
            self._settle_lost(symbol)
        return left > 0

    def _plan(self, symbol: str) -> _Plan | None:
        """Return what the symbol lacks; None when that cannot be said, which is then noted."""
        place, key = self._place, (symbol, self._since)
        start_us = to_us(self._since) if self._since is not None else None
        lost = [first for first, _ in lost_ranges(place.partition, place.market, symbol)]
        if not self._is_again and not lost:
            start_us = place.complete_to.get(key, start_us)
        stored = place.partition.read(symbol, start_us, None, times_only=True).times
        if start_us is None:
            if not len(stored):
                self._fail(symbol, "no bars are stored yet, so it is not known from when to fetch them; name a start")
                return None
            start_us = int(stored[0])
            if None in lost:
                self._fail(symbol, "a damaged file was set aside, and it is not known from when its bars were; name a start")
                return None
            start_us = min([start_us, *(first for first in lost if first is not None)])
        now_us = to_us(place.clock.now())
        calendar = place.market.calendar_of(symbol)
        newest_us = newest_closed_us(calendar, place.timeframe, now_us)
        newest_us = newest_us if self._until is None else min(newest_us, to_us(self._until) - 1)
        expected = expected_opens(calendar, place.timeframe, start_us, newest_us) if start_us <= newest_us else stored[:0]
        held = place.partition.held(symbol).times
        due = held[~provisional(calendar, place.timeframe, held, now_us)]
        stored = stored[~np.isin(stored, due)]
        last_stored_us = int(stored[-1]) if len(stored) else -1
        overlap = self._overlap.of(symbol, last_stored_us, held)
        if self._is_again:
            todo = expected[expected > self._asked_again_to.get(symbol, -1)]
            return _Plan(Lack(todo, todo[:0], todo[:0]), expected, last_stored_us, overlap)
        missing = expected[~np.isin(expected, stored)]
        is_unclosed = np.isin(missing, self._unclosed_of(symbol))
        lack = lack_of(
            missing[~is_unclosed],
            self._absences_of(symbol, now_us),
            timeframe=place.timeframe,
            last_stored_us=last_stored_us,
            began_us=self._began_us,
            now_us=now_us,
        ).with_unclosed(missing[is_unclosed], last_stored_us)
        if len(stored) and self._until is None and not len(lack.ask) and not len(lack.awaited):
            place.complete_to[key] = min(last_stored_us, *held.tolist()) if len(held) else last_stored_us
        later = np.union1d(lack.awaited, lack.absent)
        later = later[(later > last_stored_us) & ~np.isin(later, due)]
        closed_bars = int(seemingly_closed(calendar, place.market.time_zone, later, stored).sum())
        return _Plan(lack, expected, last_stored_us, overlap, due, closed_bars)

    def _absences_of(self, symbol: str, now_us: int) -> list[Absence]:
        place = self._place
        return merged(place.absences.read(symbol, place.source.name, now_us=now_us), self._unsure.get(symbol, []))

    def _unclosed_of(self, symbol: str) -> Times:
        """Return the bars that had not closed by the source's clock when it was asked in this look."""
        times, look = self._unclosed.get(symbol, (np.empty(0, dtype=np.int64), self._look))
        return times if look == self._look else times[:0]

    def _settle_lost(self, symbol: str) -> None:
        """Note that what was lost with a damaged file is back, as far as the source has it."""
        place = self._place
        if place.store.lost_ranges(place.market.name, place.timeframe.value, symbol):
            place.store.settle_lost(place.market.name, place.timeframe.value, symbol, now=place.clock.now())

    # Asking

    def _slice(self, pool: ThreadPoolExecutor, symbols: Sequence[str]) -> None:
        """Ask for some pages of each symbol that still lacks bars, and store what came."""
        plans = {symbol: plan for symbol in symbols if (plan := self._plan(symbol)) is not None and len(plan.lack.ask)}
        plans = self._without_unborn(pool, plans)
        self._keep(self._ask(pool, self._chosen_pages(plans)), plans)

    def _chosen_pages(self, plans: Mapping[str, _Plan]) -> list[Page]:
        """Return the first pages of each symbol in turn, no more than keep the source busy for some seconds."""
        longest = self._place.source.page(self._place.timeframe)
        by_symbol = [self._pages(symbol, plan, longest) for symbol, plan in plans.items()]
        in_turn = (page for row in zip_longest(*by_symbol) for page in row if page is not None)
        return list(islice(in_turn, max(len(plans), _PAGES_EACH * self._place.source.parallel)))

    def _pages(self, symbol: str, plan: _Plan, longest: timedelta) -> Iterator[Page]:
        for run in runs(plan.lack.ask, plan.expected):
            before = plan.overlap[plan.overlap > run[0] - LONG_WEEKEND_US - longest // timedelta(microseconds=2)]
            if not len(before) or before[-1] >= run[0]:
                yield from (Page(symbol, times) for times in pages(run, longest))
                continue
            # A request is no longer than a page and a long weekend: what the overlap takes beyond that, the first page gives.
            beyond = timedelta(microseconds=max(0, int(run[0] - before[0]) - LONG_WEEKEND_US))
            first = next(pages(run, longest - beyond))
            yield Page(symbol, first, before)
            yield from (Page(symbol, times) for times in pages(run[len(first) :], longest))

    def _without_unborn(self, pool: ThreadPoolExecutor, plans: Mapping[str, _Plan]) -> dict[str, _Plan]:
        """Note as absent what lies before a symbol's first bar at the source, where that spares requests."""
        place = self._place
        page_us = to_us(from_us(0) + place.source.page(place.timeframe))
        chosen = [
            symbol
            for symbol, plan in plans.items()
            if symbol not in self._first_known
            and plan.lack.ask[-1] - plan.lack.ask[0] > page_us
            and plan.lack.ask[0] == plan.expected[0]
        ]
        self._first_known.update(chosen)
        asked = {symbol: pool.submit(self._asker.earliest, symbol) for symbol in chosen}
        left = dict(plans)
        for symbol, first in self._answers(asked).items():
            if first is None or first > place.clock.now():
                continue
            unborn = plans[symbol].lack.ask[plans[symbol].lack.ask < to_us(first)]
            if len(unborn):
                now_us = to_us(place.clock.now())
                place.absences.add(symbol, place.source.name, [Absence(int(unborn[0]), int(unborn[-1]), now_us, True)])
            plan = self._plan(symbol)
            if plan is not None:
                left[symbol] = plan
        return {symbol: plan for symbol, plan in left.items() if len(plan.lack.ask) and not self._told[symbol].problem}

    def _ask(self, pool: ThreadPoolExecutor, wanted: Sequence[Page]) -> list[Asked]:
        futures = {number: pool.submit(self._asker.ask, page) for number, page in enumerate(wanted)}
        answers = self._answers(futures, symbol_of=lambda number: wanted[number].symbol)
        return [answers[number] for number in sorted(answers)]

    def _answers(self, futures: Mapping[_K, Future[_T]], symbol_of: Callable[[_K], str] = str) -> dict[_K, _T]:
        """Wait for the answers; a failure is noted with its symbol, or with all when the source as a whole is in trouble."""
        pending = set(futures.values())
        while pending:
            _, pending = wait(pending, timeout=_LOOK_S)
            self._tick()
        answers: dict[_K, _T] = {}
        for key, future in futures.items():
            try:
                answers[key] = future.result()
            except (AuthFailed, RateLimited, VenueDown) as error:
                for symbol in self._told:
                    if self._left.get(symbol, 0):
                        self._fail(symbol, str(error))
            except AlgoPyError as error:
                self._fail(symbol_of(key), str(error))
        return answers

    # Keeping

    def _keep(self, answers: Sequence[Asked], plans: Mapping[str, _Plan]) -> None:
        """Store what came, and note what did not."""
        place = self._place
        now = place.clock.now()
        found: dict[str, Block] = {}
        unexpected: dict[str, int] = {}
        to_replace: set[str] = set()
        for asked in answers:
            symbol = asked.page.symbol
            if len(asked.overlap) and (problem := self._overlap.problem(symbol, asked.overlap)):
                self._fail(symbol, problem)
                continue
            if self._overlap.are_all(symbol, asked.page.overlap):
                to_replace.add(symbol)
            parts = [found.get(symbol, Block.empty()), asked.overlap, asked.block]
            found[symbol] = union(parts)
            unexpected[symbol] = unexpected.get(symbol, 0) + asked.unexpected
        report = place.store.append(
            place.market.name,
            place.timeframe.value,
            {symbol: to_frame(block) for symbol, block in found.items() if len(block)},
            now=now,
            source=place.source.name,
            as_of=from_us(min(asked.asked_us for asked in answers)) if answers else None,
            are_final=all(asked.is_final for asked in answers),
        )
        for symbol, block in found.items():
            counts = report.by_symbol.get(symbol, AppendCounts())
            if counts.revised and symbol in to_replace:
                place.store.adopt_revisions(place.market.name, place.timeframe.value, symbol, now=now)
                counts = replace(counts, revised=0)
            told = self._told[symbol]
            self._told[symbol] = replace(
                told,
                fetched=told.fetched + counts.new,
                revised=told.revised + counts.revised,
                settled=told.settled + counts.settled,
                unexpected=told.unexpected + unexpected[symbol],
            )
            mine = [asked for asked in answers if asked.page.symbol == symbol]
            if self._is_again:
                self._asked_again_to[symbol] = max(int(asked.page.times[-1]) for asked in mine)
            else:
                self._note_absent(symbol, mine, block, plans[symbol], to_us(now))
                self._note_not_final(symbol, block, plans[symbol])

    def _note_absent(self, symbol: str, answers: Sequence[Asked], found: Block, plan: _Plan, now_us: int) -> None:
        """Note what did not come. It is final for bars that were asked for before, when later ones were known already.

        One empty page in the middle of history is as likely a fault of the source as an outage of the exchange: so whatever does
        not come is asked for twice.
        """
        last_us = max(plan.last_stored_us, int(found.times[-1]) if len(found) else -1)
        parts = [self._certainly_missing(symbol, one, found, last_us=last_us, now_us=now_us) for one in answers]
        missing = np.unique(np.concatenate(parts))
        is_final = (covering(self._absences_of(symbol, now_us), missing) >= 0) & (missing < plan.last_stored_us)
        news = [
            Absence(int(run[0]), int(run[-1]), now_us, sure)
            for sure in (False, True)
            for run in runs(missing[is_final == sure], plan.expected)
        ]
        self._place.absences.add(symbol, self._place.source.name, news)

    def _note_not_final(self, symbol: str, found: Block, plan: _Plan) -> None:
        """Remember for this look what came again and is not final by the source's clock: it is not asked for once more."""
        again = np.intersect1d(found.times, plan.due)
        still = again[np.isin(again, self._place.partition.held(symbol).times)]
        if len(still):
            self._unclosed[symbol] = np.union1d(self._unclosed_of(symbol), still), self._look

    def _certainly_missing(self, symbol: str, asked: Asked, found: Block, *, last_us: int, now_us: int) -> Times:
        """Return the bars of a page that did not come although they have closed; remember the others for this call.

        A bar has closed when the source's clock says so, or when a later one is there. Our own clock proves nothing: it may run
        ahead, and what it took for absent would not be asked for once it is right.
        """
        place, missing = self._place, asked.page.times[~np.isin(asked.page.times, found.times)]
        has_clock = asked.as_of_us is not None
        until_us = asked.as_of_us if asked.as_of_us is not None else now_us - _NEWEST_PART // timedelta(microseconds=1)
        is_sure = (missing < last_us) | closed(place.market.calendar_of(symbol), place.timeframe, missing, until_us)
        unsure = missing[~is_sure]
        if len(unsure) and has_clock:
            known = self._unclosed_of(symbol)
            self._unclosed[symbol] = np.union1d(known, unsure), self._look
        elif len(unsure):
            news = [Absence(int(unsure[0]), int(unsure[-1]), now_us, False)]
            self._unsure[symbol] = merged(self._unsure.get(symbol, []), news)
        return missing[is_sure]

    # Waiting and telling

    @contextmanager
    def _holding(self, symbols: Sequence[str]) -> Iterator[list[str]]:
        """Hold the fetch locks of the symbols, those that can be had in time."""
        folder = self._place.layout.folder / "_fetch"
        make_folder(folder)
        held: list[str] = []
        with ExitStack() as stack:
            for symbol in sorted(symbols):
                if self._take_lock(stack, folder / f"{quote(symbol, safe='')}.lock"):
                    held.append(symbol)
                else:
                    self._fail(symbol, f"another process has been fetching it for more than {self._timeout_s:g} s")
            yield held

    def _take_lock(self, stack: ExitStack, file: Path) -> bool:
        while True:
            try:
                stack.enter_context(locked(file, timeout_s=min(_LOCK_LOOK_S, max(0.0, self._deadline_s - monotonic_s()))))
            except Conflict:
                if monotonic_s() >= self._deadline_s:
                    return False
                self._tick()
            else:
                return True

    def _is_waiting(self) -> bool:
        return any(told.awaited and not told.problem for told in self._told.values())

    def _rest(self, duration_s: float) -> None:
        until_s = monotonic_s() + duration_s
        while (left_s := until_s - monotonic_s()) > 0:
            self._tick()
            self._place.clock.sleep(min(left_s, _LOOK_S))

    def _fail(self, symbol: str, problem: str) -> None:
        if not self._told[symbol].problem:
            self._told[symbol] = replace(self._told[symbol], problem=problem)

    def _tell_progress(self) -> None:
        if self._progress is not None:
            left = sum(self._left.values())
            done = max(0, self._total - left)
            self._progress(FillProgress(done=done, total=self._total, requests=self._asker.requests.total()))


def _nothing() -> None:
    """Do nothing."""
