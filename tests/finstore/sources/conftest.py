"""The sources that keep the contract: whatever the `harness_*` modules of this folder list."""

from __future__ import annotations

from collections.abc import Iterator
from importlib import import_module
from pathlib import Path

import pytest

pytest.register_assert_rewrite("tests.finstore.sources.contract")

from tests.finstore.sources.harness import Build, Harness  # noqa: E402 - the line above must come first


def _builds() -> dict[str, Build]:
    modules = sorted(file.stem for file in Path(__file__).parent.glob("harness_*.py"))
    return {
        name: build for module in modules for name, build in import_module(f"tests.finstore.sources.{module}").HARNESSES.items()
    }


@pytest.fixture(params=sorted(_builds()))
def harness(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Harness]:
    """Each source in turn, with limits of its own."""
    with _builds()[request.param](tmp_path / "limits") as harness:
        yield harness
