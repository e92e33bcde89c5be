"""What a person should be told at once, kept in the database until it has been sent.

Whoever notices something raises an alert and goes on; sending takes place in a process of its own. The key says what an alert is
about: the same thing is told once, however often it is noticed.
"""

from __future__ import annotations

from datetime import datetime
from enum import StrEnum

import sqlalchemy as sa

from algo_py.database import Database
from algo_py.deployment.tables import alerts


class AlertKind(StrEnum):
    """Why a person is called."""

    ERROR = "error"  # a deployment has ended because it could not go on
    HALTED = "halted"
    CRASH_LOOP = "crash_loop"
    STALLED = "stalled"
    REJECTED = "rejected"  # an order that the venue refused
    MISSED_RUNS = "missed_runs"
    RUN_FAILED = "run_failed"
    SUMMARY = "summary"


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
