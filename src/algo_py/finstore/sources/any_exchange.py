"""How any other exchange is asked: through ccxt's unified methods, spot markets only."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from decimal import Decimal
from typing import Any

from algo_py.errors import NotFound
from algo_py.finstore.sources.binance_spot import plain
from algo_py.finstore.sources.limits import SharedLimit
from algo_py.market import Instrument, Timeframe

# Bars of one request: what ccxt says that the exchange gives, but no more than this; and this when ccxt does not say. To ask for
# more than an exchange gives would leave a hole that looks like bars that do not exist.
_BARS_MOST = 1_000
_BARS_UNKNOWN = 100
# ccxt.base.decimal_to_precision: how a market's precision is to be read.
_DECIMAL_PLACES, _TICK_SIZE = 2, 4


class AnyExchange:
    """Bars by `fetch_ohlcv`. The list of spot markets is asked once, kept as text, and unfolded symbol by symbol as needed."""

    parallel = 1  # the pause between two requests is longer than most answers take
    bars_weight = 1.0
    rules_weight = 1.0
    # ccxt sends the start and a count; what an exchange then gives beyond the end is left out.
    is_exact = False

    def __init__(self, name: str) -> None:
        self._name = name
        self._markets: dict[str, str] | None = None

    def limit(self, client: Any, host: str | None) -> SharedLimit:
        """Return the pace that ccxt keeps with this exchange, shared by all processes of this host."""
        return SharedLimit(f"{client.id} {host or 'exchange'}", per_s=1_000 / client.rateLimit, burst=1)

    def bars_at_once(self, client: Any) -> int:
        return min(client.feature_value_by_type("spot", None, "fetchOHLCV", "limit") or _BARS_UNKNOWN, _BARS_MOST)

    def rows(self, client: Any, timeframe: Timeframe, symbol: str, since_ms: int, until_ms: int) -> object:
        self._unfold(client, symbol)
        count = -(-(until_ms - since_ms) // (timeframe.seconds * 1_000))
        client.last_json_response = None
        rows = client.fetch_ohlcv(symbol, timeframe.value, since=since_ms, limit=count)
        if client.last_json_response is None:
            # ccxt finds no bars in an answer that is no JSON, such as a page that says "back soon".
            raise ValueError("it is not JSON")
        client.last_json_response = None
        return rows

    def rules(self, client: Any, symbols: Sequence[str]) -> dict[str, Instrument]:
        known = self._known(client)
        return {symbol: _instrument(client, json.loads(known[symbol])) for symbol in symbols if symbol in known}

    def pause_s(self, _headers: Mapping[str, str]) -> None:
        return None

    def _known(self, client: Any) -> dict[str, str]:
        """Return all spot markets as JSON. Unfolded, the markets of a large exchange take some 50 MB."""
        if self._markets is None:
            self._markets = {market["symbol"]: json.dumps(market) for market in client.fetch_markets() if market["spot"]}
        return self._markets

    def _unfold(self, client: Any, symbol: str) -> None:
        """Have the client know a market; it then asks for no list of its own."""
        known = client.markets or {}
        if symbol in known:
            return
        text = self._known(client).get(symbol)
        if text is None:
            raise NotFound(f"{self._name} does not know {symbol}", remedy="Look up how it is spelled there.")
        client.set_markets([*known.values(), json.loads(text)])


def _instrument(client: Any, market: Mapping[str, Any]) -> Instrument:
    precision, limits = market["precision"], market["limits"]

    def least(kind: str) -> Decimal:
        return _decimal((limits.get(kind) or {}).get("min"))

    return Instrument(
        symbol=market["symbol"],
        tick_size=_step(client, precision.get("price")),
        lot_size=_step(client, precision.get("amount")),
        quantity_min=least("amount"),
        notional_min=least("cost"),
    )


def _step(client: Any, precision: float | None) -> Decimal:
    """Return the step that a precision means; significant digits are no step, so then there is none."""
    if precision is None:
        return Decimal(0)
    if client.precisionMode == _DECIMAL_PLACES:
        return Decimal(1).scaleb(-int(precision))
    return _decimal(precision) if client.precisionMode == _TICK_SIZE else Decimal(0)


def _decimal(number: float | None) -> Decimal:
    return Decimal(0) if number is None else plain(Decimal(str(number)))
