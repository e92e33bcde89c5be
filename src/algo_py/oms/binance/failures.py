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
| any other code with 4xx | Rejected | what it means is known where it was asked |
| 4xx without a code, 3xx | OutcomeUnknown: it was not Binance that answered | VenueDown |

Sources: Binance Spot API, REST, "HTTP Return Codes", "IP Limits", "Unfilled Order Count"; "Error codes". ccxt's own classes are
not used: it calls -2015 a rate limit once a request has succeeded, and an unknown outcome an unavailable exchange.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from algo_py.errors import AuthFailed, OutcomeUnknown, RateLimited, Rejected, VenueDown, VenueError

CLOCK_IS_OFF: Final = -1021
BAD_SYMBOL: Final = -1121
NO_SUCH_ORDER: Final = -2013
CANCEL_REJECTED: Final = -2011
ARCHIVED: Final = -2026

_UNSURE: Final = frozenset({-1000, -1001, -1006, -1007, -1008, -1016})
_TOO_MANY: Final = frozenset({-1003, -1015, -1034})
_NOT_LET_IN: Final = frozenset({-1002, -1022, -2014, -2015})
_DUPLICATE: Final = "duplicate order"
_LATER: Final = "It is asked again later."
_LOOK_UP: Final = "It is looked up, and not sent again."


@dataclass(frozen=True, slots=True, kw_only=True)
class Failure:
    """A request without a usable answer.

    status: HTTP's, None when no answer came. code: Binance's own, None when it gave none. words: for a person, without secrets.
    was_sent: False only when certainly nothing reached Binance. retry_after_s: the silence that it asks for.
    """

    status: int | None
    code: int | None
    words: str
    was_sent: bool = True
    retry_after_s: float | None = None

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
    if failure.is_duplicate:
        return OutcomeUnknown(f"{name} has an open order with the id of {subject} already", remedy=_LOOK_UP)
    if failure.is_refusal:
        return Rejected(f"{name} refuses {subject}: {failure.words}")
    return OutcomeUnknown(f"{name} did not say what became of {subject}: {failure.words}", remedy=_LOOK_UP)


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
