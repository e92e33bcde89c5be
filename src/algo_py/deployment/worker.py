"""The process of one deployment: connect, recover, then wait and run until the window ends or somebody stops it.

An exception in a run ends the run and not the process, unless its class says that nothing can go on.
"""

from __future__ import annotations

import signal
import sys
from collections.abc import Callable
from datetime import datetime, timedelta
from itertools import chain, repeat
from types import FrameType

from sqlalchemy.exc import SQLAlchemyError

from algo_py.clock import Clock, ReplayClock, SystemClock, format_time, monotonic_s
from algo_py.database import Database
from algo_py.deployment.account_binding import OtherAccount, bind, short_of_cash
from algo_py.deployment.alerting import AlertingLog
from algo_py.deployment.config import DeploymentConfig, LiveClock, Replay
from algo_py.deployment.feed import Feed, open_feed
from algo_py.deployment.horizon import HorizonWatch
from algo_py.deployment.launcher import EXIT_ALREADY_RUNNING, EXIT_DONE, EXIT_FAILED, EXIT_INTERRUPTED
from algo_py.deployment.live_data import LiveData
from algo_py.deployment.log_capture import Capture
from algo_py.deployment.log_writing import open_log
from algo_py.deployment.masking import SecretMask
from algo_py.deployment.pipeline import Pipeline, RunResult
from algo_py.deployment.processes import ProcessLock, created_s
from algo_py.deployment.protection_rows import leave_unwatched
from algo_py.deployment.run_border import FATAL, RunBorder, StopRequested
from algo_py.deployment.source import load_deployed_strategy
from algo_py.deployment.status import State, Wanted
from algo_py.deployment.store import DeploymentRow, DeploymentStore
from algo_py.errors import AlgoPyError, AuthFailed, Conflict, DatabaseDown, DatabaseReplaced, RateLimited, VenueDown
from algo_py.finstore import FinStore
from algo_py.market.own_facts import use_files
from algo_py.oms import OMS, open_oms
from algo_py.orders.journal import Journal
from algo_py.orders.model import from_float
from algo_py.settings import SupervisorSettings, Workspace
from algo_py.strategy import Strategy
from algo_py.workspace_database import open_workspace_database

_SLICE_S = 0.2
_MISSED_MOST = 100_000
# Pauses between two tries to reach the venue at the start.
_BACK_OFF_S = (2.0, 5.0, 10.0, 30.0, 60.0)
# A clock that goes back by less is being adjusted, not set.
_SET_BACK = timedelta(seconds=60)
# How often orders that are under way are asked for between two runs.
_FOLLOW_S = 2.0
# How often the key is tried again that turned out to be of another account.
_ACCOUNT_AGAIN_S = 30.0
# How often a key is tried again that the venue refused, by a deployment that has traded with it before.
_KEY_AGAIN_S = 10.0


def live(workspace: Workspace, deployment_id: str, *, pid: int) -> int:
    """Live one deployment in this process until it ends; returns the process's exit code."""
    use_files(workspace.calendar_file, workspace.derivatives_file)
    folder = workspace.deployments / deployment_id
    try:
        # Never dropped: the lock ends with the process, so that nothing is shown as stopped which still lives.
        ProcessLock(folder / "lock").__enter__()
    except Conflict as error:
        print(error, file=sys.stderr)  # noqa: T201  there is no log yet: the file belongs to the process that runs
        return EXIT_ALREADY_RUNNING
    return _Life(workspace, deployment_id, pid=pid).live()


class _Interrupted(Exception):
    """The process was told to end although the deployment should go on, as when the machine shuts down."""


