"""A store in a temporary folder."""

from __future__ import annotations

from pathlib import Path

import pytest

from algo_py.finstore import FinStore


@pytest.fixture
def store(tmp_path: Path) -> FinStore:
    """An empty store."""
    return FinStore(tmp_path / "finstore")
