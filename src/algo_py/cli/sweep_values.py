"""How the values of a parameter are written for a sweep: `5:50:5`, `10,20,50` or `10`."""

from __future__ import annotations

from collections.abc import Sequence
from decimal import Decimal, InvalidOperation
from typing import Final

from algo_py.errors import InvalidInput

Value = bool | int | float | str

_VALUES_MAX: Final = 10_000
_REMEDY: Final = "Write it like --param fast=5:50:5 (both ends included), --param fast=5,10,20 or --param fast=10."
_WORDS: Final = {"true": True, "false": False}


def read_grid(texts: Sequence[str]) -> dict[str, list[Value]]:
    """Read `NAME=VALUES` texts; a name may stand once."""
    grid: dict[str, list[Value]] = {}
    for text in texts:
        name, equals, values = (part.strip() for part in text.partition("="))
        if not equals or not name or not values:
            raise InvalidInput(f"--param must be NAME=VALUES (was {text!r})", remedy=_REMEDY)
        if name in grid:
            raise InvalidInput(f"--param names {name!r} twice", remedy="Give all its values at once.")
        grid[name] = read_values(name, values)
    return grid


def read_values(name: str, text: str) -> list[Value]:
    """Read the values of one parameter. Whole numbers stay whole; decimal steps are exact, so 0.1:0.3:0.1 has three values."""
    if ":" in text:
        return _range(name, text)
    parts = [part.strip() for part in text.split(",")]
    if not all(parts):
        raise InvalidInput(f"--param {name} has an empty value (was {text!r})", remedy=_REMEDY)
    return [_value(part) for part in parts]


def _range(name: str, text: str) -> list[Value]:
    try:
        first, last, step = (Decimal(part.strip()) for part in text.split(":"))
    except (ValueError, InvalidOperation):
        raise InvalidInput(f"--param {name} must be FIRST:LAST:STEP in numbers (was {text!r})", remedy=_REMEDY) from None
    if not (first.is_finite() and last.is_finite() and step.is_finite() and step > 0 and first <= last):
        raise InvalidInput(f"--param {name} must rise from FIRST to LAST by a STEP above 0 (was {text!r})", remedy=_REMEDY)
    if (last - first) / step >= _VALUES_MAX:
        raise InvalidInput(f"--param {name} must have at most {_VALUES_MAX:,} values (was {text!r})", remedy="Use a larger step.")
    values = [first + step * place for place in range(int((last - first) / step) + 1)]
    is_whole = all("." not in part and "e" not in part.lower() for part in text.split(":"))
    return [int(value) if is_whole else float(value) for value in values]


def _value(text: str) -> Value:
    if text.lower() in _WORDS:
        return _WORDS[text.lower()]
    for read in (int, float):
        try:
            return read(text)
        except ValueError:
            continue
    return text
