"""Risk: what an order must keep before it may be sent. Pure functions; a broken rule is recorded as DENIED.

Limits hold entries back and never exits: a position that may not be closed is the greater risk.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from decimal import ROUND_CEILING, ROUND_DOWN, ROUND_HALF_EVEN, Decimal

from pydantic import BaseModel, ConfigDict, Field

from algo_py.market import Instrument
from algo_py.orders.model import Leg, OrderRequest, OrderType

_LOT_TOLERANCE = Decimal("1e-9")
_SMALLEST = Decimal("1e-8")
# An entry whose market has moved so far since it was decided is another trade than the one that was tested.
DEFAULT_COLLAR = Decimal("0.05")


class Limits(BaseModel):
    """Bounds of one deployment; None is no bound. Amounts in quote currency, fractions of equity: 0.01 is 1 %."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    max_order_notional: Decimal | None = Field(
        None, gt=0, allow_inf_nan=False, description="Largest value of one entry at its reference price"
    )
    max_position_notional: Decimal | None = Field(
        None, gt=0, allow_inf_nan=False, description="Largest value of one position, with what is ordered"
    )
    max_gross_exposure: Decimal | None = Field(
        None, gt=0, allow_inf_nan=False, description="Largest value of all positions together, with what is ordered"
    )
    max_open_positions: int | None = Field(None, ge=1, description="Most symbols held at once")
    max_orders_per_day: int | None = Field(None, ge=1, description="Most entries sent on one day (UTC)")
    price_collar_fraction: Decimal | None = Field(
        DEFAULT_COLLAR,
        gt=0,
        lt=1,
        allow_inf_nan=False,
        description="Farthest that the venue's price may be from the last bar's close",
    )
    max_daily_loss: Decimal | None = Field(
        None, gt=0, allow_inf_nan=False, description="Loss since the day began (UTC) at which the deployment is halted"
    )
    max_drawdown_fraction: Decimal | None = Field(
        None, gt=0, lt=1, allow_inf_nan=False, description="Retreat from the highest equity at which the deployment is halted"
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class Denial:
    """The rule that an order would break."""

    rule: str
    value: Decimal
    bound: Decimal

    def __str__(self) -> str:
        return f"{self.rule}: {_plain(self.value)} breaks the bound {_plain(self.bound)}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Exposure:
    """How a deployment stands when an order is judged.

    positions: value of each position at its last close, at least 0. entries_today: entries sent since midnight UTC.
    live_price: the venue's price of the order's symbol, None where it does not say. rules: the venue's order rules of the
    symbol, None where it has none of its own.
    """

    positions: Mapping[str, Decimal] = field(default_factory=dict)
    entries_today: int = 0
    live_price: Decimal | None = None
    rules: Instrument | None = None


def check(request: OrderRequest, limits: Limits, exposure: Exposure | None = None) -> Denial | None:
    """Return the first rule that `request` breaks, None where it may be sent."""
    seen = exposure or Exposure()
    if request.quantity <= 0:
        return Denial(rule="quantity_above", value=request.quantity, bound=Decimal(0))
    if seen.rules is not None and request.type is not OrderType.STOP:
        denial = below_minimum(request.quantity, request.reference_price, seen.rules)
        if denial is not None:
            return denial
    return _check_entry(request, limits, seen) if request.leg is Leg.ENTRY else None


def _check_entry(request: OrderRequest, limits: Limits, seen: Exposure) -> Denial | None:
    notional = request.notional
    after = seen.positions.get(request.symbol, Decimal(0)) + notional
    others = sum((value for symbol, value in seen.positions.items() if symbol != request.symbol), Decimal(0))
    held = {symbol for symbol, value in seen.positions.items() if value} | {request.symbol}
    deviation = None
    if seen.live_price is not None and request.reference_price:
        deviation = abs(seen.live_price / request.reference_price - 1)
    rules: tuple[tuple[str, Decimal | None, Decimal | int | None], ...] = (
        ("max_order_notional", notional, limits.max_order_notional),
        ("max_position_notional", after, limits.max_position_notional),
        ("max_gross_exposure", others + after, limits.max_gross_exposure),
        ("max_open_positions", Decimal(len(held)), limits.max_open_positions),
        ("max_orders_per_day", Decimal(seen.entries_today + 1), limits.max_orders_per_day),
        ("price_collar_fraction", deviation, limits.price_collar_fraction),
    )
    for rule, value, bound in rules:
        if bound is not None and value is not None and value > bound:
            return Denial(rule=rule, value=value, bound=Decimal(bound))
    return None


def below_minimum(quantity: Decimal, price: Decimal, rules: Instrument) -> Denial | None:
    """Return the venue's minimum that a quantity at this price does not reach, None when it reaches all."""
    if quantity < rules.quantity_min:
        return Denial(rule="quantity_min", value=quantity, bound=rules.quantity_min)
    if quantity * price < rules.notional_min:
        return Denial(rule="notional_min", value=quantity * price, bound=rules.notional_min)
    return None


def affordable(quantity: Decimal, unit_cost: Decimal, cash: Decimal, rules: Instrument | None) -> Decimal:
    """Return how much of a quantity cash pays at this cost of a unit, in whole lots; all of it where that is enough."""
    if quantity * unit_cost <= cash:
        return quantity
    most = max(cash, Decimal(0)) / unit_cost
    return most.quantize(_SMALLEST, rounding=ROUND_DOWN) if rules is None or not rules.lot_size else in_lots(most, rules)


def in_parts(quantity: Decimal, rules: Instrument | None, *, is_market: bool) -> list[Decimal]:
    """Split a quantity into orders that the venue takes, as equal as its lots allow; one where it has no such bound."""
    bounds = () if rules is None else (rules.quantity_max, rules.market_quantity_max if is_market else Decimal(0))
    most = min((bound for bound in bounds if bound), default=quantity)
    if rules is None or quantity <= most or most < rules.lot_size:
        return [quantity]
    count = int((quantity / in_lots(most, rules)).to_integral_value(ROUND_CEILING))
    each = in_lots(quantity / count, rules)
    left = quantity - each * count
    larger = int(left // rules.lot_size) if rules.lot_size else 0
    parts = [each + rules.lot_size] * larger + [each] * (count - larger)
    parts[-1] += left - larger * rules.lot_size  # less than a lot, and nothing where the quantity has whole ones
    return parts


def in_lots(quantity: Decimal, rules: Instrument) -> Decimal:
    """Round a quantity down to whole lots, with the engine's tolerance of 1e-9 lot."""
    if not rules.lot_size:
        return quantity
    return (quantity / rules.lot_size + _LOT_TOLERANCE) // 1 * rules.lot_size


def in_ticks(price: Decimal, rules: Instrument | None) -> Decimal:
    """Round a price to the nearest tick; None has no ticks."""
    if rules is None or not rules.tick_size:
        return price
    return (price / rules.tick_size).quantize(Decimal(1), rounding=ROUND_HALF_EVEN) * rules.tick_size


def loss_breach(limits: Limits, *, equity: Decimal, equity_at_day_start: Decimal, highest_equity: Decimal) -> Denial | None:
    """Return the bound on losses that the equity has broken, None when it keeps them; breaking one halts the deployment."""
    lost = equity_at_day_start - equity
    if limits.max_daily_loss is not None and lost >= limits.max_daily_loss:
        return Denial(rule="max_daily_loss", value=lost, bound=limits.max_daily_loss)
    if limits.max_drawdown_fraction is not None and highest_equity > 0:
        fallen = 1 - equity / highest_equity
        if fallen >= limits.max_drawdown_fraction:
            return Denial(rule="max_drawdown_fraction", value=fallen, bound=limits.max_drawdown_fraction)
    return None


def _plain(value: Decimal) -> str:
    return f"{value.normalize():f}"
