"""How Kite is asked: with today's access token, within Kite's limits, in bounded time."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any, Final, TypeVar
from zoneinfo import ZoneInfo

from algo_py.clock import Clock, monotonic_s, parse_time
from algo_py.credentials import Credentials
from algo_py.errors import AuthFailed, InvalidInput, VenueDown
from algo_py.finstore.sources.answers import AGAIN_LATER, base_and_host
from algo_py.finstore.sources.kite_client import KiteClient
from algo_py.finstore.sources.limits import SharedLimit
from algo_py.oms.zerodha.entry import entered

API_KEY: Final = "ZERODHA_API_KEY"
API_SECRET: Final = "ZERODHA_API_SECRET"
ACCESS_TOKEN: Final = "ZERODHA_ACCESS_TOKEN"
TOKEN_EXPIRES: Final = "ZERODHA_ACCESS_TOKEN_EXPIRES"
LOGIN: Final = "Run `algo-py login zerodha` for today's access token."
INDIA: Final = ZoneInfo("Asia/Kolkata")

_KITE: Final = "https://api.kite.trade"
_SILENCE_S: Final = 5.0

_T = TypeVar("_T")


class KiteLimit(SharedLimit):
    """A limit of Kite. It counts within each second and does not say how long to wait, so a short silence is enough."""

    def silence(self, duration_s: float | None) -> None:
        super().silence(_SILENCE_S if duration_s is None else duration_s)


@dataclass(frozen=True, slots=True, kw_only=True)
class KiteLimits:
    """How often Kite may be asked: 10 orders a second and 200 a minute, one quote a second, 10 of anything else.

    Sources: kite.trade/docs/connect/v3/exceptions; kite.trade/forum/discussion/15912 (orders, strict since 2026-04-01). Kite
    counts by account; here all processes of the host share them, by address. Requests that leave evenly do not arrive so: each
    limit is a little below Kite's.
    """

    orders: SharedLimit
    orders_by_minute: SharedLimit
    quotes: SharedLimit
    reads: SharedLimit

    @classmethod
    def shared(cls, base_url: str | None, *, folder: Path | None = None) -> KiteLimits:
        """Return the limits for an address; None is Kite's own."""
        _, host = base_and_host(base_url or _KITE)
        return cls(
            orders=KiteLimit(f"kite-orders-{host}", per_s=8, burst=1, folder=folder),
            # Within a minute at most the burst and what flows in: 60 + 60 * 2.3 = 198.
            orders_by_minute=KiteLimit(f"kite-orders-by-minute-{host}", per_s=2.3, burst=60, folder=folder),
            quotes=KiteLimit(f"kite-quotes-{host}", per_s=0.9, burst=1, folder=folder),
            reads=KiteLimit(f"kite-reads-{host}", per_s=8, burst=1, folder=folder),
        )


class KiteAccess:
    """Puts questions to Kite. Raises AuthFailed before a request leaves when today's access token is missing or has ended."""

    def __init__(
        self,
        credentials: Callable[[], Credentials],
        *,
        base_url: str | None,
        clock: Clock,
        limits: KiteLimits,
        timeout_s: float,
    ) -> None:
        def current() -> Credentials:
            found = credentials()
            refuse_ended(found, clock.now())
            return found

        address = None if base_url is None else base_and_host(base_url)[0]
        self._timeout_s = timeout_s
        self._by_minute = limits.orders_by_minute
        self.reads = KiteClient(current, base_url=address, limit=limits.reads)
        self._quotes = KiteClient(current, base_url=address, limit=limits.quotes)
        self._orders = KiteClient(current, base_url=address, limit=limits.orders)

    @property
    def deadline_s(self) -> float:
        """Until when a question that is put now may take, on `clock.monotonic_s`."""
        return monotonic_s() + self._timeout_s

    def read(self, question: Callable[[Any], _T], *, subject: str, urgent: bool = False) -> _T:
        """Ask for something that changes nothing; `urgent` is what makes a position safe. Raises VenueDown, RateLimited."""
        return _read(self.reads, question, subject=subject, deadline_s=self.deadline_s, urgent=urgent)

    def quote(self, question: Callable[[Any], _T], *, subject: str, urgent: bool = False) -> _T:
        """Ask for a price, like `read`."""
        return _read(self._quotes, question, subject=subject, deadline_s=self.deadline_s, urgent=urgent)

    def enter(self, request: Callable[[Any], _T], *, subject: str, urgent: bool = False) -> _T:
        """Send a request once; `urgent` is an exit or a cancel.

        Raises Rejected, OutcomeUnknown, RateLimited, AuthFailed, VenueDown (it was not sent).
        """
        self._by_minute.acquire(1.0, deadline_s=self.deadline_s, urgent=urgent)
        answer, _ = self._orders.ask(
            lambda kite: entered(kite, request, subject=subject), subject=subject, deadline_s=self.deadline_s, urgent=urgent
        )
        return answer


def refuse_ended(credentials: Credentials, now: datetime) -> None:
    """Raise AuthFailed when the access token is known to have ended; one without a known end is for Kite to judge."""
    if not credentials.has(ACCESS_TOKEN, TOKEN_EXPIRES):
        return
    text = credentials.secret(TOKEN_EXPIRES).get_secret_value()
    try:
        ends_at = parse_time(text)
    except InvalidInput:
        raise AuthFailed(f"{TOKEN_EXPIRES} is not a time", remedy=LOGIN) from None
    if now >= ends_at:
        raise AuthFailed(f"Zerodha's access token ended at {ends_at.astimezone(INDIA):%Y-%m-%d %H:%M} IST", remedy=LOGIN)


def _read(client: KiteClient, question: Callable[[Any], _T], *, subject: str, deadline_s: float, urgent: bool = False) -> _T:
    def sensible(kite: Any) -> _T:
        try:
            return question(kite)
        except UnboundLocalError:  # what its client trips over when the answer is neither a list nor an object
            raise TypeError("neither a list nor an object") from None

    try:
        answer, _ = client.ask(sensible, subject=subject, deadline_s=deadline_s, urgent=urgent)
    except InvalidInput as error:  # nothing in our question is the trader's
        raise VenueDown(error.message, remedy=AGAIN_LATER) from None
    return answer
