"""An account at Binance and the market that its orders meet: balances, orders, lists of two orders, trades. No HTTP here.

The market is one price a symbol, moved by the test. Everything is Decimal. What an order may be, and in which words it is
refused, follows Binance's spot documentation ("New order", "New Order list - OCO", "Filters", "Errors").
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from decimal import ROUND_DOWN, Decimal
from typing import Any

from .binance import Problem, Rules

_SATOSHI = Decimal("0.00000001")
_RESTING = ("NEW", "PARTIALLY_FILLED")
STOPS = ("STOP_LOSS", "TAKE_PROFIT")
LIMITS = ("LIMIT", "LIMIT_MAKER")


@dataclass(slots=True)
class Balance:
    free: Decimal = Decimal(0)
    locked: Decimal = Decimal(0)


@dataclass(slots=True, kw_only=True)
class Order:
    """An order as the exchange keeps it. `held` is what it locks: an asset and how much of it."""

    id: int
    list_id: int
    symbol: str
    client_id: str
    side: str
    type: str
    time_in_force: str
    quantity: Decimal
    price: Decimal
    stop_price: Decimal
    time: int
    updated: int
    status: str = "NEW"
    executed: Decimal = Decimal(0)
    traded: Decimal = Decimal(0)
    is_triggered: bool = False
    held: tuple[str, Decimal] | None = None

    @property
    def is_open(self) -> bool:
        return self.status in _RESTING

    @property
    def rest(self) -> Decimal:
        return self.quantity - self.executed


@dataclass(frozen=True, slots=True, kw_only=True)
class Trade:
    """One execution; `commission` in units of `commission_asset`."""

    id: int
    order_id: int
    list_id: int
    symbol: str
    price: Decimal
    quantity: Decimal
    commission: Decimal
    commission_asset: str
    time: int
    is_buyer: bool
    is_maker: bool


@dataclass(slots=True, kw_only=True)
class OrderList:
    """Two orders of which one takes the other's place."""

    id: int
    client_id: str
    symbol: str
    time: int
    orders: tuple[Order, Order]


@dataclass(frozen=True, slots=True, kw_only=True)
class Ticket:
    """What a client wants of one order. Prices that do not belong to the type are 0."""

    symbol: str
    client_id: str
    side: str
    type: str
    quantity: Decimal
    time_in_force: str = "GTC"
    price: Decimal = Decimal(0)
    stop_price: Decimal = Decimal(0)


