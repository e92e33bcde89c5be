"""The rules of a symbol at Binance: its filters as the exchange information writes them, and what they let pass.

Written from Binance's public documentation of the spot API ("Filters", "ENUM definitions: Symbol status"). A bound or step of 0
is switched off, as BTCUSDT's own step of 0 in MARKET_LOT_SIZE shows.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from decimal import Decimal
from typing import Any, Protocol

STOPS = ("STOP_LOSS", "TAKE_PROFIT")


class Wanted(Protocol):
    """The part of an order that filters look at; prices that do not belong to its type are 0."""

    @property
    def side(self) -> str: ...
    @property
    def type(self) -> str: ...
    @property
    def quantity(self) -> Decimal: ...
    @property
    def price(self) -> Decimal: ...
    @property
    def stop_price(self) -> Decimal: ...


@dataclass(frozen=True, slots=True, kw_only=True)
class Rules:
    """The filters of a symbol, as Binance writes their values.

    status: TRADING, or BREAK, HALT, CANCEL_ONLY (since July 2026), in which nothing is taken and nothing trades. average_minutes:
    over how long market orders' values and limits of the price are reckoned, 0 for the last price. has_notional: NOTIONAL, or the
    older MIN_NOTIONAL. orders_max counts all open orders of the account, stops_max those that are stops (2 for a pair of stops).
    """

    base: str
    quote: str
    tick_size: str = "0.01000000"
    price_max: str = "1000000.00000000"
    step_size: str = "0.00001000"
    quantity_min: str = "0.00001000"
    quantity_max: str = "9000.00000000"
    market_step_size: str = "0.00000000"
    market_quantity_min: str = "0.00000000"
    market_quantity_max: str = "120.00000000"
    notional_min: str = "5.00000000"
    notional_max: str = "9000000.00000000"
    min_applies_to_market: bool = True
    has_notional: bool = True
    average_minutes: int = 5
    bid_up: str = "5"
    bid_down: str = "0.2"
    ask_up: str = "5"
    ask_down: str = "0.2"
    orders_max: int = 200
    stops_max: int = 5
    status: str = "TRADING"

    @property
    def symbol(self) -> str:
        return self.base + self.quote

    def entry(self) -> dict[str, Any]:
        """Return the symbol's part of the exchange information."""
        return {
            "symbol": self.symbol,
            "status": self.status,
            "baseAsset": self.base,
            "baseAssetPrecision": 8,
            "quoteAsset": self.quote,
            "quotePrecision": 8,
            "quoteAssetPrecision": 8,
            "baseCommissionPrecision": 8,
            "quoteCommissionPrecision": 8,
            "orderTypes": ["LIMIT", "LIMIT_MAKER", "MARKET", "STOP_LOSS", "STOP_LOSS_LIMIT", "TAKE_PROFIT", "TAKE_PROFIT_LIMIT"],
            "icebergAllowed": True,
            "ocoAllowed": True,
            "quoteOrderQtyMarketAllowed": True,
            "allowTrailingStop": True,
            "cancelReplaceAllowed": True,
            "isSpotTradingAllowed": True,
            "isMarginTradingAllowed": True,
            "filters": list(self._filters()),
            "permissions": [],
            "permissionSets": [["SPOT", "MARGIN"]],
            "defaultSelfTradePreventionMode": "EXPIRE_MAKER",
            "allowedSelfTradePreventionModes": ["EXPIRE_TAKER", "EXPIRE_MAKER", "EXPIRE_BOTH"],
        }

    def broken(self, wanted: Wanted, *, average: Decimal) -> str | None:
        """Return the name of the first filter that an order does not pass; `average` is the price over `average_minutes`.

        What a stop without a limit is worth is reckoned by its stop price. It trades at the market, so it keeps MARKET_LOT_SIZE.
        """
        tick, price_max = Decimal(self.tick_size), Decimal(self.price_max)
        for price in (wanted.price, wanted.stop_price):
            if price and not _fits(price, least=tick, most=price_max, step=tick):
                return "PRICE_FILTER"
        if wanted.price and not self._is_near(wanted, average):
            return "PERCENT_PRICE_BY_SIDE"
        lot = (self.quantity_min, self.quantity_max, self.step_size)
        if not _fits(wanted.quantity, *map(Decimal, lot)):
            return "LOT_SIZE"
        at_market = wanted.type == "MARKET" or wanted.type in STOPS
        market_lot = (self.market_quantity_min, self.market_quantity_max, self.market_step_size)
        if at_market and not _fits(wanted.quantity, *map(Decimal, market_lot)):
            return "MARKET_LOT_SIZE"
        notional = wanted.quantity * (wanted.price or wanted.stop_price or average)
        is_small = notional < Decimal(self.notional_min) and (self.min_applies_to_market or wanted.type != "MARKET")
        if not self.has_notional:
            return "MIN_NOTIONAL" if is_small else None
        return "NOTIONAL" if is_small or (not at_market and notional > Decimal(self.notional_max)) else None

    def _is_near(self, wanted: Wanted, average: Decimal) -> bool:
        down, up = (self.bid_down, self.bid_up) if wanted.side == "BUY" else (self.ask_down, self.ask_up)
        return average * Decimal(down) <= wanted.price <= average * Decimal(up)

    def _filters(self) -> Iterator[dict[str, Any]]:
        yield {
            "filterType": "PRICE_FILTER",
            "minPrice": self.tick_size,
            "maxPrice": self.price_max,
            "tickSize": self.tick_size,
        }
        yield {"filterType": "LOT_SIZE", "minQty": self.quantity_min, "maxQty": self.quantity_max, "stepSize": self.step_size}
        yield {"filterType": "ICEBERG_PARTS", "limit": 10}
        yield {
            "filterType": "MARKET_LOT_SIZE",
            "minQty": self.market_quantity_min,
            "maxQty": self.market_quantity_max,
            "stepSize": self.market_step_size,
        }
        yield {
            "filterType": "PERCENT_PRICE_BY_SIDE",
            "bidMultiplierUp": self.bid_up,
            "bidMultiplierDown": self.bid_down,
            "askMultiplierUp": self.ask_up,
            "askMultiplierDown": self.ask_down,
            "avgPriceMins": self.average_minutes,
        }
        if self.has_notional:
            yield {
                "filterType": "NOTIONAL",
                "minNotional": self.notional_min,
                "applyMinToMarket": self.min_applies_to_market,
                "maxNotional": self.notional_max,
                "applyMaxToMarket": False,
                "avgPriceMins": self.average_minutes,
            }
        else:
            yield {
                "filterType": "MIN_NOTIONAL",
                "minNotional": self.notional_min,
                "applyToMarket": self.min_applies_to_market,
                "avgPriceMins": self.average_minutes,
            }
        yield {"filterType": "MAX_NUM_ORDERS", "maxNumOrders": self.orders_max}
        yield {"filterType": "MAX_NUM_ALGO_ORDERS", "maxNumAlgoOrders": self.stops_max}


def _fits(value: Decimal, least: Decimal, most: Decimal, step: Decimal) -> bool:
    """Return whether a filter lets a value pass; a bound or step of 0 is none."""
    return least <= value and (not most or value <= most) and (not step or value % step == 0)
