"""ccxt's clients: built for spot and for an address of ours, and their errors said in the words of this project.

Importing this module imports ccxt, which takes a second or two: it is done when the first request leaves.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from difflib import get_close_matches
from typing import Any
from urllib.parse import urlsplit

import ccxt
from ccxt.base import errors

from algo_py.errors import AlgoPyError, AuthFailed, InvalidInput, NotFound, RateLimited, VenueDown
from algo_py.finstore.sources.answers import AGAIN_LATER, retry_after_s
from algo_py.finstore.sources.bounded_http import BoundedSession

# What ccxt's parsers raise when an answer has another shape than they expect.
MISREAD = (LookupError, TypeError, ValueError, AttributeError, ArithmeticError, RecursionError)
_WORDS_MOST = 160


def build(exchange_id: str, base_url: str | None) -> Any:
    """Build ccxt's client without keys, for one thread at a time. `base_url` stands in for every address that the exchange has.

    ccxt's own limit of requests is off: it would count in this process only. Raises InvalidInput for an exchange that ccxt lacks.
    """
    if exchange_id not in ccxt.exchanges:
        near = get_close_matches(exchange_id, ccxt.exchanges, n=1)
        remedy = f"Did you mean {near[0]!r}?" if near else "Use the id that ccxt gives it, such as 'kraken'."
        raise InvalidInput(f"ccxt knows no exchange {exchange_id!r}", remedy=remedy)
    options: dict[str, Any] = {"defaultType": "spot"}
    if exchange_id == "binance":
        options |= {"fetchMarkets": {"types": ["spot"]}, "fetchMargins": False, "fetchCurrencies": False}
    client = getattr(ccxt, exchange_id)(
        {
            "enableRateLimit": False,
            "enableLastHttpResponse": False,
            "enableLastJsonResponse": exchange_id != "binance",
            "session": BoundedSession(),
            "options": options,
        }
    )
    if base_url is not None:
        client.urls["api"] = _moved(client.urls["api"], base_url)
    return client


def _moved(address: Any, base_url: str) -> Any:
    """Put `base_url` in the place of scheme and host of each address; some exchanges keep them in nested tables."""
    if isinstance(address, Mapping):
        return {key: _moved(value, base_url) for key, value in address.items()}
    return base_url + urlsplit(address).path if isinstance(address, str) else address


def translated(error: errors.BaseError, *, name: str, subject: str, headers: Mapping[str, str]) -> AlgoPyError:
    """Return our error for one of ccxt's; its class tells the caller what to do, and its words hold no address."""
    words = _words(error)
    match error:
        case errors.RateLimitExceeded() | errors.DDoSProtection():
            wait_s = retry_after_s(headers)
            how_long = "for a while" if wait_s is None else f"for {wait_s:g} s"
            return RateLimited(f"{name} asks to be left alone {how_long} ({words})", remedy="Wait.", retry_after_s=wait_s)
        case errors.BadSymbol():
            return NotFound(f"{name} does not know {subject}", remedy="Look up how it is spelled there.")
        case errors.AuthenticationError():
            return AuthFailed(f"{name} refuses to answer for {subject}: {words}", remedy="Check its access.")
        case errors.BadRequest() | errors.ArgumentsRequired() | errors.NotSupported():
            return InvalidInput(f"{name} does not accept the request for {subject}: {words}")
        case errors.RequestTimeout():
            return VenueDown(f"{name} did not answer in time for {subject}", remedy=AGAIN_LATER)
        case _:
            return VenueDown(f"{name} cannot answer for {subject}: {words}", remedy=AGAIN_LATER)


def _words(error: errors.BaseError) -> str:
    """Return what the exchange said, in one short line without addresses: these may hold a password."""
    said = re.search(r'"msg"\s*:\s*"([^"]+)"', str(error))
    text = said[1] if said else re.sub(r"^\w+ (GET|POST)?|<[^>]*>", "", str(error))
    text = " ".join(re.sub(r"\b[a-z]+://\S*", "", text).split())
    return text[:_WORDS_MOST] or "the connection failed"
