from __future__ import annotations

from collections.abc import Iterator

import pytest

from algo_py.clock import FrozenClock
from algo_py.database import Database
from algo_py.orders.journal import Journal
from tests.orders.making import BAR


@pytest.fixture
def database(url_with_tables: str) -> Iterator[Database]:
    database = Database(url_with_tables)
    yield database
    database.close()


@pytest.fixture
def journal(database: Database) -> Journal:
    return Journal(database, FrozenClock(BAR), deployment_id="d1", venue="test")
