"""How Binance's spot market is asked: its own endpoints through ccxt, its weights, its filters.

Sources: Binance Spot API, REST, sections "IP Limits", "Kline/Candlestick data", "Exchange information" and "Filters".
"""

from __future__ import annotations

import json
import math
import re
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from decimal import ROUND_CEILING, Decimal
from pathlib import Path
from typing import Any

from algo_py.errors import NotFound
from algo_py.finstore.sources.answers import date_of
from algo_py.finstore.sources.limits import SharedLimit
from algo_py.market import Instrument, Timeframe

HOST = "api.binance.com"

_WEIGHT_PER_MINUTE = 6_000
# Bars take at most half of that: 300 at once and 45 a second are 3,000 in any minute. The rest is for orders, which matter more.
_OUR_WEIGHT_PER_S = 45.0
_OUR_BURST_WEIGHT = 300.0
# Beyond this share of a minute's weight, whoever used it, nobody here asks for bars until the minute is over.
_BUSY_FRACTION = 0.8
_SYMBOL = re.compile(r"[A-Z0-9]+/[A-Z0-9]+")


def binance_limit(host: str = HOST, *, folder: Path | None = None) -> SharedLimit:
    """Return the limit that all processes of this host keep when they ask `host` (with its port) for bars; costs are weights.

    Binance counts 6,000 of weight a minute for each address that requests come from, whatever the keys. Ignoring its 429 leads
    to a ban (418) of two minutes to three days.
    """
    return SharedLimit(f"binance {host}", per_s=_OUR_WEIGHT_PER_S, burst=_OUR_BURST_WEIGHT, folder=folder)


class BinanceSpot:
    """Klines and filters as they come. No list of markets is needed: a symbol's name there is base and quote in one word."""

    parallel = 6
    bars_weight = 2.0
    rules_weight = 20.0
    # Both ends of the range are sent, so that anything outside of it is not an answer to the question.
    is_exact = True

    def __init__(self, name: str) -> None:
        self._name = name

    def limit(self, host: str | None) -> SharedLimit:
        return binance_limit(host or HOST)

    def bars_at_once(self, _client: object = None) -> int:
        return 1_000

    def rows(self, client: Any, timeframe: Timeframe, symbol: str, since_ms: int, until_ms: int) -> object:
        """Return the klines that open in [since_ms, until_ms); Binance takes endTime as included."""
        request = {"symbol": self._id(symbol), "interval": timeframe.value, "limit": self.bars_at_once()}
        return client.public_get_klines({**request, "startTime": since_ms, "endTime": until_ms - 1})

    def first_row(self, client: Any, timeframe: Timeframe, symbol: str) -> object:
        """Return the very first kline, in a list."""
        return client.public_get_klines({"symbol": self._id(symbol), "interval": timeframe.value, "startTime": 0, "limit": 1})

    def rules(self, client: Any, symbols: Sequence[str]) -> dict[str, Instrument]:
        """Return the rules of these symbols; the whole request is refused (BadSymbol) when one of them is not known."""
        names = {self._id(symbol): symbol for symbol in symbols}
        markets = client.fetch_markets({"symbols": json.dumps(list(names), separators=(",", ":"))})
        return {names[market["id"]]: _instrument(names[market["id"]], market["info"]["filters"]) for market in markets}

    def pause_s(self, headers: Mapping[str, str]) -> float | None:
        """Return how long bars should wait because the minute's weight is nearly used up; None: no need."""
        used = headers.get("X-MBX-USED-WEIGHT-1M") or ""
        if not re.fullmatch("[0-9]{1,9}", used) or int(used) < _BUSY_FRACTION * _WEIGHT_PER_MINUTE:
            return None
        now: datetime | None = date_of(headers)
        return 60.0 if now is None else 60.0 - now.astimezone(UTC).second

    def _id(self, symbol: str) -> str:
        if not _SYMBOL.fullmatch(symbol):
            raise NotFound(f"{self._name} does not know {symbol}", remedy="Spot symbols are spelled like BTC/USDT.")
        return symbol.replace("/", "")


def _instrument(symbol: str, filters: Sequence[Mapping[str, Any]]) -> Instrument:
    """Read the filters; 0 means that there is none.

    A market order has to keep LOT_SIZE and MARKET_LOT_SIZE, and what is bought must be sellable at the market and by a stop: so
    lots are whole steps of both, and the smallest quantity is that of the stricter one, in whole lots. The largest quantities
    stay apart: a position above MARKET_LOT_SIZE's can be sold in parts. Raises ValueError for numbers that can be no rule.
    """
    by_type = {entry["filterType"]: entry for entry in filters}

    def values(key: str, *types: str) -> list[Decimal]:
        found = [Decimal(by_type[name][key]) for name in types if name in by_type]
        if not all(value.is_finite() and value >= 0 for value in found):
            raise ValueError(f"{key} of {symbol} makes no sense")
        return [value for value in found if value]

    def most(key: str, *types: str) -> Decimal:
        return plain(max(values(key, *types), default=Decimal(0)))

    both = ("LOT_SIZE", "MARKET_LOT_SIZE")
    lot_size = _common_step(values("stepSize", *both))
    quantity_min = most("minQty", *both)
    return Instrument(
        symbol=symbol,
        tick_size=most("tickSize", "PRICE_FILTER"),
        lot_size=lot_size,
        quantity_min=plain((quantity_min / lot_size).to_integral_value(ROUND_CEILING) * lot_size) if lot_size else quantity_min,
        notional_min=most("minNotional", "NOTIONAL", "MIN_NOTIONAL"),
        quantity_max=most("maxQty", "LOT_SIZE"),
        market_quantity_max=plain(min(values("maxQty", *both), default=Decimal(0))),
    )


def _common_step(steps: Sequence[Decimal]) -> Decimal:
    """Return the smallest step that is a multiple of each of these, 0 where there are none."""
    if not steps:
        return Decimal(0)
    finest = min(int(step.as_tuple().exponent) for step in steps)
    unit = Decimal(1).scaleb(min(finest, 0))
    return plain(math.lcm(*(int(step / unit) for step in steps)) * unit)


def plain(number: Decimal) -> Decimal:
    """Return `number` without the zeros that Binance writes behind it, and never in powers of ten."""
    return number.quantize(Decimal(1)) if number == number.to_integral_value() else number.normalize()
