"""The kill switch: who must not send orders, and why. Read from the database before each submit."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final

import sqlalchemy as sa

from algo_py.database import Database
from algo_py.orders.tables import halts

ALL: Final = "all"


@dataclass(frozen=True, slots=True, kw_only=True)
class Halt:
    """`scope` is a deployment's id or `all`; `by` is who did it: a person, or the name of a limit."""

    scope: str
    reason: str
    by: str
    at: datetime


def halt(database: Database, scope: str, *, reason: str, by: str, at: datetime) -> None:
    """Stop a deployment, or all, from sending orders. What halted it first stays on record until it is resumed."""
    with database.write() as connection:
        known = connection.execute(sa.select(halts.c.scope).where(halts.c.scope == scope)).scalar()
        if known is None:
            connection.execute(halts.insert().values(scope=scope, reason=reason, by=by, at=at))


def resume(database: Database, scope: str) -> bool:
    """Let orders be sent again; False when it was not halted. A halt of all is not lifted by resuming one."""
    with database.write() as connection:
        return bool(connection.execute(halts.delete().where(halts.c.scope == scope)).rowcount)


def halt_of(database: Database, deployment_id: str) -> Halt | None:
    """Return what keeps a deployment from sending orders, the halt of all first; None when nothing does."""
    query = sa.select(halts).where(halts.c.scope.in_([ALL, deployment_id]))
    with database.read() as connection:
        found = {row.scope: _halt(row) for row in connection.execute(query)}
    return found.get(ALL) or found.get(deployment_id)


def all_halts(database: Database) -> dict[str, Halt]:
    """Return every halt by its scope."""
    with database.read() as connection:
        return {row.scope: _halt(row) for row in connection.execute(sa.select(halts))}


def _halt(row: Any) -> Halt:
    return Halt(scope=row.scope, reason=row.reason, by=row.by, at=row.at)
