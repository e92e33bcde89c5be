"""What a deployment asks its account about single symbols, when a venue has said no or what cannot be."""

from __future__ import annotations

from datetime import datetime, timedelta
from decimal import Decimal

from algo_py.clock import Clock
from algo_py.database import Database
from algo_py.errors import VenueError
from algo_py.oms import OMS
from algo_py.orders.execution import ExecutionLog
from algo_py.orders.guard import Guard
from algo_py.orders.halts import HaltedBy, halt
from algo_py.orders.journal import Journal

_READ_RULES_EVERY = timedelta(days=1)
# What is held and not traded now may be traded again.
_READ_MISSING_EVERY = timedelta(minutes=5)


class VenueAccount:
    """The account at its venue, as execution and protection see it; `AccountView` of `orders.execution`."""

    def __init__(
        self,
        deployment_id: str,
        symbols: tuple[str, ...],
        oms: OMS,
        *,
        guard: Guard,
        journal: Journal,
        database: Database,
        clock: Clock,
        log: ExecutionLog,
    ) -> None:
        self._id = deployment_id
        self._symbols = symbols
        self._oms = oms
        self._guard = guard
        self._journal = journal
        self._database = database
        self._clock = clock
        self._log = log
        self._rules_read_at: datetime = clock.now()

    def rules_have_changed(self, symbol: str) -> bool:
        """Ask the venue for its order rules anew; True when those of the symbol are others now. A failure changes nothing."""
        try:
            rules = dict(self._oms.instruments(self._symbols))
        except VenueError as error:
            self._log.warning("rules.not_read", reason=str(error))
            return False
        self._rules_read_at = self._clock.now()
        has_changed = rules.get(symbol) != self._guard.rules.get(symbol)
        self._guard.are_rules_known = True
        changed = sorted(one for one in self._symbols if rules.get(one) != self._guard.rules.get(one))
        self._guard.rules = rules
        if changed:
            self._log.info("rules.changed", symbols=changed)
        return has_changed

    def read_rules_daily(self) -> None:
        """Ask for the order rules once a day: venues change lots and minimums; sooner while something held is not traded."""
        rules = self._guard.rules
        if not self._guard.are_rules_known:
            self.rules_have_changed(self._symbols[0])
            return
        is_missing = bool(rules) and any(symbol not in rules for symbol in self._journal.positions())
        if self._clock.now() - self._rules_read_at >= (_READ_MISSING_EVERY if is_missing else _READ_RULES_EVERY):
            self.rules_have_changed(self._symbols[0])

    def sellable(self, symbol: str) -> Decimal | None:
        """Return how much of a long position the account really has, at most what the ledger holds; None where nobody can say."""
        try:
            reported = self._oms.positions()
        except VenueError as error:
            self._log.warning("account.not_read", symbol=symbol, reason=str(error))
            return None
        if reported is None:
            return None
        there = sum((position.quantity for position in reported if position.symbol == symbol), Decimal(0))
        return max(Decimal(0), min(there, self._journal.held(symbol)))

    def distrust(self, symbol: str, reason: str) -> None:
        """Halt entries of a symbol: what the venue says of its order is not known, or cannot be."""
        if halt(self._database, self._id, reason=reason, by=HaltedBy.OUTCOME, at=self._clock.now(), symbol=symbol):
            self._log.error("symbol.halted", symbol=symbol, reason=reason, by=HaltedBy.OUTCOME)


def sensible(value: Decimal | None) -> Decimal | None:
    """Return a number that a venue gives, None for one that cannot be: not finite, or below 0."""
    return value if value is not None and value.is_finite() and value >= 0 else None
