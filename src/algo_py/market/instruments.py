"""Instruments: a symbol with the rules that its orders must keep."""

from __future__ import annotations

from dataclasses import dataclass
from decimal import Decimal

from algo_py.errors import InvalidInput


@dataclass(frozen=True, slots=True, kw_only=True)
class Instrument:
    """A symbol on a market. Zero means that the market has no such rule.

    tick_size and notional_min are in quote currency, lot_size, quantity_min and the largest quantities in units of the symbol.
    quantity_max is of one limit order, market_quantity_max of one market order.
    """

    symbol: str
    tick_size: Decimal = Decimal(0)
    lot_size: Decimal = Decimal(0)
    quantity_min: Decimal = Decimal(0)
    notional_min: Decimal = Decimal(0)
    quantity_max: Decimal = Decimal(0)
    market_quantity_max: Decimal = Decimal(0)

    def __post_init__(self) -> None:
        for name in ("tick_size", "lot_size", "quantity_min", "notional_min", "quantity_max", "market_quantity_max"):
            value = getattr(self, name)
            if not value.is_finite() or value < 0:
                raise InvalidInput(f"{name} of {self.symbol} must be 0 or more (was {value})")
