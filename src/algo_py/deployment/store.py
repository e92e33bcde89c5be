"""Reads and writes the rows of deployments. Who writes what: people `wanted`, the worker everything about its life, the
supervisor the state of a worker that can no longer write it."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from functools import lru_cache
from typing import TYPE_CHECKING, Any

import sqlalchemy as sa
from sqlalchemy.engine import Connection

from algo_py.database import Database
from algo_py.deployment.status import Condition, State, Wanted
from algo_py.deployment.tables import deployments, equity_points, runs
from algo_py.errors import Conflict, NotFound
from algo_py.orders.risk import Limits

if TYPE_CHECKING:
    from algo_py.deployment.config import DeploymentConfig


@dataclass(frozen=True, slots=True, kw_only=True)
class DeploymentRow:
    """One deployment as the database knows it. `config` has the limits in force, which a person may have changed since."""

    id: str
    name: str
    written_config: str
    written_limits: str | None
    created_at: datetime
    wanted: Wanted
    state: State
    reason: str
    since: datetime
    pid: int | None
    pid_created_s: float | None
    started_at: datetime | None
    heartbeat_at: datetime | None
    clock_at: datetime | None
    last_bar_time: datetime | None
    last_run_at: datetime | None
    next_run_at: datetime | None
    runs: int
    missed_runs: int
    cash: Decimal | None
    equity: Decimal | None
    cleared_at: datetime | None
    account: str | None
    condition: Condition | None
    condition_reason: str
    condition_since: datetime | None
    good_run_at: datetime | None
    failed_runs: int
    bad_runs: int

    @property
    def config(self) -> DeploymentConfig:
        """The configuration; reading it loads the engine, which the supervisor does without."""
        return _config(self.written_config, self.written_limits)

    @property
    def is_replay(self) -> bool:
        """Whether it trades on past bars."""
        return _is_replay(self.written_config)


@dataclass(frozen=True, slots=True, kw_only=True)
class EquityPoint:
    """Cash and equity at the close of a bar, in quote currency."""

    time: datetime
    cash: Decimal
    equity: Decimal


@dataclass(frozen=True, slots=True, kw_only=True)
class RunRow:
    """One run of a deployment: `scheduled_at` on its own clock, `started_at` on the machine's."""

    scheduled_at: datetime
    started_at: datetime
    duration_s: float
    outcome: str
    detail: Mapping[str, Any]


@dataclass(frozen=True, slots=True, kw_only=True)
class RunCondition:
    """Whether a run could do its work: None, and why not."""

    condition: Condition | None = None
    reason: str = ""


