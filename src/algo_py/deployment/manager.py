"""The deployment manager: what the dashboard and the command line both call. It starts no deployment itself: it records what is
wanted, and the supervisor makes it so."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from decimal import Decimal
from pathlib import Path

import sqlalchemy as sa

from algo_py.amounts import distance, far_from, plain
from algo_py.backtest import Snapshot
from algo_py.clock import Clock, SystemClock, monotonic_s
from algo_py.deployment.alerts import Alert, newest_alerts
from algo_py.deployment.booking import Booking, book, reference_price
from algo_py.deployment.by_hand import Outcome, report_by_hand
from algo_py.deployment.config import DeploymentConfig, LiveClock, Replay
from algo_py.deployment.logs import Entry, LogPosition, read_log, tail_and_position, tail_log, whole_log
from algo_py.deployment.processes import ProcessLock, is_locked
from algo_py.deployment.protection_rows import ProtectedBy, Protection, protection_of, unprotected
from algo_py.deployment.purge import purge_deployment
from algo_py.deployment.request import DeploymentRequest, configured
from algo_py.deployment.source import copy_strategy
from algo_py.deployment.status import Observation, State, Status, Trouble, Wanted, judge
from algo_py.deployment.store import DeploymentRow, DeploymentStore, EquityPoint, RunRow
from algo_py.deployment.supervisor import LOCK_HANDLE, lock_path
from algo_py.errors import Conflict, InvalidInput, NotFound, Refused
from algo_py.finstore.durable import sync_folder
from algo_py.formatting import with_currency
from algo_py.orders.entries import LedgerEntry
from algo_py.orders.halts import ALL, BY_PERSON, Halt, all_halts, halt, halt_of, halted_symbols, halts_by_deployment, resume
from algo_py.orders.journal import Journal
from algo_py.orders.ledger import Ledger, fold
from algo_py.orders.model import Fill, OrderStatus, from_float
from algo_py.orders.records import JournaledOrder, entries_of, events_of, fills_of, orders_of
from algo_py.orders.risk import Limits
from algo_py.orders.tables import orders
from algo_py.settings import Workspace
from algo_py.workspace_database import open_workspace_database

_POLL_S = 0.05
_SINCE_CONNECTED = 200  # log entries in which the last connecting is looked for
_ONE_THREAD = dict.fromkeys(("OPENBLAS_NUM_THREADS", "OMP_NUM_THREADS", "MKL_NUM_THREADS", "ARROW_IO_THREADS"), "1")


@dataclass(frozen=True, slots=True, kw_only=True)
class Deployment:
    """A deployment as a person sees it: its row, and the status that was judged when it was read."""

    row: DeploymentRow
    status: Status
    reason: str
    since: datetime
    pid: int | None

    @property
    def id(self) -> str:
        return self.row.id

    @property
    def name(self) -> str:
        return self.row.name

    @property
    def config(self) -> DeploymentConfig:
        return self.row.config


@dataclass(frozen=True, slots=True, kw_only=True)
class Resumed:
    """What was resumed: the halts that were lifted, and whether a replay was paused. False when there was nothing."""

    halts: tuple[Halt, ...]
    was_paused: bool

    def __bool__(self) -> bool:
        return bool(self.halts) or self.was_paused


class StillHolds(Refused):
    """What is to be cleared holds something, or has open orders: close it, or say that it is cleared all the same."""


class DeploymentManager:
    """Deploy, watch, stop and clear the deployments of one workspace."""

    def __init__(self, workspace: Workspace, *, clock: Clock | None = None) -> None:
        self._workspace = workspace
        self._clock = clock or SystemClock()
        self._database = open_workspace_database(workspace)
        self._store = DeploymentStore(self._database)

    def configure(self, request: DeploymentRequest) -> tuple[DeploymentConfig, Snapshot]:
        """Turn a request into a complete configuration, or refuse it by name. Writes nothing."""
        taken = {row.name for row in self._store.all()}
        return configured(request, self._workspace, now=self._clock.now(), taken=taken)

    def deploy(self, request: DeploymentRequest) -> Deployment:
        """Save a deployment and have it started; returns at once. Its folder is complete before its row exists."""
        config, snapshot = self.configure(request)
        folder = self._workspace.deployments / config.id
        unfinished = folder.with_name(f".{config.id}.tmp")
        try:
            unfinished.mkdir(parents=True)
            hashes = copy_strategy(snapshot, unfinished)
            (unfinished / "config.json").write_text(config.model_dump_json(indent=2), encoding="utf-8")
            unfinished.rename(folder)
            sync_folder(folder.parent)
        except OSError as error:
            shutil.rmtree(unfinished, ignore_errors=True)
            raise Refused(f"{folder} cannot be written: {error.strerror or error}", remedy="See to that folder.") from error
        except BaseException:
            shutil.rmtree(unfinished, ignore_errors=True)
            raise
        try:
            self._store.add(config, created_at=self._clock.now(), code_hashes=hashes)
        except BaseException:
            shutil.rmtree(folder, ignore_errors=True)
            raise
        self.ensure_supervisor()
        return self.show(config.id)

    def list(self, *, cleared: bool = False) -> Sequence[Deployment]:
        """Return all deployments that are not cleared, or the archive of those that are, oldest first."""
        halts = halts_by_deployment(self._database)
        missing = unprotected(self._database)
        return [
            self._judged(row, halts.get(ALL) or halts.get(row.id), missing.get(row.id, []))
            for row in self._store.all(cleared=cleared)
        ]

    def show(self, id_or_name: str) -> Deployment:
        """Return one deployment. Here and in every method that only reads, a cleared one is found by its id."""
        return self._judge_alone(self._known(id_or_name))

    def orders(self, id_or_name: str) -> Sequence[JournaledOrder]:
        """Return a deployment's orders in the order in which they were decided."""
        return orders_of(self._database, self._known(id_or_name).id)

    def open_orders(self, id_or_name: str) -> Sequence[JournaledOrder]:
        """Return the orders of a deployment to which more may still happen: stops that rest, entries that wait."""
        return orders_of(self._database, self._known(id_or_name).id, only_open=True)

    def fills(self, id_or_name: str) -> Sequence[Fill]:
        """Return a deployment's fills in the order in which they were recorded."""
        return fills_of(self._database, self._known(id_or_name).id)

    def ledger(self, id_or_name: str) -> Ledger:
        """Return a deployment's cash and positions, folded from its fills."""
        row = self._known(id_or_name)
        return fold(from_float(row.config.backtest.initial_cash), events_of(self._database, row.id))

    def entries(self, id_or_name: str) -> Sequence[LedgerEntry]:
        """Return what changed a deployment's ledger and was no fill, oldest first."""
        return entries_of(self._database, self._known(id_or_name).id)

    def protection(self, id_or_name: str) -> Sequence[Protection]:
        """Return for each position that is held what protects it now, by symbol.

        What a process was to look at itself is protected by nobody once that process does not live any more.
        """
        row = self._known(id_or_name)
        is_alive = is_locked(self._workspace.deployments / row.id / "lock")
        known = {one.symbol: one for one in protection_of(self._database, row.id)}
        wanted = row.config.backtest
        is_wanted = any(level is not None for level in (wanted.stop_loss, wanted.take_profit, wanted.trailing_stop))
        found = []
        for symbol, position in self.ledger(row.id).positions.items():
            one = known.get(symbol) or Protection(
                symbol=symbol,
                quantity=position.quantity,
                by=ProtectedBy.NONE,
                is_wanted=is_wanted,
                stop_price=None,
                reason="its process has not looked at it yet" if is_wanted else "no stop is configured",
                since=row.since,
            )
            if not is_alive and isinstance(row.config.clock, Replay):
                one = replace(one, by=ProtectedBy.NONE, is_wanted=False, reason="what a replay holds is nobody's")
            elif not is_alive and one.by in (ProtectedBy.WORKER, ProtectedBy.EXIT):
                one = replace(one, by=ProtectedBy.NONE, reason=f"its process is not running; {one.reason}")
            elif not is_alive and one.by is ProtectedBy.VENUE_STOP and row.config.oms == "paper":
                one = replace(one, by=ProtectedBy.NONE, reason="a stop on paper acts while its process runs")
            found.append(one)
        return found

    def unprotected(self) -> Sequence[tuple[DeploymentRow, Protection]]:
        """Return what deployments on the list hold without the protection that it should have, with its deployment.

        Of those that live, their worker's word counts; the ledger of one that does not live is read only if it held something.
        """
        told = unprotected(self._database)
        found: list[tuple[DeploymentRow, Protection]] = []
        for row in self._store.all():
            if is_locked(self._workspace.deployments / row.id / "lock"):
                found += [(row, one) for one in told.get(row.id, [])]
            elif any(one.is_wanted for one in protection_of(self._database, row.id)):
                found += [(row, one) for one in self.protection(row.id) if one.is_missing]
        return found

    def halts(self, id_or_name: str) -> Sequence[Halt]:
        """Return what keeps a deployment from entering: all of it, or single symbols."""
        row = self._known(id_or_name)
        whole = halt_of(self._database, row.id)
        return [*([] if whole is None else [whole]), *halted_symbols(self._database, row.id).values()]

    def book(self, id_or_name: str, booking: Booking, *, far_price: bool = False) -> str:
        """Book what happened to a deployment's ledger by other hands; return what was booked, in words.

        One that lives takes it over within seconds. A price more than 20 % away from the newest that is known of the symbol is
        refused unless `far_price` says that it is meant. Raises NotFound, InvalidInput, Refused.
        """
        return book(self._database, self._clock, self._known(id_or_name), booking, far_price=far_price)

    def reference_price(self, id_or_name: str, symbol: str) -> Decimal | None:
        """Return the newest price that a deployment knows of a symbol, None where it knows none."""
        return reference_price(self._database, self._known(id_or_name).id, symbol)

    def runs(self, id_or_name: str, *, last: int = 100) -> Sequence[RunRow]:
        """Return the newest runs, oldest first."""
        return self._store.runs(self._known(id_or_name).id, last=last)

    def equity(self, id_or_name: str) -> Sequence[EquityPoint]:
        """Return the equity at each handled bar's close, oldest first."""
        return self._store.equity(self._known(id_or_name).id)

    def alerts(self, *, last: int = 100) -> Sequence[Alert]:
        """Return the newest alerts of the workspace, newest first."""
        return newest_alerts(self._database, last=last)

    def logs(self, id_or_name: str, *, last: int = 200, level: str = "") -> Sequence[Entry]:
        """Return the newest log entries of this level or above, oldest first."""
        return tail_log(self._folder(id_or_name), lines=last, level=level)

    def warnings(self, id_or_name: str) -> Sequence[str]:
        """Return what a deployment found to be said of its account when it last connected: a key's rights, too little cash."""
        said: list[str] = []
        for entry in self.logs(id_or_name, last=_SINCE_CONNECTED):
            if entry["event"] == "oms.connected":
                said.clear()
            elif entry["event"] == "oms.warning":
                said.append(str(entry["reason"]))
        return said

    def logs_until_now(self, id_or_name: str, *, last: int = 200, level: str = "") -> tuple[Sequence[Entry], LogPosition]:
        """Return the newest log entries, oldest first, and the position from which to ask for what follows."""
        return tail_and_position(self._folder(id_or_name), lines=last, level=level)

    def logs_after(self, id_or_name: str, position: LogPosition | None = None) -> tuple[Sequence[Entry], LogPosition]:
        """Return log entries that follow a position (None: the beginning) and the position to ask from next time.

        Not always all of them: ask until there are none.
        """
        return read_log(self._folder(id_or_name), after=position)

    def whole_log(self, id_or_name: str, *, level: str = "") -> Iterator[Entry]:
        """Yield every log entry that is kept, oldest first, of this level or above."""
        return whole_log(self._folder(id_or_name), level=level)

    def stop(self, id_or_name: str, *, close_positions: bool) -> Deployment:
        """Ask for a deployment to end after the run that it is in. Asking twice changes nothing.

        Its positions are kept, or closed with market orders before it ends; what could not be closed is named in its reason. One
        that has ended with positions is started once more for closing them.
        """
        deployment = self._current(id_or_name)
        wanted = Wanted.CLOSED if close_positions else Wanted.STOPPED
        if not deployment.status.has_ended:
            self._store.want(deployment.id, wanted, at=self._clock.now())
        elif close_positions and self.ledger(deployment.id).positions:
            if isinstance(deployment.config.clock, Replay) and deployment.row.state is State.FINISHED:
                raise Refused(f"{deployment.name} has reached the end of its replay", remedy="There is nobody to trade with.")
            self._store.want(deployment.id, wanted, at=self._clock.now(), state=State.NEW)
        self.ensure_supervisor()
        return self.show(deployment.id)

    def restart(self, id_or_name: str) -> Deployment:
        """Start a deployment that has ended, or was stopped and is watching; it reconciles and goes on where it was."""
        deployment = self._current(id_or_name)
        if deployment.row.state is State.WATCHING and deployment.row.wanted is Wanted.STOPPED:
            self._store.want(deployment.id, Wanted.RUNNING, at=self._clock.now())
            self.ensure_supervisor()
            return self.show(deployment.id)
        if not deployment.status.has_ended:
            raise Conflict(f"{deployment.name} is {deployment.status}", remedy="Stop it first.")
        if deployment.row.state is State.FINISHED:
            raise Refused(f"{deployment.name} has reached the end of its window", remedy="Deploy the backtest again.")
        self._store.want(deployment.id, Wanted.RUNNING, at=self._clock.now(), state=State.NEW)
        self.ensure_supervisor()
        return self.show(deployment.id)

    def pause(self, id_or_name: str) -> Deployment:
        """Let a replay's clock stand still. What trades on the live clock cannot be paused, only halted or stopped."""
        deployment = self._current(id_or_name)
        if not isinstance(deployment.config.clock, Replay):
            raise Refused(f"{deployment.name} trades on the live clock", remedy="Halt it, or stop it.")
        if deployment.status.has_ended or deployment.row.wanted.is_an_end:
            raise Conflict(f"{deployment.name} is {deployment.status}", remedy="Only what runs can be paused.")
        self._store.want(deployment.id, Wanted.PAUSED, at=self._clock.now())
        return self.show(deployment.id)

    def set_limits(self, id_or_name: str, limits: Limits) -> Deployment:
        """Replace a deployment's limits; they hold from its next run on, and in a restart."""
        deployment = self._current(id_or_name)
        self._store.set_limits(deployment.id, limits)
        return self.show(deployment.id)

    def settle(self, id_or_name: str, client_order_id: str, outcome: Outcome, *, far_price: bool = False) -> JournaledOrder:
        """Record what a person has found at the venue about an order whose outcome is open, such as one that it has forgotten.

        Only of a deployment that has ended: its process keeps its own account of what was filled. A price more than 20 % away
        from the order's reference is refused unless `far_price` says that it is meant. Raises Refused, InvalidInput.
        """
        deployment = self._current(id_or_name)
        found = {order.request.client_order_id: order for order in self.orders(deployment.id)}.get(client_order_id)
        if found is None:
            raise NotFound(f"{deployment.name} has no order {client_order_id}", remedy=f"See them: algo-py show {deployment.id}")
        if not found.status.is_open or found.status is OrderStatus.PLANNED:
            raise Refused(f"order {client_order_id} is {found.status}", remedy="Only one whose outcome is open can be settled.")
        if not deployment.status.has_ended:
            raise Refused(f"{deployment.name} is {deployment.status}", remedy="Stop it first, settle the order, then restart it.")
        filled, ordered = outcome.filled_quantity, found.request.quantity
        if not found.filled_quantity <= filled <= ordered:
            raise InvalidInput(f"filled must be from {found.filled_quantity} to {ordered} (was {filled})")
        if filled > found.filled_quantity:
            _refuse_odd_price(outcome, found, far_price=far_price)
        with self._database.read() as connection:
            query = sa.select(orders.c.venue, orders.c.account).where(orders.c.client_order_id == client_order_id)
            at_venue = connection.execute(query).one()
        journal = Journal(
            self._database, self._clock, deployment_id=deployment.id, venue=at_venue.venue, account=at_venue.account
        )
        journal.record(report_by_hand(found, outcome, at=self._clock.now()))
        return next(one for one in self.orders(deployment.id) if one.request.client_order_id == client_order_id)

    def halt(self, id_or_name: str | None, *, reason: str) -> None:
        """Keep a deployment (None: every one) from entering, from its next order on. Exits, stops and its process go on."""
        scope = ALL if id_or_name is None else self._store.get(id_or_name).id
        halt(self._database, scope, reason=reason, by=BY_PERSON, at=self._clock.now())

    def resume(self, id_or_name: str | None) -> Resumed:
        """Lift the halts of a deployment and of its symbols, or let a paused replay go on.

        A halt whose cause is still there comes back when the deployment looks next. A halt of all is lifted with None only.
        """
        lifted = [halts] if id_or_name is None and (halts := self.halt_of_all) is not None else []
        was_paused = False
        if id_or_name is not None:
            row = self._store.get(id_or_name)
            was_paused = row.wanted is Wanted.PAUSED
            if was_paused:
                self._store.want(row.id, Wanted.RUNNING, at=self._clock.now())
            lifted = [one for one in self.halts(row.id) if one.scope != ALL]
            resume(self._database, row.id)
        else:
            resume(self._database, ALL)
        return Resumed(halts=tuple(lifted), was_paused=was_paused)

    def clear(self, id_or_name: str | None = None, *, purge: bool = False, holding: bool = False) -> Sequence[str]:
        """Take ended deployments off the list (all of them, or one) and return their ids.

        They stay in the archive: their orders and fills are accounting records. With `purge` everything that is known of them is
        deleted for good; then one that is in the archive already may be named too. One that holds something, or has open orders,
        is refused by name and value unless `holding`; of all, such ones are left on the list. Replays are not asked.
        """
        if id_or_name is None:
            chosen = [deployment for deployment in self.list() if deployment.status.has_ended]
        else:
            chosen = [self.show(id_or_name) if purge else self._current(id_or_name)]
            if not chosen[0].status.has_ended:
                raise Refused(f"{chosen[0].name} is {chosen[0].status}", remedy="Stop it before clearing it.")
        for deployment in list(chosen):
            left = self._left_behind(deployment)
            if left and not holding:
                if id_or_name is not None:
                    raise StillHolds(
                        f"{deployment.name} {left}",
                        remedy=f"Close it: algo-py stop {deployment.name} --close-positions; or clear it with --holding.",
                    )
                chosen.remove(deployment)
        for deployment in chosen:
            if purge:
                purge_deployment(self._workspace, self._database, deployment.id)
            else:
                self._store.clear(deployment.id, at=self._clock.now())
        return [deployment.id for deployment in chosen]

    def restore(self, id_: str) -> Deployment:
        """Put a cleared deployment back on the list, as it was when it ended; then it can be closed, booked and restarted."""
        row = self._store.get(id_, also_cleared=True)
        if row.cleared_at is None:
            raise Refused(f"{row.name} is not in the archive", remedy="See it: algo-py ps --cleared")
        self._store.restore(row.id)
        return self.show(row.id)

    def _left_behind(self, deployment: Deployment) -> str:
        """Return what an ended deployment still holds and what is still open, in words; empty where there is nothing.

        What a replay holds was never anybody's: nothing of it can be sold.
        """
        if isinstance(deployment.config.clock, Replay):
            return ""
        market = deployment.config.market
        held = [
            f"{position.quantity.normalize():f} {symbol} "
            f"(bought for {with_currency(position.quantity * position.average_price, market.quote_of(symbol))})"
            for symbol, position in self.ledger(deployment.id).positions.items()
        ]
        opened = [str(order) for order in orders_of(self._database, deployment.id, only_open=True)]
        parts = [f"holds {', '.join(held)}"] if held else []
        parts += [f"has open orders: {', '.join(opened)}"] if opened else []
        return " and ".join(parts)

    def wait_until(self, id_or_name: str, reached: Callable[[Deployment], bool], *, timeout_s: float) -> Deployment:
        """Return the deployment once `reached` says so, or as it is when the time is over."""
        deadline_s = monotonic_s() + timeout_s
        while True:
            deployment = self.show(id_or_name)
            if reached(deployment) or monotonic_s() >= deadline_s:
                return deployment
            self._clock.sleep(_POLL_S)

    @property
    def has_supervisor(self) -> bool:
        """Whether somebody sees to what is wanted."""
        return is_locked(lock_path(self._workspace))

    @property
    def halt_of_all(self) -> Halt | None:
        """The halt of every deployment, if there is one."""
        return all_halts(self._database).get(ALL)

    def ensure_supervisor(self) -> None:
        """Start the supervisor unless one runs. It becomes nobody's child, so that no screen takes it along when it closes.

        It is given the lock from its first moment on: it needs seconds to load, and who asks meanwhile must not start another.
        """
        path = lock_path(self._workspace)
        if is_locked(path):
            return
        log = path.with_suffix(".log")
        command = [sys.executable, "-m", "algo_py.deployment.supervisor"]
        with suppress(Conflict), ProcessLock(path) as lock:  # a Conflict: somebody else is just starting it
            command += [f"{LOCK_HANDLE}{lock.handle}", str(self._workspace.root)]
            detach = ["/bin/sh", "-c", '"$@" </dev/null >>"$0" 2>&1 &', str(log), *command]
            handles = (lock.handle,)
            subprocess.run(detach, env=os.environ | _ONE_THREAD, start_new_session=True, cwd="/", check=True, pass_fds=handles)

    def _judge_alone(self, row: DeploymentRow) -> Deployment:
        missing = [one for one in protection_of(self._database, row.id) if one.is_missing]
        halts = halt_of(self._database, row.id) or halts_by_deployment(self._database).get(row.id)
        return self._judged(row, halts, missing)

    def _judged(self, row: DeploymentRow, halted: Halt | None, missing: Sequence[Protection]) -> Deployment:
        alive = is_locked(self._workspace.deployments / row.id / "lock")
        settings = self._workspace.settings().supervisor
        verdict = judge(
            Observation(
                wanted=row.wanted,
                state=row.state,
                reason=row.reason,
                since=row.since,
                process_is_alive=alive,
                supervisor_is_alive=is_locked(lock_path(self._workspace)),
                heartbeat_at=row.heartbeat_at,
                run_due_at=row.next_run_at if isinstance(row.config.clock, LiveClock) else None,
                now=self._clock.now(),
                stalled_after=timedelta(seconds=settings.stalled_after_s),
                late_after=timedelta(seconds=settings.late_after_s),
                unprotected=_trouble_of(missing),
                halt=None if halted is None else Trouble(reason=halted.reason, at=halted.at),
                condition=row.condition,
                trouble=Trouble(reason=row.condition_reason, at=row.condition_since or row.since),
            )
        )
        return Deployment(
            row=row, status=verdict.status, reason=verdict.reason, since=verdict.since, pid=row.pid if alive else None
        )

    def _known(self, id_or_name: str) -> DeploymentRow:
        return self._store.get(id_or_name, also_cleared=True)

    def _current(self, id_or_name: str) -> Deployment:
        return self._judge_alone(self._store.get(id_or_name))

    def _folder(self, id_or_name: str) -> Path:
        return self._workspace.deployments / self._known(id_or_name).id


def _trouble_of(missing: Sequence[Protection]) -> Trouble | None:
    """Return what is wrong where positions should be protected and are not."""
    if not missing:
        return None
    told = "; ".join(f"{one.quantity.normalize():f} {one.symbol}: {one.reason}" for one in missing)
    return Trouble(reason=f"held without protection: {told}", at=min(one.since for one in missing))


def _refuse_odd_price(outcome: Outcome, order: JournaledOrder, *, far_price: bool) -> None:
    """Refuse a fill whose price is missing, or far from the order's reference and not said to be meant, or whose fee eats it."""
    if outcome.price is None:
        raise InvalidInput("what has filled needs a price")
    if not far_price and far_from(outcome.price, order.request.reference_price):
        raise Refused(
            f"price {plain(outcome.price)} is {distance(outcome.price, order.request.reference_price)}",
            remedy="If it is right, say so: --far-price.",
        )
    value = (outcome.filled_quantity - order.filled_quantity) * outcome.price
    if abs(outcome.fee) > value:
        raise InvalidInput(f"fee must be at most the value of the fill, {plain(value)} (was {plain(outcome.fee)})")
