"""When NSE takes which orders, asked of each share's own calendar.

| now | an entry | an exit |
|---|---|---|
| continuous trading | sent | sent |
| closing auction, limit and market | only with `auction_fills` | sent; a limit outside of the auction's band waits for the open |
| closing auction, limit orders | likewise, LIMIT alone | a MARKET order goes as a LIMIT order that should execute |
| any other time of a known day | refused | waits for the first phase that takes it |
| closed by the weekly rule, on a day that nobody knows | refused | tried: Kite says itself whether it is closed |

NSE takes nothing outside of 3 % round the mean price of the last quarter of an hour of continuous trading. Kite does not tell
that price, so the latest one stands in: a limit 1 % from it is inside as long as the two differ by less than 2 %, and executes
unless the auction moves farther than that. No stop-loss order is ever sent (`parameters`), and NSE takes none in the auction.

Kite may say that the market is closed when it should be open: the exchange ends the auction's order entry at a moment of its own
choosing, halts, or trades on other days than anybody knew. That is a refusal for now, and an exit waits.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from datetime import datetime, timedelta
from decimal import Decimal
from typing import Final

from algo_py.clock import Clock
from algo_py.errors import NotNow, Rejected, VenueError
from algo_py.market import Market
from algo_py.market.phases import TRADED_KINDS, Phase, PhaseKind
from algo_py.orders.model import Leg, OrderRequest, OrderType, Side
from algo_py.orders.timing import Wait

_FROM_LAST_PRICE: Final = Decimal("0.01")
# How soon what Kite has called closed is tried again where nothing says when it opens.
_AGAIN_SOON: Final = timedelta(minutes=5)
_AGAIN_LATE: Final = timedelta(hours=1)
# The clocks of this machine and of the exchange differ, and an order is on its way for a moment.
_BORDER: Final = timedelta(seconds=5)
_CLOSED_WORDS: Final = ("market is closed", "markets are closed", "market closed", "after-market", "after market", "(amo)")
_CLOSED: Final = "the market is closed"


class Hours:
    """The phases of NSE's shares as orders meet them; `OrderTimes` of `orders.timing`.

    last_price asks Kite for the latest price of a share, None where it knows none. auction_fills: entries may fill in the closing
    auction too.
    """

    def __init__(
        self, market: Market, clock: Clock, *, last_price: Callable[[str], Decimal | None], auction_fills: bool = False
    ) -> None:
        self._market = market
        self._clock = clock
        self._last_price = last_price
        self._auction_fills = auction_fills
        self.zone = market.time_zone

    def fitted(self, order: OrderRequest) -> OrderRequest | Wait:
        if order.leg is Leg.ENTRY:
            return order  # an entry does not wait: `refuse` says so as it is sent
        phase = self._traded_phase(order.symbol)
        if phase is None:
            return order if self._is_assumed() else self._wait_for(order.type, order.symbol)
        if phase.kind is PhaseKind.CONTINUOUS:
            return order
        if order.type is OrderType.MARKET:
            return self._in_the_auction(order, phase)
        if order.type is not OrderType.LIMIT or order.limit_price is None or order.type.value not in phase.takes:
            return self._wait_for(order.type, order.symbol)
        return order if self._is_within_band(order, order.limit_price) else self.next_open(order.symbol)

    def trades_continuously(self, symbol: str) -> bool:
        phase = self._traded_phase(symbol)
        return self._is_assumed() if phase is None else phase.kind is PhaseKind.CONTINUOUS

    def next_open(self, symbol: str) -> Wait:
        calendar, now = self._market.calendar_of(symbol), self._clock.now()
        phase = calendar.phase(now)
        later = now if phase is None or phase.kind is not PhaseKind.CONTINUOUS else phase.end
        return self._wait(calendar.first_open(later), PhaseKind.CONTINUOUS)

    def can_cancel(self, symbol: str) -> bool:
        phase = self._traded_phase(symbol)
        return phase is None or bool(phase.takes)

    def refuse(self, order: OrderRequest) -> None:
        """Raise NotNow for an order that is known not to be taken now, or that may not be sent now."""
        now, phase = self._clock.now(), self._traded_phase(order.symbol)
        is_exit = order.leg is Leg.EXIT
        if phase is None and is_exit and self._is_assumed():
            return
        is_taken = phase is not None and order.type.value in phase.takes
        if is_taken and phase is not None and (phase.kind is PhaseKind.CONTINUOUS or is_exit or self._auction_fills):
            return
        waits = self._wait_for(order.type, order.symbol) if is_exit or self._auction_fills else self.next_open(order.symbol)
        at = f"{waits.until.astimezone(waits.zone):%Y-%m-%d %H:%M} ({self._market.time_zone.key})"
        if phase is not None:
            what = f"{phase.name}: no {order.type} order of this kind is taken until {at}"
        else:
            what = f"{_CLOSED}{', as far as anybody knows,' if self._is_assumed() else ''} until {at}"
        raise NotNow(f"{what}, so the order was not sent", until=max(waits.until, now), why=waits.why)

    def read(self, refusal: Rejected, order: OrderRequest) -> Rejected:
        """Return what a refusal of Kite means: NotNow where it says that the market is closed, where the exchange may have ended
        the order entry of the auction, and between two phases; any other as it is."""
        now, phase = self._clock.now(), self._traded_phase(order.symbol)
        ends_at_random = phase is not None and phase.random_end_from is not None and now >= phase.random_end_from
        at_border = phase is not None and (now - phase.start < _BORDER or phase.end - now <= _BORDER)
        says_closed = any(words in refusal.message.lower() for words in _CLOSED_WORDS)
        if type(refusal) is not Rejected or not (says_closed or ends_at_random or at_border):
            return refusal
        if at_border and not ends_at_random:
            why = "between two phases of the exchange"
            return NotNow(refusal.message, remedy=refusal.remedy, until=now + _BORDER, why=why)
        if phase is not None and phase.kind is PhaseKind.CLOSING_AUCTION:
            waits = self.next_open(order.symbol)
            return NotNow(refusal.message, remedy=refusal.remedy, until=waits.until, why=waits.why)
        again = now + (_AGAIN_SOON if phase is not None else _AGAIN_LATE)
        if phase is None:
            again = min(again, self._wait_for(OrderType.MARKET, order.symbol).until)
        return NotNow(refusal.message, remedy=refusal.remedy, until=again, why="Kite says that the market is closed")

    def _in_the_auction(self, order: OrderRequest, phase: Phase) -> OrderRequest | Wait:
        if order.type.value in phase.takes:
            return order
        if OrderType.LIMIT.value not in phase.takes:
            return self._wait_for(OrderType.MARKET, order.symbol)
        last, side = self._last(order), -1 if order.side is Side.SELL else 1
        return replace(order, type=OrderType.LIMIT, limit_price=last * (1 + side * _FROM_LAST_PRICE))

    def _is_within_band(self, order: OrderRequest, limit: Decimal) -> bool:
        return abs(limit / self._last(order) - 1) <= _FROM_LAST_PRICE

    def _last(self, order: OrderRequest) -> Decimal:
        """Return the latest price; where it cannot be had, that on which the order was decided."""
        try:
            return self._last_price(order.symbol) or order.reference_price
        except VenueError:
            return order.reference_price

    def _traded_phase(self, symbol: str) -> Phase | None:
        phase = self._market.calendar_of(symbol).phase(self._clock.now())
        return phase if phase is not None and phase.kind in TRADED_KINDS else None

    def _is_assumed(self) -> bool:
        return self._market.calendar.is_assumed(self._clock.now())

    def _wait_for(self, type_: OrderType, symbol: str) -> Wait:
        """Return the first phase ahead that takes an exit: a MARKET order goes as a LIMIT order where that is taken sooner."""
        calendar, now = self._market.calendar_of(symbol), self._clock.now()
        types = {type_, OrderType.LIMIT} if type_ is OrderType.MARKET else {type_}
        phases = [calendar.next_entry(one.value, now) for one in types]
        first = min(phases, key=lambda phase: phase.start)
        return self._wait(max(first.start, now), first.kind)

    def _wait(self, until: datetime, kind: PhaseKind) -> Wait:
        return Wait(until=until, why=kind.value, zone=self._market.time_zone)
