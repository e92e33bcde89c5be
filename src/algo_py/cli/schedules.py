"""What `algo-py deploy` is told about when to run, and what it answers: the next runs, and what will not work then."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime, time, timedelta
from typing import TYPE_CHECKING, Any

import typer

from algo_py.cli.output import DASH, print_json, print_pairs
from algo_py.errors import InvalidInput
from algo_py.formatting import with_currency

if TYPE_CHECKING:
    from algo_py.deployment.config import DeploymentConfig
    from algo_py.deployment.schedule import Schedule

_WEEK = ("mon", "tue", "wed", "thu", "fri", "sat", "sun")


def schedule_of(
    *, every: str | None, from_start: bool, at: str | None, tz: str, days: str | None, on_bar_close: bool, delay: str | None
) -> Schedule:
    """Build the schedule that was typed; by default it runs as each bar closes. What does not go together is refused."""
    from pydantic import ValidationError

    from algo_py.clock import parse_duration
    from algo_py.deployment.schedule import AtTime, EveryInterval, OnBarClose
    from algo_py.settings import first_problem

    if sum((every is not None, at is not None, on_bar_close)) > 1:
        raise InvalidInput("--every, --at and --on-bar-close exclude one another", remedy="Choose one.")
    if at is None and (days is not None or tz != "UTC"):
        raise InvalidInput("--tz and --days go with --at", remedy="Add --at HH:MM, or leave them out.")
    if delay is not None and (every is not None or at is not None):
        raise InvalidInput("--delay goes with --on-bar-close", remedy="Leave it out.")
    if from_start and every is None:
        raise InvalidInput("--from-start goes with --every", remedy="Add --every DURATION, or leave it out.")
    try:
        if every is not None:
            return EveryInterval(every_s=int(parse_duration(every).total_seconds()), align="start" if from_start else "clock")
        if at is not None:
            return AtTime(at=_time_of_day(at), tz=tz, days=_WEEK if days is None else _days(days))
        wait = timedelta(0) if delay is None else parse_duration(delay)
        return OnBarClose(delay_s=int(wait.total_seconds()))
    except ValidationError as error:
        raise InvalidInput(first_problem(error)) from None


def with_runs(values: dict[str, Any], config: DeploymentConfig) -> dict[str, Any]:
    """Add when it runs next, and what will not work then, to a JSON object about a deployment."""
    from algo_py.clock import format_time

    fires, warnings = _outlook(config)
    return {**values, "next_runs": [format_time(fire) for fire in fires], "warnings": warnings}


def print_runs(config: DeploymentConfig) -> None:
    """Print when it runs next; what will not work then goes to stderr."""
    from algo_py.deployment.preview import shown_runs

    fires, warnings = _outlook(config)
    typer.echo(f"Next runs: {shown_runs(config, fires)}.")
    for warning in warnings:
        typer.echo(f"warning: {warning}", err=True)


def print_plan(config: DeploymentConfig, *, as_json: bool) -> None:
    """Print what would be deployed and when it would run. Nothing exists yet, so there is no id."""
    if as_json:
        print_json(with_runs(config.model_dump(mode="json", exclude={"id"}), config))
        return
    from algo_py.clock import format_time

    backtest = config.backtest
    print_pairs(
        [
            ("name", config.name),
            ("backtest", config.backtest_id),
            ("strategy", backtest.strategy),
            ("params", _listed(backtest.params)),
            ("market", backtest.market),
            ("timeframe", backtest.timeframe),
            ("symbols", ", ".join(backtest.symbols)),
            ("initial cash", with_currency(backtest.initial_cash, backtest.quote_label)),
            ("size", f"{backtest.size:g} ({backtest.quote_label if backtest.size_type == 'value' else backtest.size_type})"),
            ("oms", config.oms),
            ("orders", config.order.type),
            ("limits", _listed(config.limits.model_dump(exclude_none=True))),
            ("clock", config.clock.kind),
            ("schedule", str(config.schedule)),
            ("start", format_time(config.start) or "at once"),
            ("end", format_time(config.end) or "when it is stopped"),
        ]
    )
    print_runs(config)
    typer.echo("Nothing was deployed: leave --dry-run out to deploy it.")


def _outlook(config: DeploymentConfig) -> tuple[list[datetime], list[str]]:
    from algo_py.clock import SystemClock
    from algo_py.deployment.preview import schedule_warnings

    after = config.clock_at(SystemClock().now())
    return config.next_fires(after), schedule_warnings(config, after=after)


def _listed(values: Mapping[str, Any]) -> str:
    return ", ".join(f"{name}={value}" for name, value in values.items()) or DASH


def _time_of_day(text: str) -> time:
    try:
        at = time.fromisoformat(text)
    except ValueError:
        raise InvalidInput(f"{text!r} is not a time of day", remedy="Write it as 09:30.") from None
    if at.tzinfo is not None:
        raise InvalidInput(f"the time of day {text!r} has an offset", remedy="Name its zone with --tz, such as Asia/Kolkata.")
    return at


def _days(text: str) -> tuple[str, ...]:
    """Read `mon-fri` or `mon,wed`; unknown days are refused by the schedule itself."""
    first, dash, last = text.lower().partition("-")
    if dash and first in _WEEK and last in _WEEK:
        begin, finish = _WEEK.index(first), _WEEK.index(last)
        return _WEEK[begin : finish + 1] if begin <= finish else _WEEK[begin:] + _WEEK[: finish + 1]
    return tuple(day.strip() for day in text.lower().split(","))
