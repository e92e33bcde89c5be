"""What keeps a deployment from entering when something is wrong, and from trying for ever what cannot be done."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from datetime import datetime
from decimal import Decimal

from algo_py.clock import Clock, monotonic_s
from algo_py.database import Database
from algo_py.deployment.config import DeploymentConfig
from algo_py.deployment.losses import Losses
from algo_py.deployment.reconcile import AccountBooks, Shortfall, shortfalls
from algo_py.errors import RateLimited, VenueDown
from algo_py.oms import OMS
from algo_py.orders.entries import EntryKind, LedgerEntry
from algo_py.orders.execution import ExecutionLog
from algo_py.orders.guard import Guard
from algo_py.orders.halts import HaltedBy, halt, halt_of, halted_symbols, resume
from algo_py.orders.journal import Journal
from algo_py.orders.model import Fill, from_float
from algo_py.orders.risk import below_minimum, in_lots, loss_breach

# A shortfall that is seen once may be a fill on its way into the books; one that is still there after so long is none.
CONFIRM_AFTER_S = 5.0
# What is less than a lot is written off, and what is below a minimum up to this fraction of the cash it began with: no more.
_WRITE_OFF_MOST = Decimal("0.02")


class Safety:
    """Loss limits, reconciliation with the account, and what is too little to trade, for one deployment."""

    def __init__(
        self,
        config: DeploymentConfig,
        oms: OMS,
        *,
        account: str,
        database: Database,
        journal: Journal,
        guard: Guard,
        clock: Clock,
        log: ExecutionLog,
        confirm_after_s: float = CONFIRM_AFTER_S,
    ) -> None:
        self._config = config
        self._oms = oms
        self._database = database
        self._losses = Losses(database, config)
        self._journal = journal
        self._guard = guard
        self._clock = clock
        self._log = log
        self._books = AccountBooks(database, oms.name, account, market=config.market, quote_currency=config.backtest.quote_label)
        self._confirm_after_s = confirm_after_s
        self._suspected_s: dict[str, float] = {}

    def coins_of_others(self) -> Decimal:
        """Return how much of the account's free quote currency is no cash: coins that ledgers of other symbols hold."""
        return self._books.coins_of_others(self._books.quote_currency)

    def check_losses(self, equity: Decimal, now: datetime) -> None:
        """Halt the deployment when its losses reach a limit."""
        limits = self._guard.limits
        if limits.max_daily_loss is None and limits.max_drawdown_fraction is None:
            return
        breach = loss_breach(
            limits,
            equity=equity,
            equity_at_day_start=self._losses.equity_at_day_start(now),
            highest_equity=self._losses.highest_equity(),
        )
        if breach is not None and halt(self._database, self._config.id, reason=str(breach), by=breach.rule, at=self._clock.now()):
            self._log.error("deployment.halted", reason=str(breach), by=breach.rule)

    @property
    def is_suspicious(self) -> bool:
        """Whether something is missing that is to be looked for once more."""
        return bool(self._suspected_s)

    def reconcile(self, follow: Callable[[], list[Fill]]) -> list[Fill]:
        """Compare the account's ledgers with the venue; a symbol that is missing there is not entered by those that hold it.

        `follow` asks for news of open orders; the fills that it brought are returned. A shortfall counts once it has been seen
        twice; a halt of a symbol whose books agree again is lifted.
        """
        new: list[Fill] = []
        try:
            found = self._shortfalls()
            if found:
                new = follow()
                found = self._shortfalls()
        except (RateLimited, VenueDown) as error:
            self._log.warning("reconcile.failed", reason=str(error))
            return new
        found = [one for one in found if not self._is_taken_by_fees(one)]
        now_s = monotonic_s()
        self._suspected_s = {one.symbol: self._suspected_s.get(one.symbol, now_s) for one in found}
        for one in found:
            if now_s - self._suspected_s[one.symbol] >= self._confirm_after_s:
                self._halt_holders(one)
            else:
                self._log.warning("reconcile.shortfall", reason=str(one), note="it is looked at again before anybody is halted")
        self._lift({one.symbol for one in found})
        return new

    def _shortfalls(self) -> Sequence[Shortfall]:
        lots = {symbol: rules.lot_size for symbol, rules in self._guard.rules.items()}
        return shortfalls(self._books, self._oms, lots=lots)

    def _halt_holders(self, one: Shortfall) -> None:
        reason = f"{one}; book what happened: algo-py book"
        halted = [
            deployment_id
            for deployment_id in one.deployments
            if halt(
                self._database,
                deployment_id,
                reason=reason,
                by=HaltedBy.RECONCILIATION,
                at=self._clock.now(),
                symbol=one.symbol,
            )
        ]
        if halted:
            self._log.error("symbol.halted", symbol=one.symbol, reason=reason, by=HaltedBy.RECONCILIATION, deployments=halted)

    def _lift(self, differing: set[str]) -> None:
        """Lift what this deployment was halted for by a difference that is no more."""
        own_id = self._config.id
        for symbol, halted in halted_symbols(self._database, own_id).items():
            if halted.by == HaltedBy.RECONCILIATION and symbol not in differing:
                resume(self._database, own_id, symbol=symbol, by=HaltedBy.RECONCILIATION)
                self._log.info("symbol.resumed", symbol=symbol, reason="its ledgers and the account agree again")
        whole = halt_of(self._database, own_id)
        if not differing and whole is not None and (whole.scope, whole.by) == (own_id, HaltedBy.RECONCILIATION):
            resume(self._database, own_id, by=HaltedBy.RECONCILIATION)  # as an earlier version halted
            self._log.info("deployment.resumed", reason="its ledgers and the account agree again")

    def _is_taken_by_fees(self, one: Shortfall) -> bool:
        """Book fees that the venue took out of what this ledger holds (BNB), as far as they explain what is missing.

        The trades that they were for were charged their value, so the ledger that gave the units gets it; of a trade in another
        currency, what the units are worth in this one. True when nothing that counts is missing any more.
        """
        if self._config.id not in one.deployments:
            return False
        rules = self._guard.rules.get(one.symbol)
        missing, lot = one.ledgers - one.venue, Decimal(0) if rules is None else rules.lot_size
        quote = self._config.market.quote_of(one.symbol)
        for fee in list(self._books.fees_in(one.symbol)):
            if missing <= 0:
                break
            quantity = min(fee.quantity, missing, self._journal.held(one.symbol))
            if quantity <= 0:
                break
            price = fee.value / fee.quantity if fee.currency == quote else self._worth(one.symbol)
            if price is None:
                break
            entry = LedgerEntry(
                entry_id=fee.entry_id,
                symbol=one.symbol,
                kind=EntryKind.FEE,
                quantity=-quantity,
                cash=price * quantity,
                price=price,
                note="taken by the venue for fees",
                by=self._oms.name,
                time=self._clock.now(),
            )
            if self._journal.book(entry):
                missing -= quantity
                self._log.info("fee.taken", symbol=one.symbol, quantity=str(quantity), note=entry.note)
        self._books.update()
        return missing <= lot

    def _worth(self, symbol: str) -> Decimal | None:
        """Return the last known price of a symbol that is held."""
        position = self._journal.positions().get(symbol)
        return self._guard.closes.get(symbol, None if position is None else position.average_price)

    def sweep_dust(self, at: datetime) -> list[LedgerEntry]:
        """Write off what is left of positions and too little to be sold, and take back what can be sold again; return the
        entries.

        Only what nobody would miss is written off: more than that stays a position, which is shown, until the venue takes it.
        """
        if not self._guard.rules:
            return []
        busy = {order.request.symbol for order in self._journal.orders(only_open=True)}
        positions, written_off = self._journal.positions(), self._journal.ledger.written_off()
        entries: list[LedgerEntry] = []
        for symbol, position in positions.items():
            price = self._guard.closes.get(symbol, position.average_price)
            minimum = None if symbol in busy or position.quantity <= 0 else self._minimum(symbol, position.quantity, price)
            if minimum is None or not self._is_little(symbol, position.quantity, price):
                continue
            entries.append(self._written_off(symbol, -position.quantity, price, at, note=f"dust: {minimum}"))
            self._log.info("position.dust", symbol=symbol, quantity=str(position.quantity), reason=minimum)
        for symbol, quantity in written_off.items():
            close = self._guard.closes.get(symbol)
            whole = quantity + (positions[symbol].quantity if symbol in positions else Decimal(0))
            if symbol in busy or close is None or self._minimum(symbol, whole, close) is not None:
                continue
            entries.append(self._written_off(symbol, quantity, close, at, note="dust that can be sold again"))
            self._log.info("position.dust_returned", symbol=symbol, quantity=str(quantity))
        return [entry for entry in entries if self._journal.book(entry)]

    def _is_little(self, symbol: str, quantity: Decimal, price: Decimal) -> bool:
        is_below_a_lot = in_lots(quantity, self._guard.rules[symbol]) == 0
        return is_below_a_lot or quantity * price <= from_float(self._config.backtest.initial_cash) * _WRITE_OFF_MOST

    def _minimum(self, symbol: str, quantity: Decimal, price: Decimal) -> str | None:
        rules = self._guard.rules.get(symbol)
        denial = None if rules is None else below_minimum(in_lots(quantity, rules), price, rules)
        return None if denial is None else str(denial)

    def _written_off(self, symbol: str, quantity: Decimal, price: Decimal, at: datetime, *, note: str) -> LedgerEntry:
        return LedgerEntry(
            entry_id=f"dust-{self._config.id}-{symbol}-{self._journal.ledger.count}",
            symbol=symbol,
            kind=EntryKind.WRITE_OFF,
            quantity=quantity,
            price=price,
            note=note,
            by="dust",
            time=at,
        )