class DeploymentStore:
    """The deployments of one workspace."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def add(self, config: DeploymentConfig, *, created_at: datetime, code_hashes: Mapping[str, str] | None = None) -> None:
        """Insert a deployment that should run; a name that is in use is refused.

        `code_hashes`: see `code_hashes`; without them its first start records what it finds.
        """
        with self._database.write() as connection:
            taken = sa.select(deployments.c.id).where(deployments.c.name == config.name, deployments.c.cleared_at.is_(None))
            holder = connection.execute(taken).scalar()
            if holder is not None:
                raise Conflict(f"the name {config.name!r} is used by deployment {holder}", remedy="Choose another one.")
            connection.execute(
                deployments.insert().values(
                    id=config.id,
                    name=config.name,
                    config=config.model_dump_json(),
                    created_at=created_at,
                    wanted=Wanted.RUNNING,
                    state=State.NEW,
                    reason="",
                    since=created_at,
                    runs=0,
                    missed_runs=0,
                    code_hashes=None if code_hashes is None else json.dumps(dict(code_hashes)),
                )
            )

    def all(self, *, cleared: bool = False) -> list[DeploymentRow]:
        """Return the deployments that are not cleared, or those that are, oldest first."""
        which = deployments.c.cleared_at.is_not(None) if cleared else deployments.c.cleared_at.is_(None)
        query = sa.select(deployments).where(which).order_by(deployments.c.created_at)
        with self._database.read() as connection:
            return [_row(row) for row in connection.execute(query)]

    def get(self, id_or_name: str, *, also_cleared: bool = False) -> DeploymentRow:
        """Return the deployment with this id or name; a cleared one by its id, where it is asked for."""
        is_current = deployments.c.cleared_at.is_(None)
        wanted = is_current & ((deployments.c.id == id_or_name) | (deployments.c.name == id_or_name))
        query = sa.select(deployments).where(wanted | (deployments.c.id == id_or_name) if also_cleared else wanted)
        with self._database.read() as connection:
            row = connection.execute(query).first()
        if row is None:
            raise NotFound(f"there is no deployment {id_or_name!r}", remedy="List them with: algo-py ps")
        return _row(row)

    def want(self, deployment_id: str, wanted: Wanted, *, at: datetime, state: State | None = None) -> None:
        """Record what a person asked for; `state` resets the recorded state, as a restart does."""
        values: dict[str, Any] = {"wanted": wanted}
        if state is not None:
            values |= {"state": state, "reason": "", "since": at, "heartbeat_at": None, "next_run_at": None}
        self._update(deployment_id, values, durable=True)

    def wanted(self, deployment_id: str) -> Wanted:
        """Return what a person asked for last."""
        query = sa.select(deployments.c.wanted).where(deployments.c.id == deployment_id)
        with self._database.read() as connection:
            return Wanted(connection.execute(query).scalar_one())

    def code_hashes(self, deployment_id: str) -> dict[str, str] | None:
        """Return the SHA-256 of each file that it executes or reads, by path in its folder; None where none are recorded yet."""
        query = sa.select(deployments.c.code_hashes).where(deployments.c.id == deployment_id)
        with self._database.read() as connection:
            text = connection.execute(query).scalar_one()
        return None if text is None else {str(path): str(own) for path, own in json.loads(text).items()}

    def record_code_hashes(self, deployment_id: str, code_hashes: Mapping[str, str]) -> None:
        """Record, durably, what a deployment of an earlier version executes and reads."""
        self._update(deployment_id, {"code_hashes": json.dumps(dict(code_hashes))}, durable=True)

    def limits(self, deployment_id: str) -> Limits:
        """Return the limits in force."""
        query = sa.select(deployments.c.config, deployments.c.limits).where(deployments.c.id == deployment_id)
        with self._database.read() as connection:
            row = connection.execute(query).one()
        return _config(row.config, row.limits).limits

    def set_limits(self, deployment_id: str, limits: Limits) -> None:
        """Replace the limits in force, durably; its next order is judged by them."""
        self._update(deployment_id, {"limits": limits.model_dump_json()}, durable=True)

    def set_state(self, deployment_id: str, state: State, *, reason: str, at: datetime) -> None:
        """Record a change of state, durably. What is to be restarted has no heartbeat any more."""
        values: dict[str, Any] = {"state": state, "reason": reason, "since": at}
        if state is State.RESTARTING:
            values["heartbeat_at"] = None
        self._update(deployment_id, values, durable=True)

    def set_process(self, deployment_id: str, *, pid: int, pid_created_s: float, at: datetime) -> None:
        """Record which process lives the deployment; its first heartbeat."""
        values = {"pid": pid, "pid_created_s": pid_created_s, "started_at": at, "heartbeat_at": at}
        self._update(deployment_id, values, durable=True)

    def beat(self, deployment_id: str, *, at: datetime, next_run_at: datetime | None) -> None:
        """Record that the loop is alive."""
        self._update(deployment_id, {"heartbeat_at": at, "next_run_at": next_run_at}, durable=False)

    def mark_bar(self, connection: Connection, deployment_id: str, bar_time: datetime, point: EquityPoint) -> None:
        """Record the last handled bar and the equity at its close, inside the transaction that plans what was decided on it."""
        connection.execute(deployments.update().where(deployments.c.id == deployment_id).values(last_bar_time=bar_time))
        values = {"deployment_id": deployment_id, "time": point.time, "cash": point.cash, "equity": point.equity}
        _upsert(connection, equity_points, values, keys=("deployment_id", "time"))

    def add_run(
        self,
        deployment_id: str,
        run: RunRow,
        *,
        reason: str,
        missed: int,
        cash: Decimal,
        equity: Decimal,
        heartbeat_at: datetime,
        condition: RunCondition | None = None,
    ) -> int:
        """Record a run that has ended, the cash and equity after it, and a heartbeat; return how many runs in a row were bad.

        A bad run could not do its work: `condition` says why. None leaves on record how the run before was.
        """
        with self._database.write(durable=False) as connection:
            row = {
                "deployment_id": deployment_id,
                "scheduled_at": run.scheduled_at,
                "started_at": run.started_at,
                "duration_s": run.duration_s,
                "outcome": run.outcome,
                "detail": json.dumps(dict(run.detail)),
            }
            _upsert(connection, runs, row, keys=("deployment_id", "scheduled_at"))
            connection.execute(
                deployments.update()
                .where(deployments.c.id == deployment_id)
                .values(
                    runs=deployments.c.runs + 1,
                    missed_runs=deployments.c.missed_runs + missed,
                    last_run_at=run.scheduled_at,
                    clock_at=run.scheduled_at,
                    heartbeat_at=heartbeat_at,
                    reason=reason,
                    cash=cash,
                    equity=equity,
                    **({} if condition is None else _condition_values(connection, deployment_id, condition, heartbeat_at)),
                )
            )
            bad_runs = sa.select(deployments.c.bad_runs).where(deployments.c.id == deployment_id)
            return int(connection.execute(bad_runs).scalar_one())

    def set_assumed(self, deployment_id: str, reason: str, *, at: datetime) -> None:
        """Record that the next run stands on an assumed trading day, and why; empty: that it does not any more.

        What keeps runs from their work is worse, and stays on record.
        """
        mine = (deployments.c.id == deployment_id) & (deployments.c.condition == Condition.ASSUMED_DAYS)
        free = (deployments.c.id == deployment_id) & (deployments.c.condition == "")
        with self._database.write() as connection:
            if not reason:
                nothing = {"condition": "", "condition_reason": "", "condition_since": None}
                connection.execute(deployments.update().where(mine).values(**nothing))
                return
            connection.execute(deployments.update().where(mine).values(condition_reason=reason))
            new = {"condition": Condition.ASSUMED_DAYS, "condition_reason": reason, "condition_since": at}
            connection.execute(deployments.update().where(free).values(**new))

    def bind_account(self, deployment_id: str, account: str) -> str:
        """Record the account that a deployment trades on, unless one is recorded; return the one that it is bound to."""
        row = deployments.c.id == deployment_id
        with self._database.write() as connection:
            bound = connection.execute(sa.select(deployments.c.account).where(row)).scalar_one()
            if bound is None:
                bound = account
                connection.execute(deployments.update().where(row).values(account=account))
        return str(bound)

    def runs(self, deployment_id: str, *, last: int) -> list[RunRow]:
        """Return the newest `last` runs, oldest first."""
        query = sa.select(runs).where(runs.c.deployment_id == deployment_id).order_by(runs.c.scheduled_at.desc()).limit(last)
        with self._database.read() as connection:
            rows = connection.execute(query).all()
        return [
            RunRow(
                scheduled_at=row.scheduled_at,
                started_at=row.started_at,
                duration_s=row.duration_s,
                outcome=row.outcome,
                detail=json.loads(row.detail),
            )
            for row in reversed(rows)
        ]

    def equity(self, deployment_id: str, *, after: datetime | None = None) -> list[EquityPoint]:
        """Return the equity at each handled bar's close, oldest first; `after`: of later bars only."""
        query = sa.select(equity_points).where(equity_points.c.deployment_id == deployment_id).order_by(equity_points.c.time)
        if after is not None:
            query = query.where(equity_points.c.time > after)
        with self._database.read() as connection:
            return [EquityPoint(time=row.time, cash=row.cash, equity=row.equity) for row in connection.execute(query)]

    def newest_equity(self, deployment_id: str, *, until: datetime) -> EquityPoint | None:
        """Return the newest equity up to a moment; None when there is none."""
        of_it = (equity_points.c.deployment_id == deployment_id) & (equity_points.c.time <= until)
        query = sa.select(equity_points).where(of_it).order_by(equity_points.c.time.desc()).limit(1)
        with self._database.read() as connection:
            row = connection.execute(query).first()
        return None if row is None else EquityPoint(time=row.time, cash=row.cash, equity=row.equity)

    def clear(self, deployment_id: str, *, at: datetime) -> None:
        """Take a deployment off the lists. Its orders and fills stay: they are accounting records."""
        self._update(deployment_id, {"cleared_at": at}, durable=True)

    def restore(self, deployment_id: str) -> None:
        """Put a cleared deployment back on the lists; where its name is used by another one by now, its id is added to it."""
        with self._database.write() as connection:
            row = connection.execute(sa.select(deployments).where(deployments.c.id == deployment_id)).one()
            taken = sa.select(deployments.c.id).where(deployments.c.name == row.name, deployments.c.cleared_at.is_(None))
            name = row.name if connection.execute(taken).first() is None else f"{row.name[:60]} ({deployment_id})"
            connection.execute(deployments.update().where(deployments.c.id == deployment_id).values(cleared_at=None, name=name))

    def _update(self, deployment_id: str, values: dict[str, Any], *, durable: bool) -> None:
        with self._database.write(durable=durable) as connection:
            connection.execute(deployments.update().where(deployments.c.id == deployment_id).values(**values))


