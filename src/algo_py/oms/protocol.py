"""What an OMS must do. Adapters keep to it, never retry a submit, and hold no risk rules."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from typing import Protocol, runtime_checkable

from algo_py.market import Instrument
from algo_py.orders.execution import OrderGateway
from algo_py.orders.model import Fill, OrderReport, OrderRequest, OrderType
from algo_py.orders.timing import OrderTimes


@dataclass(frozen=True, slots=True, kw_only=True)
class Capabilities:
    """What a venue can do, so that nobody has to ask which venue it is."""

    order_types: frozenset[OrderType]
    can_short: bool
    can_look_up_by_client_id: bool
    accepts_replay_clock: bool
    holds_targets: bool = False  # a STOP order may carry a target_price
    replaces_stops: bool = False  # it is a StopReplacer
    tells_prices: bool = False  # it knows the prices of what it trades: one that it leaves out is not known


@dataclass(frozen=True, slots=True, kw_only=True)
class AccountSummary:
    """What connecting tells: which account, and how much quote currency is free. None where the venue does not say.

    `account` is the same for everything that trades on one account, whichever key or token it is opened with, and no secret.
    `warnings` is what a person should know.
    """

    account: str
    cash: Decimal | None
    warnings: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class PositionReport:
    """A holding as the venue sees it; a negative quantity is a short position."""

    symbol: str
    quantity: Decimal


class OMS(OrderGateway, Protocol):
    """The place where orders go."""

    @property
    def name(self) -> str:
        """The venue's name as fills carry it."""

    @property
    def capabilities(self) -> Capabilities: ...

    def connect(self) -> AccountSummary:
        """Open the account; raises AuthFailed or VenueDown. Once more asks the same account again, and never opens another."""

    def instruments(self, symbols: Sequence[str]) -> Mapping[str, Instrument]:
        """Return the venue's own order rules of these symbols as they are now; a symbol that is left out has none.

        The venue is asked anew, or what it said is a few minutes old: after a refusal (RuleBroken) this is where to look.
        """

    def fills_since(self, moment: datetime) -> Sequence[Fill]:
        """Return the fills at or after `moment`, oldest first."""

    def positions(self) -> Sequence[PositionReport] | None:
        """Return what the account holds, symbols of the market only; None where the venue cannot say."""

    def last_prices(self, symbols: Sequence[str], *, urgent: bool = False) -> Mapping[str, Decimal]:
        """Return the price of the latest trade of each symbol; one is left out where the venue says none above 0."""

    def free_cash(self) -> Decimal | None:
        """Return how much quote currency can be spent now, 0 or more; None where the venue cannot say.

        Raises VenueDown, RateLimited, AuthFailed.
        """


@runtime_checkable
class PhasedOMS(Protocol):
    """An OMS of a venue whose day has phases; an order at a time that takes none is refused with NotNow."""

    @property
    def times(self) -> OrderTimes: ...


@runtime_checkable
class StopReplacer(Protocol):
    """An OMS that puts a stop in another's place in one request, so that there is no moment without one."""

    def replace(self, old: OrderRequest, new: OrderRequest, planned_at: datetime) -> OrderReport:
        """Cancel the resting stop `old`, and if that succeeded place the stop `new`; return the report of `new`.

        `planned_at` is when `new` was planned. Whatever is raised: look `old` up before anything else, it may rest still or be
        canceled. Rejected (and its kinds): `new` does not exist, and never will. RateLimited, VenueDown, AuthFailed: likewise.
        OutcomeUnknown: look `new` up first; once it is certain what became of it, so it is of `old`.
        """
