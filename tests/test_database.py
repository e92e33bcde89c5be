"""What the database promises, on SQLite and on PostgreSQL alike. What is PostgreSQL's alone stands in test_postgresql.py."""

from __future__ import annotations

import importlib
import os
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from decimal import Decimal

import pytest
import sqlalchemy as sa

from algo_py.database import SCHEMA_HEAD, Amount, Database, Moment, metadata, open_database, schema_version
from algo_py.errors import Conflict, Damaged, Refused
from algo_py.orders.tables import order_events
from tests.finstore.processes import in_a_child

Open = Callable[..., Database]

COUNT = sa.text("SELECT count(*) FROM numbers")
VALUE = sa.text("SELECT n FROM numbers")


@pytest.fixture
def connect(database_url: str) -> Iterator[Open]:
    """Build further databases on the same URL; all are closed at the end."""
    opened: list[Database] = []

    def build(*, lock_timeout_s: float = 30.0) -> Database:
        opened.append(Database(database_url, lock_timeout_s=lock_timeout_s))
        return opened[-1]

    yield build
    for database in opened:
        database.close()


@pytest.fixture
def database(database_url: str) -> Iterator[Database]:
    database = open_database(database_url)
    yield database
    database.close()


@pytest.fixture
def numbers(database: Database) -> Database:
    """The database with one more table; it holds one row, 0."""
    with database.write() as connection:
        connection.execute(sa.text("CREATE TABLE numbers (n INTEGER)"))
        connection.execute(sa.text("INSERT INTO numbers VALUES (0)"))
    return database


def test_the_migrations_make_just_the_tables_that_the_rooms_declare(database: Database) -> None:
    for module in ("orders.tables", "oms.tables", "oms.telegram.tables", "deployment.tables"):
        importlib.import_module(f"algo_py.{module}")
    assert schema_version(database) == SCHEMA_HEAD
    with database.read() as connection:
        inspector = sa.inspect(connection)
        assert set(inspector.get_table_names()) - {"alembic_version"} == set(metadata.tables)
        for name, table in metadata.tables.items():
            declared = {column.name: bool(column.nullable) for column in table.columns}
            assert {column["name"]: column["nullable"] for column in inspector.get_columns(name)} == declared
            assert set(inspector.get_pk_constraint(name)["constrained_columns"]) == {c.name for c in table.primary_key}
            unique = {tuple(c.name for c in k.columns) for k in table.constraints if isinstance(k, sa.UniqueConstraint)}
            assert {tuple(found["column_names"]) for found in inspector.get_unique_constraints(name)} == unique
            indexed = {tuple(column.name for column in index.columns) for index in table.indexes}
            # PostgreSQL lists the indexes of unique constraints too, and says so.
            found_indexes = [index for index in inspector.get_indexes(name) if "duplicates_constraint" not in index]
            assert {tuple(found["column_names"]) for found in found_indexes} == indexed


def test_opening_again_changes_nothing(database: Database, database_url: str) -> None:
    again = open_database(database_url)
    assert schema_version(again) == SCHEMA_HEAD
    again.close()


def test_a_newer_schema_is_refused_by_name(database: Database, database_url: str) -> None:
    with database.write() as connection:
        connection.execute(sa.text("UPDATE alembic_version SET version_num = '9999'"))
    with pytest.raises(Damaged, match=r"schema 9999, this program knows up to .*newer Algo\.Py"):
        open_database(database_url)


def test_processes_that_open_a_new_database_at_once_agree(database_url: str) -> None:
    code = f"from algo_py.database import open_database, schema_version; print(schema_version(open_database({database_url!r})))"
    with running(code, processes=4) as outputs:
        assert outputs == [SCHEMA_HEAD] * 4


