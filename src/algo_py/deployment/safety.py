"""What keeps a deployment from going on when something is wrong, and from trying for ever what cannot be done."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from datetime import datetime
from decimal import Decimal

from algo_py.clock import Clock
from algo_py.database import Database
from algo_py.deployment.config import DeploymentConfig
from algo_py.deployment.reconcile import Shortfall, shortfalls
from algo_py.deployment.store import DeploymentStore
from algo_py.errors import RateLimited, VenueDown
from algo_py.market import Instrument
from algo_py.oms import OMS
from algo_py.orders.execution import ExecutionLog
from algo_py.orders.guard import Guard
from algo_py.orders.halts import halt
from algo_py.orders.journal import Journal
from algo_py.orders.model import Fill, Leg, OrderRequest, Side, client_order_id, from_float
from algo_py.orders.risk import below_minimum, in_lots, loss_breach


class Safety:
    """Loss limits, reconciliation with the account, and the end of dust, for one deployment."""

    def __init__(
        self,
        config: DeploymentConfig,
        oms: OMS,
        *,
        account: str,
        rules: Mapping[str, Instrument],
        database: Database,
        journal: Journal,
        guard: Guard,
        clock: Clock,
        log: ExecutionLog,
    ) -> None:
        self._config = config
        self._oms = oms
        self._account_name = account
        self._rules = rules
        self._database = database
        self._store = DeploymentStore(database)
        self._journal = journal
        self._guard = guard
        self._clock = clock
        self._log = log
        self._suspected: set[str] = set()

    def check_losses(self, equity: Decimal, now: datetime) -> None:
        """Halt the deployment when its losses reach a limit."""
        limits = self._guard.limits
        if limits.max_daily_loss is None and limits.max_drawdown_fraction is None:
            return
        points = self._store.equity(self._config.id)
        start = from_float(self._config.backtest.initial_cash)
        midnight = now.replace(hour=0, minute=0, second=0, microsecond=0)
        before_today = [point.equity for point in points if point.time <= midnight]
        breach = loss_breach(
            limits,
            equity=equity,
            equity_at_day_start=before_today[-1] if before_today else start,
            highest_equity=max([start, *(point.equity for point in points)]),
        )
        if breach is not None and self._guard.halted() is None:
            halt(self._database, self._config.id, reason=str(breach), by=breach.rule, at=self._clock.now())
            self._log.error("deployment.halted", reason=str(breach), by=breach.rule)

    def reconcile(self, follow: Callable[[], list[Fill]]) -> list[Fill]:
        """Compare the account's ledgers with the venue; what is missing there halts those that believe to hold it.

        `follow` asks for news of open orders; the fills that it brought are returned.
        """
        new: list[Fill] = []
        lots = {symbol: rules.lot_size for symbol, rules in self._rules.items()}
        try:
            found = self._shortfalls(lots)
            if found:
                new = follow()
                found = self._shortfalls(lots)
        except (RateLimited, VenueDown) as error:
            self._log.warning("reconcile.failed", reason=str(error))
            return new
        for one in found:
            if one.may_be_a_stop and one.symbol not in self._suspected:
                self._log.warning(
                    "reconcile.shortfall", reason=str(one), note="a stop may just have fired; looked at again next run"
                )
                continue
            for deployment_id in one.deployments:
                halt(self._database, deployment_id, reason=str(one), by="reconciliation", at=self._clock.now())
            self._log.error("deployment.halted", reason=str(one), by="reconciliation", deployments=list(one.deployments))
        self._suspected = {one.symbol for one in found}
        return new

    def _shortfalls(self, lots: Mapping[str, Decimal]) -> Sequence[Shortfall]:
        return shortfalls(self._database, self._oms, account=self._account_name, lots=lots)

    def sweep_dust(self, bar_time: datetime) -> list[Fill]:
        """Book what is left of positions and too little to be sold, so that they end, and are not tried again and again."""
        if not self._rules:
            return []
        written_off: list[Fill] = []
        busy = {order.request.symbol for order in self._journal.orders(only_open=True)}
        for symbol, position in self._journal.positions().items():
            rules, price = self._rules.get(symbol), self._guard.closes.get(symbol, position.average_price)
            if rules is None or symbol in busy or position.quantity <= 0:
                continue
            minimum = below_minimum(in_lots(position.quantity, rules), price, rules)
            if minimum is None:
                continue
            kind = f"dust {position.quantity}"
            fills = self._journal.write_off(
                OrderRequest(
                    client_order_id=client_order_id(self._config.id, bar_time, symbol, Side.SELL, Leg.EXIT, kind=kind),
                    symbol=symbol,
                    side=Side.SELL,
                    leg=Leg.EXIT,
                    quantity=position.quantity,
                    bar_time=bar_time,
                    reference_price=price,
                    reason=f"dust: {minimum}",
                )
            )
            for fill in fills:
                self._log.info("position.dust", symbol=symbol, quantity=str(fill.quantity), reason=str(minimum))
                written_off.append(fill)
        return written_off
