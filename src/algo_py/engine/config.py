"""What a portfolio is simulated with: money, sizing, costs, execution, stops."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import time
from typing import Any, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, ModelWrapValidatorHandler, ValidationError, model_validator

from algo_py.engine.day_time import DayTime, refuse_windows_that_cannot_be
from algo_py.errors import InvalidInput
from algo_py.market import Instrument
from algo_py.settings import first_problem

SizeType = Literal["percent", "value", "amount"]
Execution = Literal["next_open", "close"]
Direction = Literal["long", "short", "both"]
CostSchedule = Literal["nse_delivery", "nse_intraday"]


class PortfolioConfig(BaseModel):
    """Everything but bars and signals that a simulation depends on. Fractions: 0.01 is 1 %.

    It survives JSON unchanged. A value out of bounds or an unknown name raises InvalidInput.
    """

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)

    initial_cash: float = Field(10_000.0, gt=0, description="Cash at the start, quote currency")
    size: float = Field(1.0, gt=0, description="Size of an entry: fraction of equity, quote currency or units, by size type")
    size_type: SizeType = Field(
        "percent", description="percent: fraction of equity, costs included; value: notional in quote currency; amount: units"
    )
    fees: float = Field(0.0, ge=0, lt=1, description="Fee of a fill, fraction of its notional")
    maker_fees: float | None = Field(
        None, ge=0, lt=1, description="Fee of a fill that rested in the book (take-profits), fraction; empty: as fees"
    )
    fixed_fees: float = Field(
        0.0, ge=0, description="Fee of a fill on top, quote currency; with a cost schedule: the broker's own, before tax"
    )
    cost_schedule: CostSchedule | None = Field(
        None,
        description="In place of fees, by date: nse_delivery, the statutory charges of NSE deliveries; nse_intraday, those of "
        "positions closed on the same day, brokerage included",
    )
    slippage: float = Field(0.0, ge=0, lt=1, description="How much worse than the bar's price a fill is, fraction")
    execution: Execution = Field("next_open", description="Where orders fill: the next bar's open, or the deciding bar's close")
    cash_sharing: bool = Field(True, description="One pool of cash for all symbols; else equal parts, each symbol alone")
    allow_partial: bool = Field(True, description="Shrink an entry that lacks cash; else deny it")
    direction: Direction = Field("long", description="Which signals are followed")
    stop_loss: float | None = Field(
        None, gt=0, lt=1, description="Loss at which a position is closed, fraction of its entry price"
    )
    take_profit: float | None = Field(None, gt=0, description="Gain at which a position is closed, fraction of its entry price")
    trailing_stop: float | None = Field(
        None, gt=0, lt=1, description="Retreat from the best price at which a position is closed, fraction"
    )
    max_hold_bars: int | None = Field(None, ge=1, description="Bars after which an exit is decided")
    auction_fills: bool = Field(
        False, description="Orders may fill in the closing auction, at its price; else they wait for the next continuous trading"
    )
    no_entry_before: DayTime | None = Field(
        None, description="No entry whose order could fill before this time of the market's zone, HH:MM"
    )
    no_entry_after: DayTime | None = Field(
        None, description="No entry whose order could fill only after this time of the market's zone, HH:MM"
    )
    square_off_at: DayTime | None = Field(
        None, description="Every position is closed by the last bar that ends by this time of the market's zone, HH:MM"
    )
    borrow_rate_annual: float = Field(0.0, ge=0, description="Yearly cost of a short position, fraction of its value")
    instruments: Instrument | Mapping[str, Instrument] | None = Field(
        None, description="Lot size and minimums: one for all symbols or one for each; empty: none"
    )
    periods_per_year: float | None = Field(
        None, gt=0, description="Bars a year, for annualisation; empty: from the market's calendar"
    )

    @model_validator(mode="wrap")
    @classmethod
    def _refuse_by_name(cls, data: Any, handler: ModelWrapValidatorHandler[Self]) -> Self:
        try:
            return handler(data)
        except ValidationError as error:
            raise InvalidInput(first_problem(error)) from None

    @model_validator(mode="after")
    def _check_together(self) -> Self:
        if self.size_type == "percent" and self.size > 1:
            raise InvalidInput(f"size must be at most 1 where size_type is percent (was {self.size})", remedy="1.0 is all-in.")
        if self.cost_schedule is not None and (self.fees or self.maker_fees):
            name = "fees" if self.fees else "maker_fees"
            value = getattr(self, name)
            raise InvalidInput(f"{name} must be 0 with cost_schedule {self.cost_schedule} (was {value})", remedy="Leave it out.")
        refuse_windows_that_cannot_be(self.no_entry_before, self.no_entry_after, self.square_off_at)
        if self.take_profit is not None and self.take_profit >= 1 and self.direction != "long":
            raise InvalidInput(
                f"take_profit must be below 1 where shorts are allowed (was {self.take_profit})",
                remedy="A price cannot fall by more than itself.",
            )
        return self

    @property
    def windows(self) -> dict[str, time]:
        """The times of day that are set, by their names."""
        given = {name: getattr(self, name) for name in ("no_entry_before", "no_entry_after", "square_off_at")}
        return {name: moment for name, moment in given.items() if moment is not None}
