"""The border around one run: whatever happens inside ends the run, is recorded, and leaves the process to the next one."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime

import structlog
from sqlalchemy.exc import SQLAlchemyError

from algo_py.amounts import plain
from algo_py.clock import SystemClock, monotonic_s
from algo_py.database import Database
from algo_py.deployment.pipeline import Pipeline, RunResult
from algo_py.deployment.status import Condition
from algo_py.deployment.store import DeploymentStore, RunCondition, RunRow
from algo_py.errors import AlgoPyError, AuthFailed, Damaged, RateLimited, VenueDown
from algo_py.orders.execution import ExecutionLog
from algo_py.orders.halts import HaltedBy, halt, own_halt_of, resume

_TRY_CREDENTIALS_EVERY_S = 10.0
# What no later run can mend.
FATAL = (Damaged,)


class StopRequested(Exception):
    """Somebody asked to stop while something was being waited for."""


class RunBorder:
    """Makes the runs of one deployment, one at a time. `after` is called when each has ended, before it is recorded."""

    def __init__(
        self,
        deployment_id: str,
        database: Database,
        *,
        log: ExecutionLog,
        mask: Callable[[str], str],
        after: Callable[[], object],
        alert_after_bad_runs: int = 3,
    ) -> None:
        self._id = deployment_id
        self._database = database
        self._store = DeploymentStore(database)
        self._log = log
        self._mask = mask
        self._after = after
        self._wall = SystemClock()
        self._alert_after_bad_runs = alert_after_bad_runs
        self._next_try_s = 0.0

    def once(self, pipeline: Pipeline, scheduled_at: datetime, missed: int, work: Callable[[], RunResult]) -> None:
        """Do `work` as the run of `scheduled_at`, and record what it came to. Raises what is FATAL alone."""
        began_at, began_s = self._wall.now(), monotonic_s()
        with structlog.contextvars.bound_contextvars(run_id=f"{scheduled_at:%Y%m%dT%H%M%S}"):
            result, reason, condition = self._attempt(work)
            self._after()
            duration_s = monotonic_s() - began_s
            row = RunRow(
                scheduled_at=scheduled_at,
                started_at=began_at,
                duration_s=duration_s,
                outcome=result.outcome,
                detail=result.detail,
            )
            self._record(pipeline, row, reason=reason, missed=missed, condition=condition)
            self._log.info(
                "run.done",
                outcome=result.outcome,
                duration_ms=round(duration_s * 1000, 1),
                cash=plain(round(pipeline.cash, 8)),
                equity=plain(round(pipeline.equity, 8)),
            )

    def halt_without_credentials(self, reason: str) -> None:
        """Enter nothing more once the venue refuses the credentials, and say so once; they work again, and it goes on."""
        if halt(self._database, self._id, reason=reason, by=HaltedBy.CREDENTIALS, at=self._wall.now()):
            self._log.error("deployment.halted", reason=reason, by=HaltedBy.CREDENTIALS)

    def try_credentials(self, ask: Callable[[], object]) -> None:
        """Where the credentials were refused, ask the venue once in a while whether it takes them again; then lift the halt.

        `ask` raises AuthFailed as long as it does not. A person has logged in, and need not say so a second time.
        """
        if monotonic_s() < self._next_try_s:
            return
        self._next_try_s = monotonic_s() + _TRY_CREDENTIALS_EVERY_S
        halted = own_halt_of(self._database, self._id)  # not hidden by a halt of all
        if halted is None or halted.by != HaltedBy.CREDENTIALS:
            return
        try:
            ask()
        except (AuthFailed, VenueDown, RateLimited) as error:
            self._log.warning("credentials.refused_still", reason=self._mask(str(error)))
            return
        self.credentials_work()

    def credentials_work(self) -> None:
        """Lift what refused credentials have halted: the venue has just accepted them."""
        if resume(self._database, self._id, by=HaltedBy.CREDENTIALS):
            self._log.info("deployment.resumed", reason="the venue accepts the credentials again")

    def _attempt(self, work: Callable[[], RunResult]) -> tuple[RunResult, str, RunCondition | None]:
        """Return what a run came to, the reason that is shown beside the status until the next one, and how it did its work."""
        try:
            result = work()
        except FATAL:
            raise
        except StopRequested:
            return RunResult(outcome="skipped", detail={"reason": "stopped by request"}), "stopped by request", None
        except AuthFailed as error:
            self.halt_without_credentials(self._mask(str(error)))
            told = self._mask(str(error))
            return _failed(told), told, RunCondition(condition=Condition.FAILING, reason=told)
        except Exception as error:  # noqa: BLE001  one run's border: the next run gets its own chance
            known = isinstance(error, AlgoPyError)
            self._log.error("run.failed", reason=str(error) or type(error).__name__, exc_info=not known)
            told = str(error) if known else f"{type(error).__name__}: {error}"
            condition = RunCondition(condition=Condition.FAILING, reason=self._mask(f"the last run failed: {told}"))
            return _failed(self._mask(told)), f"the last run failed: {told}", condition
        return result, str(result.detail["reason"]) if result.outcome == "skipped" else "", _condition_of(result)

    def _record(self, pipeline: Pipeline, run: RunRow, *, reason: str, missed: int, condition: RunCondition | None) -> None:
        try:
            bad_runs = self._store.add_run(
                self._id,
                run,
                reason=self._mask(reason),
                missed=missed,
                cash=pipeline.cash,
                equity=pipeline.equity,
                heartbeat_at=self._wall.now(),
                condition=condition,
            )
        except FATAL:
            raise
        except (AlgoPyError, SQLAlchemyError) as error:
            # A full disk today; orders are journaled before they are sent, so none of them depends on this.
            self._log.error("run.not_recorded", reason=str(error))
            return
        if condition is not None and condition.condition is Condition.NO_DATA and bad_runs == self._alert_after_bad_runs:
            self._log.error("deployment.no_data", reason=condition.reason, runs=bad_runs)


def _condition_of(result: RunResult) -> RunCondition | None:
    """Return whether a run could do its work; one of which some symbols' bars are not there could not do all of it."""
    if result.seems_closed:
        return RunCondition()  # there was no work to do
    if result.outcome == "skipped":
        return RunCondition(condition=Condition.NO_DATA, reason=str(result.detail["reason"]))
    if result.incomplete:
        causes: dict[str, list[str]] = {}
        for symbol, problem in result.incomplete.items():
            causes.setdefault(problem, []).append(symbol)
        reason = "; ".join(f"{', '.join(symbols)}: {problem}" for problem, symbols in causes.items())
        return RunCondition(condition=Condition.NO_DATA, reason=reason)
    return RunCondition()


def _failed(reason: str) -> RunResult:
    return RunResult(outcome="failed", detail={"reason": reason})
