"""What the commands of deployments share: naming one, limits, and how a status is written."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Annotated, TypeVar

import typer
from pydantic import BaseModel, ValidationError

from algo_py.cli.output import workspace_of
from algo_py.errors import InvalidInput
from algo_py.settings import first_problem

if TYPE_CHECKING:
    from algo_py.deployment import Deployment, DeploymentManager
    from algo_py.orders.risk import Limits

_Model = TypeVar("_Model", bound=BaseModel)

_NO_LIMIT = "none"

Chosen = Annotated[str, typer.Argument(metavar="ID", help="A deployment's id or name.")]

MaxOrderNotional = Annotated[str | None, typer.Option(help="Deny entries above this value, quote currency.")]
MaxPositionNotional = Annotated[str | None, typer.Option(help="Deny entries that make a position larger.")]
MaxGrossExposure = Annotated[str | None, typer.Option(help="Deny entries that make all positions larger together.")]
MaxOpenPositions = Annotated[str | None, typer.Option(help="Deny entries beyond so many symbols.")]
MaxOrdersPerDay = Annotated[str | None, typer.Option(help="Deny entries beyond so many a day (UTC).")]
PriceCollar = Annotated[
    str | None,
    typer.Option(help="Deny entries when the venue's price is farther from the last close, fraction; 0.05 at first, none: any."),
]
MaxDailyLoss = Annotated[str | None, typer.Option(help="Halt at this loss since midnight UTC, quote currency.")]
MaxDrawdown = Annotated[str | None, typer.Option(help="Halt at this retreat from the highest equity, fraction.")]


def manager_of(context: typer.Context) -> DeploymentManager:
    """Return the manager of the chosen workspace."""
    from algo_py.deployment import DeploymentManager

    return DeploymentManager(workspace_of(context))


def checked(model: type[_Model], **values: object) -> _Model:
    """Build limits and choices from what was typed; what cannot be used is refused by its name."""
    try:
        return model.model_validate({name: value for name, value in values.items() if value is not None})
    except ValidationError as error:
        raise InvalidInput(first_problem(error)) from None


def limits_of(given: Mapping[str, str | None], now: Limits | None = None) -> Limits:
    """Return limits with what was typed: a name that was not typed stays as it is now, `none` takes its limit away."""
    from algo_py.orders.risk import Limits

    typed = {name: None if text.strip() == _NO_LIMIT else text for name, text in given.items() if text is not None}
    try:
        return Limits.model_validate((now or Limits()).model_dump() | typed)
    except ValidationError as error:
        raise InvalidInput(first_problem(error)) from None


def shown_status(deployment: Deployment) -> str:
    """Write a status with its reason."""
    return f"{deployment.status}: {deployment.reason}" if deployment.reason else str(deployment.status)
