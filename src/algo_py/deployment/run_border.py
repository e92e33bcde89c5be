"""The border around one run: whatever happens inside ends the run, is recorded, and leaves the process to the next one."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime

import structlog
from sqlalchemy.exc import SQLAlchemyError

from algo_py.clock import SystemClock, monotonic_s
from algo_py.database import Database
from algo_py.deployment.pipeline import Pipeline, RunResult
from algo_py.deployment.store import DeploymentStore, RunRow
from algo_py.errors import AlgoPyError, AuthFailed, Damaged
from algo_py.orders.execution import ExecutionLog
from algo_py.orders.halts import halt, halt_of

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
    ) -> None:
        self._id = deployment_id
        self._database = database
        self._store = DeploymentStore(database)
        self._log = log
        self._mask = mask
        self._after = after
        self._wall = SystemClock()

    def once(self, pipeline: Pipeline, scheduled_at: datetime, missed: int, work: Callable[[], RunResult]) -> None:
        """Do `work` as the run of `scheduled_at`, and record what it came to. Raises what is FATAL alone."""
        began_at, began_s = self._wall.now(), monotonic_s()
        with structlog.contextvars.bound_contextvars(run_id=f"{scheduled_at:%Y%m%dT%H%M%S}"):
            result, reason = self._attempt(work)
            self._after()
            duration_s = monotonic_s() - began_s
            row = RunRow(
                scheduled_at=scheduled_at,
                started_at=began_at,
                duration_s=duration_s,
                outcome=result.outcome,
                detail=result.detail,
            )
            self._record(pipeline, row, reason=reason, missed=missed)
            self._log.info(
                "run.done",
                outcome=result.outcome,
                duration_ms=round(duration_s * 1000, 1),
                cash=f"{pipeline.cash:.2f}",
                equity=f"{pipeline.equity:.2f}",
            )

    def halt_without_credentials(self, reason: str) -> None:
        """Send nothing more once the venue refuses the credentials, and say so once; a person renews them and resumes."""
        if halt_of(self._database, self._id) is None:
            halt(self._database, self._id, reason=reason, by="credentials", at=self._wall.now())
            self._log.error("deployment.halted", reason=reason, by="credentials")

    def _attempt(self, work: Callable[[], RunResult]) -> tuple[RunResult, str]:
        """Return what a run came to, and the reason that is shown beside the status until the next one."""
        try:
            result = work()
        except FATAL:
            raise
        except StopRequested:
            return RunResult(outcome="skipped", detail={"reason": "stopped by request"}), "stopped by request"
        except AuthFailed as error:
            self.halt_without_credentials(self._mask(str(error)))
            return _failed(self._mask(str(error))), str(error)
        except Exception as error:  # noqa: BLE001  one run's border: the next run gets its own chance
            known = isinstance(error, AlgoPyError)
            self._log.error("run.failed", reason=str(error) or type(error).__name__, exc_info=not known)
            told = str(error) if known else f"{type(error).__name__}: {error}"
            return _failed(self._mask(told)), f"the last run failed: {told}"
        return result, str(result.detail["reason"]) if result.outcome == "skipped" else ""

    def _record(self, pipeline: Pipeline, run: RunRow, *, reason: str, missed: int) -> None:
        try:
            self._store.add_run(
                self._id,
                run,
                reason=self._mask(reason),
                missed=missed,
                cash=pipeline.cash,
                equity=pipeline.equity,
                heartbeat_at=self._wall.now(),
            )
        except FATAL:
            raise
        except (AlgoPyError, SQLAlchemyError) as error:
            # A full disk today; orders are journaled before they are sent, so none of them depends on this.
            self._log.error("run.not_recorded", reason=str(error))


def _failed(reason: str) -> RunResult:
    return RunResult(outcome="failed", detail={"reason": reason})
