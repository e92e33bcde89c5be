from __future__ import annotations

from collections.abc import Iterator

import pytest

from algo_py.database import Database, open_database


@pytest.fixture
def database(database_url: str) -> Iterator[Database]:
    database = open_database(database_url)
    yield database
    database.close()
