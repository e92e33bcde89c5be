"""What Binance's refusals and silences mean: a table, and nothing is asked here.

| what came back | of an order | of a read |
|---|---|---|
| no connection | VenueDown: it was not sent | VenueDown |
| no answer, half of one, or none that can be read | OutcomeUnknown | VenueDown |
| 5xx; -1000 -1001 -1006 -1007 -1008 -1016 with any status | OutcomeUnknown | VenueDown |
| 429, 418, 403 without a code; -1003 -1015 -1034 | RateLimited: not executed | RateLimited |
| -1021, our clock is off | RateLimited: not executed | asked once more with the right clock |
| 401, 451; -1002 -1022 -2014 -2015 | AuthFailed | AuthFailed |
| -2010 "Duplicate order sent." | OutcomeUnknown: an order of ours with this id is open | |
| "... would trigger immediately.", "The relationship of the prices ..." | WouldTrigger | |
| "Filter failure: MAX_NUM_...", and those of the whole exchange | TooManyStops | |
| any other "Filter failure: ..."; -1111; a price times a quantity that is too low | RuleBroken | |
| "... insufficient balance ..." | NotEnough | |
| any other code with 4xx | Rejected | what it means is known where it was asked |
| 4xx without a code, 3xx | OutcomeUnknown: it was not Binance that answered | VenueDown |

Refusals of one kind come with -1013 before the matching engine and with -2010 from it, so the words tell, not the code.

Sources: Binance Spot API, REST, "HTTP Return Codes", "IP Limits", "Unfilled Order Count"; "Error codes" with its messages for
-2010 and "Filter failures". The exchange says "Stop price would trigger immediately.", its documentation "Order would ...".
ccxt's own classes are not used: it calls -2015 a rate limit once a request has succeeded, and an unknown outcome an unavailable
exchange.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Final

from algo_py.errors import (
    AuthFailed,
    NotEnough,
    OutcomeUnknown,
    RateLimited,
    Rejected,
    RuleBroken,
    TooManyStops,
    VenueDown,
    VenueError,
    WouldTrigger,
)

CLOCK_IS_OFF: Final = -1021
BAD_SYMBOL: Final = -1121
NO_SUCH_ORDER: Final = -2013
CANCEL_REJECTED: Final = -2011
ARCHIVED: Final = -2026
REPLACED_IN_PART: Final = -2021
NOT_REPLACED: Final = -2022

_UNSURE: Final = frozenset({-1000, -1001, -1006, -1007, -1008, -1016})
_TOO_MANY: Final = frozenset({-1003, -1015, -1034})
_NOT_LET_IN: Final = frozenset({-1002, -1022, -2014, -2015})
_DUPLICATE: Final = "duplicate order"
_BAD_PRECISION: Final = -1111
# The first that is found in the words tells the kind of a refusal.
_KINDS: Final[tuple[tuple[str, type[Rejected]], ...]] = (
    ("would trigger immediately", WouldTrigger),
    (
        "relationship of the prices",
        WouldTrigger,
    ),  # an own pair has its stop and target on their sides, so the market has passed one
    ("filter failure: max_num_", TooManyStops),
    ("filter failure: exchange_max_num_", TooManyStops),
    ("filter failure", RuleBroken),
    ("price * qty is zero or less", RuleBroken),
    ("insufficient balance", NotEnough),
)
_LATER: Final = "It is asked again later."
_LOOK_UP: Final = "It is looked up, and not sent again."


@dataclass(frozen=True, slots=True, kw_only=True)
class Failure:
    """A request without a usable answer.

    status: HTTP's, None when no answer came. code: Binance's own, None when it gave none. words: for a person, without secrets.
    was_sent: False only when certainly nothing reached Binance. retry_after_s: the silence that it asks for. data: what else came
    with a refusal, such as the parts of a replacement.
    """

    status: int | None
    code: int | None
    words: str
    was_sent: bool = True
    retry_after_s: float | None = None
    data: Any = None

    @property
    def is_refusal(self) -> bool:
        """Whether Binance said no in words of its own, so that nothing came of the request."""
        return self._is_4xx and self.code is not None and self.code < 0 and self.code not in _UNSURE

    @property
    def is_too_many(self) -> bool:
        if self.status in (418, 429) or (self.status == 403 and self.code is None):
            return True
        return self._is_4xx and self.code in _TOO_MANY

    @property
    def is_clock(self) -> bool:
        return self._is_4xx and self.code == CLOCK_IS_OFF

    @property
    def is_not_let_in(self) -> bool:
        return self._is_4xx and (self.code in _NOT_LET_IN or (self.status in (401, 451) and not self.is_refusal))

    @property
    def is_duplicate(self) -> bool:
        return self.is_refusal and _DUPLICATE in self.words.lower()

    @property
    def _is_4xx(self) -> bool:
        return self.status is not None and 400 <= self.status < 500


def of_order(failure: Failure, *, name: str, subject: str) -> VenueError:
    """Return what a failure means for the order that was being sent."""
    if not failure.was_sent:
        return VenueDown(f"{name} could not be reached with {subject}: {failure.words}", remedy=_LATER)
    if failure.is_too_many or failure.is_not_let_in:
        return _of_any(failure, name=name, subject=subject)
    if failure.is_clock:
        return RateLimited(f"{name} did not execute {subject}, whose time was off: {failure.words}", remedy="It is set anew.")
    if failure.is_refusal and failure.code in (REPLACED_IN_PART, NOT_REPLACED):
        return _of_replacement(failure, name=name, subject=subject)
    if failure.is_duplicate:
        return OutcomeUnknown(f"{name} has an open order with the id of {subject} already", remedy=_LOOK_UP)
    if failure.is_refusal:
        return refusal_of(failure.code, failure.words)(f"{name} refuses {subject}: {failure.words}")
    return OutcomeUnknown(f"{name} did not say what became of {subject}: {failure.words}", remedy=_LOOK_UP)


def _of_replacement(failure: Failure, *, name: str, subject: str) -> VenueError:
    """Return what it means for the new order that Binance did only a part of a replacement, or none.

    Its answer holds two answers: to canceling the old one, and to placing the new one.
    """
    parts = failure.data if isinstance(failure.data, dict) else {}
    canceled, placed = parts.get("cancelResult"), parts.get("newOrderResult")
    answer = parts.get("newOrderResponse") if placed == "FAILURE" else parts.get("cancelResponse")
    code, words = (answer.get("code"), str(answer.get("msg"))) if isinstance(answer, dict) else (None, failure.words)
    if placed == "NOT_ATTEMPTED" and canceled == "FAILURE":
        return Rejected(f"{name} could not cancel the old one, so nothing came of {subject}: {words}")
    is_certain = isinstance(code, int) and code not in _UNSURE and _DUPLICATE not in words.lower()
    if placed == "FAILURE" and canceled in ("SUCCESS", "FAILURE") and is_certain:
        old = "canceled the old one, and then " if canceled == "SUCCESS" else ""
        return refusal_of(code, words)(f"{name} {old}refuses {subject}: {words}")
    return OutcomeUnknown(f"{name} did not say what became of {subject}: {words}", remedy=_LOOK_UP)


def refusal_of(code: int | None, words: str) -> type[Rejected]:
    """Return which kind of no Binance's words are."""
    if code == _BAD_PRECISION:
        return RuleBroken
    lower = words.lower()
    return next((kind for part, kind in _KINDS if part in lower), Rejected)


def of_read(failure: Failure, *, name: str, subject: str) -> VenueError:
    """Return what a failure means where something was only asked."""
    if failure.is_too_many or failure.is_not_let_in:
        return _of_any(failure, name=name, subject=subject)
    return VenueDown(f"{name} cannot answer for {subject}: {failure.words}", remedy=_LATER)


def _of_any(failure: Failure, *, name: str, subject: str) -> VenueError:
    if failure.is_too_many:
        wait_s = failure.retry_after_s
        how_long = "for a while" if wait_s is None else f"for {wait_s:g} s"
        message = f"{name} asks to be left alone {how_long} and did nothing with {subject} ({failure.words})"
        return RateLimited(message, remedy="Wait.", retry_after_s=wait_s)
    return AuthFailed(
        f"{name} does not accept the key for {subject}: {failure.words}",
        remedy="Check the key, its secret, its rights and the addresses that it is bound to.",
    )
