"""The database: how a transaction is opened, what moments and amounts look like in it, and how its schema grows.

One SQLite file in WAL mode, or a PostgreSQL (`algo_py.postgresql`). Both promise the same: readers never wait and see one state,
writers follow one another. Rooms define their tables on `metadata`; the schema on disk is made by the migrations alone.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import AbstractContextManager, ExitStack, contextmanager, nullcontext
from datetime import UTC, datetime
from decimal import Decimal
from functools import partial
from pathlib import Path
from typing import Any

import sqlalchemy as sa
from filelock import FileLock
from pydantic import SecretStr
from sqlalchemy.engine import URL, Connection, Engine, make_url

from algo_py import postgresql
from algo_py.errors import Conflict, Damaged, InvalidInput

metadata = sa.MetaData()

SCHEMA_HEAD = "0005"
LOCK_TIMEOUT_S = 30.0
_DRIVERS = frozenset({"sqlite", "postgresql", "postgresql+psycopg", "postgres"})


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
    """Transactions on one database. Cheap to build; safe to use from several threads, not across a fork.

    A writer waits for others at most `lock_timeout_s`, then raises Conflict. Raises DatabaseDown where a transaction meets a
    server that does not answer. When that happens at a commit, nobody knows whether it took place: what is written must bear
    being written again.
    """

    def __init__(self, url: str | SecretStr, *, lock_timeout_s: float = LOCK_TIMEOUT_S) -> None:
        parsed = _parse(url)
        self._is_sqlite = parsed.drivername == "sqlite"
        make_engine = _make_sqlite_engine if self._is_sqlite else postgresql.make_engine
        self._engine = make_engine(parsed, lock_timeout_s=lock_timeout_s)

    @contextmanager
    def read(self) -> Iterator[Connection]:
        """Open a transaction that sees one consistent state and writes nothing."""
        with self._engine.connect() as connection:
            if not self._is_sqlite:
                connection = connection.execution_options(**postgresql.READING)
            with connection.begin():
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


def open_database(url: str | SecretStr, *, lock_timeout_s: float = LOCK_TIMEOUT_S) -> Database:
    """Open the database at `url`, creating its tables and bringing its schema up to date where needed.

    A SQLite file is created too; a PostgreSQL database must be there. Its URL holds a password and is never shown. Raises
    InvalidInput for a URL that cannot be used, Damaged for a newer schema, DatabaseDown.
    """
    parsed = _parse(url)
    one_at_a_time: AbstractContextManager[Any] = nullcontext()
    if parsed.drivername == "sqlite" and parsed.database:
        Path(parsed.database).parent.mkdir(parents=True, exist_ok=True)
        one_at_a_time = FileLock(f"{parsed.database}.migrate.lock", timeout=60)
    with ExitStack() as undo:
        database = Database(url, lock_timeout_s=lock_timeout_s)
        undo.callback(database.close)
        if schema_version(database) != SCHEMA_HEAD:
            with one_at_a_time:
                migrate(database)
        undo.pop_all()
    return database


def schema_version(database: Database) -> str | None:
    """Return the version of the schema on disk; None where there is none yet."""
    with database.read() as connection:
        return _schema_version(connection)


def migrate(database: Database) -> None:
    """Bring the schema up to date, all of it or nothing; a schema that is newer than this program is refused.

    Others may try at the same time: the write lock lets one after the other look what is left to do.
    """
    from alembic import command
    from alembic.config import Config
    from alembic.script import ScriptDirectory
    from alembic.util.exc import CommandError

    config = Config()
    config.set_main_option("script_location", str(Path(__file__).parent / "migrations"))
    with database.write() as connection:
        current = _schema_version(connection)
        if current is not None:
            try:
                ScriptDirectory.from_config(config).get_revision(current)
            except CommandError:
                raise Damaged(
                    f"the database has schema {current}, this program knows up to {SCHEMA_HEAD}",
                    remedy="Use the newer Algo.Py that wrote it.",
                ) from None
        config.attributes["connection"] = connection
        command.upgrade(config, "head")


def _schema_version(connection: Connection) -> str | None:
    if not sa.inspect(connection).has_table("alembic_version"):
        return None
    version = connection.execute(sa.text("SELECT version_num FROM alembic_version")).scalar()
    return None if version is None else str(version)


def _parse(url: str | SecretStr) -> URL:
    """Return the parts of a URL, which hide the password when shown. What cannot be read may be all password: it is not shown."""
    text = url.get_secret_value() if isinstance(url, SecretStr) else url
    try:
        parsed = make_url(text)
    except (sa.exc.ArgumentError, ValueError):
        parsed = None
    if parsed is None or parsed.drivername not in _DRIVERS or not parsed.database:
        raise InvalidInput(
            "the database's URL cannot be used",
            remedy="Write it as postgresql://user:password@host:5432/name or sqlite:////folder/file.",
        )
    return parsed


def _make_sqlite_engine(url: URL, *, lock_timeout_s: float) -> Engine:
    engine = sa.create_engine(url)
    sa.event.listen(engine, "connect", partial(_prepare_connection, lock_timeout_s))
    sa.event.listen(engine, "begin", _begin)
    sa.event.listen(engine, "handle_error", partial(_explain_lock, lock_timeout_s))
    return engine


def _prepare_connection(lock_timeout_s: float, connection: Any, _record: Any) -> None:
    # None: transactions are opened by _begin and not by the driver, which would take the write lock late and then deadlock.
    connection.isolation_level = None
    cursor = connection.cursor()
    cursor.execute(f"PRAGMA busy_timeout={round(lock_timeout_s * 1000)}")
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


def _explain_lock(lock_timeout_s: float, context: Any) -> None:
    if isinstance(context.sqlalchemy_exception, sa.exc.OperationalError) and "locked" in str(context.original_exception):
        raise Conflict(
            f"the database was locked by another process for {lock_timeout_s:g} s (asked by process {os.getpid()})",
            remedy="Try again; if it stays so, look for a stopped process that holds it.",
        ) from context.original_exception
