"""The order rules of a backtest's symbols: the exchange's own where they are known, written out so that they stay the same."""

from __future__ import annotations

from decimal import Decimal
from typing import Self

from pydantic import BaseModel, ConfigDict, Field

from algo_py.clock import SystemClock
from algo_py.finstore.instruments import InstrumentCache
from algo_py.market import Instrument
from algo_py.settings import Workspace


class OrderRules(BaseModel):
    """What orders of one symbol must keep. tick_size and notional_min in quote currency, the others in units; 0: no such rule."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    tick_size: Decimal = Field(Decimal(0), ge=0)
    lot_size: Decimal = Field(Decimal(0), ge=0)
    quantity_min: Decimal = Field(Decimal(0), ge=0)
    notional_min: Decimal = Field(Decimal(0), ge=0)

    @classmethod
    def of(cls, instrument: Instrument) -> Self:
        return cls(
            tick_size=instrument.tick_size,
            lot_size=instrument.lot_size,
            quantity_min=instrument.quantity_min,
            notional_min=instrument.notional_min,
        )

    def instrument(self, symbol: str) -> Instrument:
        return Instrument(
            symbol=symbol,
            tick_size=self.tick_size,
            lot_size=self.lot_size,
            quantity_min=self.quantity_min,
            notional_min=self.notional_min,
        )


def known_rules(workspace: Workspace, market: str, symbols: tuple[str, ...]) -> dict[str, OrderRules] | None:
    """Return the rules that were read from the market's exchange, of those symbols that have any; None when none has."""
    cache = InstrumentCache(workspace.instruments, SystemClock())
    found = {symbol: OrderRules.of(rules) for symbol in symbols if (rules := cache.get(market, symbol)) is not None}
    return found or None
