"""Which values of a parameter a sweep tries: pure functions from what a person typed to values, and first suggestions."""

from __future__ import annotations

import math
from dataclasses import dataclass
from decimal import Decimal
from typing import Any, Final

from algo_py.dashboard.components.parameter_form import ParameterField
from algo_py.errors import InvalidInput

VALUES_MAX: Final = 10_000
_FIRST_VALUES = 6


@dataclass(frozen=True, slots=True)
class Range:
    """From `first` to `last`, both included where a step meets them."""

    first: float
    last: float
    step: float

    def values(self, name: str, *, whole: bool) -> list[Any]:
        """Return the values. Decimal steps are exact: 0.1 to 0.3 by 0.1 has three. What cannot be is refused by `name`."""
        first, last, step = (Decimal(repr(number)) for number in (self.first, self.last, self.step))
        if step <= 0:
            raise InvalidInput(f"the step of {name} must be above 0 (was {self.step:g})")
        if last < first:
            raise InvalidInput(f"{name} must end at {self.first:g} or above, where it begins (was {self.last:g})")
        count = int((last - first) / step) + 1
        if count > VALUES_MAX:
            raise InvalidInput(f"{name} must have at most {VALUES_MAX:,} values (was {count:,})", remedy="Use a larger step.")
        found = [first + step * place for place in range(count)]
        return [int(value) if whole else float(value) for value in found]


def suggested_range(field: ParameterField) -> Range | None:
    """Return a range around a parameter's default, within its bounds, with about six values; None without a number to go by."""
    default = field.default
    if field.kind not in ("integer", "number") or not isinstance(default, int | float) or default == 0:
        return None
    first, last = sorted((default / 2, default * 2))
    first = first if field.minimum is None else max(first, field.minimum)
    last = last if field.maximum is None else min(last, field.maximum)
    step = _tidy((last - first) / (_FIRST_VALUES - 1))
    if field.kind == "integer":
        return Range(math.ceil(first), math.floor(last), max(1, round(step)))
    return Range(first, last, step or 1.0)


def _tidy(value: float) -> float:
    return float(f"{value:.2g}")
