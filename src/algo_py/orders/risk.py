"""Risk: what an order must keep before it may be sent. Pure functions; a broken rule is recorded as DENIED."""

from __future__ import annotations

from dataclasses import dataclass
from decimal import Decimal

from algo_py.errors import InvalidInput
from algo_py.orders.model import Leg, OrderRequest


@dataclass(frozen=True, slots=True, kw_only=True)
class Limits:
    """Bounds of one deployment. None means no bound.

    max_order_notional: the largest value of one entry at its reference price, in quote currency. Exits are never held back
    by it: a position that may not be closed is the greater risk.
    """

    max_order_notional: Decimal | None = None

    def __post_init__(self) -> None:
        bound = self.max_order_notional
        if bound is not None and not (bound.is_finite() and bound > 0):
            raise InvalidInput(f"max_order_notional must be above 0 (was {bound})")


@dataclass(frozen=True, slots=True, kw_only=True)
class Denial:
    """The rule that an order would break."""

    rule: str
    value: Decimal
    bound: Decimal

    def __str__(self) -> str:
        return f"{self.rule}: {self.value.normalize():f} breaks the bound {self.bound.normalize():f}"


def check(request: OrderRequest, limits: Limits) -> Denial | None:
    """Return the first rule that `request` breaks, None where it may be sent."""
    if request.quantity <= 0:
        return Denial(rule="quantity_above", value=request.quantity, bound=Decimal(0))
    bound = limits.max_order_notional
    if request.leg is Leg.ENTRY and bound is not None and request.notional > bound:
        return Denial(rule="max_order_notional", value=request.notional, bound=bound)
    return None