def test_a_reader_sees_one_state_while_another_writes(numbers: Database, connect: Open) -> None:
    with numbers.read() as reader:
        assert reader.execute(COUNT).scalar() == 1
        with connect().write() as writer:
            writer.execute(sa.text("INSERT INTO numbers VALUES (1)"))
        assert reader.execute(COUNT).scalar() == 1
    with numbers.read() as reader:
        assert reader.execute(COUNT).scalar() == 2


def test_a_reader_does_not_wait_for_a_writer_and_sees_nothing_unfinished(numbers: Database, connect: Open) -> None:
    with numbers.write() as writer:
        writer.execute(sa.text("UPDATE numbers SET n = 1"))
        with connect(lock_timeout_s=0.1).read() as reader:
            assert reader.execute(VALUE).scalar() == 0


def test_an_error_undoes_the_whole_transaction(numbers: Database) -> None:
    def fail() -> None:
        with numbers.write() as connection:
            connection.execute(sa.text("UPDATE numbers SET n = 1"))
            connection.execute(sa.text("CREATE TABLE more (n INTEGER)"))
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        fail()
    with numbers.read() as connection:
        assert connection.execute(VALUE).scalar() == 0
        assert not sa.inspect(connection).has_table("more")


def test_a_refused_statement_undoes_the_whole_transaction(database: Database) -> None:
    values = {"client_order_id": "unknown", "at": datetime(2026, 1, 1, tzinfo=UTC), "status": "PLANNED", "reason": ""}
    with pytest.raises(sa.exc.IntegrityError), database.write() as connection:
        connection.execute(order_events.insert().values(**values))
    with database.read() as connection:
        assert connection.execute(sa.select(sa.func.count()).select_from(order_events)).scalar() == 0


@pytest.mark.parametrize("durable", [True, False])
def test_writes_follow_one_another(numbers: Database, connect: Open, durable: bool) -> None:
    """What callers rely on: read, think, write, and nobody has written in between."""
    second_has_begun, second_is_done = threading.Event(), threading.Event()

    def second() -> None:
        second_has_begun.set()
        with connect().write(durable=durable) as connection:
            read = connection.execute(VALUE).scalar_one()
            connection.execute(sa.text("UPDATE numbers SET n = :n"), {"n": read + 1})
        second_is_done.set()

    other = threading.Thread(target=second)
    with numbers.write(durable=durable) as connection:
        read = connection.execute(VALUE).scalar_one()
        other.start()
        second_has_begun.wait(10)
        assert not second_is_done.wait(0.3)
        connection.execute(sa.text("UPDATE numbers SET n = :n"), {"n": read + 1})
    other.join(10)
    with numbers.read() as connection:
        assert connection.execute(VALUE).scalar() == 2


def test_no_update_of_any_process_is_lost(numbers: Database, database_url: str) -> None:
    code = f"""
import sqlalchemy as sa
from algo_py.database import Database
database = Database({database_url!r})
for turn in range(40):
    with database.write(durable=bool(turn % 2)) as connection:
        n = connection.execute(sa.text("SELECT max(n) FROM numbers")).scalar_one()
        connection.execute(sa.text("INSERT INTO numbers VALUES (:n)"), {{"n": n + 1}})
"""
    with running(code, processes=3), numbers.read() as connection:
        found = connection.execute(sa.text("SELECT n FROM numbers ORDER BY n")).scalars().all()
    assert found == list(range(121))


def test_a_writer_that_waits_in_vain_says_so_and_can_try_again(numbers: Database, connect: Open) -> None:
    impatient = connect(lock_timeout_s=0.2)
    with (
        numbers.write() as connection,
        pytest.raises(Conflict, match=rf"locked by another process for \d+\.\d s \(asked by process {os.getpid()}\).*Try again"),
        impatient.write(),
    ):
        raise AssertionError("a second writer came in")
    with impatient.write() as connection:
        connection.execute(sa.text("UPDATE numbers SET n = 5"))
    with numbers.read() as connection:
        assert connection.execute(VALUE).scalar() == 5


