"""PostgreSQL as the database: how it is connected, how a transaction is opened, and what its errors mean.

A writer holds one advisory lock from its first statement to its commit, so that writes follow one another as on SQLite. Why so
and not by SERIALIZABLE stands in docs/decisions/0008-postgresql.md.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from functools import partial
from types import MappingProxyType
from typing import Any, Final

import sqlalchemy as sa
from sqlalchemy.engine import URL, Connection, Engine, ExceptionContext

from algo_py.errors import Conflict, DatabaseDown, InvalidInput, Refused

# A reader's options: the whole transaction sees the state of its first statement, and the server refuses writes.
READING: Final[Mapping[str, Any]] = MappingProxyType({"isolation_level": "REPEATABLE READ", "postgresql_readonly": True})

_DRIVER = "postgresql+psycopg"
_WRITE_LOCK = int.from_bytes(b"algo.py\0", "big")  # advisory locks are numbers; this one counts within one database
# A writer that is silent for so long has lost its machine, or somebody has stopped it: the lock is taken from it.
_SILENCE_MOST_S = 60
# libpq's own; what the URL says of them comes first. A server that vanishes is noticed within about a minute.
_CONNECTING: Mapping[str, int | str] = MappingProxyType(
    {
        "application_name": "algo-py",
        "connect_timeout": 10,
        "keepalives_idle": 30,
        "keepalives_interval": 10,
        "keepalives_count": 3,
        "tcp_user_timeout": 60_000,
    }
)
_NOT_AVAILABLE = "55P03"  # lock_not_available: after lock_timeout, since nobody asks with NOWAIT
_DEADLOCK = "40P01"  # deadlock_detected: after a time of the server's own
_FORBIDDEN = "42501"  # insufficient_privilege


def make_engine(url: URL, *, lock_timeout_s: float) -> Engine:
    """Return an engine that keeps one connection at rest; it connects when it is first used.

    Raises InvalidInput when the URL is ambiguous, Refused when the driver is not installed.
    """
    if "@" in f"{url.host} {url.database} {dict(url.query)}":
        raise InvalidInput(
            "the database's URL has more than one @",
            remedy="In its user and password write @ as %40, : as %3A, / as %2F, ? as %3F, # as %23 and % as %25.",
        )
    arguments = {name: value for name, value in _CONNECTING.items() if name not in url.query}
    try:
        engine = sa.create_engine(
            url.set(drivername=_DRIVER),
            isolation_level="READ COMMITTED",  # whatever the server's default is; see _begin
            pool_size=1,
            pool_pre_ping=True,
            connect_args=arguments,
        )
    except ModuleNotFoundError as error:
        raise Refused(
            f"the database is a PostgreSQL, and its driver is not installed ({error.name})",
            remedy="Install it: pip install 'algo-py[postgresql]'",
        ) from None
    sa.event.listen(engine, "begin", partial(_begin, lock_timeout_s))
    sa.event.listen(engine, "handle_error", partial(_explain, url, lock_timeout_s))
    return engine


def place_of(url: URL) -> str:
    """Return where a database is, for people: without user, password or options."""
    host = url.host or url.query.get("host") or "the local socket"
    return f"{url.database} at {host}" if url.port is None else f"{url.database} at {host}:{url.port}"


def _begin(lock_timeout_s: float, connection: Connection) -> None:
    """Take the write lock first. Each later statement sees what was committed before it (READ COMMITTED), and so everything
    that earlier writers did; a snapshot for the whole transaction would have been taken before the wait for the lock."""
    kind = connection.get_execution_options().get("algo_write")
    if kind is not None:
        connection.exec_driver_sql(
            f"SET LOCAL lock_timeout = {round(lock_timeout_s * 1000)};"
            f"SET LOCAL idle_in_transaction_session_timeout = '{_SILENCE_MOST_S}s';"
            f"SET LOCAL synchronous_commit = {'on' if kind == 'durable' else 'off'};"
            f"SELECT pg_advisory_xact_lock({_WRITE_LOCK})"
        )


def _explain(url: URL, lock_timeout_s: float, context: ExceptionContext) -> None:
    original = context.original_exception
    if context.is_pre_ping:
        return  # a connection that did not survive its rest: the pool replaces it
    if getattr(original, "sqlstate", None) in (_NOT_AVAILABLE, _DEADLOCK):
        is_waited = getattr(original, "sqlstate", None) == _NOT_AVAILABLE
        what = f"was locked by another process for {lock_timeout_s:.1f} s" if is_waited else "is locked by another process"
        raise Conflict(
            f"the database {what} (asked by process {os.getpid()})",
            remedy="Try again; if it stays so, look for a stopped process that holds it.",
        ) from original
    if getattr(original, "sqlstate", None) == _FORBIDDEN:
        raise Refused(
            f"the database {place_of(url)} does not allow it: {_reason(url, original)}",
            remedy="Make the user that DATABASE_URL names the owner of the database.",
        ) from original
    if context.connection is None:
        raise DatabaseDown(
            f"the database {place_of(url)} cannot be reached: {_reason(url, original)}",
            remedy="Start the server, or correct DATABASE_URL in config/.env.",
        ) from original
    if context.is_disconnect:
        raise DatabaseDown(
            f"the connection to the database {place_of(url)} was lost: {_reason(url, original)}",
            remedy="Try again when the server is back.",
        ) from original


def _reason(url: URL, original: BaseException) -> str:
    """Return the driver's words on one line. It is not known to say the password; should it ever, it does not get through."""
    words = " ".join(str(original).split())
    return words.replace(url.password, "***") if url.password else words
