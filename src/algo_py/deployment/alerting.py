"""What in a deployment's life calls a person: the one place that reads it from the events of its log."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from datetime import datetime
from typing import TYPE_CHECKING

import structlog
from sqlalchemy.exc import SQLAlchemyError

from algo_py.clock import SystemClock
from algo_py.database import Database
from algo_py.deployment.alerts import AlertKind, raise_alert
from algo_py.deployment.store import DeploymentStore
from algo_py.errors import AlgoPyError

if TYPE_CHECKING:
    from algo_py.orders.execution import ExecutionLog

_OF_THE_CALENDAR = {
    "calendar.ends": "the known trading days end soon",
    "calendar.assumed": "runs stand on assumed trading days",
}
_RECOVERED = ("ok", "idle", "end")
_STREAK_MOST = 500


class Alarm:
    """Raises alerts for one process. One that cannot be recorded is told to `complain` and disturbs nobody else."""

    def __init__(self, database: Database, *, complain: Callable[[str], object]) -> None:
        self._database = database
        self._complain = complain
        self._clock = SystemClock()
        self._told: set[str] = set()

    def call(
        self, kind: AlertKind, *about: object, title: str, body: str, deployment_id: str | None, at: datetime | None = None
    ) -> None:
        """Raise an alert about something that happened at `at`, or now; a second call about the same does nothing."""
        key = " ".join(str(part) for part in (kind, *about))
        if key in self._told:
            return
        try:
            at = at or self._clock.now()
            raise_alert(self._database, kind, key=key, title=title, body=body, deployment_id=deployment_id, at=at)
        except (AlgoPyError, SQLAlchemyError) as error:
            self._complain(f"alert {key!r} is not recorded: {error}")
            return
        self._told.add(key)


class AlertingLog:
    """A deployment's log that raises alerts: for orders that the venue refused, for runs that were missed or failed, and for
    trading days that are known no further.

    Of runs, the first of a row of failed ones calls, and so does the first of a row that came after missed ones. What the
    supervisor can read from the state of a deployment (errors, halts, silence) calls there, even when the process has died.
    """

    def __init__(
        self, log: ExecutionLog, database: Database, *, deployment_id: str, name: str, mask: Callable[[str], str] = str
    ) -> None:
        self._log = log
        self._mask = mask
        self._store = DeploymentStore(database)
        self._alarm = Alarm(database, complain=lambda reason: log.warning("alert.not_recorded", reason=reason))
        self._id = deployment_id
        self._name = name
        self._failing_since: str | None = None
        self._has_missed = self._is_missing = False

    def info(self, event: str, **fields: object) -> None:
        self._log.info(event, **fields)
        if event == "run.done":
            self._after_run(str(fields.get("outcome")))
        elif event in _OF_THE_CALENDAR:
            self._about_days(event, fields)

    def warning(self, event: str, **fields: object) -> None:
        self._log.warning(event, **fields)
        if event == "order.rejected":
            told = f"{fields.get('side')} {fields.get('quantity')} {fields.get('symbol')}: {fields.get('reason')}"
            self._call(AlertKind.REJECTED, fields.get("client_order_id"), "an order was rejected", told)
        elif event == "order.left_unfilled":
            told = f"{fields.get('side')} {fields.get('quantity')} {fields.get('symbol')} is left: {fields.get('reason')}"
            self._call(AlertKind.REJECTED, fields.get("client_order_id"), "an exit was left unfilled", told)
        elif event == "run.missed":
            self._after_missed(fields.get("count"), fields.get("since"))

    def error(self, event: str, **fields: object) -> None:
        self._log.error(event, **fields)
        if event == "run.failed":
            if self._failing_since is None:
                self._failing_since = self._first_failed(str(structlog.contextvars.get_contextvars().get("run_id", "")))
            told = f"{fields.get('reason')}\nFurther failures are not told until a run succeeds."
            self._call(AlertKind.RUN_FAILED, f"{self._id} {self._failing_since}", "a run failed", told)
        elif event == "position.unprotected":
            told = f"{fields.get('quantity')} {fields.get('symbol')} are held without protection: {fields.get('reason')}"
            about = f"{self._id} {fields.get('symbol')} {fields.get('since')}"
            self._call(AlertKind.UNPROTECTED, about, "a position is not protected", told)
        elif event == "symbol.halted":
            told = f"{fields.get('symbol')} is not entered any more: {fields.get('reason')}"
            self._call(AlertKind.HALTED, f"{self._id} {fields.get('symbol')} {fields.get('reason')}", "a symbol is halted", told)
        elif event == "order.stuck":
            told = (
                f"{fields.get('side')} {fields.get('quantity')} {fields.get('symbol')} is {fields.get('status')} since "
                f"{fields.get('since')}: {fields.get('reason')}\nLook at the venue, and settle it: algo-py settle"
            )
            self._call(AlertKind.STUCK_ORDER, fields.get("client_order_id"), "nobody hears of an order", told)
        elif event == "deployment.no_data":
            told = f"{fields.get('runs')} runs in a row: {fields.get('reason')}"
            about = f"{self._id} {structlog.contextvars.get_contextvars().get('run_id', '')}"
            self._call(AlertKind.NO_DATA, about, "there are no usable bars", told)
        elif event == "deployment.not_closed":
            about = f"{self._id} {structlog.contextvars.get_contextvars().get('run_id', fields.get('reason'))}"
            self._call(AlertKind.ERROR, about, "its positions are not closed", str(fields.get("reason")))

    def _about_days(self, event: str, fields: Mapping[str, object]) -> None:
        """Tell how far a market's days are known: once for all of its deployments, whichever notices it first."""
        about = (fields.get("market"), fields.get("known_through"), fields.get("within_days"))
        title, body = f"{fields.get('title')}: {_OF_THE_CALENDAR[event]}", str(fields.get("reason"))
        self._alarm.call(AlertKind.CALENDAR, *about, title=title, body=body, deployment_id=None)

    def _after_run(self, outcome: str) -> None:
        if outcome in _RECOVERED:
            self._failing_since = None
        self._has_missed, self._is_missing = self._is_missing, False

    def _after_missed(self, count: object, since: object) -> None:
        self._is_missing = True
        if not self._has_missed:
            told = f"{count} since {since}; the newest that is due is made now"
            self._call(AlertKind.MISSED_RUNS, f"{self._id} {since}", "runs were missed", told)

    def _first_failed(self, run_id: str) -> str:
        """Return which run began the row of failures that this one belongs to: an earlier process may have told it."""
        first = run_id
        try:
            for run in reversed(self._store.runs(self._id, last=_STREAK_MOST)):
                if run.outcome in _RECOVERED:
                    break
                first = f"{run.scheduled_at:%Y%m%dT%H%M%S}" if run.outcome == "failed" else first
        except (AlgoPyError, SQLAlchemyError) as error:
            self._log.warning("alert.not_known", reason=str(error))
        return first

    def _call(self, kind: AlertKind, about: object, what: str, body: str) -> None:
        self._alarm.call(kind, about, title=f"{self._name}: {what}", body=self._mask(body), deployment_id=self._id)
