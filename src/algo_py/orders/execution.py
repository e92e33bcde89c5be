"""Execution: the one protocol by which an intent becomes exactly one order.

plan (durable) -> risk -> SUBMITTING (durable) -> submit -> record the answer -> follow to an end

A crash, a time-out or a 5xx between SUBMITTING and the answer leaves the outcome open; then only a look-up by
client_order_id decides. Nothing is sent again before the venue has said that it does not know the id.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from datetime import datetime
from typing import Protocol

from algo_py.errors import OutcomeUnknown, RateLimited, Rejected, VenueDown
from algo_py.orders.journal import Journal, JournaledOrder
from algo_py.orders.model import Fill, Leg, OrderReport, OrderRequest, OrderStatus
from algo_py.orders.risk import Limits, check


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


class Executor:
    """Sends the planned orders of one deployment and follows them."""

    def __init__(self, journal: Journal, gateway: OrderGateway, limits: Limits, log: ExecutionLog) -> None:
        self._journal = journal
        self._gateway = gateway
        self._limits = limits
        self._log = log

    def place(self, requests: Sequence[OrderRequest]) -> list[Fill]:
        """Send intents that are journaled as PLANNED, in the given order; return the fills that the answers brought."""
        return [fill for request in requests for fill in self._place_one(request)]

    def follow(self) -> list[Fill]:
        """Ask the venue about every order that it has accepted, and record what is new; return the new fills."""
        new: list[Fill] = []
        for order in self._journal.orders(only_open=True):
            if order.status in (OrderStatus.ACCEPTED, OrderStatus.PARTIALLY_FILLED):
                report = self._look_up(order)
                if report is not None:
                    new += self._record(order.request, report)
        return new

    def recover(self, is_stale: Callable[[datetime], bool]) -> list[Fill]:
        """Settle what was left behind: look up what may have been sent, then send or drop what was not; return new fills.

        `is_stale` says of a bar's open time whether an entry decided on it comes too late; a late exit is always sent.
        """
        new: list[Fill] = []
        for order in self._journal.orders(only_open=True):
            if order.status in (OrderStatus.ACCEPTED, OrderStatus.PARTIALLY_FILLED):
                continue
            if order.status is not OrderStatus.PLANNED:
                found = self._settle(order)
                if found is not None:
                    new += found
                    continue
            if order.request.leg is Leg.ENTRY and is_stale(order.request.bar_time):
                reason = "decided before an interruption; too late to enter"
                self._journal.mark(order.request.client_order_id, OrderStatus.EXPIRED, reason=reason)
                self._log.warning("order.expired", **_fields(order.request), reason=reason)
            else:
                new += self._place_one(order.request)
        return new

    def cancel_open(self, reason: str) -> list[Fill]:
        """Cancel what is still open at the venue and record how each order ended; return fills that crossed the cancel."""
        new: list[Fill] = []
        for order in self._journal.orders(only_open=True):
            if order.status in (OrderStatus.ACCEPTED, OrderStatus.PARTIALLY_FILLED):
                self._gateway.cancel(order.request, order.planned_at)
                self._log.info("order.cancel", **_fields(order.request), reason=reason)
                report = self._look_up(order)
                if report is not None:
                    new += self._record(order.request, report)
        return new

    def _place_one(self, request: OrderRequest) -> list[Fill]:
        denial = check(request, self._limits)
        if denial is not None:
            self._journal.mark(request.client_order_id, OrderStatus.DENIED, reason=str(denial))
            self._log.warning("order.denied", **_fields(request), reason=str(denial))
            return []
        self._journal.mark(request.client_order_id, OrderStatus.SUBMITTING)
        try:
            report = self._gateway.submit(request)
        except Rejected as error:
            self._journal.mark(request.client_order_id, OrderStatus.REJECTED, reason=str(error))
            self._log.warning("order.rejected", **_fields(request), reason=str(error))
        except (OutcomeUnknown, RateLimited, VenueDown) as error:
            self._journal.mark(request.client_order_id, OrderStatus.UNKNOWN, reason=str(error))
            self._log.warning("order.unknown", **_fields(request), reason=str(error))
        else:
            self._log.info("order.sent", **_fields(request), venue_order_id=report.venue_order_id)
            return self._record(request, report)
        return []

    def _settle(self, order: JournaledOrder) -> list[Fill] | None:
        """Look an order of unknown outcome up; None when the venue said that it does not know it, so that it may be sent."""
        try:
            report = self._gateway.find(order.request, order.planned_at)
        except (OutcomeUnknown, RateLimited, VenueDown) as error:
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
        except (OutcomeUnknown, RateLimited, VenueDown) as error:
            self._log.warning("order.look_up_failed", **_fields(order.request), reason=str(error))
            return None

    def _record(self, request: OrderRequest, report: OrderReport) -> list[Fill]:
        new = self._journal.record(report)
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
