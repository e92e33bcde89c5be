"""The process of one deployment: connect, recover, then wait and run until the window ends or somebody stops it.

An exception in a run ends the run and not the process, unless its class says that nothing can go on.
"""

from __future__ import annotations

import contextlib
import signal
import sys
from collections.abc import Callable
from datetime import datetime, timedelta
from types import FrameType

import structlog
from sqlalchemy.exc import SQLAlchemyError
from structlog.typing import FilteringBoundLogger

from algo_py.clock import Clock, ReplayClock, SystemClock, format_time, monotonic_s
from algo_py.database import Database
from algo_py.deployment.config import DeploymentConfig, LiveClock, Replay
from algo_py.deployment.feed import Feed, open_feed
from algo_py.deployment.logs import LineLog, open_log
from algo_py.deployment.pipeline import Pipeline, RunResult
from algo_py.deployment.processes import ProcessLock, created_s
from algo_py.deployment.source import load_deployed_strategy
from algo_py.deployment.status import State
from algo_py.deployment.store import DeploymentRow, DeploymentStore, RunRow
from algo_py.errors import AlgoPyError, AuthFailed, Conflict, Damaged, DatabaseDown, InvalidInput, NotFound, VenueError
from algo_py.finstore import FinStore
from algo_py.finstore.fill_report import FillReport
from algo_py.finstore.gaps import GapFiller
from algo_py.finstore.sources import Source
from algo_py.finstore.sources.registry import NO_SOURCE, open_source
from algo_py.market import Timeframe
from algo_py.oms import OMS, open_oms
from algo_py.orders.halts import halt, halt_of
from algo_py.orders.journal import Journal
from algo_py.settings import SupervisorSettings, Workspace
from algo_py.strategy import Strategy
from algo_py.workspace_database import open_workspace_database

EXIT_DONE = 0
EXIT_FAILED = 1
EXIT_ALREADY_RUNNING = 75

_SLICE_S = 0.2
_MISSED_MOST = 100_000
# Exchanges publish a closed bar within a second or two; a run waits so long for the newest one.
_PATIENCE_S = 10.0
# A price for paper is that of the newest minute, if one has traded lately.
_QUOTED_WITHIN = timedelta(minutes=5)
_QUOTE_S = 10.0
# How often orders that are under way are asked for between two runs.
_FOLLOW_S = 2.0
_FATAL = (Damaged,)


def live(workspace: Workspace, deployment_id: str, *, pid: int) -> int:
    """Live one deployment in this process until it ends; returns the process's exit code."""
    folder = workspace.deployments / deployment_id
    try:
        # Never dropped: the lock ends with the process, so that nothing is shown as stopped which still lives.
        ProcessLock(folder / "lock").__enter__()
    except Conflict as error:
        print(error, file=sys.stderr)  # noqa: T201  there is no log yet: the file belongs to the process that runs
        return EXIT_ALREADY_RUNNING
    return _Life(workspace, deployment_id, pid=pid).live()


class _StopRequested(Exception):
    """Somebody asked to stop while the run was waiting for bars."""


