"""Bollinger reversion: buy what has fallen out of its usual range, until it is back at its mean."""

from __future__ import annotations

from typing import Self

from pydantic import model_validator

from algo_py.strategy import Bars, Field, Signals, Strategy
from algo_py.strategy.indicators import bollinger, cross_above, cross_below


class BollingerReversion(Strategy):
    """Buy when the close falls through the lower Bollinger band, sell when it rises through the middle one.

    Sells short at the upper band where the direction allows it.
    """

    length: int = Field(20, ge=3, le=500, description="Length of mean and deviation, bars")
    deviations: float = Field(2.0, ge=0.5, le=5, description="Distance of the bands from the mean, standard deviations")

    @model_validator(mode="after")
    def _bands_can_be_reached(self) -> Self:
        # A bar is part of its own mean and deviation, so it lies at most sqrt(length - 1) deviations away.
        if self.deviations**2 >= self.length - 1:
            raise ValueError(
                f"deviations must be below {(self.length - 1) ** 0.5:.3g}, "
                f"the farthest that a close can be with length {self.length} (was {self.deviations:g})"
            )
        return self

    @property
    def warm_up_bars(self) -> int:
        return self.length + 1

    def run(self, bars: Bars) -> Signals:
        bands = bollinger(bars.close, self.length, deviations=self.deviations)
        return Signals(
            entries=cross_below(bars.close, bands.lower),
            exits=cross_above(bars.close, bands.middle),
            short_entries=cross_above(bars.close, bands.upper),
            short_exits=cross_below(bars.close, bands.middle),
        )
