"""The parameters of an order as Binance reads them, and its refusals of those that cannot be read."""

from __future__ import annotations

import re
from collections.abc import Mapping
from decimal import Decimal, InvalidOperation
from urllib.parse import urlencode

from .binance import Problem, illegal, mandatory
from .server import Request

_DECIMAL_RANGE = "^([0-9]{1,20})(\\.[0-9]{1,20})?$"
_SIGNATURE = re.compile(r"(^|&)signature=[^&]*")


def side(values: Mapping[str, str]) -> str:
    """Return BUY or SELL."""
    if mandatory(values, "side") not in ("BUY", "SELL"):
        raise Problem(-1117, "Invalid side.")
    return values["side"]


def time_in_force(values: Mapping[str, str], kind: str) -> str:
    """Return how long an order of this kind rests; only a LIMIT order says it."""
    if kind != "LIMIT":
        if "timeInForce" in values:
            raise Problem(-1106, "Parameter 'timeInForce' sent when not required.")
        return "GTC"
    if mandatory(values, "timeInForce") not in ("GTC", "IOC", "FOK"):
        raise Problem(-1115, "Invalid timeInForce.")
    return values["timeInForce"]


def decimal(values: Mapping[str, str], name: str, *, wanted: bool) -> Decimal:
    """Return an amount that must be there or, where it is not `wanted`, must not; then it is 0."""
    if not wanted:
        if name in values:
            raise Problem(-1106, f"Parameter '{name}' sent when not required.")
        return Decimal(0)
    text = mandatory(values, name)
    if not re.fullmatch(_DECIMAL_RANGE, text):
        raise illegal(name, _DECIMAL_RANGE)
    try:
        value = Decimal(text)
    except InvalidOperation:
        raise illegal(name, _DECIMAL_RANGE) from None
    if value != round(value, 8):
        raise Problem(-1111, f"Parameter '{name}' has too much precision.")
    return value


def signed_part(request: Request) -> str:
    """Return what the client has signed: the query and the body as they were sent, percent-encoded, without the signature.

    Since 15 January 2026 a payload has to be encoded before it is signed. A request that never was on a line is encoded here.
    """
    if not request.raw_query and not request.body:
        return urlencode({name: value for name, value in request.values.items() if name != "signature"})
    return "".join(_SIGNATURE.sub("", part) for part in (request.raw_query, request.body.decode()))