@dataclass(kw_only=True)
class Matching:
    """One account and its markets.

    fee_rate: a fraction of what is received. fee_asset: "" for the asset that is received, or an asset; one that is neither base
    nor quote is charged by its own price in the quote currency, or as `fee_units` of it when it has none. pieces: in how many
    trades a market order fills. depth: how much of a symbol a market order finds, where it is not without end.
    """

    rules: Mapping[str, Rules]
    now_ms: Callable[[], int]
    balances: dict[str, Balance] = field(default_factory=dict)
    prices: dict[str, Decimal] = field(default_factory=dict)
    depth: dict[str, Decimal] = field(default_factory=dict)
    orders: list[Order] = field(default_factory=list)
    lists: list[OrderList] = field(default_factory=list)
    trades: list[Trade] = field(default_factory=list)
    fee_rate: Decimal = Decimal("0.001")
    fee_asset: str = ""
    fee_units: Decimal = Decimal("0.01")
    pieces: int = 1

    def balance(self, asset: str) -> Balance:
        return self.balances.setdefault(asset, Balance())

    # Placing

    def place(self, ticket: Ticket) -> Order:
        """Take an order, or refuse it with Problem; a market order and a limit order that meets its price fill at once."""
        self._check(ticket)
        self._refuse_repeated(ticket)
        if ticket.type in STOPS:
            self._refuse_triggered(ticket)
        if ticket.type == "LIMIT_MAKER" and self._is_met(ticket.side, ticket.price, self.prices[ticket.symbol]):
            raise Problem(-2010, "Order would immediately match and take.")
        held = self._needs(ticket)
        self._refuse_poor(held)
        order = self._new(ticket, list_id=-1)
        if ticket.type == "MARKET":
            self._take(order)
        elif ticket.type == "LIMIT" and self._is_met(ticket.side, ticket.price, self.prices[ticket.symbol]):
            self._take_limit(order)
        elif order.time_in_force != "GTC":
            order.status = "EXPIRED"
        if order.is_open:
            self._hold(order, held)
        return order

    def place_pair(self, list_client_id: str, above: Ticket, below: Ticket) -> OrderList:
        """Take a pair of which the first to be met ends the other, or refuse it with Problem."""
        stop, target = (below, above) if above.side == "SELL" else (above, below)
        self._check_pair(stop, target)
        for ticket in (above, below):
            self._check(ticket)
            self._refuse_repeated(ticket)
        if any(known.client_id == list_client_id and any(o.is_open for o in known.orders) for known in self.lists):
            raise Problem(-2010, "Duplicate order sent.")
        highest, lowest = above.stop_price or above.price, below.stop_price or below.price
        if not highest > self.prices[above.symbol] > lowest:
            raise Problem(-2010, "The relationship of the prices for the orders is not correct.")
        held = max(self._needs(above), self._needs(below), key=lambda need: need[1])
        self._refuse_poor(held)
        list_id = len(self.lists) + 1
        pair = (self._new(above, list_id=list_id), self._new(below, list_id=list_id))
        self._hold(pair[0], held)
        made = OrderList(id=list_id, client_id=list_client_id, symbol=above.symbol, time=self.now_ms(), orders=pair)
        self.lists.append(made)
        return made

    def cancel(self, order: Order) -> None:
        """Cancel an open order, and the other one of its pair with it."""
        for one in (order, *self._others(order)):
            self._end(one, "CANCELED")

    # The market moves

    def set_price(self, symbol: str, price: Decimal) -> None:
        """Move the market: whatever rests and is met fills, limit orders at their own price and stops at this one."""
        self.prices[symbol] = price
        for order in [order for order in self.orders if order.symbol == symbol]:
            if not order.is_open:
                continue
            if order.type in STOPS and self._is_triggered(order.side, order.type, order.stop_price, price):
                order.is_triggered = True
                self._expire_others(order)
                self._release(order)
                self._take(order)
            elif order.type in LIMITS and self._is_met(order.side, order.price, price):
                self.fill(order, order.rest)

    def fill(self, order: Order, quantity: Decimal) -> None:
        """Fill so much of a resting limit order, as maker at its own price."""
        self._expire_others(order)
        self._release(order)
        self._trade(order, quantity, order.price, is_maker=True)
        if order.is_open:
            self._hold(order, self._needs_rest(order))

    # Inside

    def _take(self, order: Order) -> None:
        """Fill at the market's price in pieces; what finds nobody expires."""
        available = min(order.rest, self.depth.get(order.symbol, order.rest))
        if order.symbol in self.depth:
            self.depth[order.symbol] -= available
        for piece in self._pieces(order.symbol, available):
            self._trade(order, piece, self.prices[order.symbol], is_maker=False)
        if order.rest:
            self._end(order, "EXPIRED")

    def _take_limit(self, order: Order) -> None:
        available = min(order.rest, self.depth.get(order.symbol, order.rest))
        if order.time_in_force == "FOK" and available < order.rest:
            self._end(order, "EXPIRED")
            return
        if order.symbol in self.depth:
            self.depth[order.symbol] -= available
        for piece in self._pieces(order.symbol, available):
            self._trade(order, piece, self.prices[order.symbol], is_maker=False)
        if order.rest and order.time_in_force == "IOC":
            self._end(order, "EXPIRED")

    def _pieces(self, symbol: str, quantity: Decimal) -> Iterator[Decimal]:
        step = Decimal(self.rules[symbol].step_size)
        each = quantity / self.pieces // step * step
        for _ in range(self.pieces - 1):
            if each:
                yield each
                quantity -= each
        if quantity:
            yield quantity

    def _trade(self, order: Order, quantity: Decimal, price: Decimal, *, is_maker: bool) -> None:
        rules = self.rules[order.symbol]
        is_buy = order.side == "BUY"
        value = quantity * price
        self.balance(rules.base).free += quantity if is_buy else -quantity
        self.balance(rules.quote).free += -value if is_buy else value
        asset = self.fee_asset or (rules.base if is_buy else rules.quote)
        commission = self._commission(asset, rules, quantity, value)
        self.balance(asset).free -= commission
        order.executed += quantity
        order.traded += value
        order.updated = self.now_ms()
        order.status = "FILLED" if order.executed == order.quantity else "PARTIALLY_FILLED"
        self.trades.append(
            Trade(
                id=1_000 + len(self.trades),
                order_id=order.id,
                list_id=order.list_id,
                symbol=order.symbol,
                price=price,
                quantity=quantity,
                commission=commission,
                commission_asset=asset,
                time=order.updated,
                is_buyer=is_buy,
                is_maker=is_maker,
            )
        )

    def _commission(self, asset: str, rules: Rules, quantity: Decimal, value: Decimal) -> Decimal:
        if asset == rules.base:
            return (quantity * self.fee_rate).quantize(_SATOSHI, ROUND_DOWN)
        if asset == rules.quote:
            return (value * self.fee_rate).quantize(_SATOSHI, ROUND_DOWN)
        own = self.prices.get(asset + rules.quote)
        return self.fee_units if own is None else (value * self.fee_rate / own).quantize(_SATOSHI, ROUND_DOWN)

    def _new(self, ticket: Ticket, *, list_id: int) -> Order:
        now = self.now_ms()
        order = Order(
            id=len(self.orders) + 1,
            list_id=list_id,
            symbol=ticket.symbol,
            client_id=ticket.client_id,
            side=ticket.side,
            type=ticket.type,
            time_in_force=ticket.time_in_force,
            quantity=ticket.quantity,
            price=ticket.price,
            stop_price=ticket.stop_price,
            time=now,
            updated=now,
        )
        self.orders.append(order)
        return order

    def _others(self, order: Order) -> list[Order]:
        pair = next((known.orders for known in self.lists if known.id == order.list_id), ())
        return [other for other in pair if other is not order and other.is_open]

    def _expire_others(self, order: Order) -> None:
        for other in self._others(order):
            if other.held is not None:
                order.held, other.held = other.held, None
            self._end(other, "EXPIRED")

    def _end(self, order: Order, status: str) -> None:
        if order.is_open:
            self._release(order)
            order.status, order.updated = status, self.now_ms()

    def _hold(self, order: Order, held: tuple[str, Decimal]) -> None:
        balance = self.balance(held[0])
        balance.free -= held[1]
        balance.locked += held[1]
        order.held = held

    def _release(self, order: Order) -> None:
        if order.held is not None:
            balance = self.balance(order.held[0])
            balance.free += order.held[1]
            balance.locked -= order.held[1]
            order.held = None

    def _needs(self, ticket: Ticket) -> tuple[str, Decimal]:
        rules = self.rules[ticket.symbol]
        if ticket.side == "SELL":
            return rules.base, ticket.quantity
        return rules.quote, ticket.quantity * (ticket.price or ticket.stop_price or self.prices[ticket.symbol])

    def _needs_rest(self, order: Order) -> tuple[str, Decimal]:
        rules = self.rules[order.symbol]
        return (rules.base, order.rest) if order.side == "SELL" else (rules.quote, order.rest * order.price)

    def _refuse_poor(self, need: tuple[str, Decimal]) -> None:
        if self.balance(need[0]).free < need[1]:
            raise Problem(-2010, "Account has insufficient balance for requested action.")

    def _refuse_repeated(self, ticket: Ticket) -> None:
        """An id must be unique among the open orders of a symbol; that of one that has ended may be used again."""
        if any(known.is_open and (known.symbol, known.client_id) == (ticket.symbol, ticket.client_id) for known in self.orders):
            raise Problem(-2010, "Duplicate order sent.")

    def _refuse_triggered(self, ticket: Ticket) -> None:
        if self._is_triggered(ticket.side, ticket.type, ticket.stop_price, self.prices[ticket.symbol]):
            raise Problem(-2010, "Order would trigger immediately.")

    def _check_pair(self, stop: Ticket, target: Ticket) -> None:
        if target.type not in ("LIMIT_MAKER", "TAKE_PROFIT"):
            raise Problem(-1158, "Order type not supported in OCO.")
        if stop.type != "STOP_LOSS":
            code, side = (-1197, "below") if stop.side == "SELL" else (-1196, "above")
            raise Problem(code, f"A stop loss order in a {stop.side.lower()} OCO must be {side}.")

    def _check(self, ticket: Ticket) -> None:
        """Keep the symbol's filters."""
        entry = self.rules[ticket.symbol].entry()
        filters: dict[str, dict[str, Any]] = {one["filterType"]: one for one in entry["filters"]}
        if entry["status"] != "TRADING":
            raise Problem(-1013, "Market is closed.")
        for price in (ticket.price, ticket.stop_price):
            if price and not _fits(price, filters["PRICE_FILTER"], "minPrice", "maxPrice", "tickSize"):
                raise Problem(-1013, "Filter failure: PRICE_FILTER")
        if not _fits(ticket.quantity, filters["LOT_SIZE"], "minQty", "maxQty", "stepSize"):
            raise Problem(-1013, "Filter failure: LOT_SIZE")
        at_market = ticket.type == "MARKET" or ticket.type in STOPS
        if at_market and not _fits(ticket.quantity, filters["MARKET_LOT_SIZE"], "minQty", "maxQty", "stepSize"):
            raise Problem(-1013, "Filter failure: MARKET_LOT_SIZE")
        notional = ticket.quantity * (ticket.price or ticket.stop_price or self.prices[ticket.symbol])
        most = filters["NOTIONAL"]["maxNotional"]
        if notional < Decimal(filters["NOTIONAL"]["minNotional"]) or (not at_market and notional > Decimal(most)):
            raise Problem(-1013, "Filter failure: NOTIONAL")

    @staticmethod
    def _is_met(side: str, limit: Decimal, price: Decimal) -> bool:
        return price <= limit if side == "BUY" else price >= limit

    @staticmethod
    def _is_triggered(side: str, kind: str, stop: Decimal, price: Decimal) -> bool:
        waits_for_rise = (side == "BUY") == (kind == "STOP_LOSS")
        return price >= stop if waits_for_rise else price <= stop


def _fits(value: Decimal, bounds: Mapping[str, str], least: str, most: str, step: str) -> bool:
    """Return whether a filter lets a value pass; a step of 0 is none."""
    size = Decimal(bounds[step])
    return Decimal(bounds[least]) <= value <= Decimal(bounds[most]) and (not size or value % size == 0)
