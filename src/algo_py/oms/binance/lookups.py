"""Asking Binance about orders and trades: the report of one order, and the fills of a symbol since a moment."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from datetime import datetime
from decimal import Decimal
from typing import Any, Final

from algo_py.errors import OutcomeUnknown, VenueDown, VenueError
from algo_py.oms.binance.answers import TARGET_TYPE, Trade, VenueOrder, each_once, is_same, whole_status
from algo_py.oms.binance.connection import Connection, call
from algo_py.oms.binance.failures import ARCHIVED, NO_SUCH_ORDER, Failure, of_read
from algo_py.oms.binance.fees import Fees
from algo_py.oms.binance.placing import own_id, symbol_id, venue_ids
from algo_py.orders.model import Fill, OrderReport, OrderRequest, OrderStatus, OrderType

# What reading an answer of another shape than expected raises.
MISREAD: Final = (LookupError, TypeError, ValueError, ArithmeticError)

_ORDER_WEIGHT, _TRADES_OF_ORDER_WEIGHT, _TRADES_WEIGHT = 4.0, 5.0, 20.0
_TRADES_AT_ONCE: Final = 1_000
_PAGES_MOST: Final = 100
_WITHOUT_FILLING: Final = (OrderStatus.CANCELED, OrderStatus.EXPIRED, OrderStatus.REJECTED)


class Lookups:
    """Reads orders and trades; keeps nothing but which of our ids belongs to which of Binance's."""

    def __init__(self, connection: Connection, fees: Fees) -> None:
        self._connection = connection
        self._fees = fees
        self._own_ids: dict[tuple[str, int], str] = {}

    def report(self, order: OrderRequest) -> OrderReport | None:
        """Return what Binance knows of an order of ours now, None when it does not know it now.

        Raises OutcomeUnknown for an answer that cannot be meant for this order or cannot be booked; VenueDown, RateLimited,
        AuthFailed.
        """
        known: list[VenueOrder] = []
        for venue_client_id in venue_ids(order):
            entry = self._order(order, {"origClientOrderId": venue_client_id})
            if entry is ARCHIVED:
                reason = "ended without a fill more than 90 days ago"
                return OrderReport(
                    client_order_id=order.client_order_id, venue_order_id="", status=OrderStatus.CANCELED, reason=reason
                )
            if isinstance(entry, VenueOrder):
                known.append(entry)
        if not known:
            return None
        if not is_same(order, known):
            raise OutcomeUnknown(
                f"{self._connection.name} has another order under the id {order.client_order_id}",
                remedy="Compare it with the journal, and settle it there by hand.",
            )
        trades = each_once(trade for one in known if one.executed for trade in self._trades_of(order.symbol, one.id))
        report = self.described(order, known, trades)
        if len(known) < len(venue_ids(order)) and report.status in _WITHOUT_FILLING:
            # Both come into being at once, and the one that is not shown yet may be the one that trades.
            raise OutcomeUnknown(
                f"{self._connection.name} shows only half of the order {order.client_order_id}", remedy="It is looked up again."
            )
        return report

    def described(self, order: OrderRequest, known: list[VenueOrder], trades: list[Trade]) -> OrderReport:
        """Return the report of an order from what Binance said of it. Raises OutcomeUnknown for what cannot be booked."""
        fills, note = self._fees.fills(trades, symbol=order.symbol, client_order_id=order.client_order_id)
        traded = sum((trade.quantity for trade in trades), Decimal(0))
        status, reason = whole_status(known, traded)
        if status is OrderStatus.FILLED and order.type is OrderType.STOP:
            took_target = any(one.type == TARGET_TYPE and one.executed for one in known)
            reason = "take_profit" if took_target else order.reason
        first = known[0]
        return OrderReport(
            client_order_id=order.client_order_id,
            venue_order_id=str(first.id) if first.list_id is None else f"list-{first.list_id}",
            status=status,
            reason="; ".join(part for part in (reason, note) if part),
            fills=fills,
            traded=traded,
        )

    def fills_since(self, symbol: str, moment: datetime) -> Iterator[Fill]:
        """Yield the fills of the account in a symbol at or after `moment`, oldest first, whoever ordered them."""
        since_ms = self._connection.at_venue_ms(moment)
        first = {"symbol": symbol_id(symbol), "startTime": since_ms, "limit": _TRADES_AT_ONCE}
        for trade in each_once(self._pages(first, weight=_TRADES_WEIGHT, subject=symbol)):
            if trade.time >= moment:
                fills, _ = self._fees.fills([trade], symbol=symbol, client_order_id=self._own_id(symbol, trade.order_id))
                yield from fills

    def _order(self, order: OrderRequest, which: Mapping[str, str]) -> VenueOrder | int | None:
        """Return an order, ARCHIVED for one that is known no longer but has ended, None for one that is not known."""
        content = self._connection.attempt(
            call("private_get_order", symbol=symbol_id(order.symbol), **which), weight=_ORDER_WEIGHT, urgent=True
        )
        if isinstance(content, Failure):
            if content.is_refusal and content.code == NO_SUCH_ORDER:
                return None
            if content.is_refusal and content.code == ARCHIVED:
                return ARCHIVED
            raise self._unanswered(content, order)
        try:
            known = VenueOrder.read(content)
            known.status  # noqa: B018 - a status without a word of ours is refused here
        except MISREAD:
            raise OutcomeUnknown(
                f"{self._connection.name} says of the order {order.client_order_id} what cannot be understood",
                remedy="It is looked up again.",
            ) from None
        return known

    def _unanswered(self, failure: Failure, order: OrderRequest) -> VenueError:
        error = of_read(failure, name=self._connection.name, subject=f"the order {order.client_order_id}")
        # Refused for any other reason, such as a symbol that is not listed any more: then it can no longer tell.
        return (
            OutcomeUnknown(error.message, remedy="Look at it in the account.")
            if failure.is_refusal and isinstance(error, VenueDown)
            else error
        )

    def _trades_of(self, symbol: str, venue_order_id: int) -> Iterator[Trade]:
        first = {"symbol": symbol_id(symbol), "orderId": venue_order_id, "limit": _TRADES_AT_ONCE}
        yield from self._pages(first, weight=_TRADES_OF_ORDER_WEIGHT, subject=f"the trades of order {venue_order_id}")

    def _pages(self, first: Mapping[str, Any], *, weight: float, subject: str) -> Iterator[Trade]:
        """Yield all trades that a request is about; the following pages begin behind the last trade of the one before."""
        wanted = dict(first)
        for _ in range(_PAGES_MOST):
            entries = self._connection.read(call("private_get_mytrades", **wanted), weight=weight, subject=subject, urgent=True)
            try:
                page = [Trade.listed(entry) for entry in entries]
            except MISREAD:
                raise VenueDown(f"{self._connection.name} lists trades that cannot be understood", remedy="Ask again.") from None
            yield from page
            if len(entries) < _TRADES_AT_ONCE:
                return
            wanted = {name: value for name, value in first.items() if name != "startTime"} | {"fromId": page[-1].id + 1}
        raise VenueDown(f"{self._connection.name} lists trades without end for {subject}", remedy="Ask again.")

    def _own_id(self, symbol: str, venue_order_id: int) -> str:
        """Return our id of an order by Binance's; one that somebody else placed keeps what they called it."""
        key = (symbol, venue_order_id)
        if key not in self._own_ids:
            entry = self._connection.read(
                call("private_get_order", symbol=symbol_id(symbol), orderId=venue_order_id),
                weight=_ORDER_WEIGHT,
                subject=f"the order {venue_order_id}",
            )
            try:
                self._own_ids[key] = own_id(str(entry["clientOrderId"]))
            except MISREAD:
                raise VenueDown(f"{self._connection.name} describes an order that has no id", remedy="Ask again.") from None
        return self._own_ids[key]
