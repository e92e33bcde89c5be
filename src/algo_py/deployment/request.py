"""What a person asks for, and how it becomes a complete configuration or is refused by name."""

from __future__ import annotations

import secrets
from collections.abc import Container, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from pydantic import ValidationError

from algo_py.backtest import BacktestConfig, Snapshot, SnapshotStore
from algo_py.credentials import Credentials
from algo_py.deployment.config import ClockChoice, DeploymentConfig, LiveClock, OrderChoice, Replay
from algo_py.deployment.schedule import Schedule, anchored
from algo_py.deployment.square_off_runs import refuse_without_a_run
from algo_py.errors import InvalidInput, Refused
from algo_py.market import get_market
from algo_py.oms import check_backtest, check_oms, oms_choice
from algo_py.orders.risk import Limits
from algo_py.settings import Workspace, first_problem


@dataclass(frozen=True, slots=True, kw_only=True)
class DeploymentRequest:
    """What a person chooses when deploying a saved backtest. None means: as in the backtest, or no bound."""

    backtest: str
    schedule: Schedule
    oms: str = "paper"
    clock: ClockChoice = field(default_factory=LiveClock)
    name: str | None = None
    start: datetime | None = None
    end: datetime | None = None
    initial_cash: float | None = None
    size: float | None = None
    params: Mapping[str, Any] | None = None
    limits: Limits = field(default_factory=Limits)
    order: OrderChoice = field(default_factory=OrderChoice)
    late_entries: bool = False
    enter_open_position: bool = False
    use_provisional: bool = False


def configured(
    request: DeploymentRequest, workspace: Workspace, *, now: datetime, taken: Container[str]
) -> tuple[DeploymentConfig, Snapshot]:
    """Return the configuration of a new deployment, with an id of its own, and the backtest that it is made from.

    `taken` are the names that others have. Writes nothing; raises NotFound, InvalidInput, Refused.
    """
    snapshot = SnapshotStore(workspace).load(request.backtest)
    market = get_market(snapshot.config.market)
    check_oms(request.oms, market)
    market.quote_over(snapshot.config.symbols)
    state = oms_choice(request.oms).state(Credentials.of(workspace))
    if state.startswith("missing"):
        raise Refused(f"{request.oms} cannot be used: {state}", remedy="config/.env.example says where each key comes from.")
    _check_carried_out(snapshot)
    backtest = _with_overrides(snapshot, request)
    check_backtest(request.oms, backtest.portfolio_config(), workspace=workspace, day=now.astimezone(market.time_zone).date())
    start, end = request.start, request.end
    if isinstance(request.clock, Replay):
        start, end = start or backtest.start, end or backtest.end
        _check_replay_window(backtest, start, end)
    elif end is not None and end <= now:
        raise InvalidInput(f"end must be in the future on the live clock (was {end.isoformat()})")
    try:
        config = DeploymentConfig(
            id=f"{now:%Y%m%d-%H%M%S}-{secrets.token_hex(4)}",
            name=request.name or _free_name(snapshot.name, taken),
            backtest_id=snapshot.id,
            backtest=backtest,
            strategy_file=snapshot.strategy.file,
            strategy_class=snapshot.strategy.class_name,
            schedule=anchored(request.schedule, start or now.replace(microsecond=0)),
            start=start,
            end=end,
            oms=request.oms,
            clock=request.clock,
            limits=request.limits,
            order=request.order,
            late_entries=request.late_entries,
            enter_open_position=request.enter_open_position,
            use_provisional=request.use_provisional,
        )
    except ValidationError as error:
        raise InvalidInput(first_problem(error)) from None
    if not config.next_fires(config.clock_at(now)):
        raise InvalidInput("the schedule has no run between start and end", remedy="Widen the window.")
    refuse_without_a_run(config, after=config.clock_at(now))
    return config, snapshot


def _free_name(wanted: str, taken: Container[str]) -> str:
    return next(name for name in (wanted, *(f"{wanted} {n}" for n in range(2, 10_000))) if name not in taken)


def _with_overrides(snapshot: Snapshot, request: DeploymentRequest) -> BacktestConfig:
    params = dict(snapshot.config.params) | dict(request.params or {})
    strategy = snapshot.strategy_instance(params)
    changed = {"params": strategy.model_dump(mode="json"), "initial_cash": request.initial_cash, "size": request.size}
    whole = snapshot.config.model_dump() | {key: value for key, value in changed.items() if value is not None}
    return BacktestConfig.model_validate(whole)


def _check_carried_out(snapshot: Snapshot) -> None:
    """Refuse a backtest that did what the worker does not do yet: its deployment would trade something else."""
    config = snapshot.config
    carried_out = {"direction": "long", "execution": "next_open"}
    beyond = [f"{name} {getattr(config, name)}" for name, value in carried_out.items() if getattr(config, name) != value]
    if beyond:
        raise Refused(
            f"backtest {snapshot.name!r} has {', '.join(beyond)}, which a deployment does not carry out yet",
            remedy="Deploy a backtest that was run long only, with fills at the next open.",
        )


def _check_replay_window(backtest: BacktestConfig, start: datetime, end: datetime) -> None:
    if start < backtest.start:
        raise InvalidInput(
            f"a replay cannot start before its backtest's first bar {backtest.start.isoformat()} (was {start.isoformat()})"
        )
    if start >= end:
        raise InvalidInput(f"end must be after start {start.isoformat()} (was {end.isoformat()})")
