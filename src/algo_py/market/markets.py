"""The markets that Algo.Py knows: calendar, time zone, currency, costs, symbol spelling, default order rules."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from decimal import Decimal
from zoneinfo import ZoneInfo

from algo_py.errors import InvalidInput, NotFound
from algo_py.market.calendars import AlwaysOpen, Calendar
from algo_py.market.instruments import Instrument
from algo_py.market.nse import nse_calendar
from algo_py.market.quotes import mixed_quotes, parts_of
from algo_py.market.universe import UniverseCalendar


@dataclass(frozen=True, slots=True, kw_only=True)
class Market:
    """What holds for every symbol of one market; `fees` and `slippage` are fractions of notional.

    quote_currency: what symbols are paid for in that do not say it themselves, and what a form shows before one is chosen; the
    currency of a symbol is `quote_of`, that of a universe `quote_over`. default_rules are in it.
    plausible_move_fraction: a price that is farther from the last close than this is not believed: it was split, or is nonsense.
    hours: the calendar of a symbol; of None, of the market's ordinary symbols.
    """

    name: str
    title: str
    quote_currency: str
    time_zone: ZoneInfo
    fees: float
    slippage: float
    symbol_pattern: re.Pattern[str]
    symbol_example: str
    default_rules: Instrument
    hours: Callable[[str | None], Calendar]
    plausible_move_fraction: Decimal

    @property
    def calendar(self) -> Calendar:
        """The calendar of the market's ordinary symbols: its trading days hold for all, its bars and phases not for each."""
        return self.hours(None)

    def calendar_of(self, symbol: str) -> Calendar:
        """Return the calendar of one symbol. The same object as long as no fact changes."""
        return self.hours(symbol)

    def calendar_over(self, symbols: Iterable[str]) -> Calendar:
        """Return the calendar of a universe: that of its symbols where they trade alike, else their union."""
        calendars = tuple(dict.fromkeys(self.hours(symbol) for symbol in symbols))
        return calendars[0] if len(calendars) == 1 else UniverseCalendar(calendars)

    def quote_of(self, symbol: str) -> str:
        """Return the currency that a symbol is paid for in: BTC of ETH/BTC."""
        return parts_of(symbol, self.quote_currency)[1]

    def asset_of(self, symbol: str) -> str:
        """Return what an account holds after a symbol was bought: ETH of ETH/BTC, and of ETH/USDT too."""
        return parts_of(symbol, self.quote_currency)[0]

    def quotes_of(self, symbols: Iterable[str]) -> tuple[str, ...]:
        """Return the currencies that symbols are paid for in, each once, in the symbols' order."""
        return tuple(dict.fromkeys(self.quote_of(symbol) for symbol in symbols))

    def quote_over(self, symbols: Iterable[str]) -> str:
        """Return the one quote currency of a universe; of no symbols, the market's own. Raises InvalidInput for several."""
        symbols = tuple(symbols)
        quotes = self.quotes_of(symbols) or (self.quote_currency,)
        if len(quotes) > 1:
            raise mixed_quotes((symbol, self.quote_of(symbol)) for symbol in symbols)
        return quotes[0]

    def check_symbol(self, symbol: str) -> str:
        """Return `symbol` if it is spelled as this market spells them; whether it exists there is not known here."""
        if not self.symbol_pattern.fullmatch(symbol):
            raise InvalidInput(
                f"{symbol!r} is not spelled like a symbol of {self.name}", remedy=f"Write it like {self.symbol_example}."
            )
        return symbol

    def instrument(self, symbol: str) -> Instrument:
        """Return the order rules to assume for `symbol` as long as the exchange's own are not known.

        Tick and least value are amounts of the market's own currency: of a symbol in another one they are not known, so none.
        """
        rules = self.default_rules
        is_own = self.quote_of(symbol) == self.quote_currency
        return Instrument(
            symbol=self.check_symbol(symbol),
            tick_size=rules.tick_size if is_own else Decimal(0),
            lot_size=rules.lot_size,
            quantity_min=rules.quantity_min,
            notional_min=rules.notional_min if is_own else Decimal(0),
            quantity_max=rules.quantity_max,
            market_quantity_max=rules.market_quantity_max,
        )


_ROUND_THE_CLOCK = AlwaysOpen()

_MARKETS = {
    market.name: market
    for market in (
        Market(
            name="crypto_binance",
            title="Crypto (Binance spot)",
            quote_currency="USDT",
            time_zone=ZoneInfo("UTC"),
            fees=0.001,  # Binance spot, regular user, maker and taker
            slippage=0.0005,
            symbol_pattern=re.compile(r"[A-Z0-9]{2,20}/[A-Z0-9]{2,10}"),
            symbol_example="BTC/USDT",
            default_rules=Instrument(symbol="*", lot_size=Decimal("0.00001"), notional_min=Decimal(5)),
            hours=lambda _symbol: _ROUND_THE_CLOCK,
            plausible_move_fraction=Decimal(9),  # a fall is believed whatever it is, a rise up to ten times
        ),
        Market(
            name="indian_equity",
            title="Indian equities (NSE)",
            quote_currency="INR",
            time_zone=ZoneInfo("Asia/Kolkata"),
            fees=0.0012,  # delivery, about the statutory charges of one side
            slippage=0.0005,
            symbol_pattern=re.compile(r"[A-Z0-9][A-Z0-9&-]{0,19}"),
            symbol_example="RELIANCE",
            default_rules=Instrument(symbol="*", tick_size=Decimal("0.05"), lot_size=Decimal(1), quantity_min=Decimal(1)),
            hours=nse_calendar,
            plausible_move_fraction=Decimal(
                "0.35"
            ),  # price bands are 20 % at most; shares with derivatives move in steps of 10 %
        ),
    )
}


def market_names() -> tuple[str, ...]:
    """Return the names of all markets, in the order in which screens list them."""
    return tuple(_MARKETS)


def get_market(name: str) -> Market:
    """Return the market called `name`."""
    try:
        return _MARKETS[name]
    except KeyError:
        raise NotFound(f"there is no market {name!r}", remedy=f"Use one of {', '.join(_MARKETS)}.") from None
