"""What must be true of the world when all is well again; each check returns what is not, in words."""

from __future__ import annotations

import json
import os
import re
from collections import Counter
from collections.abc import Callable, Iterator
from decimal import Decimal

import psutil
import sqlalchemy as sa

from algo_py.clock import SystemClock, monotonic_s
from algo_py.deployment import Deployment
from algo_py.deployment.processes import is_locked
from algo_py.deployment.protection_rows import protection_of
from algo_py.deployment.status import State, Status, Wanted
from algo_py.deployment.supervisor import lock_path
from algo_py.oms.binance.placing import own_id
from algo_py.oms.tables import paper_fills, paper_orders
from algo_py.orders.entries import EntryKind
from algo_py.orders.halts import halts_by_deployment
from algo_py.orders.model import Fill, OrderStatus, OrderType
from algo_py.orders.records import JournaledOrder, entries_of
from tests.deployment.chaos_world import CASH, DEPOSIT, SYMBOLS, Member, World
from tests.deployment.invariants import books_of, unprotected
from tests.deployment.test_replay import of_the_backtest, of_the_replay
from tests.processes import deployment_processes, fork_servers, open_files, posix_locks, processes_of, supervisors

_AT_VENUE = {OrderStatus.ACCEPTED, OrderStatus.PARTIALLY_FILLED, OrderStatus.FILLED, OrderStatus.CANCELED}
_NOT_AT_VENUE = {OrderStatus.PLANNED, OrderStatus.DENIED, OrderStatus.REJECTED}
# What a full disk, and a process that somebody has stopped while it held the database, may have made others say.
_EXPECTED = re.compile(r"disk is full|No space left|disk I/O error|database (was|is) locked|unable to open database file")
_LAST_LINE = re.compile(r"^(?:[A-Za-z_]\w*\.)*[A-Z]\w*(?::.*)?$")


def until_true(check: Callable[[], list[str]], *, timeout_s: float) -> list[str]:
    """Return what is still not true when the time is over; nothing as soon as all is."""
    deadline_s = monotonic_s() + timeout_s
    while (found := check()) and monotonic_s() < deadline_s:
        SystemClock().sleep(0.2)
    return found


def lives(world: World) -> list[str]:
    """Every deployment is there, in the state that people want it in, with one process or none, and shown as it is."""
    listed, users, halts = {one.id: one for one in world.manager.list()}, world.users(), halts_by_deployment(world.database)
    found = [
        f"{one.name} ({one.id}) was never deployed" for one in listed.values() if one.id not in {m.id for m in world.members}
    ]
    for member in world.members:
        deployment = listed.get(member.id)
        if deployment is None:
            found.append(f"{member.name} is lost")
            continue
        found += [
            f"{member.name}: {problem}" for problem in _life(world, member, deployment, users, is_halted=member.id in halts)
        ]
    alive = sum(not one.status.has_ended for one in listed.values())
    counted = [len(find(world.workspace)) for find in (supervisors, fork_servers, deployment_processes)]
    if counted != [1, 1, alive]:
        found.append(f"{counted} processes for one supervisor, one fork server and {alive} deployments")
    if world.supervisor() is None or not is_locked(lock_path(world.workspace)):
        found.append("no supervisor")
    return [*found, *_zombies(world)]


def _life(world: World, member: Member, deployment: Deployment, users: dict[str, set[int]], *, is_halted: bool) -> Iterator[str]:
    status, pids = deployment.status, users.get(member.id, set())
    if status not in _fitting(member, deployment, is_halted=is_halted):
        wanted = " or ".join(sorted(member.wanted))
        yield f"it is {status} ({deployment.reason}), wanted {wanted}{', halted' if is_halted else ''}"
    if len(pids) != (not status.has_ended):
        yield f"it is {status}, and processes {sorted(pids)} live it"
    if deployment.pid is not None and deployment.pid not in pids:
        yield f"process {deployment.pid} is shown, but {sorted(pids)} live it"
    lock = world.workspace.deployments / member.id / "lock"
    if is_locked(lock) != any(str(lock) in open_files(pid).values() for pid in pids):
        yield f"its lock is {'held by nobody' if is_locked(lock) else 'not held'}"
    found = [pid for pid in pids if not posix_locks(pid, world.workspace.database_file)]
    if found:
        yield f"processes {found} hold no lock of their own on the database"
    if deployment.row.wanted not in member.wanted:
        yield f"wanted is {deployment.row.wanted}, and people said {sorted(member.wanted)}"
    if deployment.config.limits not in member.limits:
        yield "its limits are not those that somebody set"
    if is_halted not in member.halted and (member.oms == "paper" or not is_halted):
        yield f"it is {'' if is_halted else 'not '}halted, and nobody did that"


