"""The line to Binance: the shared limit, Binance's clock, and one request at a time. An order is never sent twice."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final

from pydantic import SecretStr

from algo_py.clock import Clock, monotonic_s
from algo_py.errors import VenueDown
from algo_py.finstore.sources.limits import SharedLimit
from algo_py.oms.binance.failures import Failure, of_read

Action = Callable[[Any], Any]

_TIME_WEIGHT: Final = 1.0
_LAST_MS: Final = 253_402_300_800_000  # the end of the year 9999: no time of a venue lies there


def call(method: str, **parameters: object) -> Action:
    """Return the call of one of ccxt's methods that stand for Binance's own."""
    return lambda client: getattr(client, method)(dict(parameters))


@dataclass(frozen=True, slots=True, kw_only=True)
class Access:
    """Where Binance is asked, and with which key. A request not processed `recv_window_ms` after its time never will be."""

    name: str
    exchange_id: str
    base_url: str | None
    is_testnet: bool
    key: SecretStr
    secret: SecretStr
    recv_window_ms: int
    request_s: float


class Connection:
    """One client of ccxt, for one thread, and the offset of Binance's clock from ours."""

    def __init__(self, access: Access, clock: Clock, limit: SharedLimit) -> None:
        self._access = access
        self._clock = clock
        self._limit = limit
        self._client: Any = None
        self._offset_ms: int | None = None  # None: Binance's clock has to be asked first
        self._on_timestamp: Callable[[int], None] | None = None

    def __repr__(self) -> str:
        return f"Connection({self._access.name})"

    @property
    def name(self) -> str:
        return self._access.name

    def at_venue_ms(self, moment: datetime) -> int:
        """Return what Binance's clock showed or will show at a moment of ours, as far as we know; at most a round trip behind."""
        return int(moment.timestamp() * 1_000) + (self._offset_ms or 0)

    def synchronise(self, *, urgent: bool = False) -> int:
        """Ask Binance's clock, in milliseconds since 1970, and keep to it from now on. Raises VenueDown, RateLimited."""
        content = self._send(call("public_get_time"), weight=_TIME_WEIGHT, urgent=urgent)
        answered_ms = int(self._clock.now().timestamp() * 1_000)
        if isinstance(content, Failure):
            raise of_read(content, name=self.name, subject="its time")
        try:
            shown_ms = int(content["serverTime"])
        except (KeyError, TypeError, ValueError, OverflowError):
            shown_ms = 0
        if not 0 < shown_ms < _LAST_MS:
            raise VenueDown(f"{self.name} does not tell its time", remedy="It is asked again later.")
        # Taken as if the answer had needed no time: so ours is never ahead, which Binance minds more than a lag.
        self._offset_ms = shown_ms - answered_ms
        return shown_ms

    def attempt(self, action: Action, *, weight: float, urgent: bool = False) -> Any | Failure:
        """Send a request that may be sent twice; it is, when our clock was off. Raises RateLimited when the limit is used up.

        An `urgent` one makes a position safe: it waits only a short while where Binance has asked for silence.
        """
        self._set_clock(urgent=urgent)
        content = self._send(action, weight=weight, urgent=urgent)
        if isinstance(content, Failure) and content.is_clock:
            self.synchronise(urgent=urgent)
            content = self._send(action, weight=weight, urgent=urgent)
        return content

    def read(self, action: Action, *, weight: float, subject: str, urgent: bool = False) -> Any:
        """Ask something. Raises VenueDown, RateLimited, AuthFailed."""
        content = self.attempt(action, weight=weight, urgent=urgent)
        if isinstance(content, Failure):
            raise of_read(content, name=self.name, subject=subject)
        return content

    def place(self, action: Action, *, weight: float, on_timestamp: Callable[[int], None], urgent: bool = False) -> Any | Failure:
        """Send an order, once; `on_timestamp` is told which time it carries before it leaves.

        Raises RateLimited and VenueDown when it was not sent at all.
        """
        self._set_clock(urgent=urgent)
        self._on_timestamp = on_timestamp
        try:
            content = self._send(action, weight=weight, urgent=urgent)
        finally:
            self._on_timestamp = None
        if isinstance(content, Failure) and content.is_clock:
            self._offset_ms = None
        return content

    def _set_clock(self, *, urgent: bool) -> None:
        if self._offset_ms is None:
            self.synchronise(urgent=urgent)

    def _send(self, action: Action, *, weight: float, urgent: bool = False) -> Any | Failure:
        from algo_py.oms.binance.client import ask

        access = self._access
        self._limit.acquire(weight, deadline_s=monotonic_s() + access.request_s, urgent=urgent)
        secrets = (access.key.get_secret_value(), access.secret.get_secret_value())
        content = ask(self._opened(), action, request_s=access.request_s, secrets=secrets)
        if isinstance(content, Failure) and content.is_too_many:
            self._limit.silence(content.retry_after_s)
        return content

    def _opened(self) -> Any:
        if self._client is None:
            from algo_py.oms.binance.client import build_client

            access = self._access
            self._client = build_client(
                access.exchange_id,
                base_url=access.base_url,
                is_testnet=access.is_testnet,
                key=access.key,
                secret=access.secret,
                recv_window_ms=access.recv_window_ms,
                timestamp_ms=self._timestamp_ms,
            )
        return self._client

    def _timestamp_ms(self) -> int:
        timestamp = self.at_venue_ms(self._clock.now())
        if self._on_timestamp is not None:
            self._on_timestamp(timestamp)
        return timestamp
