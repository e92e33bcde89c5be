"""A form made from a strategy's fields: one declaration gives type, default, bounds and description."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

import streamlit as st

from algo_py.strategy import Strategy

Kind = Literal["integer", "number", "boolean", "choice", "text"]

_KINDS: Mapping[str, Kind] = {"integer": "integer", "number": "number", "boolean": "boolean", "string": "text"}
_COLUMNS = 2


@dataclass(frozen=True, slots=True, kw_only=True)
class ParameterField:
    """What a form needs to know of one parameter.

    minimum and maximum are inclusive and None where there is none; `bounds` says them, exclusive ones too, in words. A field of
    no simple kind is a text, read as JSON.
    """

    name: str
    kind: Kind
    default: Any = None
    minimum: float | None = None
    maximum: float | None = None
    bounds: str = ""
    choices: tuple[Any, ...] = ()
    may_be_empty: bool = False
    is_json: bool = False
    description: str = ""

    @property
    def label(self) -> str:
        return self.name.replace("_", " ").capitalize()

    @property
    def help(self) -> str:
        return f"{self.description.rstrip('.')} ({self.bounds})".strip() if self.bounds else self.description


def fields_of(strategy_class: type[Strategy]) -> list[ParameterField]:
    """Return a strategy's parameters in the order in which they are declared."""
    schema = strategy_class.model_json_schema()
    required = schema.get("required", [])
    return [
        _field(name, _resolved(field, schema), is_required=name in required)
        for name, field in schema.get("properties", {}).items()
    ]


def fill_parameters(fields: Sequence[ParameterField], values: Mapping[str, Any], *, key: str) -> None:
    """Put values into the form before it is shown; a parameter that `values` lacks gets its default."""
    for field in fields:
        st.session_state[f"{key}.{field.name}"] = _shown(field, values.get(field.name, field.default))


def parameter_form(fields: Sequence[ParameterField], *, key: str) -> dict[str, Any]:
    """Show the form and return the values by name; what is left empty is None where that is allowed, else left out."""
    if not fields:
        st.caption("This strategy has no parameters.")
        return {}
    values: dict[str, Any] = {}
    for first in range(0, len(fields), _COLUMNS):
        for column, field in zip(st.columns(_COLUMNS), fields[first : first + _COLUMNS], strict=False):
            with column:
                value = parameter_input(field, key=f"{key}.{field.name}")
            if value is not None or field.may_be_empty:
                values[field.name] = value
    return values


def parameter_input(field: ParameterField, *, key: str) -> Any:
    """Show one parameter's field and return its value."""
    default = _shown(field, field.default)
    if field.kind == "boolean":
        return st.checkbox(field.label, value=default, key=key, help=field.help, persist_state="session")
    if field.kind == "choice":
        place = field.choices.index(default) if default in field.choices else None
        return st.selectbox(field.label, field.choices, index=place, key=key, help=field.help, persist_state="session")
    if field.kind == "text":
        return _parsed(st.text_input(field.label, value=default, key=key, help=field.help, persist_state="session"), field)
    if field.may_be_empty and key not in st.session_state:
        st.session_state[key] = default  # a field whose own default is empty can be emptied again
    convert = int if field.kind == "integer" else float
    return st.number_input(
        field.label,
        min_value=None if field.minimum is None else convert(field.minimum),
        max_value=None if field.maximum is None else convert(field.maximum),
        value=None if field.may_be_empty else default,
        step=1 if field.kind == "integer" else _step(field.default),
        format=None if field.kind == "integer" else "%.12g",
        key=key,
        help=field.help,
        persist_state="session",
    )


def _shown(field: ParameterField, value: Any) -> Any:
    """Return a parameter's value as its widget holds it."""
    if field.kind == "integer":
        return None if value is None else int(value)
    if field.kind == "number":
        return None if value is None else float(value)
    if field.kind == "boolean":
        return bool(value)
    if field.kind == "text" and not isinstance(value, str):
        return "" if value is None else json.dumps(value)
    return value


def _parsed(text: str, field: ParameterField) -> Any:
    if not text and field.may_be_empty:
        return None
    if not field.is_json:
        return text
    try:
        return json.loads(text)
    except ValueError:
        return text  # the model says what is wrong with it, by name


def _step(default: Any) -> float:
    """Return a step of the size of the default's last digit: 0.01 for 0.03, 1 for 30."""
    text = repr(float(default)) if isinstance(default, (int, float)) else "1.0"
    digits = text.partition(".")[2]
    return 1.0 if digits in ("0", "") or "e" in text else 10.0 ** -len(digits)


def _field(name: str, schema: Mapping[str, Any], *, is_required: bool) -> ParameterField:
    kind: Kind = "choice" if "enum" in schema else _KINDS.get(str(schema.get("type")), "text")
    minimum, maximum = schema.get("minimum"), schema.get("maximum")
    if kind == "integer":
        minimum = schema["exclusiveMinimum"] + 1 if "exclusiveMinimum" in schema else minimum
        maximum = schema["exclusiveMaximum"] - 1 if "exclusiveMaximum" in schema else maximum
    return ParameterField(
        name=name,
        kind=kind,
        default=schema.get("default") if not is_required else None,
        minimum=minimum,
        maximum=maximum,
        bounds=_bounds(schema, minimum, maximum),
        choices=tuple(schema.get("enum", ())),
        may_be_empty=bool(schema.get("may_be_empty")),
        is_json=kind == "text" and schema.get("type") != "string",
        description=str(schema.get("description", "")),
    )


def _bounds(schema: Mapping[str, Any], minimum: float | None, maximum: float | None) -> str:
    low = f"{minimum} or more" if minimum is not None else ""
    high = f"{maximum} or less" if maximum is not None else ""
    if "exclusiveMinimum" in schema and not low:
        low = f"above {schema['exclusiveMinimum']}"
    if "exclusiveMaximum" in schema and not high:
        high = f"below {schema['exclusiveMaximum']}"
    if minimum is not None and maximum is not None:
        return f"{minimum} to {maximum}"
    return ", ".join(part for part in (low, high) if part)


def _resolved(field: Mapping[str, Any], schema: Mapping[str, Any]) -> dict[str, Any]:
    """Follow a reference, and see through `X | None` to X."""
    found = dict(field)
    if "$ref" in found:
        target = schema.get("$defs", {}).get(str(found.pop("$ref")).rpartition("/")[2], {})
        found = {**target, **found}
    branches = found.get("anyOf", ())
    simple = [branch for branch in branches if branch.get("type") != "null"]
    if len(simple) == 1 and len(branches) == 2:
        inner = _resolved(simple[0], schema)
        del found["anyOf"]
        found = {**inner, **found, "may_be_empty": True}
    return found
