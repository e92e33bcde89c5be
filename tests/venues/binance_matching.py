"""An account at Binance and the market that its orders meet: balances, orders, lists of two orders, trades. No HTTP here.

The market is one price a symbol, moved by the test. Everything is Decimal. What an order may be, and in which words it is
refused, follows Binance's spot documentation ("New order", "New Order list - OCO", "Errors", "Self Trade Prevention"), and for
the stop that would act at once the exchange itself, whose words differ from it (github.com/ccxt/ccxt/issues/8194).
Filters are judged before the matching engine (-1013), the number of open orders by it (-2010; JKorf/Binance.Net/issues/1212).
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from decimal import ROUND_DOWN, Decimal

from .binance import Problem
from .binance_books import LIMITS, Balance, Order, OrderList, Ticket, Trade
from .binance_rules import STOPS, Rules

_SATOSHI = Decimal("0.00000001")


@dataclass(kw_only=True)
class Matching:
    """One account and its markets.

    fee_rate: a fraction of what is received. fee_asset: "" for the asset that is received, or an asset; one that is neither base
    nor quote is charged by its own price in the quote currency, or as `fee_units` of it when it has none. Where not enough of the
    fee's asset is free, the fee comes from what is received. pieces: in how many trades a market order fills. depth: how much of
    a symbol a market order finds, where it is not without end. at_best: symbols in which the account's own resting orders are the
    best of the book, so that whoever takes meets them first.
    """

    rules: Mapping[str, Rules]
    now_ms: Callable[[], int]
    balances: dict[str, Balance] = field(default_factory=dict)
    prices: dict[str, Decimal] = field(default_factory=dict)
    history: dict[str, list[tuple[int, Decimal]]] = field(default_factory=dict)
    depth: dict[str, Decimal] = field(default_factory=dict)
    orders: list[Order] = field(default_factory=list)
    lists: list[OrderList] = field(default_factory=list)
    trades: list[Trade] = field(default_factory=list)
    fee_rate: Decimal = Decimal("0.001")
    fee_asset: str = ""
    fee_units: Decimal = Decimal("0.01")
    pieces: int = 1
    at_best: set[str] = field(default_factory=set)

    def balance(self, asset: str) -> Balance:
        return self.balances.setdefault(asset, Balance())

    # Placing

    def check(self, ticket: Ticket) -> None:
        """Refuse an order with Problem that does not pass the filters of its symbol."""
        rules = self.rules[ticket.symbol]
        if rules.status != "TRADING":
            raise Problem(-1013, "Market is closed.")
        broken = rules.broken(ticket, average=self.average(ticket.symbol))
        if broken is not None:
            raise Problem(-1013, f"Filter failure: {broken}")

    def check_number(self, *tickets: Ticket) -> None:
        """Refuse orders with Problem that would be too many on their symbol."""
        symbol = tickets[0].symbol
        rules = self.rules[symbol]
        kinds = [ticket.type for ticket in tickets] + [one.type for one in self.orders if one.is_open and one.symbol == symbol]
        rests = any(ticket.type != "MARKET" for ticket in tickets)
        if rests and sum(kind in STOPS for kind in kinds) > rules.stops_max and any(one.type in STOPS for one in tickets):
            raise Problem(-2010, "Filter failure: MAX_NUM_ALGO_ORDERS")
        if rests and len(kinds) > rules.orders_max:
            raise Problem(-2010, "Filter failure: MAX_NUM_ORDERS")

    def place(self, ticket: Ticket) -> Order:
        """Take an order, or refuse it with Problem; a market order and a limit order that meets its price fill at once."""
        self.check(ticket)
        self.check_number(ticket)
        return self.enter(ticket)

    def enter(self, ticket: Ticket) -> Order:
        """Take an order that has passed the filters, or refuse it with Problem."""
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
            self.check(ticket)
            self._refuse_repeated(ticket)
        self.check_number(above, below)
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

    def begin_anew(self) -> None:
        """Forget every order, list, trade and balance; numbers begin where they began."""
        self.orders.clear()
        self.lists.clear()
        self.trades.clear()
        self.balances.clear()

    # The market moves

    def average(self, symbol: str) -> Decimal:
        """Return the mean of the prices of the symbol's last `average_minutes`, the last price where it did not move in them."""
        since = self.now_ms() - self.rules[symbol].average_minutes * 60_000
        recent = [price for moment, price in self.history.get(symbol, ()) if moment > since]
        return sum(recent, Decimal(0)) / len(recent) if recent else self.prices[symbol]

    def set_price(self, symbol: str, price: Decimal, quantity: Decimal | None = None) -> None:
        """Move the market: whatever rests and is met fills, limit orders at their own price and stops at this one.

        Of limit orders at most `quantity` fills in all, the first one first. While the symbol does not trade nothing fills.
        """
        self.prices[symbol] = price
        now = self.now_ms()
        kept = [one for one in self.history.get(symbol, ()) if one[0] > now - self.rules[symbol].average_minutes * 60_000]
        self.history[symbol] = [*kept, (now, price)]
        if self.rules[symbol].status != "TRADING":
            return
        left = quantity
        for order in [order for order in self.orders if order.symbol == symbol]:
            if not order.is_open:
                continue
            if order.type in STOPS and self._is_triggered(order.side, order.type, order.stop_price, price):
                order.is_triggered = True
                self._expire_others(order)
                self._release(order)
                self._take(order)
            elif order.type in LIMITS and self._is_met(order.side, order.price, price):
                filling = order.rest if left is None else min(order.rest, left)
                left = None if left is None else left - filling
                if filling:
                    self.fill(order, filling)

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
        self._prevent_self_trade(order)
        available = min(order.rest, self.depth.get(order.symbol, order.rest))
        if order.symbol in self.depth:
            self.depth[order.symbol] -= available
        for piece in self._pieces(order.symbol, available):
            self._trade(order, piece, self.prices[order.symbol], is_maker=False)
        if order.rest:
            self._end(order, "EXPIRED")

    def _prevent_self_trade(self, taker: Order) -> None:
        """EXPIRE_MAKER: own resting orders that would be traded with end, and the taker goes on to the next ones."""
        if taker.symbol not in self.at_best:
            return
        for order in self.orders:
            is_opposite = order.symbol == taker.symbol and order.side != taker.side and order.type in LIMITS
            if is_opposite and order.is_open and (not taker.price or self._is_met(taker.side, taker.price, order.price)):
                self._end(order, "EXPIRED_IN_MATCH")
                for other in self._others(order):
                    self._end(other, "EXPIRED")

    def _take_limit(self, order: Order) -> None:
        self._prevent_self_trade(order)
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
        received = rules.base if is_buy else rules.quote
        asset = self.fee_asset or received
        commission = self._commission(asset, rules, quantity, value)
        if asset != received and self.balance(asset).free < commission:
            asset, commission = received, self._commission(received, rules, quantity, value)
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
            raise Problem(-2010, "Stop price would trigger immediately.")

    def _check_pair(self, stop: Ticket, target: Ticket) -> None:
        if target.type not in ("LIMIT_MAKER", "TAKE_PROFIT"):
            raise Problem(-1158, "Order type not supported in OCO.")
        if stop.type != "STOP_LOSS":
            code, side = (-1197, "below") if stop.side == "SELL" else (-1196, "above")
            raise Problem(code, f"A stop loss order in a {stop.side.lower()} OCO must be {side}.")

    @staticmethod
    def _is_met(side: str, limit: Decimal, price: Decimal) -> bool:
        return price <= limit if side == "BUY" else price >= limit

    @staticmethod
    def _is_triggered(side: str, kind: str, stop: Decimal, price: Decimal) -> bool:
        waits_for_rise = (side == "BUY") == (kind == "STOP_LOSS")
        return price >= stop if waits_for_rise else price <= stop
