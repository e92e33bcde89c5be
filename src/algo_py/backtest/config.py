"""What a backtest is configured with: strategy, bars, and money."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Annotated, Any, Final, Self

from pydantic import (
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    JsonValue,
    ModelWrapValidatorHandler,
    SerializerFunctionWrapHandler,
    ValidationError,
    ValidationInfo,
    field_validator,
    model_serializer,
    model_validator,
)

from algo_py.backtest.rules import OrderRules
from algo_py.clock import as_utc, format_time, parse_time
from algo_py.engine import PortfolioConfig
from algo_py.engine.config import CostSchedule, Direction, Execution, SizeType
from algo_py.engine.day_time import DayTime
from algo_py.errors import InvalidInput
from algo_py.market import Timeframe, get_market
from algo_py.market.quotes import usual_cash
from algo_py.settings import first_problem

# A period that nobody bounded; `run_backtest` narrows it to the bars that there are.
EARLIEST: Final = datetime(1970, 1, 1, tzinfo=UTC)
LATEST: Final = datetime(9999, 12, 31, tzinfo=UTC)

_DAY_RULES: Final = frozenset({"auction_fills", "no_entry_before", "no_entry_after", "square_off_at"})

# A schedule of charges is the law of one market.
_MARKET_OF_SCHEDULE: Final[Mapping[CostSchedule, str]] = {
    "nse_delivery": "indian_equity",
    "nse_intraday": "indian_equity",
}


def _moment(value: Any) -> Any:
    if isinstance(value, str):
        return parse_time(value)
    return as_utc(value) if isinstance(value, datetime) else value


Moment = Annotated[datetime, BeforeValidator(_moment)]


class BacktestConfig(BaseModel):
    """Everything that a backtest depends on, but for the strategy's code and the bars. Fractions: 0.01 is 1 %.

    The period is [start, end), UTC. `fees` and `slippage` that are not given are those of the market; with a cost schedule, which
    takes the place of fees, `fees` are 0. A period that is not given (None is the same) is all of time, and becomes the first and
    the last stored bar in the config of a result. `order_rules` that are not given are those known of the exchange when it runs,
    and stand in the config of a result. Cash that is not given is 10,000 of most currencies, and 1 BTC. It survives JSON
    unchanged. A value that cannot be used, or an unknown name, raises InvalidInput; an unknown market NotFound. Bounds are the
    engine's: see PortfolioConfig.
    """

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)

    strategy: str = Field(min_length=1, description="The strategy's name, such as ema-cross")
    params: Mapping[str, JsonValue] = Field(
        default_factory=dict, description="The strategy's parameters; the others have defaults"
    )
    market: str = Field(description="The market's name")
    timeframe: Timeframe = Field(description="How long a bar lasts")
    symbols: tuple[str, ...] = Field(description="The universe, in the order in which orders are placed")
    start: Moment = Field(EARLIEST, description="First open time of the period, inclusive")
    end: Moment = Field(LATEST, description="End of the period, exclusive")
    initial_cash: float = Field(
        default_factory=lambda valid: _usual_cash(valid), description="Cash at the start, in the universe's quote currency"
    )
    size: float = Field(1.0, description="Size of an entry: fraction of equity, quote currency or units, by size type")
    size_type: SizeType = Field("percent", description="percent: fraction of equity; value: quote currency; amount: units")
    cost_schedule: CostSchedule | None = Field(
        None,
        description="In place of fees, by date: nse_delivery, the statutory charges of NSE deliveries; nse_intraday, those of "
        "positions closed on the same day, brokerage included",
    )
    fees: float = Field(default_factory=lambda valid: _usual_fees(valid), description="Fee of a fill, fraction of its notional")
    maker_fees: float | None = Field(
        None, description="Fee of a fill that rested in the book (take-profits), fraction; empty: as fees"
    )
    fixed_fees: float = Field(
        0.0, description="Fee of a fill on top, quote currency; with a cost schedule: the broker's own, before tax"
    )
    slippage: float = Field(
        default_factory=lambda valid: _of_market(valid, "slippage"), description="How much worse a fill is than the bar's price"
    )
    execution: Execution = Field("next_open", description="Where orders fill: the next bar's open, or the deciding bar's close")
    cash_sharing: bool = Field(True, description="One pool of cash for all symbols; else equal parts, each symbol alone")
    allow_partial: bool = Field(True, description="Shrink an entry that lacks cash; else deny it")
    direction: Direction = Field("long", description="Which signals are followed")
    stop_loss: float | None = Field(None, description="Loss at which a position is closed, fraction of its entry price")
    take_profit: float | None = Field(None, description="Gain at which a position is closed, fraction of its entry price")
    trailing_stop: float | None = Field(None, description="Retreat from the best price at which a position is closed, fraction")
    max_hold_bars: int | None = Field(None, description="Bars after which an exit is decided")
    auction_fills: bool = Field(False, description="Orders may fill in the closing auction; else they wait for the next trading")
    no_entry_before: DayTime | None = Field(None, description="No entry that could fill before this time of the market's zone")
    no_entry_after: DayTime | None = Field(None, description="No entry that could fill only after this time of the market's zone")
    square_off_at: DayTime | None = Field(
        None, description="Every position is closed by the last bar that ends by this time of the market's zone"
    )
    borrow_rate_annual: float = Field(0.0, description="Yearly cost of a short position, fraction of its value")
    order_rules: Mapping[str, OrderRules] | None = Field(
        None, description="Order rules of symbols; those that are not here have the market's usual ones"
    )

    @model_serializer(mode="wrap")
    def _without_what_is_not_asked_for(self, handler: SerializerFunctionWrapHandler) -> dict[str, Any]:
        """Leave the rules of the day out where there are none: an earlier Algo.Py does not know their names."""
        return {name: value for name, value in handler(self).items() if name not in _DAY_RULES or value not in (None, False)}

    @property
    def has_day_rules(self) -> bool:
        """Whether hours of the day, closing auctions or intraday charges are among its rules."""
        return self.cost_schedule == "nse_intraday" or any(getattr(self, name) not in (None, False) for name in _DAY_RULES)

    @property
    def quote_currency(self) -> str:
        """What the symbols are paid for in, and so all money of the backtest. Raises InvalidInput where they are several."""
        return get_market(self.market).quote_over(self.symbols)

    @property
    def quote_label(self) -> str:
        """The quote currency as it is shown: also of an earlier version's backtest of several, `USDT and BTC`."""
        return " and ".join(get_market(self.market).quotes_of(self.symbols))

    @property
    def sole_quote(self) -> str | None:
        """The quote currency, None where the symbols have several."""
        quotes = get_market(self.market).quotes_of(self.symbols)
        return quotes[0] if len(quotes) == 1 else None

    def portfolio_config(self) -> PortfolioConfig:
        """Return what the engine needs of it, with the symbols' order rules and the market's bars a year."""
        market = get_market(self.market)
        rules = self.order_rules or {}
        return self._money().model_copy(
            update={
                "instruments": {
                    symbol: rules[symbol].instrument(symbol) if symbol in rules else market.instrument(symbol)
                    for symbol in self.symbols
                },
                "periods_per_year": market.calendar.periods_per_year(self.timeframe),
            }
        )

    def _money(self) -> PortfolioConfig:
        shared = BacktestConfig.model_fields.keys() & PortfolioConfig.model_fields.keys()
        return PortfolioConfig.model_validate({name: getattr(self, name) for name in shared})

    @model_validator(mode="wrap")
    @classmethod
    def _refuse_by_name(cls, data: Any, handler: ModelWrapValidatorHandler[Self]) -> Self:
        if isinstance(data, Mapping):
            data = {name: value for name, value in data.items() if value is not None}
        try:
            return handler(data)
        except ValidationError as error:
            raise InvalidInput(first_problem(error)) from None

    @field_validator("market")
    @classmethod
    def _check_market(cls, market: str) -> str:
        return get_market(market).name

    @field_validator("timeframe", mode="before")
    @classmethod
    def _check_timeframe(cls, timeframe: Any) -> Any:
        return Timeframe.parse(timeframe) if isinstance(timeframe, str) else timeframe

    @field_validator("symbols")
    @classmethod
    def _check_symbols(cls, symbols: tuple[str, ...], info: ValidationInfo) -> tuple[str, ...]:
        if not symbols:
            raise InvalidInput("symbols must name at least one symbol (was empty)")
        twice = next((symbol for place, symbol in enumerate(symbols) if symbol in symbols[:place]), None)
        if twice is not None:
            raise InvalidInput(f"symbols must name each symbol once (has {twice} twice)")
        if "market" in info.data:
            for symbol in symbols:
                get_market(info.data["market"]).check_symbol(symbol)
        return symbols

    @model_validator(mode="after")
    def _check_together(self) -> Self:
        if self.start >= self.end:
            raise InvalidInput(f"end must be after start {format_time(self.start)} (was {format_time(self.end)})")
        if self.cost_schedule is not None and self.market != _MARKET_OF_SCHEDULE[self.cost_schedule]:
            raise InvalidInput(
                f"cost_schedule {self.cost_schedule} is for {_MARKET_OF_SCHEDULE[self.cost_schedule]} (market was {self.market})",
                remedy="Give fees instead.",
            )
        windows = self._money().windows
        if windows and not self.timeframe.is_intraday:
            raise InvalidInput(
                f"{next(iter(windows))} needs bars shorter than a day (timeframe was {self.timeframe})",
                remedy="Use intraday bars, or leave it out.",
            )
        return self


def _usual_fees(valid: Mapping[str, Any]) -> float:
    return 0.0 if valid.get("cost_schedule") is not None else _of_market(valid, "fees")


def _usual_cash(valid: Mapping[str, Any]) -> float:
    if "market" not in valid or "symbols" not in valid:
        return usual_cash("")
    return usual_cash(get_market(valid["market"]).quotes_of(valid["symbols"])[0])


def _of_market(valid: Mapping[str, Any], name: str) -> float:
    # Where the market itself was refused there is nothing to look up; that refusal is what the caller will see.
    return float(getattr(get_market(valid["market"]), name)) if "market" in valid else 0.0
