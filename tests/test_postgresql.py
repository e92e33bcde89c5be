"""What only PostgreSQL has: a server that may be away, settings of its own, users, collations, a URL with a password."""

from __future__ import annotations

import os
import sys
import traceback
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta

import psycopg
import pytest
import sqlalchemy as sa
from pydantic import SecretStr

from algo_py.database import Database, open_database
from algo_py.errors import AlgoPyError, DatabaseDown, InvalidInput, Refused
from tests.postgresql import PASSWORD, USER, PostgresServer

VALUE = sa.text("SELECT n FROM numbers")
ADD = sa.text("UPDATE numbers SET n = n + 1")


@pytest.fixture
def url(postgresql: PostgresServer) -> Iterator[str]:
    with postgresql.database() as url:
        yield url


@pytest.fixture
def database(url: str) -> Iterator[Database]:
    """A database with one table of one row, 0."""
    database = Database(url)
    with database.write() as connection:
        connection.execute(sa.text("CREATE TABLE numbers (n INTEGER)"))
        connection.execute(sa.text("INSERT INTO numbers VALUES (0)"))
    yield database
    database.close()


def name_of(url: str) -> str:
    return url.rpartition("/")[2]


def settings(connection: sa.Connection) -> tuple[str, ...]:
    names = ("synchronous_commit", "lock_timeout", "idle_in_transaction_session_timeout", "transaction_isolation")
    return tuple(str(connection.execute(sa.text(f"SHOW {name}")).scalar()) for name in names)


def test_orders_are_synchronous_and_heartbeats_are_not_whatever_the_server_prefers(
    postgresql: PostgresServer, url: str, database: Database
) -> None:
    with postgresql.connect() as administrator:
        for preference in ("synchronous_commit = local", "default_transaction_isolation = serializable"):
            administrator.execute(f"ALTER DATABASE {name_of(url)} SET {preference}".encode())
    database.close()
    with database.write() as connection:
        assert settings(connection) == ("on", "30s", "1min", "read committed")
    with database.write(durable=False) as connection:
        assert settings(connection) == ("off", "30s", "1min", "read committed")
    with database.read() as connection:
        assert settings(connection) == ("local", "0", "0", "repeatable read")
    with database.write() as connection:
        assert settings(connection) == ("on", "30s", "1min", "read committed")


def test_without_the_lock_an_update_would_be_lost(url: str, database: Database) -> None:
    """The control of the tests of `write`: the server alone does not keep read-modify-write apart."""
    engine = sa.create_engine(url.replace("postgresql://", "postgresql+psycopg://"), isolation_level="READ COMMITTED")
    with engine.connect() as one, engine.connect() as two:
        both = [connection.execute(VALUE).scalar_one() for connection in (one, two)]
        for connection, read in zip((one, two), both, strict=True):
            connection.execute(sa.text("UPDATE numbers SET n = :n"), {"n": read + 1})
            connection.commit()
    engine.dispose()
    with database.read() as connection:
        assert connection.execute(VALUE).scalar() == 1


def test_a_reader_cannot_write(database: Database) -> None:
    with pytest.raises(sa.exc.DBAPIError, match="read-only transaction"), database.read() as connection:
        connection.execute(ADD)
    with database.write() as connection:
        connection.execute(ADD)


def test_moments_sort_as_moments_in_every_collation_of_the_server(url: str, database: Database) -> None:
    begin = datetime(2026, 9, 30, 23, 59, 59, 999_999, tzinfo=UTC)
    steps = (timedelta(microseconds=1), timedelta(seconds=1), timedelta(hours=10), timedelta(days=9), timedelta(days=3000))
    moments = sorted({begin, *(begin + step for step in steps), *(begin - step for step in steps)})
    texts = [moment.isoformat(timespec="microseconds") for moment in moments]
    with database.read() as connection:
        # A build without ICU lists one or two of its collations all the same; one with ICU has hundreds.
        has_icu = connection.execute(sa.text("SELECT count(*) > 10 FROM pg_collation WHERE collprovider = 'i'")).scalar()
        usable = sa.text(
            "SELECT DISTINCT collname FROM pg_collation WHERE collencoding IN (-1, pg_char_to_encoding('UTF8'))"
            " AND (collprovider <> 'i' OR :has_icu)"
        )
        for collation in connection.execute(usable, {"has_icu": has_icu}).scalars():
            rows = connection.execute(
                sa.text(f'SELECT t FROM unnest(CAST(:texts AS text[])) AS t ORDER BY t COLLATE "{collation}"'),
                {"texts": texts[::-1]},
            )
            assert rows.scalars().all() == texts, collation


def test_a_server_that_was_restarted_is_not_noticed(postgresql: PostgresServer, database: Database) -> None:
    with database.write() as connection:
        connection.execute(ADD)
    postgresql.stop()
    postgresql.start()
    with database.write() as connection:
        connection.execute(ADD)
    with database.read() as connection:
        assert connection.execute(VALUE).scalar() == 2


def test_a_server_that_is_away_is_named_with_a_remedy_and_without_the_password(
    postgresql: PostgresServer, database: Database
) -> None:
    postgresql.stop()
    try:
        for _ in range(2):
            words = r"at 127\.0\.0\.1:\d+ cannot be reached: .*refused.*Start the server"
            with pytest.raises(DatabaseDown, match=words) as caught, database.write():
                pass
            assert_no_secret(caught.value, database)
    finally:
        postgresql.start()
    with database.write() as connection:
        connection.execute(ADD)


