"""The OMS that keep the contract: whatever the `harness_*` modules of this folder list."""

from __future__ import annotations

from collections.abc import Iterator
from importlib import import_module
from pathlib import Path

import pytest

from tests.oms.contract.harness import Build, Harness


def _builds() -> dict[str, Build]:
    modules = sorted(file.stem for file in Path(__file__).parent.glob("harness_*.py"))
    return {name: build for module in modules for name, build in import_module(f"tests.oms.contract.{module}").HARNESSES.items()}


@pytest.fixture(params=sorted(_builds()))
def harness(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Harness]:
    """Each OMS in turn, with a venue of its own."""
    with _builds()[request.param](tmp_path) as harness:
        yield harness
