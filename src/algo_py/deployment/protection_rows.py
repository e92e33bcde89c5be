"""What protects each held position, as its worker last saw it: written when it changes, read by page and command line."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from decimal import Decimal
from enum import StrEnum

import sqlalchemy as sa

from algo_py.database import Database
from algo_py.deployment.tables import protection


class ProtectedBy(StrEnum):
    """What would close the position when its stop is reached."""

    VENUE_STOP = "venue_stop"  # an order that rests at the venue
    EXIT = "exit"  # it is being closed
    WORKER = "worker"  # its process looks at the price itself
    NONE = "none"


@dataclass(frozen=True, slots=True, kw_only=True)
class Protection:
    """How one position stands. is_wanted: a stop is configured for it; without one, `by` is none, and nothing is wrong."""

    symbol: str
    quantity: Decimal
    by: ProtectedBy
    is_wanted: bool
    stop_price: Decimal | None
    reason: str
    since: datetime

    @property
    def is_missing(self) -> bool:
        """Whether the position should be protected and is not."""
        return self.is_wanted and self.by is ProtectedBy.NONE

    def is_same(self, other: Protection | None) -> bool:
        """Return whether nothing but the moment differs."""
        return other is not None and _told(self) == _told(other)


def protection_of(database: Database, deployment_id: str) -> list[Protection]:
    """Return how each held position of a deployment was protected when its worker last looked."""
    query = sa.select(protection).where(protection.c.deployment_id == deployment_id).order_by(protection.c.symbol)
    with database.read() as connection:
        return [_protection(row) for row in connection.execute(query)]


def unprotected(database: Database) -> dict[str, list[Protection]]:
    """Return the positions of all deployments that should be protected and are not, by deployment."""
    query = sa.select(protection).where(protection.c.by == ProtectedBy.NONE, protection.c.is_wanted)
    found: dict[str, list[Protection]] = {}
    with database.read() as connection:
        for row in connection.execute(query):
            found.setdefault(row.deployment_id, []).append(_protection(row))
    return found


def write_protection(database: Database, deployment_id: str, rows: Sequence[Protection]) -> None:
    """Replace what is known of a deployment's positions. Not durable: after a crash of the machine its worker says it anew."""
    with database.write(durable=False) as connection:
        connection.execute(protection.delete().where(protection.c.deployment_id == deployment_id))
        for row in rows:
            connection.execute(
                protection.insert().values(
                    deployment_id=deployment_id,
                    symbol=row.symbol,
                    quantity=row.quantity,
                    by=row.by,
                    is_wanted=row.is_wanted,
                    stop_price=row.stop_price,
                    reason=row.reason,
                    since=row.since,
                )
            )


def leave_unwatched(database: Database, deployment_id: str, *, reason: str, at: datetime) -> list[Protection]:
    """Record that nobody looks at the positions which a process was to look after itself: it does not reach its venue, and
    `reason` says why. Return those that are newly without protection; stops that rest at the venue go on resting."""
    rows = protection_of(database, deployment_id)
    left = {
        one.symbol: replace(one, by=ProtectedBy.NONE, reason=f"nobody looks at its price: {reason}", since=at)
        for one in rows
        if one.by in (ProtectedBy.WORKER, ProtectedBy.EXIT)
    }
    if left:
        write_protection(database, deployment_id, [left.get(one.symbol, one) for one in rows])
    return [one for one in left.values() if one.is_missing]


def _told(one: Protection) -> tuple[object, ...]:
    return one.symbol, one.quantity, one.by, one.is_wanted, one.stop_price, one.reason


def _protection(row: sa.Row[tuple[object, ...]]) -> Protection:
    return Protection(
        symbol=row.symbol,
        quantity=row.quantity,
        by=ProtectedBy(row.by),
        is_wanted=row.is_wanted,
        stop_price=row.stop_price,
        reason=row.reason,
        since=row.since,
    )
