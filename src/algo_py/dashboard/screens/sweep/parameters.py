"""The fields of the parameters: each has one value, or values to try."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

import streamlit as st

from algo_py.dashboard.components.parameter_form import ParameterField, parameter_input
from algo_py.dashboard.screens.sweep.ranges import Range, suggested_range
from algo_py.errors import InvalidInput

# So many of the parameters that can be searched are, until a person chooses others.
_SEARCHED_FIRST = 2


@dataclass(frozen=True, slots=True)
class Parameters:
    """What a person has chosen: fixed values, and for the others what builds their values or refuses them."""

    fixed: dict[str, Any] = field(default_factory=dict)
    searched: dict[str, Callable[[], list[Any]]] = field(default_factory=dict)

    def grid(self) -> dict[str, list[Any]]:
        """Return the values of each parameter that is searched; a sweep without any is refused."""
        if not self.searched:
            raise InvalidInput("a sweep must search at least one parameter", remedy="Tick one, or run a backtest instead.")
        return {name: values() for name, values in self.searched.items()}


def parameters_form(fields: Sequence[ParameterField], *, key: str) -> Parameters:
    """Show the fields; at first the first two numbers are searched, around their defaults."""
    chosen = Parameters()
    if not fields:
        st.caption("This strategy has no parameters.")
    left_to_search = _SEARCHED_FIRST
    for one in fields:
        suggestion = suggested_range(one)
        is_first = suggestion is not None and left_to_search > 0
        left_to_search -= is_first
        if one.kind == "text":
            _keep(chosen, one, parameter_input(one, key=f"{key}.{one.name}"))
        elif st.checkbox(
            f"Search {one.label.lower()}", value=is_first, key=f"{key}.search.{one.name}", help=one.help, persist_state="session"
        ):
            chosen.searched[one.name] = _searched(one, suggestion, key=f"{key}.{one.name}")
        else:
            _keep(chosen, one, parameter_input(one, key=f"{key}.{one.name}"))
    return chosen


def _keep(chosen: Parameters, one: ParameterField, value: Any) -> None:
    if value is not None or one.may_be_empty:
        chosen.fixed[one.name] = value


def _searched(one: ParameterField, suggestion: Range | None, *, key: str) -> Callable[[], list[Any]]:
    if one.kind in ("integer", "number"):
        return _range(one, suggestion or Range(0 if one.minimum is None else one.minimum, one.maximum or 1, 1), key=key)
    options = [False, True] if one.kind == "boolean" else list(one.choices)
    picked = st.multiselect(
        f"{one.label} values", options, default=options, format_func=str, key=f"{key}.values", persist_state="session"
    )

    def values() -> list[Any]:
        if not picked:
            raise InvalidInput(f"{one.name} must have at least one value to try (has none)")
        return picked

    return values


def _range(one: ParameterField, suggestion: Range, *, key: str) -> Callable[[], list[Any]]:
    convert = int if one.kind == "integer" else float

    def number(place: Any, word: str, value: float) -> float:
        found: float | None = place.number_input(
            f"{one.label} {word}",
            value=convert(value),
            step=convert(suggestion.step) if word != "step" else None,
            format=None if one.kind == "integer" else "%.12g",
            key=f"{key}.{word}",
            persist_state="session",
        )
        return convert(value) if found is None else found

    left, middle, right = st.columns(3)
    chosen = Range(
        number(left, "from", suggestion.first), number(middle, "to", suggestion.last), number(right, "step", suggestion.step)
    )
    return lambda: chosen.values(one.name, whole=one.kind == "integer")