def _fitting(member: Member, deployment: Deployment, *, is_halted: bool) -> set[Status]:
    if member.is_replay and deployment.row.state is State.FINISHED:
        return {Status.FINISHED}
    if deployment.row.wanted is Wanted.STOPPED and deployment.row.state is State.WATCHING:
        return {Status.WATCHING, Status.HALTED}  # stops of its own rest still
    if deployment.row.wanted.is_an_end:
        return {Status.STOPPED}
    if is_halted:
        return {Status.HALTED}
    return {Status.PAUSED if deployment.row.wanted is Wanted.PAUSED else Status.RUNNING}


def _zombies(world: World) -> Iterator[str]:
    ours = {os.getpid(), *(process.pid for process in processes_of(world.workspace))}
    for process in psutil.process_iter(["status", "ppid"]):
        if process.info["status"] == psutil.STATUS_ZOMBIE and process.info["ppid"] in ours:
            yield f"process {process.pid} is dead, and its parent {process.info['ppid']} has not noticed"


def replays(world: World) -> list[str]:
    """What nobody changed has traded exactly as its backtest."""
    found = []
    for member in world.members:
        deployment = world.shown(member)
        if not member.is_pure:
            continue
        if deployment.status is not Status.FINISHED:
            found.append(f"{member.name} has not finished: {deployment.status} ({deployment.reason})")
        elif not (world.was_full and _has_failed_run(world, member)):  # its clock does not wait for a run that failed
            if sorted(of_the_replay(world.manager, deployment)) != sorted(of_the_backtest(member.snapshot)):
                found.append(f"{member.name} has other orders than its backtest")
            if [float(point.equity) for point in world.manager.equity(member.id)] != member.snapshot.equity().to_list():
                found.append(f"{member.name} has another equity than its backtest")
    return found


def _has_failed_run(world: World, member: Member) -> bool:
    log = world.manager.whole_log(member.id)
    return any(entry["event"] in ("run.failed", "run.not_recorded", "log.lost") for entry in log)


def settled(world: World) -> list[str]:
    """No order is under way any more, but for stops that rest."""
    return [
        f"{member.name}: {order.request.side} {order.request.symbol} is {order.status} ({order.reason})"
        for member in world.members
        for order in world.manager.orders(member.id)
        if order.status.is_open and not (order.request.type is OrderType.STOP and order.status is OrderStatus.ACCEPTED)
    ]


def books(world: World) -> list[str]:
    """One order at the venue for each intent, and ledgers that say what the venue says; the journal is read from outside."""
    world.close_own()  # what is compared below is read by connections that are opened now
    written = world.orders_from_outside()
    known = {order.request.client_order_id for member in world.members for order in world.manager.orders(member.id)}
    found = [f"order {own} is seen by one process and not by another" for own in written ^ known]
    found += [f"{m.name}: {problem}" for m in world.members if m.oms == "paper" for problem in _paper(world, m)]
    return found + list(_binance(world))


def _paper(world: World, member: Member) -> Iterator[str]:
    with world.database.read() as connection:
        taken = {
            row.client_order_id: row.status
            for row in connection.execute(sa.select(paper_orders).where(paper_orders.c.account == member.id))
        }
        filled = sorted(
            (row.client_order_id, row.symbol, row.side, row.quantity, row.price, row.fee, row.time)
            for row in connection.execute(sa.select(paper_fills).where(paper_fills.c.account == member.id))
        )
    orders = {order.request.client_order_id: order for order in world.manager.orders(member.id)}
    for own in taken.keys() - orders.keys():
        yield f"the paper venue has an order {own} that was never meant"
    for own, order in orders.items():
        if own in taken and taken[own] != order.status:
            yield f"order {own} is {order.status}, at the paper venue {taken[own]}"
        if own not in taken and order.status in _AT_VENUE:
            yield f"order {own} is {order.status}, and the paper venue has none"
    fills = world.manager.fills(member.id)
    if sorted((f.client_order_id, f.symbol, f.side, f.quantity, f.price, f.fee, f.time) for f in fills) != filled:
        yield "its fills are not those of the paper venue"
    shown = world.shown(member).row
    ledger = world.manager.ledger(member.id)
    if shown.cash is not None and abs(ledger.cash - shown.cash) > Decimal("0.000001"):
        yield f"its cash is shown as {shown.cash}, and is {ledger.cash} by its fills"


