"""The database: how a transaction is opened, what moments and amounts look like in it, and how its schema grows.

One SQLite file in WAL mode: readers never wait, one writer at a time. Rooms define their tables on `metadata`; the schema on
disk is made by the migrations alone.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from decimal import Decimal
from pathlib import Path
from typing import Any

import sqlalchemy as sa
from filelock import FileLock
from sqlalchemy.engine import Connection, Engine, make_url

from algo_py.errors import Conflict, Damaged

metadata = sa.MetaData()

SCHEMA_HEAD = "0001"
_BUSY_TIMEOUT_S = 30


class Moment(sa.types.TypeDecorator[datetime]):
    """An aware moment, stored as ISO 8601 text in UTC with microseconds, so that texts sort as moments do."""

    impl = sa.String(32)
    cache_ok = True

    def process_bind_param(self, value: datetime | None, dialect: Any) -> str | None:
        return None if value is None else value.astimezone(UTC).isoformat(timespec="microseconds")

    def process_result_value(self, value: str | None, dialect: Any) -> datetime | None:
        return None if value is None else datetime.fromisoformat(value)


class Amount(sa.types.TypeDecorator[Decimal]):
    """A Decimal, stored as text: neither SQLite's floats nor a fixed scale may round it."""

    impl = sa.String(64)
    cache_ok = True

    def process_bind_param(self, value: Decimal | None, dialect: Any) -> str | None:
        return None if value is None else str(value)

    def process_result_value(self, value: str | None, dialect: Any) -> Decimal | None:
        return None if value is None else Decimal(value)


class Database:
    """Transactions on one database. Cheap to build; safe to use from several threads, not across a fork."""

    def __init__(self, url: str) -> None:
        self.url = url
        self._engine = _make_engine(url)

    @contextmanager
    def read(self) -> Iterator[Connection]:
        """Open a transaction that sees one consistent state and writes nothing."""
        with self._engine.connect() as connection, connection.begin():
            yield connection

    @contextmanager
    def write(self, *, durable: bool = True) -> Iterator[Connection]:
        """Open a transaction that holds the write lock from its start; committed on leaving, rolled back on an error.

        A durable commit has reached the disk when this returns. One that is not survives a crash of the process but perhaps
        not of the machine: for heartbeats and progress, never for orders.
        """
        with self._engine.connect() as connection:
            connection = connection.execution_options(algo_write="durable" if durable else "relaxed")
            with connection.begin():
                yield connection

    def close(self) -> None:
        """Close all connections; the object can be used again afterwards."""
        self._engine.dispose()

    def forget(self) -> None:
        """Drop connections that were opened before a fork, without touching them: they belong to the parent."""
        self._engine.dispose(close=False)


def open_database(url: str) -> Database:
    """Open the database at `url`, creating it and bringing its schema up to date where needed."""
    location = make_url(url).database
    if location:
        Path(location).parent.mkdir(parents=True, exist_ok=True)
    database = Database(url)
    if schema_version(database) != SCHEMA_HEAD:
        with FileLock(f"{location}.migrate.lock", timeout=60):
            migrate(database)
    return database


def schema_version(database: Database) -> str | None:
    """Return the version of the schema on disk; None where there is none yet."""
    with database.read() as connection:
        if not sa.inspect(connection).has_table("alembic_version"):
            return None
        version = connection.execute(sa.text("SELECT version_num FROM alembic_version")).scalar()
    return None if version is None else str(version)


def migrate(database: Database) -> None:
    """Bring the schema up to date; a schema that is newer than this program is refused."""
    from alembic import command
    from alembic.config import Config
    from alembic.script import ScriptDirectory
    from alembic.util.exc import CommandError

    config = Config()
    config.set_main_option("script_location", str(Path(__file__).parent / "migrations"))
    current = schema_version(database)
    if current is not None:
        try:
            ScriptDirectory.from_config(config).get_revision(current)
        except CommandError:
            raise Damaged(
                f"the database has schema {current}, this program knows up to {SCHEMA_HEAD}",
                remedy="Use the newer Algo.Py that wrote it.",
            ) from None
    with database.write() as connection:
        config.attributes["connection"] = connection
        command.upgrade(config, "head")


def _make_engine(url: str) -> Engine:
    engine = sa.create_engine(url)
    if engine.dialect.name == "sqlite":
        sa.event.listen(engine, "connect", _prepare_connection)
        sa.event.listen(engine, "begin", _begin)
        sa.event.listen(engine, "handle_error", _explain_lock)
    return engine


def _prepare_connection(connection: Any, _record: Any) -> None:
    # None: transactions are opened by _begin and not by the driver, which would take the write lock late and then deadlock.
    connection.isolation_level = None
    cursor = connection.cursor()
    cursor.execute(f"PRAGMA busy_timeout={_BUSY_TIMEOUT_S * 1000}")
    cursor.execute("PRAGMA journal_mode=WAL")
    cursor.execute("PRAGMA foreign_keys=ON")
    cursor.close()


def _begin(connection: Connection) -> None:
    kind = connection.get_execution_options().get("algo_write")
    if kind is None:
        connection.exec_driver_sql("BEGIN")
        return
    connection.exec_driver_sql(f"PRAGMA synchronous={'FULL' if kind == 'durable' else 'NORMAL'}")
    connection.exec_driver_sql("BEGIN IMMEDIATE")


def _explain_lock(context: Any) -> None:
    if isinstance(context.sqlalchemy_exception, sa.exc.OperationalError) and "locked" in str(context.original_exception):
        raise Conflict(
            f"the database was locked by another process for {_BUSY_TIMEOUT_S} s (asked by process {os.getpid()})",
            remedy="Try again; if it stays so, look for a stopped process that holds it.",
        ) from context.original_exception
