"""When a venue takes which orders: what execution asks before it sends one, where the venue's day has phases.

An exit that is due while the venue takes none waits: it stays PLANNED, its reason says for what, and it goes out at the first
phase that takes it, as a type which that phase takes. An entry never waits: what it was decided on has passed by then.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, tzinfo
from typing import Protocol

from algo_py.orders.model import OrderRequest


@dataclass(frozen=True, slots=True, kw_only=True)
class Wait:
    """An order is not sent before `until`; `why` names the phase that begins then, or what stands in the way.

    zone: that of the exchange, in which a person reads its times. is_said: the venue itself has refused the order until then, so
    that its times are not asked before.
    """

    until: datetime
    why: str
    zone: tzinfo
    is_said: bool = False

    def told(self, now: datetime) -> str:
        """Write it for a person: the time alone for today, with its date for another day."""
        local = self.until.astimezone(self.zone)
        is_today = local.date() == now.astimezone(self.zone).date()
        return f"waits for {local:%H:%M}, {self.why}" if is_today else f"waits for {local:%Y-%m-%d %H:%M}, {self.why}"


class OrderTimes(Protocol):
    """The venue's day, as execution sees it."""

    @property
    def zone(self) -> tzinfo:
        """The exchange's time zone."""

    def fitted(self, order: OrderRequest) -> OrderRequest | Wait:
        """Return an exit as it can be sent now: itself, one of another type or price, or for what it waits. Asks the clock."""

    def trades_continuously(self, symbol: str) -> bool:
        """Return whether a symbol is in continuous trading now; True too where nobody knows that it is not."""

    def next_open(self, symbol: str) -> Wait:
        """Return the beginning of the next continuous trading, which lies ahead."""

    def can_cancel(self, symbol: str) -> bool:
        """Return whether an order that rests can be cancelled now."""
