from __future__ import annotations

from collections.abc import Iterator

import pytest

from algo_py.database import Database


@pytest.fixture
def database(url_with_tables: str) -> Iterator[Database]:
    database = Database(url_with_tables)
    yield database
    database.close()
