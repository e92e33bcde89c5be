"""The latest prices of several symbols in one request; what is no price is left out.

Source: Binance Spot API, REST, "Symbol price ticker": weight 2 for one symbol, 4 for several.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from decimal import Decimal
from typing import Any, Final

from algo_py.amounts import read_amount
from algo_py.errors import InvalidInput, VenueDown
from algo_py.oms.binance.connection import Connection, call
from algo_py.oms.binance.failures import BAD_SYMBOL, Failure, of_read
from algo_py.oms.binance.placing import symbol_id

_ONE_WEIGHT: Final = 2.0
_SEVERAL_WEIGHT: Final = 4.0
_SYMBOLS_AT_ONCE: Final = 100


def last_prices(connection: Connection, symbols: Sequence[str], *, urgent: bool = False) -> dict[str, Decimal]:
    """Return the price of the latest trade of each symbol that is traded. Raises VenueDown, RateLimited, AuthFailed."""
    wanted = list(dict.fromkeys(symbols))
    prices: dict[str, Decimal] = {}
    for first in range(0, len(wanted), _SYMBOLS_AT_ONCE):
        prices |= _asked(connection, wanted[first : first + _SYMBOLS_AT_ONCE], urgent=urgent)
    return prices


def _asked(connection: Connection, symbols: Sequence[str], *, urgent: bool) -> dict[str, Decimal]:
    """Ask for all at once; when one of them is unknown Binance answers for none, so the halves are asked."""
    names = {symbol_id(symbol): symbol for symbol in symbols}
    if len(names) == 1:
        request, weight, subject = {"symbol": next(iter(names))}, _ONE_WEIGHT, f"the price of {symbols[0]}"
    else:
        subject = f"the prices of {len(names)} symbols"
        request, weight = {"symbols": json.dumps(list(names), separators=(",", ":"))}, _SEVERAL_WEIGHT
    content = connection.attempt(call("public_get_ticker_price", **request), weight=weight, urgent=urgent)
    if isinstance(content, Failure):
        if not (content.is_refusal and content.code == BAD_SYMBOL):
            raise of_read(content, name=connection.name, subject=subject)
        half = len(symbols) // 2
        if not half:
            return {}
        return _asked(connection, symbols[:half], urgent=urgent) | _asked(connection, symbols[half:], urgent=urgent)
    try:
        rows = [content] if isinstance(content, Mapping) else content
        told = {names[row["symbol"]]: _price(row["price"]) for row in rows if row["symbol"] in names}
    except (LookupError, TypeError):
        raise VenueDown(
            f"{connection.name} says of {subject} what cannot be understood", remedy="It is asked again later."
        ) from None
    return {symbol: price for symbol, price in told.items() if price is not None}


def _price(value: Any) -> Decimal | None:
    """Return a price that can be one, None for anything else."""
    try:
        return read_amount(value, name="the price")
    except InvalidInput:
        return None
