"""Fetching bars from a source: what a page asks for, and what it is answered."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

from algo_py.clock import SystemClock, monotonic_s
from algo_py.errors import AlgoPyError, Refused
from algo_py.finstore import FinStore
from algo_py.finstore.fill_report import FillProgress, FillReport
from algo_py.finstore.gaps import fill_gap
from algo_py.finstore.instruments import InstrumentCache
from algo_py.finstore.sources.protocol import Source
from algo_py.finstore.sources.registry import source_of
from algo_py.market import get_market
from algo_py.market.own_facts import use_files
from algo_py.settings import Workspace

_RULES_S = 10.0


@dataclass(frozen=True, slots=True, kw_only=True)
class FetchResult:
    """What came of a fetch from the source called `source`.

    report: None when it was cancelled; `progress` is then how far it came, None for nowhere. rules_problem: why the order rules
    of the symbols could not be read, else empty.
    """

    source: str
    report: FillReport | None
    progress: FillProgress | None = None
    rules_problem: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class FetchOrder:
    """Bars of [since, until) to fetch into the workspace at `root`; None: from the first stored bar, until now.

    source: by its name in settings. again: whether stored bars are asked for as well.
    """

    root: Path
    market: str
    timeframe: str
    symbols: tuple[str, ...]
    source: str
    since: datetime | None = None
    until: datetime | None = None
    again: bool = False

    def carry_out(self, tell: Callable[[FillProgress], None], cancelled: Callable[[], bool]) -> FetchResult:
        """Fetch, as deployments do and under the same locks; then read the order rules of what was fetched."""
        workspace = Workspace(self.root)
        use_files(workspace.calendar_file, workspace.derivatives_file)
        store = FinStore(workspace.finstore)
        source = source_of(get_market(self.market), workspace=workspace, store=store, name=self.source)
        latest: FillProgress | None = None

        def progress(now: FillProgress) -> None:
            nonlocal latest
            latest = now
            tell(now)

        def tick() -> None:
            if cancelled():
                raise _Cancelled

        try:
            report = fill_gap(
                store,
                source,
                self.market,
                self.timeframe,
                self.symbols,
                self.until,
                since=self.since,
                again=self.again,
                tick=tick,
                progress=progress,
            )
        except _Cancelled:
            return FetchResult(source=source.name, report=None, progress=latest)
        known = tuple(symbol for symbol, fill in report.by_symbol.items() if not fill.problem)
        return FetchResult(source=source.name, report=report, rules_problem=_read_rules(workspace, self.market, source, known))

    def without_answer(self, how: str | None) -> AlgoPyError:
        """Say why there is no report; what was stored stays stored in any case."""
        if how is None:
            return Refused("the fetch was cancelled", remedy="What it had stored by then is kept.")
        return Refused(
            f"the process of the fetch ended without a report ({how})",
            remedy="What it had stored by then is kept; fetch again for the rest. The output of the dashboard may say more.",
        )


class _Cancelled(Exception):
    """Somebody has pressed Cancel."""


def _read_rules(workspace: Workspace, market: str, source: Source, symbols: tuple[str, ...]) -> str:
    """Read the order rules that are missing or old; return why that failed, else nothing."""
    cache = InstrumentCache(workspace.instruments, SystemClock())
    try:
        failure = cache.refresh(market, source, symbols, deadline_s=monotonic_s() + _RULES_S).failure
    except AlgoPyError as error:  # the bars are there all the same
        failure = error
    return "" if failure is None else str(failure)
