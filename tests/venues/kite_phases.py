"""The local Kite with NSE's day behind it: what each phase takes, how the closing auction matches, and what ends with it.

- An order is refused in a phase that does not take its type, outside of the session, and after the auction's order entry has
  ended, at a moment of the last two minutes that the seed decides. Half of those late ones are registered, and refused in the
  book.
- In the auction a price must lie within 3 % of the mean price of the last quarter of an hour of continuous trading.
- Stop-loss orders are cancelled as continuous trading ends. LIMIT orders stand on into the auction.
- The auction matches at one price, `auction_prices`, market orders first, as many shares as `auction_depth` says; what is left is
  cancelled once it is over. Where there is no auction, what is left is cancelled as continuous trading ends.
- While nothing may be entered, nothing may be cancelled either.

The pre-open and the post-close take orders at NSE, but not what was decided: here they refuse, so that using them shows.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, time, timedelta
from decimal import Decimal
from typing import Any

from algo_py.clock import Clock

from .kite import INDIA, error
from .kite_books import Order
from .kite_trading import KiteTradingServer
from .nse_day import AUCTION, CONTINUOUS, Stretch, boundaries, entry_ends_at, stretch_at
from .server import Reply, Request

_INSTANT = timedelta(microseconds=1)
_BAND = Decimal("0.03")
_CLOSED = "Markets are closed right now. Use after-market orders (AMO)."


@dataclass(frozen=True)
class Refusal:
    """An order that the exchange did not take because of the time of day. at_random: only its random end has made it so."""

    at: datetime
    symbol: str
    type: str
    side: str
    at_random: bool


class PhasedKite(KiteTradingServer):
    """See the head of this file. auctioned: the shares that close by auction."""

    def __init__(self, clock: Clock, *, seed: int = 0, **given: Any) -> None:
        super().__init__(clock, **given)
        self.seed = seed
        self.auctioned: set[str] = set()
        self.auction_prices: dict[str, Decimal] = {}
        self.auction_depth: dict[str, int] = {}
        self.refused: list[Refusal] = []
        self._reference: dict[str, list[Decimal]] = {}
        self._seen_until = clock.now()

    # The day.

    def keep_hours(self) -> None:
        """Do what is due by now: the ends of phases that have passed since the last look."""
        now = self.clock.now()
        due = sorted(
            (moment, symbol)
            for symbol in self.shares
            for moment in boundaries(self._seen_until, now, has_derivatives=symbol in self.auctioned)
        )
        self._seen_until = max(self._seen_until, now)
        for moment, symbol in due:
            self._end_phase(symbol, moment)

    def _end_phase(self, symbol: str, moment: datetime) -> None:
        has_derivatives = symbol in self.auctioned
        ended = stretch_at(moment - _INSTANT, has_derivatives=has_derivatives)
        following = stretch_at(moment, has_derivatives=has_derivatives)
        waiting = [order for order in self.orders.values() if order.symbol == symbol and not order.has_ended]
        if ended is not None and ended.kind == CONTINUOUS:
            for order in waiting:
                if order.status == "TRIGGER PENDING" or following is None:
                    self._cancel_rest(order)
        elif ended is not None and ended.kind == AUCTION and (following is None or following.kind != AUCTION):
            self._hold_auction(symbol, waiting)
        elif following is None:
            for order in waiting:
                self._cancel_rest(order)

    def _hold_auction(self, symbol: str, waiting: list[Order]) -> None:
        """Match at one price: market orders first, then those whose limit it reaches."""
        price = self.auction_prices.get(symbol, self.prices[symbol])
        left = self.auction_depth.get(symbol)
        for order in sorted(waiting, key=lambda one: one.type != "MARKET"):
            reaches = order.type == "MARKET" or (price <= order.price if order.side == "BUY" else price >= order.price)
            quantity = order.pending if left is None else min(order.pending, left)
            if reaches and quantity:
                self._trade(order, quantity, price)
                left = None if left is None else left - quantity
        self.prices[symbol] = price
        self._reference.pop(symbol, None)

    def new_day(self, *, keeps_token: bool = False) -> None:
        self.keep_hours()
        super().new_day(keeps_token=keeps_token)

    def set_price(self, symbol: str, price: str) -> None:
        """Let a share trade at a price, in continuous trading; the last quarter of an hour of it makes the reference price."""
        self._reference.setdefault(symbol, []).append(Decimal(price))
        self._reference[symbol] = self._reference[symbol][-15:]
        super().set_price(symbol, price)

    def reference(self, symbol: str) -> Decimal:
        """Return the auction's reference price."""
        seen = self._reference.get(symbol) or [self.prices[symbol]]
        return sum(seen, Decimal(0)) / len(seen)

    # Orders.

    def _place(self, request: Request, variety: str) -> Reply:
        values = request.values
        problem = self._input_problem(values, variety)
        if problem is not None:
            return error(400, "InputException", problem)
        refusal = self._refusal(values)
        if refusal is None:
            self.is_open = True
            return self._out_of_band(values) or super()._place(request, variety)
        self.refused.append(refusal)
        is_registered = refusal.at_random and len(self.refused) % 2 == 0
        if not is_registered:
            return error(400, "OrderException", "Order entry has ended." if refusal.at_random else _CLOSED)
        reply = super()._place(request, variety)
        placed = list(self.orders.values())[-1]
        self._set(placed, "REJECTED", "16283 : Order entered in invalid session.")
        return reply

    def _refusal(self, values: Mapping[str, str]) -> Refusal | None:
        symbol, type_, now = values["tradingsymbol"], values["order_type"], self.clock.now()
        found = stretch_at(now, has_derivatives=symbol in self.auctioned)
        is_taken = found is not None and type_ in found.takes
        at_random = is_taken and self._has_ended_at_random(symbol, now)
        if is_taken and not at_random:
            return None
        return Refusal(now, symbol, type_, values["transaction_type"], at_random)

    def _has_ended_at_random(self, symbol: str, now: datetime) -> bool:
        local = now.astimezone(INDIA)
        ends = entry_ends_at(local.date(), self.seed, symbol) if symbol in self.auctioned else None
        return ends is not None and ends <= local.time() < time(16)

    def _out_of_band(self, values: Mapping[str, str]) -> Reply | None:
        symbol, found = values["tradingsymbol"], self._stretch(values["tradingsymbol"])
        if found is None or found.kind != AUCTION or values["order_type"] != "LIMIT":
            return None
        if abs(Decimal(values["price"]) / self.reference(symbol) - 1) <= _BAND:
            return None
        return error(400, "OrderException", "The price is out of the current execution range.")

    def _match(self, order: Order) -> None:
        found = self._stretch(order.symbol)
        if found is not None and found.kind == CONTINUOUS:
            super()._match(order)

    def _cancel(self, request: Request, order_id: str) -> Reply:
        order = self.orders.get(order_id)
        found = None if order is None else self._stretch(order.symbol)
        if order is not None and not order.has_ended and (found is None or not found.takes):
            return error(400, "OrderException", "Order cannot be cancelled in this session.")
        return super()._cancel(request, order_id)

    def _stretch(self, symbol: str) -> Stretch | None:
        return stretch_at(self.clock.now(), has_derivatives=symbol in self.auctioned)
