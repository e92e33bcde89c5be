from __future__ import annotations

from pathlib import Path

import pytest

from algo_py.clock import FrozenClock
from algo_py.database import Database, open_database
from algo_py.orders.journal import Journal
from tests.orders.making import BAR


@pytest.fixture
def database(tmp_path: Path) -> Database:
    return open_database(f"sqlite:///{tmp_path / 'algo.db'}")


@pytest.fixture
def journal(database: Database) -> Journal:
    return Journal(database, FrozenClock(BAR), deployment_id="d1", venue="test")
