"""Orders that nobody hears of for longer than they may take: their symbol is blocked, and a person is called."""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta

from algo_py.clock import Clock
from algo_py.database import Database
from algo_py.deployment.config import DeploymentConfig
from algo_py.orders.execution import ExecutionLog
from algo_py.orders.halts import HaltedBy, halted_symbols, resume
from algo_py.orders.journal import Journal
from algo_py.orders.model import OrderStatus, OrderType
from algo_py.orders.records import JournaledOrder

# An outcome that is unknown is looked up every few seconds, and a venue can tell after a minute or never.
_UNKNOWN_MOST = timedelta(minutes=3)
# An order at the venue fills at once as a rule; in a chat, somebody has to see it.
_AT_VENUE_MOST = timedelta(minutes=30)
_AFTER_ITS_LIMIT = timedelta(minutes=5)


class StuckOrders:
    """Looks at the open orders of one deployment, stops that rest aside. `waits` says of an order's id whether it waits for the
    venue to take it: that one is not stuck."""

    def __init__(
        self,
        database: Database,
        config: DeploymentConfig,
        *,
        journal: Journal,
        clock: Clock,
        log: ExecutionLog,
        waits: Callable[[str], bool] = lambda _own_id: False,
    ) -> None:
        self._database = database
        self._config = config
        self._journal = journal
        self._clock = clock
        self._log = log
        self._waits = waits
        self._told: set[str] = set()

    def look(self) -> None:
        """Call a person for each order that takes too long, once; lift halts of symbols whose order has been settled."""
        opened = self._journal.orders(only_open=True)
        now = self._clock.now()
        for order in opened:
            own_id = order.request.client_order_id
            if self._waits(own_id):
                continue
            if own_id not in self._told and now - order.planned_at > self._most(order):
                self._told.add(own_id)
                self._log.error(
                    "order.stuck",
                    client_order_id=own_id,
                    symbol=order.request.symbol,
                    side=str(order.request.side),
                    quantity=str(order.request.quantity),
                    status=str(order.status),
                    reason=order.reason,
                    since=order.planned_at.isoformat(),
                )
        self._told &= {order.request.client_order_id for order in opened}
        self._lift({order.request.symbol for order in opened if order.status is OrderStatus.UNKNOWN})

    def _most(self, order: JournaledOrder) -> timedelta:
        if order.request.type is OrderType.STOP and order.status in (OrderStatus.ACCEPTED, OrderStatus.PARTIALLY_FILLED):
            return timedelta.max
        if order.status in (OrderStatus.ACCEPTED, OrderStatus.PARTIALLY_FILLED):
            limit = timedelta(seconds=self._config.order.timeout_s) + _AFTER_ITS_LIMIT
            return max(_AT_VENUE_MOST, limit) if order.request.type is OrderType.LIMIT else _AT_VENUE_MOST
        return _UNKNOWN_MOST

    def _lift(self, unknown: set[str]) -> None:
        for symbol, halted in halted_symbols(self._database, self._config.id).items():
            if halted.by == HaltedBy.OUTCOME and symbol not in unknown and "has ended" not in halted.reason:
                resume(self._database, self._config.id, symbol=symbol, by=HaltedBy.OUTCOME)
                self._log.info("symbol.resumed", symbol=symbol, reason="its order is settled")