def test_a_server_that_goes_away_during_a_transaction_is_named_too(postgresql: PostgresServer, database: Database) -> None:
    def write() -> None:
        with database.write() as connection:
            connection.execute(ADD)
            postgresql.stop()
            postgresql.start()
            connection.execute(ADD)

    with pytest.raises(DatabaseDown, match=r"was lost: .*Try again when the server is back") as caught:
        write()
    assert_no_secret(caught.value, database)
    with database.read() as connection:
        assert connection.execute(VALUE).scalar() == 0


def test_a_server_that_goes_away_at_a_commit_is_named_too(postgresql: PostgresServer, database: Database) -> None:
    def write() -> None:
        with database.write() as connection, postgresql.connect() as administrator:
            connection.execute(ADD)
            pid = connection.execute(sa.text("SELECT pg_backend_pid()")).scalar()
            administrator.execute("SELECT pg_terminate_backend(%s, 5000)", [pid])

    with pytest.raises(DatabaseDown, match="was lost"):
        write()
    with database.read() as connection:
        assert connection.execute(VALUE).scalar() == 0


def test_a_wrong_password_or_name_is_told_without_the_password(url: str) -> None:
    wrong = url.replace("any%40message", "guess")
    for changed, words in (
        (wrong, "password authentication failed"),
        (f"{url}_x", f'database "{name_of(url)}_x" does not exist'),
    ):
        database = Database(SecretStr(changed))
        with pytest.raises(DatabaseDown, match=f"{words}.*correct DATABASE_URL in config/.env") as caught, database.read():
            pass
        assert_no_secret(caught.value, database, "not/in:guess")


def test_a_user_who_may_not_create_tables_is_told_what_to_do(postgresql: PostgresServer, url: str) -> None:
    with postgresql.connect(name_of(url)) as administrator:
        administrator.execute(f"CREATE ROLE guest LOGIN PASSWORD '{PASSWORD}'".encode())
        administrator.execute("REVOKE CREATE ON SCHEMA public FROM PUBLIC")
    try:
        with pytest.raises(Refused, match=r"permission denied for schema public.*the owner of the database"):
            open_database(url.replace(f"//{USER}:", "//guest:"))
    finally:
        with postgresql.connect() as administrator:
            administrator.execute("DROP ROLE guest")


@pytest.mark.parametrize(
    "url",
    [
        "postgresql://algo:p@ssw0rd@localhost:5432/algo",
        "postgresql://algo:p@s:sw0rd@localhost/algo",
        "postgresql://algo:p@s/sw0rd@localhost/algo",
        "postgresql://algo:p@s?sw0rd@localhost/algo",
        "postgresql://algo:p@sw0rd?a=b@localhost/algo",
        "postgresql://algo:sw0rd@localhost:five/algo",
        "postgresql://algo:sw0rd@localhost",
        "mysql://algo:sw0rd@localhost/algo",
        "algo:sw0rd@localhost/algo",
        "sqlite://",
        "",
    ],
)
def test_a_url_that_cannot_be_used_is_refused_without_showing_it(url: str) -> None:
    with pytest.raises(InvalidInput, match="the database's URL") as caught:
        open_database(url)
    assert_no_secret(caught.value, None, "sw0rd")


@pytest.mark.parametrize("scheme", ["postgres", "postgresql", "postgresql+psycopg"])
def test_the_usual_spellings_of_the_scheme_are_understood(url: str, scheme: str) -> None:
    database = Database(url.replace("postgresql://", f"{scheme}://") + "?connect_timeout=3&application_name=mine")
    with database.read() as connection:
        assert connection.execute(sa.text("SHOW application_name")).scalar() == "mine"
    database.close()


def test_without_the_driver_one_is_told_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "psycopg", None)
    with pytest.raises(Refused, match=r"driver is not installed.*pip install 'algo-py\[postgresql\]'"):
        Database("postgresql://algo@localhost/algo")


def test_a_fork_does_not_end_the_parents_session(database: Database) -> None:
    session = sa.text("SELECT pg_backend_pid()")
    with database.read() as connection:
        before = connection.execute(session).scalar()
    child = os.fork()
    if child == 0:
        try:
            database.forget()
        finally:
            os._exit(0)
    os.waitpid(child, 0)
    with database.read() as connection:
        assert connection.execute(session).scalar() == before


def test_an_idle_database_holds_one_connection(postgresql: PostgresServer, url: str, database: Database) -> None:
    with database.read(), database.read(), database.read():
        pass
    with postgresql.connect() as administrator:
        count = "SELECT count(*) FROM pg_stat_activity WHERE datname = %s"
        assert one(administrator, count, name_of(url)) == 1


def test_the_lock_of_a_writer_that_is_silent_for_long_is_taken_from_it(
    postgresql: PostgresServer, url: str, database: Database
) -> None:
    """A machine that vanished cannot hold up the others. The server counts the silence; here it is told to be impatient."""
    other = Database(url, lock_timeout_s=10)

    def fall_silent() -> None:
        with database.write() as silent:
            silent.execute(ADD)
            silent.execute(sa.text("SET LOCAL idle_in_transaction_session_timeout = '200ms'"))
            with other.write() as connection:  # waits until the silent one has lost its lock
                connection.execute(ADD)
            silent.execute(ADD)

    with pytest.raises(DatabaseDown, match="was lost"):
        fall_silent()
    with other.read() as connection:
        assert connection.execute(VALUE).scalar() == 1
    other.close()


def one(connection: psycopg.Connection[tuple[object, ...]], query: str, *parameters: object) -> object:
    row = connection.execute(query.encode(), parameters).fetchone()
    assert row is not None
    return row[0]


def assert_no_secret(error: AlgoPyError, database: Database | None, password: str = PASSWORD) -> None:
    told = "".join(traceback.format_exception(error)) + repr(error) + repr(database) + repr(database and vars(database))
    for part in (password, "any%40message", "guess"):
        assert part not in told
