"""Execution: the one protocol by which an intent becomes exactly one order.

plan (durable) -> risk -> SUBMITTING (durable) -> submit -> sense -> record the answer -> follow to an end

A crash, a time-out or a 5xx between SUBMITTING and the answer leaves the outcome open; then only a look-up by
client_order_id decides. Nothing is sent again before the venue has said that it does not know the id.

Protection is given up last: an exit is judged, fitted and only then is the stop that rests for its position cancelled.

Where the venue's day has phases, an exit that no phase takes now stays PLANNED and waits (orders.timing). What the venue ends of
an exit outside of continuous trading, unfilled by the auction, goes out again at the next open.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Literal, Protocol

from algo_py.clock import Clock, monotonic_s
from algo_py.errors import NotEnough, NotNow, OutcomeUnknown, RateLimited, Rejected, VenueDown
from algo_py.orders.guard import Guard
from algo_py.orders.journal import Journal
from algo_py.orders.model import Fill, Leg, OrderReport, OrderRequest, OrderStatus, OrderType, Side, client_order_id
from algo_py.orders.records import CANCEL_ASKED, JournaledOrder
from algo_py.orders.risk import in_lots, in_parts, in_ticks
from algo_py.orders.sense import nonsense
from algo_py.orders.timing import OrderTimes, Wait

_UNANSWERED = (OutcomeUnknown, RateLimited, VenueDown)
_AT_VENUE = (OrderStatus.ACCEPTED, OrderStatus.PARTIALLY_FILLED)
# What an entry that the account could not pay must be able to pay more, when it is sent once more.
_CUSHION = Decimal("0.005")
# The same words about the same order are told once in so many seconds.
_TOLD_EVERY_S = 60.0
# An exit that was planned longer ago than this has waited for the venue.
_JUST_PLANNED = timedelta(seconds=60)
# How often the rules of a symbol are asked for of whose orders the venue can tell nothing.
_RULES_EVERY_S = 60.0


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


class AccountView(Protocol):
    """What execution asks about the account when the venue has said no, and whom it tells of an order that makes no sense."""

    def rules_have_changed(self, symbol: str) -> bool:
        """Ask the venue for its order rules anew; True when those of the symbol are others now."""

    def sellable(self, symbol: str) -> Decimal | None:
        """Return how much of a position the account really has, at most what the ledger holds; None where nobody can say."""

    def distrust(self, symbol: str, reason: str) -> None:
        """Halt entries of a symbol, and call a person: what the venue says of its order is not known, or cannot be."""


class NoAccountView:
    """Asks nobody: the rules stay, and the ledger is believed."""

    def rules_have_changed(self, symbol: str) -> bool:
        return False

    def sellable(self, symbol: str) -> Decimal | None:
        return None

    def distrust(self, symbol: str, reason: str) -> None:
        return None


@dataclass(frozen=True, slots=True, kw_only=True)
class LimitPolicy:
    """How long a LIMIT order may rest, and what becomes of the rest of it then."""

    timeout: timedelta = timedelta(minutes=1)
    then: Literal["cancel", "market"] = "cancel"


class Executor:
    """Sends the planned orders of one deployment and follows them.

    `tick` is called between orders, so that whoever counts heartbeats hears one however long a venue takes.
    """

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
        account: AccountView | None = None,
        tick: Callable[[], object] = lambda: None,
        replace: Callable[[OrderRequest, OrderRequest, datetime], OrderReport] | None = None,
        look_again_after_s: float = 1.0,
        times: OrderTimes | None = None,
    ) -> None:
        """`times`: when the venue takes which orders; None where it always takes all. `look_again_after_s`: how long
        after a look-up that found nothing a second one is believed.

        `replace` puts a stop in another's place in one request, where the venue can; see `StopReplacer` of `oms`.
        """
        self._journal = journal
        self._gateway = gateway
        self._guard = guard
        self._log = log
        self._deployment_id = deployment_id
        self._clock = clock
        self._limit_policy = limit_policy or LimitPolicy()
        self._account: AccountView = account or NoAccountView()
        self._tick = tick
        self._replace = replace
        self._look_again_after_s = look_again_after_s
        self._times = times
        self._waits: dict[str, Wait] = {}  # by order; who does not find its own asks the venue's times
        self._missing_since_s: dict[str, float] = {}
        self._told_s: dict[tuple[str, str], float] = {}
        self._rules_read_s: dict[str, float] = {}

    def wait_of(self, own_id: str) -> Wait | None:
        """Return for what an exit waits, as of the last look at it; None for an order that does not wait."""
        return self._waits.get(own_id)

    def place(self, requests: Sequence[OrderRequest]) -> list[Fill]:
        """Send intents that are journaled as PLANNED, in the given order; return the fills that the answers brought."""
        return [fill for request in requests for fill in self._place_one(request)]

    def follow(self) -> list[Fill]:
        """Ask the venue about every order that it has accepted, and record what is new; return the new fills."""
        new: list[Fill] = []
        for order in self._journal.orders(only_open=True):
            if order.status in _AT_VENUE:
                self._tick()
                new += self._follow_one(order)
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
            self._tick()
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

    def can_replace(self, resting: Sequence[JournaledOrder], new: OrderRequest) -> bool:
        """Return whether a stop that rests can be replaced in one request: one single stop by another."""
        if self._replace is None or len(resting) != 1 or resting[0].status is not OrderStatus.ACCEPTED or resting[0].is_leaving:
            return False
        return resting[0].request.target_price is None and new.target_price is None

    def replace_stop(self, old: JournaledOrder, new: OrderRequest) -> list[Fill]:
        """Put a planned stop in the place of one that rests, so that there is no moment without one; return new fills.

        Whatever is not certain afterwards is looked up like after any order: the new one first, then what became of the old one.
        """
        if self._replace is None:
            return self.cancel_resting(new.symbol, "its levels have moved") + self.place([new])
        place = self._replace
        self._journal.note(old.request.client_order_id, CANCEL_ASKED)
        fills, _ = self._submit(new, lambda request: place(old.request, request, old.planned_at))
        return fills + self._follow_one(self._journal.order(old.request.client_order_id) or old)

    def cancel_exits(self, symbol: str, reason: str) -> list[Fill]:
        """Cancel exits of a symbol that rest with a limit; return fills that crossed the cancel."""
        orders = [
            order
            for order in self._journal.orders(only_open=True)
            if order.request.symbol == symbol and order.request.leg is Leg.EXIT and order.request.type is OrderType.LIMIT
        ]
        return [fill for order in orders for fill in self._cancel(order, reason)]

    def _place_one(self, request: OrderRequest) -> list[Fill]:
        self._tick()
        if request.type is OrderType.STOP:
            return self._place_stop(request)
        return self._place_exit(request) if request.leg is Leg.EXIT else self._place_entry(request)

    def _place_stop(self, request: OrderRequest) -> list[Fill]:
        verdict = self._guard.judge(request)
        if verdict.denial is not None:
            return self._deny(request, verdict.denial)
        return self._submit(request)[0]

    def _place_entry(self, request: OrderRequest, *, cushion: Decimal = Decimal(0)) -> list[Fill]:
        verdict = self._guard.judge(request, cushion=cushion)
        if verdict.denial is not None:
            return self._deny(request, verdict.denial)
        if verdict.request is not request:
            smaller = self._instead(verdict.request, quantity=verdict.request.quantity, kind="fit", type_=request.type)
            covered = f"cash covers {_plain(smaller.quantity)} of {_plain(request.quantity)}"
            self._expire(request, covered, following=[smaller])
            request = smaller
        fills, refusal = self._submit(request)
        if isinstance(refusal, NotEnough) and not cushion and self._guard.allow_partial:
            # The market has moved on since its price was asked for: what it costs now is asked for once more, with room to spare.
            again = self._instead(request, quantity=request.quantity, kind="cushion", type_=request.type)
            if self._guard.judge(again, cushion=_CUSHION).request.quantity < again.quantity and self._journal.plan_now(again):
                return self._place_entry(again, cushion=_CUSHION)
        return fills

    def _place_exit(self, request: OrderRequest) -> list[Fill]:
        """Send an exit. What protects the position until then is given up last, when nothing speaks against the exit any more."""
        fitting = self._no_more_than_held(request)
        if fitting is None or self._must_wait(fitting):
            return []
        denial = self._guard.judge(fitting).denial
        if denial is not None and self._account.rules_have_changed(fitting.symbol):
            denial = self._guard.judge(fitting).denial
        if denial is not None:
            return self._deny(fitting, denial)
        # What is still to be bought would be held afterwards; where that cannot be found out, what is held leaves all the same.
        before = self._cancel_sent_entries(request.symbol, "its position is closed")
        before += self.cancel_resting(request.symbol, "its position is closed by another order")
        if self._resting(request.symbol):
            # The venue has not said what became of the stop: with both at work the position could be sold twice.
            self._warn("order.waits_for_stop", fitting, "the venue has not said yet what became of the stop")
            return before
        left = self._no_more_than_held(fitting) if before else fitting
        left = None if left is None else self._as_taken(left)
        if left is None:
            return before
        for part in self._in_parts(left):
            fills, refusal = self._submit(part)
            before += fills if refusal is None else self._exit_again(part)
        return before

    def _must_wait(self, request: OrderRequest) -> bool:
        """Return whether an exit has to wait; say so in its reason, and in the log once for each thing that it waits for."""
        if self._times is None:
            return False
        own_id, now = request.client_order_id, self._clock.now()
        known = self._waits.get(own_id)
        if known is not None and now < known.until and known.is_said:
            return True  # the venue itself has said so, and is not asked again before that
        fitted = self._times.fitted(request)
        if not isinstance(fitted, Wait):
            self._waits.pop(own_id, None)
            return False
        self._wait(request, fitted)
        return True

    def _wait(self, request: OrderRequest, wait: Wait) -> None:
        self._waits[request.client_order_id] = wait
        told = wait.told(self._clock.now())
        if self._journal.mark_if_possible(request.client_order_id, OrderStatus.PLANNED, reason=told):
            self._log.warning("order.waits", **_fields(request), reason=told, until=wait.until.isoformat())

    def _as_taken(self, request: OrderRequest) -> OrderRequest | None:
        """Return the order that is sent for an exit: itself, or one in its place of the type that the venue's phase takes."""
        if self._times is None:
            return request
        fitted = self._times.fitted(request)
        if isinstance(fitted, Wait):  # the phase has ended since
            self._wait(request, fitted)
            return None
        journaled = self._journal.order(request.client_order_id)
        has_waited = journaled is not None and self._clock.now() - journaled.planned_at > _JUST_PLANNED
        if fitted is request and not has_waited:
            return request
        price = None if fitted.limit_price is None else in_ticks(fitted.limit_price, self._guard.rules.get(request.symbol))
        other = self._instead(request, quantity=request.quantity, kind="in time", type_=fitted.type, limit_price=price)
        # What is looked up later is looked up by when it was planned: so what goes today is planned today.
        reason = "it has waited, and is sent now" if has_waited else "the auction takes no market order now"
        self._expire(request, f"{reason}, as {fitted.type} {other.client_order_id}", following=[other])
        return other

    def _exit_again(self, refused: OrderRequest) -> list[Fill]:
        """Send an exit that the venue has refused once more, where its rules or the account are other than was believed."""
        symbol = refused.symbol
        have_changed = self._account.rules_have_changed(symbol)
        held, there = abs(self._journal.held(symbol)), self._account.sellable(symbol)
        rules = self._guard.rules.get(symbol)
        quantity = min(refused.quantity, held if there is None else min(held, there))
        quantity = quantity if rules is None else in_lots(quantity, rules)
        is_other = quantity != refused.quantity or (have_changed and len(in_parts(quantity, rules, is_market=True)) > 1)
        if quantity <= 0 or not is_other:
            return []
        again = self._instead(refused, quantity=quantity, kind="again")
        if not self._journal.plan_now(again):
            return []
        denial = self._guard.judge(again).denial
        if denial is not None:
            return self._deny(again, denial)
        return [fill for part in self._in_parts(again) for fill in self._submit(part)[0]]

    def _in_parts(self, request: OrderRequest) -> list[OrderRequest]:
        """Return the orders that an exit is sent in, journaled in its place where there are several."""
        is_market = request.type is OrderType.MARKET
        quantities = in_parts(request.quantity, self._guard.rules.get(request.symbol), is_market=is_market)
        if len(quantities) == 1:
            return [request]
        parts = [
            self._instead(request, quantity=quantity, kind=f"part {number}", type_=request.type)
            for number, quantity in enumerate(quantities, start=1)
        ]
        self._expire(request, f"sent in {len(parts)} parts: the venue takes no larger order", following=parts)
        return parts

    def _submit(
        self, request: OrderRequest, send: Callable[[OrderRequest], OrderReport] | None = None
    ) -> tuple[list[Fill], Rejected | None]:
        """Send an order once; return the fills that the answer brought, and the venue's no."""
        self._tick()
        self._journal.mark(request.client_order_id, OrderStatus.SUBMITTING)
        try:
            report = (send or self._gateway.submit)(request)
        except Rejected as error:
            if isinstance(error, NotNow) and request.leg is Leg.EXIT and request.type is not OrderType.STOP:
                self._log.info("order.not_now", **_fields(request), reason=str(error))
                zone = UTC if self._times is None else self._times.zone
                self._wait(request, Wait(until=error.until, why=error.why, zone=zone, is_said=True))
                return [], None
            self._journal.mark(request.client_order_id, OrderStatus.REJECTED, reason=str(error))
            self._log.warning("order.rejected", **_fields(request), reason=str(error))
            return [], error
        except _UNANSWERED as error:
            self._journal.mark(request.client_order_id, OrderStatus.UNKNOWN, reason=str(error))
            self._warn("order.unknown", request, str(error))
            return [], None
        self._log.info("order.sent", **_fields(request), venue_order_id=report.venue_order_id)
        return self._record(request, report, planned_at=self._clock.now()), None

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

    def _deny(self, request: OrderRequest, denial: str) -> list[Fill]:
        self._journal.mark(request.client_order_id, OrderStatus.DENIED, reason=denial)
        self._log.warning("order.denied", **_fields(request), reason=denial)
        return []

    def _instead(
        self,
        request: OrderRequest,
        *,
        quantity: Decimal,
        kind: str,
        type_: OrderType = OrderType.MARKET,
        limit_price: Decimal | None = None,
    ) -> OrderRequest:
        """Return an order, with an id of its own, for what another one leaves undone; to the market unless told otherwise."""
        own_id = client_order_id(
            self._deployment_id,
            request.bar_time,
            request.symbol,
            request.side,
            request.leg,
            kind=f"{kind} {request.client_order_id}",
        )
        price = (limit_price or request.limit_price) if type_ is OrderType.LIMIT else None
        return replace(request, client_order_id=own_id, quantity=quantity, type=type_, limit_price=price)

    def _follow_one(self, order: JournaledOrder) -> list[Fill]:
        own_id = order.request.client_order_id
        try:
            report = self._gateway.find(order.request, order.planned_at)
        except _UNANSWERED as error:
            self._warn("order.look_up_failed", order.request, str(error))
            if isinstance(error, OutcomeUnknown):
                self._read_rules(order.request.symbol)
            return []
        if report is None:
            return self._end_missing(order)
        self._missing_since_s.pop(own_id, None)
        new = self._record_end(order, report)
        if order.is_leaving and report.status in _AT_VENUE:
            self._journal.note(own_id, "")  # it rests as before
        if report.status in _AT_VENUE and self._has_rested_too_long(order):
            new += self._end_limit(order)
        return new

    def _record_end(self, order: JournaledOrder, report: OrderReport) -> list[Fill]:
        """Record what the venue says of an order; what it has ended of an exit outside of continuous trading goes out again."""
        left = self._left_unfilled(order, report)
        if left is None or self._times is None:
            new = self._record(order.request, report, planned_at=order.planned_at, filled=order.filled_quantity)
            is_exit = order.request.leg is Leg.EXIT and order.request.type is not OrderType.STOP
            # A venue may register an order first, and refuse it by its rules or for want of holdings in its book.
            return new + self._exit_again(order.request) if is_exit and report.status is OrderStatus.REJECTED else new
        wait = self._times.next_open(order.request.symbol)
        self._waits[left.client_order_id] = replace(wait, is_said=True)
        new = self._record(order.request, report, planned_at=order.planned_at, filled=order.filled_quantity, following=[left])
        if self._journal.order(left.client_order_id) is None:  # what was said made no sense, and was not recorded
            del self._waits[left.client_order_id]
            return new
        told = wait.told(self._clock.now())
        self._journal.mark_if_possible(left.client_order_id, OrderStatus.PLANNED, reason=told)
        self._log.warning("order.left_unfilled", **_fields(left), reason=f"{report.status}: {report.reason}; it {told}")
        return new

    def _left_unfilled(self, order: JournaledOrder, report: OrderReport) -> OrderRequest | None:
        """Return the exit for what the venue left of another one as it ended it; None where it goes on, or the market does."""
        request = order.request
        is_over = report.status in (OrderStatus.CANCELED, OrderStatus.EXPIRED, OrderStatus.REJECTED) and report.is_complete
        if self._times is None or not is_over or request.leg is not Leg.EXIT or request.type is OrderType.STOP:
            return None
        if self._times.trades_continuously(request.symbol):
            return None  # a person, or a rule: the next run decides anew
        filled = sum((fill.quantity for fill in report.fills), Decimal(0))
        rest = request.quantity - (filled if report.traded is None else report.traded)
        return self._instead(request, quantity=rest, kind="next open") if rest > 0 else None

    def _read_rules(self, symbol: str) -> None:
        """Ask whether a symbol is traded still, of whose orders the venue tells nothing: once in a while."""
        now_s = monotonic_s()
        if now_s - self._rules_read_s.get(symbol, -_RULES_EVERY_S) >= _RULES_EVERY_S:
            self._rules_read_s[symbol] = now_s
            self._account.rules_have_changed(symbol)

    def _end_missing(self, order: JournaledOrder) -> list[Fill]:
        """End an order that the venue had accepted and does not know any more, once two look-ups have said so for certain."""
        own_id, now_s = order.request.client_order_id, monotonic_s()
        first_s = self._missing_since_s.setdefault(own_id, now_s)
        if now_s - first_s < self._look_again_after_s:
            return []
        del self._missing_since_s[own_id]
        self._expire(order.request, "the venue does not know it any more")
        return []

    def _has_rested_too_long(self, order: JournaledOrder) -> bool:
        request, times = order.request, self._times
        is_limit = request.type is OrderType.LIMIT
        if is_limit and times is not None and not times.trades_continuously(request.symbol):
            # In the auction an exit stands until the matching; an entry was not meant for it, and goes as soon as it can.
            is_limit = request.leg is Leg.ENTRY and times.can_cancel(request.symbol)
        return is_limit and self._clock.now() - order.planned_at >= self._limit_policy.timeout

    def _end_limit(self, order: JournaledOrder) -> list[Fill]:
        """Cancel a LIMIT order whose time is over; what is left of it may go to the market, by the policy."""
        report = self._cancel_at_venue(order, "its time is over")
        if report is None:
            return []
        filled = sum((fill.quantity for fill in report.fills), Decimal(0))
        rest = order.request.quantity - (filled if report.traded is None else report.traded)
        if report.status is not OrderStatus.CANCELED or rest <= 0 or self._limit_policy.then != "market":
            return self._record(order.request, report, planned_at=order.planned_at, filled=order.filled_quantity)
        other = self._instead(order.request, quantity=rest, kind="market")
        new = self._record(order.request, report, planned_at=order.planned_at, filled=order.filled_quantity, following=[other])
        return new if self._journal.order(other.client_order_id) is None else new + self._place_one(other)

    def _resting(self, symbol: str) -> list[JournaledOrder]:
        return [
            order
            for order in self._journal.orders(only_open=True)
            if order.request.symbol == symbol and order.request.type is OrderType.STOP
        ]

    def _cancel_sent_entries(self, symbol: str, reason: str) -> list[Fill]:
        """Cancel entries of a symbol that the venue may have; one that is planned beside the exit belongs to a reversal."""
        entries = [
            order
            for order in self._journal.orders(only_open=True)
            if order.request.symbol == symbol and order.request.leg is Leg.ENTRY and order.status is not OrderStatus.PLANNED
        ]
        return [fill for order in entries for fill in self._cancel(order, reason)]

    def _cancel(self, order: JournaledOrder, reason: str) -> list[Fill]:
        self._tick()
        if order.status is OrderStatus.PLANNED:
            self._expire(order.request, reason)
            return []
        is_stop, own_id = order.request.type is OrderType.STOP and order.status in _AT_VENUE, order.request.client_order_id
        if is_stop:
            self._journal.note(own_id, CANCEL_ASKED)  # from here on nobody may say that it protects
        report = self._cancel_at_venue(order, reason)
        if report is None:
            return []
        new = self._record(order.request, report, planned_at=order.planned_at, filled=order.filled_quantity)
        if is_stop and report.status in _AT_VENUE:
            self._journal.note(own_id, "")  # it rests as before
        return new

    def _cancel_at_venue(self, order: JournaledOrder, reason: str) -> OrderReport | None:
        try:
            self._gateway.cancel(order.request, order.planned_at)
        except _UNANSWERED as error:
            self._warn("order.cancel_failed", order.request, str(error))
        else:
            self._log.info("order.cancel", **_fields(order.request), reason=reason)
        try:
            return self._gateway.find(order.request, order.planned_at)
        except _UNANSWERED as error:
            self._warn("order.look_up_failed", order.request, str(error))
            return None

    def _expire(self, request: OrderRequest, reason: str, *, following: Sequence[OrderRequest] = ()) -> None:
        self._journal.mark(request.client_order_id, OrderStatus.EXPIRED, reason=reason, following=following)
        self._log.warning("order.expired", **_fields(request), reason=reason)

    def _settle(self, order: JournaledOrder) -> list[Fill] | None:
        """Look an order of unknown outcome up; None when the venue said that it does not know it, so that it may be sent."""
        try:
            report = self._gateway.find(order.request, order.planned_at)
        except _UNANSWERED as error:
            self._warn("order.unknown", order.request, str(error))
            return []
        if report is not None:
            if report.status not in (OrderStatus.UNKNOWN, order.status):
                self._warn("order.found", order.request, str(report.status))
            return self._record_end(order, report)
        self._journal.mark(order.request.client_order_id, OrderStatus.PLANNED, reason="not known at the venue")
        return None

    def _record(
        self,
        request: OrderRequest,
        report: OrderReport,
        *,
        planned_at: datetime,
        filled: Decimal = Decimal(0),
        following: Sequence[OrderRequest] = (),
    ) -> list[Fill]:
        """Record what the venue said, if it can be true; else the outcome is unknown, and a person is called."""
        why = nonsense(request, report, planned_at=planned_at, now=self._clock.now(), filled=filled)
        if why:
            self._distrust(request, f"the venue's answer makes no sense: {why}")
            return []
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
        if not report.is_complete:
            self._account.distrust(request.symbol, f"the order {request.client_order_id} has ended, {report.reason}")
        return new

    def _distrust(self, request: OrderRequest, reason: str) -> None:
        own_id = request.client_order_id
        if self._journal.mark_if_possible(own_id, OrderStatus.UNKNOWN, reason=reason):
            self._log.warning("order.nonsense", **_fields(request), reason=reason)
        self._account.distrust(request.symbol, f"the order {own_id}: {reason}")

    def _warn(self, event: str, request: OrderRequest, reason: str) -> None:
        """Tell it once in a while: an order is looked at every few seconds, and the same words would fill the log."""
        key, now_s = (request.client_order_id, event), monotonic_s()
        if now_s - self._told_s.get(key, -_TOLD_EVERY_S) < _TOLD_EVERY_S:
            return
        self._told_s[key] = now_s
        if len(self._told_s) > 1_000:
            self._told_s = {one: at_s for one, at_s in self._told_s.items() if now_s - at_s < _TOLD_EVERY_S}
        self._log.warning(event, **_fields(request), reason=reason)


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
