"""The kill switch: who must not enter, and why. Read from the database before each submit.

A halt is of everything, of one deployment, or of one symbol of it where its cause is of that symbol. It forbids entries;
exits, stops and closing of what is held go on, whatever is halted. Where the cause goes away by itself, whoever notices that
lifts the halt: `by` says which halts are whose.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import Any, Final

import sqlalchemy as sa

from algo_py.database import Database
from algo_py.orders.tables import halts, symbol_halts

ALL: Final = "all"
# Who halts: a person's halt is lifted by a person alone. A limit that was broken halts under its own name.
BY_PERSON: Final = "a person"


class HaltedBy(StrEnum):
    """What of the program halts, and lifts it again once the cause has gone."""

    RECONCILIATION = "reconciliation"  # ledgers and account differ
    CREDENTIALS = "credentials"  # the venue refuses the key
    ACCOUNT = "account"  # the key is of another account
    QUOTES = "quotes"  # its symbols are quoted in several currencies, as an earlier version allowed
    OUTCOME = "outcome"  # the venue says of an order what cannot be, or does not tell any more


@dataclass(frozen=True, slots=True, kw_only=True)
class Halt:
    """`scope`: a deployment's id or `all`. `symbol` None: all its symbols. `by`: a person, the name of a limit, a `HaltedBy`."""

    scope: str
    symbol: str | None = None
    reason: str
    by: str
    at: datetime


def halt(database: Database, scope: str, *, reason: str, by: str, at: datetime, symbol: str | None = None) -> bool:
    """Keep a deployment, or all, from entering: every symbol, or one; True when it was not halted so before.

    What halted it first stays on record until it is resumed.
    """
    table = halts if symbol is None else symbol_halts
    values = {"scope": scope} if symbol is None else {"deployment_id": scope, "symbol": symbol}
    same = sa.and_(*(table.c[name] == value for name, value in values.items()))
    with database.write() as connection:
        if connection.execute(sa.select(table.c.reason).where(same)).first() is not None:
            return False
        connection.execute(table.insert().values(**values, reason=reason, by=by, at=at))
    return True


def resume(database: Database, scope: str, *, symbol: str | None = None, by: str | None = None) -> bool:
    """Let entries be sent again; False when nothing was halted. A halt of all is not lifted by resuming one.

    symbol: of that one alone; None is the deployment and each of its symbols. by: only what this one has halted.
    """
    of_symbols = symbol_halts.delete().where(symbol_halts.c.deployment_id == scope)
    statements = [of_symbols.where(symbol_halts.c.symbol == symbol)] if symbol else [of_symbols]
    if symbol is None:
        statements.append(halts.delete().where(halts.c.scope == scope))
    if by is not None:
        statements = [statement.where(statement.table.c.by == by) for statement in statements]
    with database.write() as connection:
        return sum(connection.execute(statement).rowcount for statement in statements) > 0


def halt_of(database: Database, deployment_id: str, symbol: str | None = None) -> Halt | None:
    """Return what keeps a deployment from entering (a symbol), the halt of all first; None when nothing does."""
    query = sa.select(halts).where(halts.c.scope.in_([ALL, deployment_id]))
    with database.read() as connection:
        found = {row.scope: _halt(row) for row in connection.execute(query)}
        if symbol is not None and not found:
            narrow = (symbol_halts.c.deployment_id == deployment_id) & (symbol_halts.c.symbol == symbol)
            row = connection.execute(sa.select(symbol_halts).where(narrow)).first()
            return None if row is None else _symbol_halt(row)
    return found.get(ALL) or found.get(deployment_id)


def own_halt_of(database: Database, deployment_id: str) -> Halt | None:
    """Return what keeps this deployment alone from entering, whether or not all are halted besides."""
    with database.read() as connection:
        row = connection.execute(sa.select(halts).where(halts.c.scope == deployment_id)).first()
    return None if row is None else _halt(row)


def halted_symbols(database: Database, deployment_id: str) -> dict[str, Halt]:
    """Return the halts of single symbols of a deployment."""
    query = sa.select(symbol_halts).where(symbol_halts.c.deployment_id == deployment_id).order_by(symbol_halts.c.symbol)
    with database.read() as connection:
        return {row.symbol: _symbol_halt(row) for row in connection.execute(query)}


def all_halts(database: Database) -> dict[str, Halt]:
    """Return every halt of whole deployments by its scope."""
    with database.read() as connection:
        return {row.scope: _halt(row) for row in connection.execute(sa.select(halts))}


def halts_by_deployment(database: Database) -> dict[str, Halt]:
    """Return what keeps each deployment from entering: by its scope, and where only symbols are halted, all of them in one."""
    with database.read() as connection:
        found = {row.scope: _halt(row) for row in connection.execute(sa.select(halts))}
        symbols: dict[str, list[Halt]] = {}
        for row in connection.execute(sa.select(symbol_halts).order_by(symbol_halts.c.symbol)):
            symbols.setdefault(row.deployment_id, []).append(_symbol_halt(row))
    for scope, halted in symbols.items():
        told = "; ".join(f"{one.symbol} only: {one.reason}" for one in halted)
        found.setdefault(scope, Halt(scope=scope, reason=told, by=halted[0].by, at=min(one.at for one in halted)))
    return found


def _halt(row: Any) -> Halt:
    return Halt(scope=row.scope, reason=row.reason, by=row.by, at=row.at)


def _symbol_halt(row: Any) -> Halt:
    return Halt(scope=row.deployment_id, symbol=row.symbol, reason=row.reason, by=row.by, at=row.at)
