from __future__ import annotations

import importlib
import subprocess
import sys
from pathlib import Path

import pytest
import sqlalchemy as sa

from algo_py.database import SCHEMA_HEAD, Database, metadata, open_database, schema_version
from algo_py.errors import Damaged


@pytest.fixture
def url(tmp_path: Path) -> str:
    return f"sqlite:///{tmp_path / 'database' / 'algo.db'}"


def test_the_migrations_make_just_the_tables_that_the_rooms_declare(url: str) -> None:
    for room in ("orders", "oms", "deployment"):
        importlib.import_module(f"algo_py.{room}.tables")
    database = open_database(url)
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
            assert {tuple(found["column_names"]) for found in inspector.get_indexes(name)} == indexed


def test_opening_again_changes_nothing(url: str) -> None:
    open_database(url)
    assert schema_version(open_database(url)) == SCHEMA_HEAD


def test_a_newer_schema_is_refused_by_name(url: str) -> None:
    database = open_database(url)
    with database.write() as connection:
        connection.execute(sa.text("UPDATE alembic_version SET version_num = '9999'"))
    with pytest.raises(Damaged, match=r"schema 9999, this program knows up to .*newer Algo\.Py"):
        open_database(url)


def test_processes_that_open_a_new_database_at_once_agree(url: str) -> None:
    code = f"from algo_py.database import open_database; open_database({url!r})"
    processes = [subprocess.Popen([sys.executable, "-c", code], stderr=subprocess.PIPE) for _ in range(4)]
    for process in processes:
        _, complaint = process.communicate(timeout=60)
        assert process.returncode == 0, complaint.decode()


def test_a_reader_sees_one_state_while_another_writes(url: str) -> None:
    database = open_database(url)
    with database.write() as connection:
        connection.execute(sa.text("CREATE TABLE numbers (n INTEGER)"))
    count = sa.text("SELECT count(*) FROM numbers")
    with database.read() as reader:
        assert reader.execute(count).scalar() == 0
        with Database(url).write() as writer:
            writer.execute(sa.text("INSERT INTO numbers VALUES (1)"))
        assert reader.execute(count).scalar() == 0
    with database.read() as reader:
        assert reader.execute(count).scalar() == 1


@pytest.mark.parametrize(("durable", "expected"), [(True, 2), (False, 1)])
def test_orders_are_synchronous_and_heartbeats_are_not(url: str, durable: bool, expected: int) -> None:
    with open_database(url).write(durable=durable) as connection:
        assert connection.execute(sa.text("PRAGMA synchronous")).scalar() == expected
        assert connection.execute(sa.text("PRAGMA journal_mode")).scalar() == "wal"