def _binance(world: World) -> Iterator[str]:
    matching = world.exchange.matching
    members = [member for member in world.members if member.oms == "binance"]
    orders = {order.request.client_order_id: order for m in members for order in world.manager.orders(m.id)}
    fills = [fill for member in members for fill in world.manager.fills(member.id)]
    for client_id, times in Counter(order.client_id for order in matching.orders).items():
        if times > 1:
            yield f"the exchange has taken {client_id} {times} times"
        if own_id(client_id) not in orders:
            yield f"the exchange has an order {client_id} that was never meant"
    executed: dict[str, Decimal] = {}
    for taken in matching.orders:
        executed[own_id(taken.client_id)] = executed.get(own_id(taken.client_id), Decimal(0)) + taken.executed
    for own, order in orders.items():
        yield from _at_exchange(order, executed.get(own), [fill for fill in fills if fill.client_order_id == own])
    ledgers = [world.manager.ledger(member.id) for member in members]
    for symbol in SYMBOLS:
        held = sum((ledger.positions[symbol].quantity for ledger in ledgers if symbol in ledger.positions), Decimal(0))
        held += sum((_written_off(world, member, symbol) for member in members), Decimal(0))
        balance = matching.balance(symbol.partition("/")[0])
        if held != balance.free + balance.locked:
            yield f"of {symbol} the ledgers hold {held}, the account {balance.free + balance.locked}"
    cash, balance = sum((ledger.cash - CASH for ledger in ledgers), DEPOSIT), matching.balance("USDT")
    if cash != balance.free + balance.locked:
        yield f"by the ledgers there are {cash} USDT, in the account {balance.free + balance.locked}"


def _written_off(world: World, member: Member, symbol: str) -> Decimal:
    entries = entries_of(world.database, member.id)
    return -sum((one.quantity for one in entries if one.kind is EntryKind.WRITE_OFF and one.symbol == symbol), Decimal(0))


def protected(world: World) -> list[str]:
    """What is held with stops configured is looked after at the exchange, or by a reason that is recorded; nothing goes bare."""
    with world.exchange.keeps_still():
        at_exchange = books_of(world.exchange.matching)
    found = []
    for member in world.members:
        if member.oms == "binance" and member.snapshot.config.stop_loss is not None and not world.shown(member).status.has_ended:
            found += [f"{member.name}: {problem}" for problem in unprotected(world.database, member.id, at_exchange)]
        found += [
            f"{member.name}: {one.symbol} is not protected: {one.reason}"
            for one in protection_of(world.database, member.id)
            if one.is_missing and not world.shown(member).status.has_ended
        ]
    return found


def _at_exchange(order: JournaledOrder, executed: Decimal | None, fills: list[Fill]) -> Iterator[str]:
    own = order.request.client_order_id
    if executed is None and order.status in _AT_VENUE:
        yield f"order {own} is {order.status} ({order.reason}), and the exchange has none"
    if executed is not None and order.status in _NOT_AT_VENUE:
        yield f"order {own} is {order.status} ({order.reason}), and the exchange has taken it"
    if (executed or Decimal(0)) != sum((fill.quantity for fill in fills), Decimal(0)):
        yield f"of order {own} the exchange has traded {executed}, and the journal has other fills"


def told(world: World) -> list[str]:
    """Nobody has written an error down that nobody can explain."""
    files = [lock_path(world.workspace).with_suffix(".log")]
    files += [world.workspace.deployments / member.id / "crash.log" for member in world.members]
    found = []
    for file in files:
        found += [f"{file.parent.name}/{file.name}: {line}" for line in _last_lines(file.read_text() if file.exists() else "")]
    for member in world.members:
        for entry in world.manager.whole_log(member.id):
            text = json.dumps(entry)
            is_an_error = "exception" in entry or entry["event"] in ("deployment.crashed", "deployment.failed")
            if is_an_error and not _EXPECTED.search(text):
                found.append(f"{member.name}: {text[:300]} ... {text[-900:]}")
    return found


def _last_lines(log: str) -> Iterator[str]:
    """Yield the line that ends each traceback, unless it is expected, and each word of the fault handler."""
    is_inside = False
    for line in log.splitlines():
        if line.startswith("Traceback"):
            is_inside = True
        elif is_inside and _LAST_LINE.match(line):
            is_inside = False
            if not _EXPECTED.search(line):
                yield line
        elif line.startswith("Fatal Python error"):
            yield line
