"""Where a live deployment's bars and prices come from: its market's source, asked within bounds."""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta

from algo_py.clock import Clock, monotonic_s
from algo_py.deployment.config import DeploymentConfig, Replay
from algo_py.errors import InvalidInput, NotFound, VenueError
from algo_py.finstore import FinStore
from algo_py.finstore.fill_report import FillReport
from algo_py.finstore.gaps import GapFiller
from algo_py.finstore.sources import Source
from algo_py.finstore.sources.registry import NO_SOURCE, open_source
from algo_py.market import Timeframe
from algo_py.orders.execution import ExecutionLog
from algo_py.settings import Workspace

# Exchanges publish a closed bar within a second or two; a run waits so long for the newest one.
_PATIENCE_S = 10.0
# A price for paper is that of the newest minute, if one has traded lately.
_QUOTED_WITHIN = timedelta(minutes=5)
_QUOTE_S = 10.0


class LiveData:
    """The source of one deployment's market; without one, bars arrive by import only, and a replay asks nobody."""

    def __init__(
        self, workspace: Workspace, config: DeploymentConfig, store: FinStore, *, clock: Clock, log: ExecutionLog
    ) -> None:
        self._settings = workspace.settings().data
        self._config = config
        self._store = store
        self._clock = clock
        self._log = log
        self._source: Source | None = None
        name = self._settings.sources.get(config.backtest.market, NO_SOURCE)
        if name != NO_SOURCE and not isinstance(config.clock, Replay):
            self._source = open_source(name, workspace=workspace, market=config.market, store=store)

    def filling(self, tick: Callable[[], None]) -> Callable[[], FillReport] | None:
        """Return what brings the bars up to date before each run; `tick` is called on the way, and may raise to break it off."""
        if self._source is None:
            return None
        config = self._config
        filler = GapFiller(self._store, self._source, config.backtest.market, config.backtest.timeframe, clock=self._clock)
        timeout_s = self._settings.fill_timeout_s

        def fill() -> FillReport:
            return filler.fill(config.backtest.symbols, timeout_s=timeout_s, patience_s=_PATIENCE_S, tick=tick)

        return fill

    def quoting(self) -> Callable[[str], float | None] | None:
        """Return what says the market's last price: the close of the minute that is forming."""
        return None if self._source is None else self._quote

    def _quote(self, symbol: str) -> float | None:
        source = self._source
        if source is None:
            return None
        now = self._clock.now()
        try:
            answer = source.fetch(
                Timeframe.M1, symbol, now - _QUOTED_WITHIN, now + timedelta(minutes=1), deadline_s=monotonic_s() + _QUOTE_S
            )
        except (VenueError, NotFound, InvalidInput) as error:
            self._log.warning("paper.no_price", symbol=symbol, reason=str(error))
            return None
        return None if answer.frame.empty else float(answer.frame.sort_index()["close"].iloc[-1])
