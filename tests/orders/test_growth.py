"""The work of a run with the journal is the same however much lies behind it: statements, and steps of the database itself."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import sqlalchemy as sa

from algo_py.database import Database, open_database
from algo_py.orders.records import orders_of
from tests.orders.long_ledger import ID, Work, remember

# SQLite calls back after so many steps of its machine; a row that is looked at, returned or not, takes several.
_STEPS = 10


class Count:
    """What a piece of work cost: statements, and tens of steps inside SQLite."""

    def __init__(self) -> None:
        self.statements = self.steps = 0

    def step(self) -> int:
        self.steps += 1
        return 0


@contextmanager
def counted(database: Database) -> Iterator[Count]:
    """Count the work of every connection of a database."""
    count, engine = Count(), database._engine

    def watch(dbapi_connection: Any, *_: object) -> None:
        dbapi_connection.set_progress_handler(count.step, _STEPS)

    def told(*_: object) -> None:
        count.statements += 1

    database.close()  # connections that are opened from now on are watched
    sa.event.listen(engine, "connect", watch)
    sa.event.listen(engine, "before_cursor_execute", told)
    try:
        yield count
    finally:
        sa.event.remove(engine, "connect", watch)
        sa.event.remove(engine, "before_cursor_execute", told)
        database.close()


def _cost(folder: Path, fills: int) -> Count:
    database = open_database(f"sqlite:///{folder / f'{fills}.db'}")
    remember(database, fills)
    work = Work(database)
    work.begin()
    with counted(database) as count:
        work.do()
    database.close()
    return count


def test_a_run_costs_the_same_after_a_thousand_fills_and_after_twenty_thousand(tmp_path: Path) -> None:
    young, old = (_cost(tmp_path, fills) for fills in (1_000, 20_000))
    assert young.statements > 50
    assert old.statements == young.statements
    assert old.steps <= young.steps * 1.05 + 5, "something looks at rows of the past"


def test_looking_at_all_orders_would_be_seen(tmp_path: Path) -> None:
    """The negative control."""
    database = open_database(f"sqlite:///{tmp_path / 'all.db'}")
    remember(database, 1_000)
    with counted(database) as count:
        orders_of(database, ID)
    assert count.steps > 1_000
    database.close()