def _condition_values(connection: Connection, deployment_id: str, condition: RunCondition, at: datetime) -> dict[str, object]:
    """Return what changes with a run: since when it is so, how many were bad in a row, when the last good one was."""
    before = connection.execute(sa.select(deployments.c.condition).where(deployments.c.id == deployment_id)).scalar_one()
    if condition.condition is None:
        good: dict[str, object] = {"good_run_at": at, "bad_runs": 0}
        if before == Condition.ASSUMED_DAYS:
            return good  # that is of the next run, and `set_assumed` takes it away
        return good | {"condition": "", "condition_reason": "", "condition_since": None}
    failed = int(condition.condition is Condition.FAILING)
    values: dict[str, object] = {
        "condition": condition.condition,
        "condition_reason": condition.reason,
        "bad_runs": deployments.c.bad_runs + 1,
        "failed_runs": deployments.c.failed_runs + failed,
    }
    return values if before == condition.condition else values | {"condition_since": at}


def _upsert(connection: Connection, table: sa.Table, values: dict[str, Any], *, keys: tuple[str, ...]) -> None:
    same = sa.and_(*(table.c[key] == values[key] for key in keys))
    connection.execute(table.delete().where(same))
    connection.execute(table.insert().values(**values))


@lru_cache(maxsize=512)
def _config(text: str, limits: str | None) -> DeploymentConfig:
    """Read a configuration, with the limits in force."""
    from algo_py.deployment.config import DeploymentConfig

    config = DeploymentConfig.model_validate_json(text)
    return config if limits is None else config.model_copy(update={"limits": Limits.model_validate_json(limits)})


@lru_cache(maxsize=512)
def _is_replay(text: str) -> bool:
    return bool(json.loads(text)["clock"]["kind"] == "replay")


def _row(row: Any) -> DeploymentRow:
    return DeploymentRow(
        id=row.id,
        name=row.name,
        written_config=row.config,
        written_limits=row.limits,
        created_at=row.created_at,
        wanted=Wanted(row.wanted),
        state=State(row.state),
        reason=row.reason,
        since=row.since,
        pid=row.pid,
        pid_created_s=row.pid_created_s,
        started_at=row.started_at,
        heartbeat_at=row.heartbeat_at,
        clock_at=row.clock_at,
        last_bar_time=row.last_bar_time,
        last_run_at=row.last_run_at,
        next_run_at=row.next_run_at,
        runs=row.runs,
        missed_runs=row.missed_runs,
        cash=row.cash,
        equity=row.equity,
        cleared_at=row.cleared_at,
        account=row.account,
        condition=Condition(row.condition) if row.condition else None,
        condition_reason=row.condition_reason,
        condition_since=row.condition_since,
        good_run_at=row.good_run_at,
        failed_runs=row.failed_runs,
        bad_runs=row.bad_runs,
    )