class _Life:
    def __init__(self, workspace: Workspace, deployment_id: str, *, pid: int) -> None:
        self._stopping = False
        signal.signal(signal.SIGTERM, self._on_stop)  # before anybody can know whom to tell
        signal.signal(signal.SIGINT, signal.SIG_IGN)
        self._workspace = workspace
        settings = workspace.settings()
        self._settings: SupervisorSettings = settings.supervisor
        self._wall = SystemClock()
        self._database: Database = open_workspace_database(workspace)
        self._store = DeploymentStore(self._database)
        self._row: DeploymentRow = self._store.get(deployment_id)
        self._config: DeploymentConfig = self._row.config
        self._clock: Clock = _clock_of(self._row)
        self._mask = SecretMask(workspace)
        log = open_log(
            workspace.deployments / deployment_id,
            deployment_id=deployment_id,
            clock=self._clock,
            settings=settings.logs,
            mask=self._mask,
        )
        self._captured = Capture(log, lines_per_run=settings.logs.lines_per_run)
        self._log = AlertingLog(log, self._database, deployment_id=deployment_id, name=self._row.name, mask=self._mask)
        self._runs = RunBorder(
            deployment_id,
            self._database,
            log=self._log,
            mask=self._mask,
            after=self._captured.end_run,
            alert_after_bad_runs=self._settings.alert_after_bad_runs,
        )
        self._store.set_process(deployment_id, pid=pid, pid_created_s=created_s(pid), at=self._wall.now())
        is_live = isinstance(self._config.clock, LiveClock)
        self._horizon = HorizonWatch(self._config, self._store, self._log) if is_live else None
        self._state = State.NEW
        self._next_beat_s = 0.0
        self._pipeline: Pipeline | None = None
        self._next_follow_s = 0.0
        self._next_look_s = 0.0
        self._next_run: datetime | None = None
        self._last_fire: datetime = self._row.last_run_at or self._clock.now()

    def live(self) -> int:
        with self._captured.listening():
            try:
                ended, reason = self._trade()
            except StopRequested:
                if not self._store.wanted(self._config.id).is_an_end:
                    return self._be_interrupted()
                ended, reason = State.STOPPED, "stopped by request before its venue was reached, its positions are as they were"
            except _Interrupted:
                return self._be_interrupted()
            except (DatabaseDown, DatabaseReplaced) as error:
                self._log.error("deployment.crashed", reason=str(error))
                return EXIT_FAILED  # the supervisor starts it again, once the database answers, and on the right file
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

    def _be_interrupted(self) -> int:
        """Leave what is recorded as it is, so that the next supervisor starts it again."""
        self._log.warning("deployment.interrupted", reason="its process was told to end; it goes on once a supervisor starts it")
        self._database.close()
        return EXIT_INTERRUPTED

    def _trade(self) -> tuple[State, str]:
        config = self._config
        self._log.info("deployment.start", strategy=config.backtest.strategy, schedule=str(config.schedule), oms=config.oms)
        strategy = load_deployed_strategy(self._workspace.deployments / config.id, config, self._store)
        store = FinStore(self._workspace.finstore)
        data = LiveData(self._workspace, config, store, clock=self._clock, log=self._log)
        feed = open_feed(store, config, fill=data.filling(self._beat_unless_stopping), quote=data.quoting(), log=self._log)
        pipeline = self._connect(feed, strategy)
        self._pipeline = pipeline if isinstance(config.clock, LiveClock) else None
        if self._store.wanted(config.id).is_an_end:  # it was started for closing, or for what is still open
            return self._end_by_request(pipeline)
        began = config.start or self._row.created_at
        self._enter(State.RUNNING if self._clock.now() >= began else State.WAITING, "")
        while True:
            self._next_run = config.next_fire(self._last_fire)
            self._look_ahead()
            if self._next_run is None:
                return self._reach_end(pipeline)
            if not self._wait(self._next_run):
                return self._end_by_request(pipeline)
            if self._clock.now() < self._next_run:
                continue  # the clock was set back, or the market's days have changed: the next run is another one
            if self._state is State.WAITING:
                self._enter(State.RUNNING, "")
            self._last_fire, missed = self._coalesce(self._next_run)
            self._runs.once(pipeline, self._last_fire, missed, lambda: pipeline.run(self._clock.now()))

    def _connect(self, feed: Feed, strategy: Strategy) -> Pipeline:
        """Connect and recover. A venue that cannot be reached is asked again: a night without network ends nothing."""
        pauses_s = chain(_BACK_OFF_S, repeat(_BACK_OFF_S[-1]))
        while True:
            try:
                return self._recovered(feed, strategy)
            except (VenueDown, RateLimited, OtherAccount) as error:
                pause_s = _ACCOUNT_AGAIN_S if isinstance(error, OtherAccount) else next(pauses_s)
                reason = f"{error} It is asked again in {pause_s:g} s."
                self._log.warning("oms.unreachable", reason=reason)
                self._say_unwatched(error.message)
                self._enter(self._state, reason)
            except AuthFailed as error:
                if self._store.get(self._config.id).account is None:
                    raise  # it has never traded: there is nothing to look after, and the key has to be corrected first
                self._runs.halt_without_credentials(self._mask(str(error)))
                pause_s = _KEY_AGAIN_S
                self._say_unwatched(error.message)
                self._enter(self._state, f"{error} It is tried again in {pause_s:g} s.")
            deadline_s = monotonic_s() + pause_s
            while monotonic_s() < deadline_s:
                self._beat_unless_stopping()
                self._wall.sleep(_SLICE_S)

    def _say_unwatched(self, reason: str) -> None:
        """Call a person for positions that this process was to look after itself, as long as it cannot."""
        for one in leave_unwatched(self._database, self._config.id, reason=self._mask(reason), at=self._wall.now()):
            self._log.error("position.unprotected", symbol=one.symbol, quantity=str(one.quantity), reason=one.reason)

    def _recovered(self, feed: Feed, strategy: Strategy) -> Pipeline:
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
        bind(self._database, config, account.account, at=self._wall.now(), log=self._log)
        self._runs.credentials_work()
        for warning in (*account.warnings, *short_of_cash(self._database, config, account, venue=oms.name)):
            self._log.warning("oms.warning", reason=warning)
        journal = Journal(
            self._database,
            self._clock,
            deployment_id=config.id,
            venue=oms.name,
            account=account.account,
            initial_cash=from_float(config.backtest.initial_cash),
        )
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
            strategy_timeout_s=self._settings.strategy_timeout_s,
            tick=self._beat,
            is_ending=self._store.wanted(config.id).is_an_end,
        )
        pipeline.recover(self._clock.now())
        return pipeline

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
            if self._has_been_set_back() or self._days_have_changed():
                return True
            if self._is_paused():
                self._clock.sleep(_SLICE_S)
                continue
            if self._clock.sleep_toward(moment, _SLICE_S):
                return not self._stopping
        return False

    def _has_been_set_back(self) -> bool:
        """Notice a machine's clock that was set back: what is due next is then counted from the new time."""
        now = self._clock.now()
        if now >= self._last_fire - _SET_BACK:
            return False
        self._log.warning("clock.set_back", last_run=format_time(self._last_fire))
        self._last_fire = now
        return True

    def _days_have_changed(self) -> bool:
        """Notice that a file of facts has changed: what is due next is then asked of the calendar anew."""
        if self._horizon is None or not self._horizon.has_news():
            return False
        self._look_ahead()
        return True

    def _look_ahead(self) -> None:
        """Mark and tell how far the market's days are known; what goes wrong there keeps no run from its time."""
        horizon = self._horizon
        if horizon is not None:
            self._look_after(lambda: horizon.look(self._next_run, self._clock.now()))

    def _is_paused(self) -> bool:
        """Return whether a person has paused a replay; its clock stands still then."""
        if isinstance(self._config.clock, Replay) and monotonic_s() >= self._next_look_s:
            self._next_look_s = monotonic_s() + _SLICE_S
            is_paused = self._store.wanted(self._config.id) is Wanted.PAUSED
            if is_paused is not (self._state is State.PAUSED):
                self._enter(State.PAUSED if is_paused else State.RUNNING, "")
        return self._state is State.PAUSED

    def _follow(self) -> None:
        """Look after orders that are under way at a venue that fills on its own time; the next run may be a day away."""
        if self._pipeline is None or monotonic_s() < self._next_follow_s:
            return
        self._next_follow_s = monotonic_s() + _FOLLOW_S
        pipeline = self._pipeline
        self._runs.try_credentials(pipeline.try_credentials)
        if pipeline.needs_following:
            self._look_after(lambda: pipeline.follow(self._clock.now()))

    def _look_after(self, work: Callable[[], object]) -> None:
        """Do something for orders and positions outside of runs; what goes wrong is told, and tried again the next time."""
        try:
            work()
        except AuthFailed as error:
            self._runs.halt_without_credentials(self._mask(str(error)))
        except FATAL:
            raise
        except (AlgoPyError, SQLAlchemyError) as error:
            self._log.warning("order.follow_failed", reason=str(error))

    def _reach_end(self, pipeline: Pipeline) -> tuple[State, str]:
        end = self._config.end
        if end is None:
            return State.FINISHED, "the schedule has no further run"
        while self._clock.now() < end:
            if not self._wait(end):
                return self._end_by_request(pipeline)
        reason = f"the end of its window was reached ({format_time(end)})"
        self._runs.once(pipeline, end, 0, lambda: pipeline.finish(end, reason=reason))
        if self._pipeline is not None and not self._watch_until_nothing_is_open(pipeline, reason, while_wanted=Wanted.RUNNING):
            return self._end_by_request(pipeline)
        row = self._store.get(self._config.id)
        if not row.failed_runs:
            return State.FINISHED, reason
        told = f"{reason}; {row.failed_runs:,} of {row.runs:,} runs failed"
        # The last run only takes what is left: an end after nothing but failures is none that anybody wanted.
        return (State.ERROR if row.failed_runs >= row.runs - 1 else State.FINISHED), told

    def _end_by_request(self, pipeline: Pipeline) -> tuple[State, str]:
        wanted = self._store.wanted(self._config.id)
        if not wanted.is_an_end:
            raise _Interrupted
        if wanted is Wanted.STOPPED:
            self._look_after(lambda: pipeline.stop_entering(self._clock.now()))
            self._stopping = False
            if self._pipeline is None or self._watch_until_nothing_is_open(
                pipeline, "stopped by request", while_wanted=Wanted.STOPPED
            ):
                return State.STOPPED, f"stopped by request{self._what_it_keeps(pipeline)}"
            if self._store.wanted(self._config.id) is not Wanted.CLOSED:
                raise _Interrupted  # somebody restarts it, or the machine shuts down: what is open is looked after then
        left: list[str] = []

        def close() -> RunResult:
            left[:] = self._close_all(pipeline)
            return RunResult(outcome="not closed" if left else "closed", detail={"left": list(left)})

        self._log.info("deployment.closing")
        left[:] = self._config.backtest.symbols  # as long as nobody knows better
        self._runs.once(pipeline, self._clock.now(), 0, close)
        if not left:
            return State.STOPPED, "stopped by request, its positions are closed"
        if self._pipeline is not None and pipeline.waits:
            return self._close_when_taken(pipeline)
        reason = f"stopped by request, but NOT closed: {', '.join(left)}{pipeline.why_not_closed}"
        self._log.error("deployment.not_closed", reason=reason)
        if self._pipeline is not None and (pipeline.open_orders or pipeline.watched):
            # What could not be closed is protected again, and somebody has to book what becomes of that.
            self._store.want(self._config.id, Wanted.STOPPED, at=self._wall.now())
            self._stopping = False
            if not self._watch_until_nothing_is_open(pipeline, reason, while_wanted=Wanted.STOPPED):
                return self._end_by_request(pipeline)
        return State.STOPPED, reason

    def _close_when_taken(self, pipeline: Pipeline) -> tuple[State, str]:
        """Live on until the venue takes the orders that close: they are journaled, and go out without anybody's doing."""
        self._log.warning("deployment.closing_waits", reason="; ".join(pipeline.waits))
        self._store.want(self._config.id, Wanted.STOPPED, at=self._wall.now())
        self._stopping = False
        if not self._watch_until_nothing_is_open(pipeline, "stopped by request, closing", while_wanted=Wanted.STOPPED):
            return self._end_by_request(pipeline)
        held = pipeline.holdings
        if not held:
            return State.STOPPED, "stopped by request, its positions are closed"
        reason = f"stopped by request, but NOT closed: {', '.join(held)}{pipeline.why_not_closed}"
        self._log.error("deployment.not_closed", reason=reason)
        return State.STOPPED, reason

    def _watch_until_nothing_is_open(self, pipeline: Pipeline, why: str, *, while_wanted: Wanted) -> bool:
        """Go on looking after what is open and what only this process protects, without deciding anything; False when something
        else is wanted meanwhile."""
        told = ""
        while opened := [*pipeline.open_orders, *pipeline.watched]:
            reason = f"{why}; it goes on watching {'; '.join(opened)}"
            if reason != told:
                told = reason
                self._next_run = None
                self._enter(State.WATCHING, reason)
            deadline_s = monotonic_s() + _FOLLOW_S
            while monotonic_s() < deadline_s:
                self._beat()
                if self._stopping or self._store.wanted(self._config.id) is not while_wanted:
                    return False
                self._wall.sleep(_SLICE_S)
            self._follow()
        return True

    def _what_it_keeps(self, pipeline: Pipeline) -> str:
        held = pipeline.holdings
        return f", it keeps {', '.join(held)}" if held else ""

    def _close_all(self, pipeline: Pipeline) -> list[str]:
        """Close every position and wait until that is done, within a bound; return the symbols that are left."""
        deadline_s, end = monotonic_s() + self._settings.close_grace_s, self._config.end
        while True:
            self._beat()
            now = self._clock.now()
            left, is_under_way = pipeline.close_positions(now)
            is_over = monotonic_s() >= deadline_s or (isinstance(self._config.clock, Replay) and end is not None and now >= end)
            if not left or not is_under_way or is_over or pipeline.waits:
                return left
            self._clock.sleep_toward(now + self._config.timeframe.delta, _SLICE_S)

    def _beat(self) -> None:
        if monotonic_s() < self._next_beat_s:
            return
        self._next_beat_s = monotonic_s() + self._settings.heartbeat_s
        if not (self._workspace.deployments / self._config.id).is_dir():
            raise _Interrupted  # the workspace was deleted: there is nothing left to live for
        self._look_ahead()
        try:
            self._store.beat(self._config.id, at=self._wall.now(), next_run_at=self._next_run)
        except FATAL:
            raise
        except (AlgoPyError, SQLAlchemyError) as error:
            # Without a heartbeat it will be shown as stalled, which is then true; trading goes on when the disk does.
            self._log.warning("deployment.no_heartbeat", reason=str(error))

    def _beat_unless_stopping(self) -> None:
        if self._stopping:
            raise StopRequested
        self._beat()

    def _enter(self, state: State, reason: str) -> None:
        self._state = state
        self._store.set_state(self._config.id, state, reason=self._mask(reason), at=self._wall.now())

    def _on_stop(self, _number: int, _frame: FrameType | None) -> None:
        self._stopping = True


def _clock_of(row: DeploymentRow) -> Clock:
    config = row.config
    if not isinstance(config.clock, Replay) or config.start is None:
        return SystemClock()
    speed = config.clock.bars_per_s
    # After a restart a replay goes on where its last finished run was.
    return ReplayClock(row.clock_at or config.start, rate=None if speed is None else speed * config.timeframe.seconds)
