"""What a person should be told at once, kept in the database until it has been sent.

Whoever notices something raises an alert and goes on; sending takes place in a process of its own. The key says what an alert is
about: the same thing is told once, however often it is noticed.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import Any

import sqlalchemy as sa

from algo_py.database import Database
from algo_py.deployment.tables import alerts


class AlertKind(StrEnum):
    """Why a person is called."""

    ERROR = "error"  # a deployment has ended because it could not go on
    UNPROTECTED = "unprotected"  # a position that should be protected and is not
    HALTED = "halted"
    CRASH_LOOP = "crash_loop"
    STALLED = "stalled"
    REJECTED = "rejected"  # an order that the venue refused
    STUCK_ORDER = "stuck_order"  # an order that nobody hears of for longer than it may take
    NO_DATA = "no_data"
    MISSED_RUNS = "missed_runs"
    RUN_FAILED = "run_failed"
    CALENDAR = "calendar"  # the known trading days of a market end soon, or runs stand on assumed ones
    SUMMARY = "summary"


@dataclass(frozen=True, slots=True, kw_only=True)
class Alert:
    """One alert as the database knows it.

    It waits as long as `next_attempt_at` is set. `error` is what went wrong at the last attempt; of one that was sent, which
    addresses did not take it.
    """

    id: int
    kind: AlertKind
    deployment_id: str | None
    title: str
    body: str
    raised_at: datetime
    sent_at: datetime | None
    attempts: int
    next_attempt_at: datetime | None
    error: str

    @property
    def state(self) -> str:
        """Return `sent`, `waiting`, or `unsent` for one that is not tried any more."""
        if self.sent_at is not None:
            return "sent"
        return "unsent" if self.next_attempt_at is None else "waiting"


def raise_alert(
    database: Database, kind: AlertKind, *, key: str, title: str, body: str, deployment_id: str | None, at: datetime
) -> bool:
    """Record an alert, durably; False when one with this key is there already, which then stays as it is."""
    with database.write() as connection:
        known = connection.execute(sa.select(alerts.c.id).where(alerts.c.key == key)).first()
        if known is not None:
            return False
        connection.execute(
            alerts.insert().values(
                key=key,
                kind=kind,
                deployment_id=deployment_id,
                title=title,
                body=body,
                raised_at=at,
                attempts=0,
                next_attempt_at=at,
                error="",
            )
        )
    return True


def is_raised(database: Database, key: str) -> bool:
    """Return whether there is an alert with this key."""
    with database.read() as connection:
        return connection.execute(sa.select(alerts.c.id).where(alerts.c.key == key)).first() is not None


def newest_alerts(database: Database, *, last: int) -> list[Alert]:
    """Return the newest `last` alerts, newest first."""
    with database.read() as connection:
        return [_alert(row) for row in connection.execute(sa.select(alerts).order_by(alerts.c.id.desc()).limit(last))]


def waiting_alerts(database: Database) -> list[Alert]:
    """Return the alerts that are still to be sent, oldest first, those whose next attempt lies ahead too."""
    query = sa.select(alerts).where(alerts.c.next_attempt_at.is_not(None)).order_by(alerts.c.id)
    with database.read() as connection:
        return [_alert(row) for row in connection.execute(query)]


def next_attempt_at(database: Database) -> datetime | None:
    """Return when the next alert is to be sent; None when none waits."""
    with database.read() as connection:
        found: datetime | None = connection.execute(sa.select(sa.func.min(alerts.c.next_attempt_at))).scalar()
    return found


def sent_messages(database: Database, *, since: datetime) -> list[datetime]:
    """Return when messages were sent, oldest first; several alerts in one message count once."""
    query = sa.select(alerts.c.sent_at).where(alerts.c.sent_at > since).distinct().order_by(alerts.c.sent_at)
    with database.read() as connection:
        return list(connection.execute(query).scalars())


def mark_sent(database: Database, ids: Sequence[int], *, at: datetime, note: str = "") -> None:
    """Record that one message told these alerts, durably."""
    values = {"sent_at": at, "attempts": alerts.c.attempts + 1, "next_attempt_at": None, "error": note}
    with database.write() as connection:
        connection.execute(alerts.update().where(alerts.c.id.in_(ids)).values(**values))


def mark_failed(database: Database, alert_id: int, *, error: str, next_attempt_at: datetime) -> None:
    """Record an attempt in vain, and when the next one is due."""
    values = {"attempts": alerts.c.attempts + 1, "next_attempt_at": next_attempt_at, "error": error}
    with database.write() as connection:
        connection.execute(alerts.update().where(alerts.c.id == alert_id).values(**values))


def postpone(database: Database, ids: Sequence[int], *, until: datetime) -> None:
    """Let those of these alerts that are due earlier wait until then."""
    earlier = alerts.c.id.in_(ids) & (alerts.c.next_attempt_at < until)
    with database.write() as connection:
        connection.execute(alerts.update().where(earlier).values(next_attempt_at=until))


def give_up(database: Database, *, raised_before: datetime, kinds: Collection[str]) -> None:
    """Try no more what is too old to be told, and what is of no kind that is sent; the last error is kept."""
    waits = alerts.c.next_attempt_at.is_not(None)
    why = {"kind not sent": alerts.c.kind.not_in(kinds), "too old to be sent": alerts.c.raised_at < raised_before}
    with database.write() as connection:
        for reason, concerned in why.items():
            error = sa.case((alerts.c.error == "", reason), else_=alerts.c.error)
            connection.execute(alerts.update().where(waits, concerned).values(next_attempt_at=None, error=error))


def _alert(row: Any) -> Alert:
    return Alert(
        id=row.id,
        kind=AlertKind(row.kind),
        deployment_id=row.deployment_id,
        title=row.title,
        body=row.body,
        raised_at=row.raised_at,
        sent_at=row.sent_at,
        attempts=row.attempts,
        next_attempt_at=row.next_attempt_at,
        error=row.error,
    )
