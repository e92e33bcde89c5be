"""`algo-py strategies`: which strategies there are, and what parameters they take."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any

import typer

from algo_py.cli.output import DASH, JsonFlag, print_json, print_pairs, print_table, traders_code, workspace_of

if TYPE_CHECKING:
    from algo_py.strategy.registry import StrategyEntry


def register(app: typer.Typer) -> None:
    """Add this file's commands."""
    group = typer.Typer(help="Strategies: list them, or show one.", rich_markup_mode=None)
    group.callback(invoke_without_command=True)(list_strategies)
    group.command("show")(show)
    app.add_typer(group, name="strategies")


def list_strategies(context: typer.Context, as_json: JsonFlag = False) -> None:
    """List all strategies, broken ones with what is wrong; `show NAME` shows one."""
    if context.invoked_subcommand is not None:
        return
    from algo_py.strategy.registry import StrategyRegistry

    with traders_code():
        entries = StrategyRegistry.discover(workspace_of(context)).entries
    if as_json:
        print_json([_as_json(entry) for entry in entries])
        return
    print_table(
        ("name", "from", "what it does"),
        [(entry.name, entry.origin, f"BROKEN: {entry.error}" if entry.error else entry.title) for entry in entries],
    )


def show(
    context: typer.Context,
    name: Annotated[str, typer.Argument(metavar="NAME", help="Such as ema-cross.")],
    as_json: JsonFlag = False,
) -> None:
    """Show one strategy and its parameters."""
    from algo_py.strategy.registry import StrategyRegistry

    with traders_code():
        entry = StrategyRegistry.discover(workspace_of(context)).get(name)
    parameters = _parameters(entry)
    if as_json:
        print_json({**_as_json(entry), "parameters": parameters})
        return
    print_pairs([("name", entry.name), ("from", entry.origin), ("file", str(entry.file)), ("", entry.title)])
    if not parameters:
        typer.echo("It has no parameters.")
        return
    print_table(
        ("parameter", "type", "default", "minimum", "maximum", "description"),
        [tuple(DASH if value is None else str(value) for value in parameter.values()) for parameter in parameters],
        numbers=("default", "minimum", "maximum"),
    )


def _as_json(entry: StrategyEntry) -> dict[str, Any]:
    return {"name": entry.name, "title": entry.title, "origin": entry.origin, "file": str(entry.file), "error": entry.error}


def _parameters(entry: StrategyEntry) -> list[dict[str, Any]]:
    """Return the parameters in their order; bounds are inclusive unless a sign says otherwise."""
    schema = entry.usable_class().model_json_schema()
    return [
        {
            "name": name,
            "type": _type_of(field),
            "default": field.get("default"),
            "minimum": field.get("minimum", _beyond(">", field.get("exclusiveMinimum"))),
            "maximum": field.get("maximum", _beyond("<", field.get("exclusiveMaximum"))),
            "description": field.get("description", ""),
        }
        for name, field in schema.get("properties", {}).items()
    ]


def _type_of(field: dict[str, Any]) -> str:
    if "enum" in field:
        return " | ".join(str(choice) for choice in field["enum"])
    if "anyOf" in field:
        return " | ".join(_type_of(choice) for choice in field["anyOf"])
    return str(field.get("type", field.get("$ref", "any").rpartition("/")[2]))


def _beyond(sign: str, bound: float | None) -> str | None:
    return None if bound is None else f"{sign} {bound}"
