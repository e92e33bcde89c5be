"""The database: how a transaction is opened, what moments and amounts look like in it, and how its schema grows.

One SQLite file in WAL mode (`algo_py.sqlite`), or a PostgreSQL (`algo_py.postgresql`). Both promise the same: readers never wait
and see one state, writers follow one another. Rooms define their tables on `metadata`; the schema on disk is made by the
migrations alone.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import AbstractContextManager, ExitStack, contextmanager, nullcontext
from datetime import UTC, datetime
from decimal import Decimal
from pathlib import Path
from typing import Any
from weakref import WeakSet

import sqlalchemy as sa
from filelock import FileLock, Timeout
from pydantic import SecretStr
from sqlalchemy.engine import URL, Connection, make_url

from algo_py import postgresql, sqlite
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
    """Transactions on one database. Cheap to build; safe to use from several threads.

    A writer waits for others at most `lock_timeout_s`, then raises Conflict. Raises DatabaseDown where a transaction meets a
    server that does not answer. When that happens at a commit, nobody knows whether it took place: what is written must bear
    being written again. Raises DatabaseReplaced from the moment on at which the SQLite file is not the one that was opened.

    A forked process begins without connections. It can open a PostgreSQL again, but not a SQLite file that was open at the fork:
    that is Refused.
    """

    def __init__(self, url: str | SecretStr | URL, *, lock_timeout_s: float = LOCK_TIMEOUT_S) -> None:
        parsed = _parse(url)
        self._file = sqlite.File(parsed.database) if parsed.drivername == "sqlite" else None
        if self._file is not None:
            self._engine = sqlite.make_engine(parsed, self._file, lock_timeout_s=lock_timeout_s)
        else:
            self._engine = postgresql.make_engine(parsed, lock_timeout_s=lock_timeout_s)
        _databases.add(self)

    @property
    def driver(self) -> str:
        """The module that connects, which takes a while to import."""
        return "psycopg" if self._file is None else "sqlite3"

    @contextmanager
    def read(self) -> Iterator[Connection]:
        """Open a transaction that sees one consistent state and writes nothing."""
        with self._engine.connect() as connection:
            if self._file is None:
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
            if self._file is not None:
                self._file.check(connection)  # before anybody acts on what is said to be recorded

    def close(self) -> None:
        """Close all connections; the object can be used again afterwards."""
        self._engine.dispose()

    def forget(self) -> None:
        """Drop all connections without touching them. In a forked child it is done to every database: they are the parent's."""
        self._engine.dispose(close=False)


_databases: WeakSet[Database] = WeakSet()


def _forget_all() -> None:
    for database in list(_databases):
        database.forget()


os.register_at_fork(after_in_child=_forget_all)


def open_database(url: str | SecretStr | URL, *, lock_timeout_s: float = LOCK_TIMEOUT_S) -> Database:
    """Open the database at `url`, creating its tables and bringing its schema up to date where needed.

    A SQLite file is created too; a PostgreSQL database must be there. Its URL holds a password and is never shown. Raises
    InvalidInput for a URL that cannot be used, Damaged for a newer schema, Conflict, DatabaseDown.
    """
    parsed = _parse(url)
    one_at_a_time: AbstractContextManager[Any] = nullcontext()  # PostgreSQL has its write lock from the start
    if parsed.drivername == "sqlite" and parsed.database:
        Path(parsed.database).parent.mkdir(parents=True, exist_ok=True)
        one_at_a_time = _migrating(f"{parsed.database}.migrate.lock", timeout_s=lock_timeout_s)
    with ExitStack() as undo:
        database = Database(url, lock_timeout_s=lock_timeout_s)
        undo.callback(database.close)
        if schema_version(database) != SCHEMA_HEAD:
            with one_at_a_time:
                migrate(database)
        undo.pop_all()
    return database


@contextmanager
def _migrating(lock: str, *, timeout_s: float) -> Iterator[None]:
    try:
        held = FileLock(lock).acquire(timeout=timeout_s)
    except Timeout:
        raise Conflict(
            f"another process has been bringing the database up to date for {timeout_s:g} s (asked by process {os.getpid()})",
            remedy="Try again; if it stays so, look for a stopped process that holds " + lock,
        ) from None
    with held:
        yield


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
    # Options are interpolated: a % in the path would be taken for one.
    config.set_main_option("script_location", str(Path(__file__).parent / "migrations").replace("%", "%%"))
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


def sqlite_url(path: Path) -> URL:
    """Return the URL of a SQLite file, in parts: as text, a name with ? or % would be another file's."""
    return URL.create("sqlite", database=str(path))


def _parse(url: str | SecretStr | URL) -> URL:
    """Return the parts of a URL, which hide the password when shown. What cannot be read may be all password: it is not shown."""
    if isinstance(url, URL):
        return url
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