class _Life:
    def __init__(self, workspace: Workspace, deployment_id: str, *, pid: int) -> None:
        self._workspace = workspace
        self._settings: SupervisorSettings = workspace.settings().supervisor
        self._wall = SystemClock()
        self._database: Database = open_workspace_database(workspace)
        self._store = DeploymentStore(self._database)
        self._row: DeploymentRow = self._store.get(deployment_id)
        self._config: DeploymentConfig = self._row.config
        self._clock: Clock = _clock_of(self._row)
        self._log: FilteringBoundLogger = open_log(
            workspace.deployments / deployment_id, deployment_id=deployment_id, clock=self._clock
        )
        self._store.set_process(deployment_id, pid=pid, pid_created_s=created_s(pid), at=self._wall.now())
        self._state = State.NEW
        self._stopping = False
        self._next_beat_s = 0.0
        self._pipeline: Pipeline | None = None
        self._next_follow_s = 0.0
        self._next_run: datetime | None = None
        self._last_fire: datetime = self._row.last_run_at or self._clock.now()

    def live(self) -> int:
        signal.signal(signal.SIGTERM, self._on_stop)
        signal.signal(signal.SIGINT, signal.SIG_IGN)
        printed, complained = LineLog(self._log, "strategy.print"), LineLog(self._log, "strategy.stderr")
        with contextlib.redirect_stdout(printed), contextlib.redirect_stderr(complained):
            try:
                ended, reason = self._trade()
            except _StopRequested:
                ended, reason = State.STOPPED, "stopped by request"
            except DatabaseDown as error:
                self._log.error("deployment.crashed", reason=str(error))
                return EXIT_FAILED  # the supervisor starts it again, once the database answers
            except AlgoPyError as error:
                self._log.error("deployment.failed", reason=str(error))
                ended, reason = State.ERROR, str(error)
            except Exception as error:  # noqa: BLE001  the worker's own border: the log is the only place that can still be told
                self._log.error("deployment.crashed", reason=str(error), exc_info=True)
                return EXIT_FAILED
        self._enter(ended, reason)
        self._log.info("deployment.ended", status=ended, reason=reason)
        self._database.close()
        return EXIT_DONE

    def _trade(self) -> tuple[State, str]:
        config = self._config
        self._log.info("deployment.start", strategy=config.backtest.strategy, schedule=str(config.schedule), oms=config.oms)
        strategy = load_deployed_strategy(self._workspace.deployments / config.id, config)
        store = FinStore(self._workspace.finstore)
        source = self._source(store)
        feed = open_feed(store, config, fill=self._filling(store, source), quote=self._quoting(source), log=self._log)
        pipeline = self._connect(feed, strategy)
        self._pipeline = pipeline if isinstance(config.clock, LiveClock) else None
        began = config.start or self._row.created_at
        self._enter(State.RUNNING if self._clock.now() >= began else State.WAITING, "")
        while True:
            self._next_run = config.next_fire(self._last_fire)
            if self._next_run is None:
                return self._reach_end(pipeline)
            if not self._wait(self._next_run):
                return State.STOPPED, "stopped by request"
            if self._state is State.WAITING:
                self._enter(State.RUNNING, "")
            self._last_fire, missed = self._coalesce(self._next_run)
            self._run_once(pipeline, self._last_fire, missed, lambda: pipeline.run(self._clock.now()))

    def _source(self, store: FinStore) -> Source | None:
        """Open where the market's bars come from; None when it has no source, or time is replayed."""
        config = self._config
        name = self._workspace.settings().data.sources.get(config.backtest.market, NO_SOURCE)
        if name == NO_SOURCE or isinstance(config.clock, Replay):
            return None
        return open_source(name, workspace=self._workspace, market=config.market, store=store)

    def _quoting(self, source: Source | None) -> Callable[[str], float | None] | None:
        """Return what says the market's last price: the close of the minute that is forming."""
        if source is None:
            return None

        def quote(symbol: str) -> float | None:
            now = self._wall.now()
            try:
                answer = source.fetch(
                    Timeframe.M1, symbol, now - _QUOTED_WITHIN, now + timedelta(minutes=1), deadline_s=monotonic_s() + _QUOTE_S
                )
            except (VenueError, NotFound, InvalidInput) as error:
                self._log.warning("paper.no_price", symbol=symbol, reason=str(error))
                return None
            return None if answer.frame.empty else float(answer.frame.sort_index()["close"].iloc[-1])

        return quote

    def _filling(self, store: FinStore, source: Source | None) -> Callable[[], FillReport] | None:
        """Return what brings the bars up to date before each run."""
        if source is None:
            return None
        config, settings = self._config, self._workspace.settings().data
        filler = GapFiller(store, source, config.backtest.market, config.backtest.timeframe, clock=self._clock)

        def fill() -> FillReport:
            return filler.fill(
                config.backtest.symbols,
                timeout_s=settings.fill_timeout_s,
                patience_s=_PATIENCE_S,
                tick=self._beat_unless_stopping,
            )

        return fill

    def _connect(self, feed: Feed, strategy: Strategy) -> Pipeline:
        config = self._config
        oms: OMS = open_oms(
            config.oms,
            workspace=self._workspace,
            database=self._database,
            clock=self._clock,
            deployment_id=config.id,
            deployment_name=config.name,
            market=config.market,
            symbols=config.backtest.symbols,
            config=config.backtest.portfolio_config(),
            feed=feed,
        )
        account = oms.connect()
        self._log.info("oms.connected", oms=oms.name, account=account.account, cash=str(account.cash))
        for warning in account.warnings:
            self._log.warning("oms.warning", reason=warning)
        journal = Journal(self._database, self._clock, deployment_id=config.id, venue=oms.name, account=account.account)
        pipeline = Pipeline(
            config=config,
            database=self._database,
            feed=feed,
            strategy=strategy,
            journal=journal,
            oms=oms,
            account=account.account,
            log=self._log,
            clock=self._clock,
            last_bar_time=self._row.last_bar_time,
            began_at=config.start or self._row.created_at,
        )
        pipeline.recover(self._clock.now())
        return pipeline

    def _run_once(self, pipeline: Pipeline, scheduled_at: datetime, missed: int, work: Callable[[], RunResult]) -> None:
        began_at, began_s = self._wall.now(), monotonic_s()
        run_id = f"{scheduled_at:%Y%m%dT%H%M%S}"
        with structlog.contextvars.bound_contextvars(run_id=run_id):
            reason = ""
            try:
                result = work()
            except _FATAL:
                raise
            except _StopRequested:
                result = RunResult(outcome="skipped", detail={"reason": "stopped by request"})
            except AuthFailed as error:
                reason = str(error)
                self._halt_without_credentials(reason)
                result = RunResult(outcome="failed", detail={"reason": reason})
            except Exception as error:  # noqa: BLE001  one run's border: the next run gets its own chance
                known = isinstance(error, AlgoPyError)
                self._log.error("run.failed", reason=str(error), exc_info=not known)
                result = RunResult(outcome="failed", detail={"reason": str(error)})
                reason = f"the last run failed: {error}" if known else f"the last run failed: {type(error).__name__}: {error}"
            if result.outcome == "skipped":
                reason = str(result.detail["reason"])
            duration_s = monotonic_s() - began_s
            self._store.add_run(
                self._config.id,
                RunRow(
                    scheduled_at=scheduled_at,
                    started_at=began_at,
                    duration_s=duration_s,
                    outcome=result.outcome,
                    detail=result.detail,
                ),
                reason=reason,
                missed=missed,
                cash=pipeline.cash,
                equity=pipeline.equity,
                heartbeat_at=self._wall.now(),
            )
            self._log.info(
                "run.done",
                outcome=result.outcome,
                duration_ms=round(duration_s * 1000, 1),
                cash=f"{pipeline.cash:.2f}",
                equity=f"{pipeline.equity:.2f}",
            )

    def _halt_without_credentials(self, reason: str) -> None:
        """Send nothing more once the venue refuses the credentials, and say so once; a person renews them and resumes."""
        if halt_of(self._database, self._config.id) is None:
            halt(self._database, self._config.id, reason=reason, by="credentials", at=self._wall.now())
            self._log.error("deployment.halted", reason=reason, by="credentials")

    def _coalesce(self, due: datetime) -> tuple[datetime, int]:
        """Return the newest run that is due by now, and how many before it were missed while the process was busy or away."""
        newest, missed = due, 0
        while missed < _MISSED_MOST:
            following = self._config.next_fire(newest)
            if following is None or following > self._clock.now():
                break
            newest, missed = following, missed + 1
        if missed:
            self._log.warning("run.missed", count=missed, since=format_time(due))
        return newest, missed

    def _wait(self, moment: datetime) -> bool:
        """Wait for `moment`, beating on the way; False when somebody asked to stop."""
        while not self._stopping:
            self._beat()
            self._follow()
            if self._clock.sleep_toward(moment, _SLICE_S):
                return not self._stopping
        return False

    def _follow(self) -> None:
        """Look after orders that are under way at a venue that fills on its own time; the next run may be a day away."""
        if self._pipeline is None or monotonic_s() < self._next_follow_s:
            return
        self._next_follow_s = monotonic_s() + _FOLLOW_S
        try:
            if self._pipeline.has_unsettled:
                self._pipeline.follow(self._clock.now())
        except AuthFailed as error:
            self._halt_without_credentials(str(error))
        except _FATAL:
            raise
        except (AlgoPyError, SQLAlchemyError) as error:
            self._log.warning("order.follow_failed", reason=str(error))

    def _reach_end(self, pipeline: Pipeline) -> tuple[State, str]:
        end = self._config.end
        if end is None:
            return State.FINISHED, "the schedule has no further run"
        if not self._wait(end):
            return State.STOPPED, "stopped by request"
        reason = f"the end of its window was reached ({format_time(end)})"
        self._run_once(pipeline, end, 0, lambda: pipeline.finish(end, reason=reason))
        return State.FINISHED, reason

    def _beat(self) -> None:
        if monotonic_s() < self._next_beat_s:
            return
        self._next_beat_s = monotonic_s() + self._settings.heartbeat_s
        try:
            self._store.beat(self._config.id, at=self._wall.now(), next_run_at=self._next_run)
        except (AlgoPyError, SQLAlchemyError) as error:
            # Without a heartbeat it will be shown as stalled, which is then true; trading goes on when the disk does.
            self._log.warning("deployment.no_heartbeat", reason=str(error))

    def _beat_unless_stopping(self) -> None:
        if self._stopping:
            raise _StopRequested
        self._beat()

    def _enter(self, state: State, reason: str) -> None:
        self._state = state
        self._store.set_state(self._config.id, state, reason=reason, at=self._wall.now())

    def _on_stop(self, _number: int, _frame: FrameType | None) -> None:
        self._stopping = True


def _clock_of(row: DeploymentRow) -> Clock:
    config = row.config
    if not isinstance(config.clock, Replay) or config.start is None:
        return SystemClock()
    speed = config.clock.bars_per_s
    # After a restart a replay goes on where its last finished run was.
    return ReplayClock(row.clock_at or config.start, rate=None if speed is None else speed * config.timeframe.seconds)
