"""The last look before an order leaves: halts, limits, the venue's own minimums, what is held, and what can be paid.

Two answers, for two kinds of orders (docs/orders.md has the whole table). An entry is refused by everything that is wrong or not
known. What closes a position is refused only by what is known to make it impossible: nothing is held, or the venue takes no order
so small.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime, time
from decimal import Decimal

from algo_py.clock import Clock
from algo_py.errors import VenueError
from algo_py.market import Instrument
from algo_py.orders.halts import Halt
from algo_py.orders.journal import Journal
from algo_py.orders.model import Leg, OrderRequest, Side
from algo_py.orders.risk import Denial, Exposure, Limits, affordable, check

NOT_SHORT = "the ledger holds less than nothing, which this venue does not know: book what happened (algo-py book)"


@dataclass(frozen=True, slots=True, kw_only=True)
class Verdict:
    """What may be sent of an order: `request`, which may be a smaller one; or nothing, and why."""

    request: OrderRequest
    denial: str | None = None


@dataclass(kw_only=True)
class Guard:
    """Judges the orders of one deployment.

    halted reads the database each time it is called, for one symbol. rules are the venue's own, by symbol; empty where it has
    none. live_price asks the venue for entries, None where it knows no price; free_cash likewise. `closes` is the last close
    of each symbol, set before each run. cost_fraction is what fees and slippage add to an entry's value; allow_partial shrinks
    an entry that lacks cash, else it is denied. can_short: where the venue cannot, a position below 0 is a mistake in the books,
    and nothing is bought for it. are_rules_known: False while the venue could not be asked for its rules: entries wait for them.
    """

    journal: Journal
    clock: Clock
    limits: Limits = field(default_factory=Limits)
    halted: Callable[[str], Halt | None] = lambda _symbol: None
    rules: Mapping[str, Instrument] = field(default_factory=dict)
    live_price: Callable[[str], Decimal | None] = lambda _symbol: None
    free_cash: Callable[[], Decimal | None] = lambda: None
    closes: Mapping[str, Decimal] = field(default_factory=dict)
    cost_fraction: Decimal = Decimal(0)
    allow_partial: bool = True
    can_short: bool = True
    are_rules_known: bool = True

    def judge(self, request: OrderRequest, *, cushion: Decimal = Decimal(0)) -> Verdict:
        """Return what may be sent. `cushion` is a further fraction of its value that an entry must be able to pay."""
        if request.leg is Leg.EXIT:
            if request.side is Side.BUY and not self.can_short:
                return Verdict(request=request, denial=NOT_SHORT)
            return self._checked(request, Exposure(rules=self.rules.get(request.symbol)))
        halt = self.halted(request.symbol)
        if halt is not None:
            return Verdict(request=request, denial=f"halted: {halt.reason}")
        if not self.are_rules_known:
            return Verdict(request=request, denial="the venue's order rules are not known; an entry waits for them")
        reckoned = None
        try:
            reckoned = price = self.live_price(request.symbol)
            cash = self.free_cash()
        except VenueError as error:
            if self.limits.price_collar_fraction is not None:
                remedy = "An entry waits for it; switch price_collar_fraction off to enter without."
                return Verdict(request=request, denial=f"the venue's price is not known ({error.message}). {remedy}")
            price = cash = None
            reckoned = reckoned or request.reference_price  # the ledger's own cash bounds it all the same
        if reckoned is not None:
            fitting = self._affordable(request, reckoned, cash, cushion)
            if isinstance(fitting, Denial):
                return Verdict(request=request, denial=str(fitting))
            request = fitting
        return self._checked(request, self._exposure(request, price))

    def _checked(self, request: OrderRequest, exposure: Exposure) -> Verdict:
        denial = check(request, self.limits, exposure)
        return Verdict(request=request, denial=None if denial is None else str(denial))

    def _affordable(
        self, request: OrderRequest, price: Decimal, account_cash: Decimal | None, cushion: Decimal
    ) -> OrderRequest | Denial:
        """Return an entry that the ledger's cash pays, beside the entries that are under way, and the account's too."""
        own_id = request.client_order_id
        promised = sum(
            (order.request.notional - order.filled_quantity * order.request.reference_price)
            for order in self.journal.orders(only_open=True)
            if order.request.leg is Leg.ENTRY and order.request.client_order_id != own_id
        )
        cash = self.journal.ledger.cash - promised
        if account_cash is not None:
            cash = min(cash, account_cash)
        dearest = price if request.limit_price is None else max(request.limit_price, Decimal(0))
        quantity = affordable(
            request.quantity, dearest * (1 + self.cost_fraction + cushion), cash, self.rules.get(request.symbol)
        )
        if quantity == request.quantity:
            return request
        if not self.allow_partial or quantity <= 0:
            return Denial(rule="cash", value=request.quantity * dearest, bound=cash)
        return replace(request, quantity=quantity)

    def _exposure(self, request: OrderRequest, live_price: Decimal | None) -> Exposure:
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
            live_price=live_price,
            rules=self.rules.get(request.symbol),
        )
