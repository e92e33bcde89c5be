"""When a resting STOP order fires on paper, and at what price: the engine's rule 2, on Decimal levels.

An open beyond a level fills at the open. Where a bar spans both levels, the stop is assumed. Each rule errs against us.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal

from algo_py.orders.model import Side


@dataclass(frozen=True, slots=True)
class PriceBar:
    """What a resting order sees of a closed bar; `time` is its open time."""

    time: datetime
    open: float
    high: float
    low: float


@dataclass(frozen=True, slots=True)
class Trigger:
    """The bar in which an order fired, its raw price before slippage, and whether it was the target."""

    time: datetime
    raw_price: float
    is_target: bool


def trigger(side: Side, stop: Decimal | None, target: Decimal | None, bar: PriceBar) -> Trigger | None:
    """Return how a bar fires an order that closes a position with `side`; None when it does not."""
    sells = side is Side.SELL
    stop_level = None if stop is None else float(stop)
    target_level = None if target is None else float(target)
    if stop_level is not None and (bar.open <= stop_level if sells else bar.open >= stop_level):
        return Trigger(bar.time, bar.open, False)
    if target_level is not None and (bar.open >= target_level if sells else bar.open <= target_level):
        return Trigger(bar.time, bar.open, True)
    if stop_level is not None and (bar.low <= stop_level if sells else bar.high >= stop_level):
        return Trigger(bar.time, stop_level, False)
    if target_level is not None and (bar.high >= target_level if sells else bar.low <= target_level):
        return Trigger(bar.time, target_level, True)
    return None
