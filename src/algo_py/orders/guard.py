"""The last look before an order leaves: halts, limits, the venue's own minimums, and what is held."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import datetime, time
from decimal import Decimal

from algo_py.clock import Clock
from algo_py.market import Instrument
from algo_py.orders.halts import Halt
from algo_py.orders.journal import Journal
from algo_py.orders.model import Leg, OrderRequest
from algo_py.orders.risk import Denial, Exposure, Limits, check


@dataclass(kw_only=True)
class Guard:
    """Judges the orders of one deployment.

    halted reads the database each time it is called. rules are the venue's own, by symbol; empty where it has none. live_price
    asks the venue; it is called only where a limit needs it. `closes` is the last close of each symbol, set before each run.
    """

    journal: Journal
    clock: Clock
    limits: Limits = field(default_factory=Limits)
    halted: Callable[[], Halt | None] = lambda: None
    rules: Mapping[str, Instrument] = field(default_factory=dict)
    live_price: Callable[[str], Decimal | None] = lambda _symbol: None
    closes: Mapping[str, Decimal] = field(default_factory=dict)

    def denial(self, request: OrderRequest) -> str | None:
        """Return why an order may not be sent, naming rule, value and bound; None where it may."""
        halt = self.halted()
        if halt is not None:
            return f"halted: {halt.reason}"
        denial: Denial | None = check(request, self.limits, self._exposure(request))
        return None if denial is None else str(denial)

    def _exposure(self, request: OrderRequest) -> Exposure:
        rules = self.rules.get(request.symbol)
        if request.leg is Leg.EXIT:
            return Exposure(rules=rules)
        limits = self.limits
        positions: dict[str, Decimal] = {}
        if limits.max_position_notional or limits.max_gross_exposure or limits.max_open_positions:
            positions = {
                symbol: abs(position.quantity) * self.closes.get(symbol, position.average_price)
                for symbol, position in self.journal.positions().items()
            }
            for order in self.journal.orders(only_open=True):
                if order.request.leg is Leg.ENTRY and order.request.client_order_id != request.client_order_id:
                    rest = (order.request.quantity - order.filled_quantity) * order.request.reference_price
                    positions[order.request.symbol] = positions.get(order.request.symbol, Decimal(0)) + rest
        midnight = datetime.combine(self.clock.now().date(), time(), self.clock.now().tzinfo)
        return Exposure(
            positions=positions,
            entries_today=self.journal.entries_sent_since(midnight) if limits.max_orders_per_day else 0,
            live_price=self.live_price(request.symbol) if limits.price_collar_fraction else None,
            rules=rules,
        )
