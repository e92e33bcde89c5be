"""What tests of several rooms share."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from algo_py.finstore import FinStore
from algo_py.finstore.sample import install_sample
from tests.databases import with_tables
from tests.postgresql import PostgresServer, postgres_server


@pytest.fixture(scope="session")
def sample_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A FinStore folder with the sample bars; copy it, do not write to it."""
    root = tmp_path_factory.mktemp("sample")
    install_sample(FinStore(root))
    return root


@pytest.fixture(scope="session")
def postgresql() -> Iterator[PostgresServer]:
    """One PostgreSQL server for all tests of this process; started by the first that asks for it."""
    with postgres_server() as server:
        yield server


@pytest.fixture(params=["sqlite", "postgresql"])
def database_url(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[str]:
    """The URL of a database that is this test's own and still without tables: the test runs once on each engine."""
    if request.param == "sqlite":
        yield f"sqlite:///{tmp_path / 'database' / 'algo.db'}"
        return
    server: PostgresServer = request.getfixturevalue("postgresql")
    with server.database() as url:
        yield url


@pytest.fixture(params=["sqlite", "postgresql"])
def url_with_tables(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[str]:
    """The URL of a database of this test's own that has all tables and no rows: the test runs once on each engine."""
    if request.param == "sqlite":
        yield with_tables(tmp_path / "database" / "algo.db")
        return
    server: PostgresServer = request.getfixturevalue("postgresql")
    with server.database(template=server.with_tables()) as url:
        yield url