def test_a_writer_that_is_killed_leaves_nothing_behind_and_holds_nobody_up(numbers: Database, database_url: str) -> None:
    code = f"""
import os, signal
import sqlalchemy as sa
from algo_py.database import Database
with Database({database_url!r}).write() as connection:
    connection.execute(sa.text("UPDATE numbers SET n = 7"))
    os.kill(os.getpid(), signal.SIGKILL)
"""
    with running(code, processes=1, exit_code=-9), numbers.write() as connection:
        assert connection.execute(VALUE).scalar() == 0


def test_a_fork_leaves_the_parents_connection_alone(numbers: Database, database_url: str) -> None:
    """Nobody tells the child to forget. It may connect anew where the engine bears that; see test_sqlite.py where not."""
    with numbers.write() as connection:
        connection.execute(sa.text("UPDATE numbers SET n = 1"))

    def work() -> str:
        try:
            with numbers.write() as connection:
                connection.execute(sa.text("UPDATE numbers SET n = n + 1"))
        except Refused:
            return "refused"
        return "done"

    is_sqlite = database_url.startswith("sqlite")
    assert in_a_child(work) == ("refused" if is_sqlite else "done")
    with numbers.write() as connection:
        assert connection.execute(VALUE).scalar() == (1 if is_sqlite else 2)


def test_amounts_and_moments_come_back_as_they_went_in(database: Database) -> None:
    table = sa.Table("kept", sa.MetaData(), sa.Column("amount", Amount), sa.Column("moment", Moment))
    amounts = [Decimal("0.1"), Decimal("1E-18"), Decimal("123456789012345678901234567890.000000000000000001"), None]
    moment = datetime(2026, 3, 1, 5, 30, 0, 1, tzinfo=UTC)
    with database.write() as connection:
        table.create(connection)
        for amount in amounts:
            connection.execute(table.insert().values(amount=amount, moment=moment if amount else None))
    with database.read() as connection:
        rows = connection.execute(sa.select(table)).all()
    assert [row.amount for row in rows] == amounts
    assert [row.moment for row in rows] == [moment, moment, moment, None]


def test_the_database_sorts_and_compares_moments_as_moments(database: Database) -> None:
    table = sa.Table("moments", sa.MetaData(), sa.Column("moment", Moment))
    steps = [timedelta(), timedelta(microseconds=1), timedelta(milliseconds=100), timedelta(seconds=59), timedelta(hours=23)]
    days = [datetime(1999, 12, 31, tzinfo=UTC), datetime(2026, 2, 9, tzinfo=UTC), datetime(2026, 10, 1, tzinfo=UTC)]
    moments = [day + step for day in days for step in steps]
    with database.write() as connection:
        table.create(connection)
        connection.execute(table.insert(), [{"moment": moment} for moment in reversed(moments)])
    with database.read() as connection:
        assert connection.execute(sa.select(table).order_by(table.c.moment)).scalars().all() == moments
        for number, moment in enumerate(moments):
            later = sa.select(sa.func.count()).select_from(table).where(table.c.moment >= moment)
            assert connection.execute(later).scalar() == len(moments) - number


@contextmanager
def running(code: str, *, processes: int, exit_code: int = 0) -> Iterator[list[str]]:
    """Run code in several processes that begin at the same moment, wait for their ends, and yield what they printed."""
    prepare = "import sys, alembic.command, algo_py.database, psycopg; print('ready', flush=True); exec(sys.stdin.read())"
    started = [
        subprocess.Popen(
            [sys.executable, "-c", prepare], stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
        )
        for _ in range(processes)
    ]
    for process in started:
        assert process.stdout is not None
        assert process.stdout.readline() == "ready\n"
    for process in started:
        assert process.stdin is not None
        process.stdin.write(code)
        process.stdin.close()
        process.stdin = None  # so that `communicate` does not try to write
    outputs = []
    for process in started:
        output, complaint = process.communicate(timeout=60)
        assert process.returncode == exit_code, complaint
        outputs.append(output.strip())
    yield outputs
