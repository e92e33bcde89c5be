from __future__ import annotations

from pathlib import Path

import pytest

from algo_py.database import Database, open_database


@pytest.fixture
def database(tmp_path: Path) -> Database:
    return open_database(f"sqlite:///{tmp_path / 'algo.db'}")
