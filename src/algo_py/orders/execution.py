"""Execution: the one protocol by which an intent becomes exactly one order.

plan (durable) -> risk -> SUBMITTING (durable) -> submit -> record the answer -> follow to an end

A crash, a time-out or a 5xx between SUBMITTING and the answer leaves the outcome open; then only a look-up by
client_order_id decides. Nothing is sent again before the venue has said that it does not know the id.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from decimal import Decimal
from typing import Literal, Protocol

from algo_py.clock import Clock
from algo_py.errors import OutcomeUnknown, RateLimited, Rejected, VenueDown
from algo_py.orders.guard import Guard
from algo_py.orders.journal import Journal, JournaledOrder
from algo_py.orders.model import Fill, Leg, OrderReport, OrderRequest, OrderStatus, OrderType, Side, client_order_id

_UNANSWERED = (OutcomeUnknown, RateLimited, VenueDown)
_AT_VENUE = (OrderStatus.ACCEPTED, OrderStatus.PARTIALLY_FILLED)


class OrderGateway(Protocol):
    """The part of an OMS that execution needs."""

    def submit(self, order: OrderRequest) -> OrderReport:
        """Send an order once; raises Rejected, OutcomeUnknown, RateLimited, AuthFailed."""

    def find(self, order: OrderRequest, planned_at: datetime) -> OrderReport | None:
        """Look an order up that was sent at `planned_at` or later; None means that the venue does not know it, for certain.

        Raises OutcomeUnknown when the venue can no longer tell, as when it forgets orders overnight; VenueDown, RateLimited.
        """

    def cancel(self, order: OrderRequest, planned_at: datetime) -> None:
        """Ask the venue to cancel what is left of an order; one that has ended, or is not there, stays as it is."""


class ExecutionLog(Protocol):
    """Where each step is told; a structlog logger is one."""

    def info(self, event: str, **fields: object) -> object: ...

    def warning(self, event: str, **fields: object) -> object: ...

    def error(self, event: str, **fields: object) -> object: ...


@dataclass(frozen=True, slots=True, kw_only=True)
class LimitPolicy:
    """How long a LIMIT order may rest, and what becomes of the rest of it then."""

    timeout: timedelta = timedelta(minutes=1)
    then: Literal["cancel", "market"] = "cancel"


class Executor:
    """Sends the planned orders of one deployment and follows them."""

    def __init__(
        self,
        journal: Journal,
        gateway: OrderGateway,
        guard: Guard,
        log: ExecutionLog,
        *,
        deployment_id: str,
        clock: Clock,
        limit_policy: LimitPolicy | None = None,
    ) -> None:
        self._journal = journal
        self._gateway = gateway
        self._guard = guard
        self._log = log
        self._deployment_id = deployment_id
        self._clock = clock
        self._limit_policy = limit_policy or LimitPolicy()

    def place(self, requests: Sequence[OrderRequest]) -> list[Fill]:
        """Send intents that are journaled as PLANNED, in the given order; return the fills that the answers brought."""
        return [fill for request in requests for fill in self._place_one(request)]

    def follow(self) -> list[Fill]:
        """Ask the venue about every order that it has accepted, and record what is new; return the new fills."""
        new: list[Fill] = []
        for order in self._journal.orders(only_open=True):
            if order.status in _AT_VENUE:
                report = self._look_up(order)
                if report is not None:
                    new += self._record(order.request, report)
                    if report.status in _AT_VENUE and self._has_rested_too_long(order):
                        new += self._end_limit(order)
        return new

    def recover(self, is_stale: Callable[[datetime], bool]) -> list[Fill]:
        """Settle what was left behind: look up what may have been sent, then send or drop what was not; return new fills.

        `is_stale` says of a bar's open time whether an entry decided on it comes too late; a late exit is always sent. A stop
        that was never sent is dropped: where it belongs is decided anew.
        """
        new: list[Fill] = []
        for order in self._journal.orders(only_open=True):
            if order.status in _AT_VENUE:
                continue
            if order.status is not OrderStatus.PLANNED:
                found = self._settle(order)
                if found is not None:
                    new += found
                    continue
            if order.request.type is OrderType.STOP:
                self._expire(order.request, "not sent before an interruption; it is placed anew")
            elif order.request.leg is Leg.ENTRY and is_stale(order.request.bar_time):
                self._expire(order.request, "decided before an interruption; too late to enter")
            else:
                new += self._place_one(order.request)
        return new

    def cancel_open(self, reason: str) -> list[Fill]:
        """Cancel what is still open at the venue and record how each order ended; return fills that crossed the cancel."""
        return [fill for order in self._journal.orders(only_open=True) for fill in self._cancel(order, reason)]

    def cancel_entries(self, reason: str) -> list[Fill]:
        """Cancel entries that are not done yet; return fills that crossed the cancel."""
        entries = [order for order in self._journal.orders(only_open=True) if order.request.leg is Leg.ENTRY]
        return [fill for order in entries for fill in self._cancel(order, reason)]

    def cancel_resting(self, symbol: str, reason: str) -> list[Fill]:
        """Cancel the symbol's resting stop, if there is one; return fills that crossed the cancel."""
        return [fill for order in self._resting(symbol) for fill in self._cancel(order, reason)]

    def _place_one(self, request: OrderRequest) -> list[Fill]:
        before: list[Fill] = []
        if request.leg is Leg.EXIT and request.type is not OrderType.STOP:
            before = self.cancel_resting(request.symbol, "its position is closed by another order")
            if self._resting(request.symbol):
                # The venue has not said what became of the stop: with both at work the position could be sold twice.
                self._log.warning("order.waits_for_stop", **_fields(request))
                return before
            fitting = self._no_more_than_held(request)
            if fitting is None:
                return before
            request = fitting
        denial = self._guard.denial(request)
        if denial is not None:
            self._journal.mark(request.client_order_id, OrderStatus.DENIED, reason=denial)
            self._log.warning("order.denied", **_fields(request), reason=denial)
            return before
        return before + self._submit(request)

    def _submit(self, request: OrderRequest) -> list[Fill]:
        self._journal.mark(request.client_order_id, OrderStatus.SUBMITTING)
        try:
            report = self._gateway.submit(request)
        except Rejected as error:
            self._journal.mark(request.client_order_id, OrderStatus.REJECTED, reason=str(error))
            self._log.warning("order.rejected", **_fields(request), reason=str(error))
        except _UNANSWERED as error:
            self._journal.mark(request.client_order_id, OrderStatus.UNKNOWN, reason=str(error))
            self._log.warning("order.unknown", **_fields(request), reason=str(error))
        else:
            self._log.info("order.sent", **_fields(request), venue_order_id=report.venue_order_id)
            return self._record(request, report)
        return []

    def _no_more_than_held(self, request: OrderRequest) -> OrderRequest | None:
        """Return an exit that does not go beyond the position: itself, a smaller one in its place, None for nothing held."""
        held = self._journal.held(request.symbol) * (1 if request.side is Side.SELL else -1)
        if held >= request.quantity:
            return request
        reason = f"no position: {_plain(max(held, Decimal(0)))} of {_plain(request.quantity)} is held"
        other = self._instead(request, quantity=held, kind="rest") if held > 0 else None
        self._journal.mark(request.client_order_id, OrderStatus.DENIED, reason=reason, following=[] if other is None else [other])
        self._log.warning("order.denied", **_fields(request), reason=reason)
        return other

    def _instead(self, request: OrderRequest, *, quantity: Decimal, kind: str) -> OrderRequest:
        """Return a market order, with an id of its own, for what an order leaves undone."""
        own_id = client_order_id(
            self._deployment_id,
            request.bar_time,
            request.symbol,
            request.side,
            request.leg,
            kind=f"{kind} {request.client_order_id}",
        )
        return replace(request, client_order_id=own_id, quantity=quantity, type=OrderType.MARKET, limit_price=None)

    def _has_rested_too_long(self, order: JournaledOrder) -> bool:
        is_limit = order.request.type is OrderType.LIMIT
        return is_limit and self._clock.now() - order.planned_at >= self._limit_policy.timeout

    def _end_limit(self, order: JournaledOrder) -> list[Fill]:
        """Cancel a LIMIT order whose time is over; what is left of it may go to the market, by the policy."""
        report = self._cancel_at_venue(order, "its time is over")
        if report is None:
            return []
        filled = sum((fill.quantity for fill in report.fills), Decimal(0))
        rest = order.request.quantity - (filled if report.traded is None else report.traded)
        if report.status is not OrderStatus.CANCELED or rest <= 0 or self._limit_policy.then != "market":
            return self._record(order.request, report)
        other = self._instead(order.request, quantity=rest, kind="market")
        return self._record(order.request, report, following=[other]) + self._place_one(other)

    def _resting(self, symbol: str) -> list[JournaledOrder]:
        return [
            order
            for order in self._journal.orders(only_open=True)
            if order.request.symbol == symbol and order.request.type is OrderType.STOP
        ]

    def _cancel(self, order: JournaledOrder, reason: str) -> list[Fill]:
        if order.status is OrderStatus.PLANNED:
            self._expire(order.request, reason)
            return []
        report = self._cancel_at_venue(order, reason)
        return [] if report is None else self._record(order.request, report)

    def _cancel_at_venue(self, order: JournaledOrder, reason: str) -> OrderReport | None:
        try:
            self._gateway.cancel(order.request, order.planned_at)
        except _UNANSWERED as error:
            self._log.warning("order.cancel_failed", **_fields(order.request), reason=str(error))
        else:
            self._log.info("order.cancel", **_fields(order.request), reason=reason)
        return self._look_up(order)

    def _expire(self, request: OrderRequest, reason: str) -> None:
        self._journal.mark(request.client_order_id, OrderStatus.EXPIRED, reason=reason)
        self._log.warning("order.expired", **_fields(request), reason=reason)

    def _settle(self, order: JournaledOrder) -> list[Fill] | None:
        """Look an order of unknown outcome up; None when the venue said that it does not know it, so that it may be sent."""
        try:
            report = self._gateway.find(order.request, order.planned_at)
        except _UNANSWERED as error:
            self._log.warning("order.unknown", **_fields(order.request), reason=str(error))
            return []
        if report is not None:
            self._log.info("order.found", **_fields(order.request), status=report.status)
            return self._record(order.request, report)
        self._journal.mark(order.request.client_order_id, OrderStatus.PLANNED, reason="not known at the venue")
        return None

    def _look_up(self, order: JournaledOrder) -> OrderReport | None:
        try:
            return self._gateway.find(order.request, order.planned_at)
        except _UNANSWERED as error:
            self._log.warning("order.look_up_failed", **_fields(order.request), reason=str(error))
            return None

    def _record(self, request: OrderRequest, report: OrderReport, *, following: Sequence[OrderRequest] = ()) -> list[Fill]:
        new = self._journal.record(report, following=following)
        for fill in new:
            self._log.info(
                "order.filled",
                **_fields(request) | {"quantity": str(fill.quantity)},
                price=str(fill.price),
                fee=str(fill.fee),
                time=fill.time.isoformat(),
            )
        if report.status in (OrderStatus.REJECTED, OrderStatus.CANCELED, OrderStatus.EXPIRED):
            self._log.warning(f"order.{report.status.lower()}", **_fields(request), reason=report.reason)
        return new


def _fields(request: OrderRequest) -> dict[str, object]:
    return {
        "client_order_id": request.client_order_id,
        "symbol": request.symbol,
        "side": str(request.side),
        "leg": str(request.leg),
        "quantity": str(request.quantity),
    }


def _plain(value: Decimal) -> str:
    return f"{value.normalize():f}"
