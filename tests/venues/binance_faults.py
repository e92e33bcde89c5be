"""The kinds of requests at Binance, so that exactly one of them goes wrong.

As in `server.fail(server.server_error(taken=True, applies=is_stop))`. What an answer says may be changed as well:
`server.fail(distorted(is_order, price="NaN"))`.
"""

from __future__ import annotations

from collections.abc import Callable

from .binance import EXCHANGE_INFO
from .binance_rules import STOPS
from .binance_signed import ACCOUNT, CANCEL_REPLACE, OCO, ORDER, PRICE, TRADES
from .server import Request

Kind = Callable[[Request], bool]


def is_order(request: Request) -> bool:
    """Return whether a request wants an order to be taken."""
    return request.method == "POST" and request.path in (ORDER, OCO, CANCEL_REPLACE)


def is_stop(request: Request) -> bool:
    """Return whether a request wants a stop to rest, alone, in a pair, or in another's place."""
    return is_order(request) and (request.path == OCO or request.values.get("type") in STOPS)


def is_market(request: Request) -> bool:
    """Return whether a request wants to trade at the market."""
    return is_order(request) and request.values.get("type") == "MARKET"


def is_sale(request: Request) -> bool:
    """Return whether a request wants to sell at the market: an exit, here."""
    return is_market(request) and request.values.get("side") == "SELL"


def is_exit(request: Request) -> bool:
    """A sale at the market."""
    return is_order(request) and is_sale(request) and is_market(request)


def is_replacement(request: Request) -> bool:
    """Return whether a request puts an order in another's place."""
    return is_order(request) and request.path == CANCEL_REPLACE


def is_cancel(request: Request) -> bool:
    """Return whether a request wants an order to end."""
    return request.method == "DELETE"


def is_look_up(request: Request) -> bool:
    """Return whether a request asks about one order."""
    return (request.method, request.path) == ("GET", ORDER)


def is_trades(request: Request) -> bool:
    """Return whether a request asks for trades."""
    return request.path == TRADES


def is_account(request: Request) -> bool:
    """Return whether a request asks what the account holds."""
    return request.path == ACCOUNT


def is_price(request: Request) -> bool:
    """Return whether a request asks for the latest price."""
    return request.path == PRICE


def is_rules(request: Request) -> bool:
    """Return whether a request asks for the symbols' rules."""
    return request.path == EXCHANGE_INFO
