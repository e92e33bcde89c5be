"""Every code block of docs/engine.md runs."""

from __future__ import annotations

import re
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from algo_py.engine import PortfolioConfig
from algo_py.market import Instrument

from .tables import day, denials, filled, fills, session, trade

PAGE = Path(__file__).parents[2] / "docs" / "engine.md"


def blocks() -> list[Any]:
    """Return the page's code blocks, named by the heading above each."""
    found, heading = [], ""
    for part in re.split(r"^(## .*)$", PAGE.read_text(encoding="utf-8"), flags=re.MULTILINE):
        if part.startswith("## "):
            heading = part[3:]
        found += [pytest.param(code, id=heading) for code in re.findall(r"^```python\n(.*?)^```", part, re.DOTALL | re.MULTILINE)]
    return found


@pytest.mark.parametrize("code", blocks())
def test_the_example_is_true(code: str) -> None:
    names: dict[str, Any] = {"trade": trade, "fills": fills, "denials": denials, "day": day, "PortfolioConfig": PortfolioConfig}
    names |= {"session": session, "filled": filled}
    exec(compile(code, str(PAGE), "exec"), {**names, "Instrument": Instrument, "Decimal": Decimal})


def test_every_rule_has_an_example() -> None:
    headings = {param.id for param in blocks()}
    assert {heading.split(".")[0] for heading in headings if heading[0].isdigit()} == {str(n) for n in range(1, 13)}
