"""The login that Kite wants each day: an address for the browser, and a request token that is exchanged for an access token.

kite.trade/docs/connect/v3/user. The access token ends at 06:00 in India on the next morning.
"""

from __future__ import annotations

import re
import warnings
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, time, timedelta
from typing import Any, Final
from urllib.parse import parse_qs, urlencode, urlsplit

from pydantic import SecretStr

from algo_py.clock import as_utc, format_time, monotonic_s
from algo_py.credentials import Credentials
from algo_py.errors import AuthFailed, InvalidInput, VenueDown
from algo_py.finstore.sources.answers import base_and_host
from algo_py.oms.zerodha.access import ACCESS_TOKEN, API_KEY, API_SECRET, INDIA, TOKEN_EXPIRES

_LOGIN_PAGE: Final = "https://kite.zerodha.com"
_ENDS_AT: Final = time(6)
_TIMEOUT_S: Final = 20.0
_AGAIN: Final = "Log in again: a request token is good once, and for a few minutes."
_MISREAD = (ValueError, LookupError, TypeError, AttributeError, ArithmeticError, RecursionError)


@dataclass(frozen=True, slots=True, kw_only=True)
class Session:
    """What a login gives: an access token of this account, and when it ends."""

    user_id: str
    access_token: SecretStr
    ends_at: datetime

    def credentials(self) -> Mapping[str, SecretStr]:
        """Return it as it stands in `config/.env`."""
        return {ACCESS_TOKEN: self.access_token, TOKEN_EXPIRES: SecretStr(format_time(self.ends_at) or "")}


def login_address(credentials: Credentials, *, state: str | None = None) -> str:
    """Return the page on which the user logs in; `state` comes back with the browser. Raises AuthFailed without a key.

    ZERODHA_LOGIN_BASE_URL stands for Kite's own page where it is given.
    """
    query = {"v": "3", "api_key": credentials.secret(API_KEY).get_secret_value()}
    if state is not None:
        query["redirect_params"] = urlencode({"state": state})
    return f"{credentials.base_url('zerodha-login') or _LOGIN_PAGE}/connect/login?{urlencode(query)}"


def request_token_of(text: str) -> SecretStr:
    """Return the request token in what a person gave: the token alone, or the whole address that the browser ended on."""
    given = text.strip()
    found = parse_qs(urlsplit(given).query).get("request_token", [""])[0] if "?" in given else given
    if not re.fullmatch(r"[A-Za-z0-9_-]+", found):
        raise InvalidInput(
            "there is no request token in this", remedy="Give the whole address that the browser ended on after the login."
        )
    return SecretStr(found)


def exchange(credentials: Credentials, request_token: SecretStr, *, now: datetime) -> Session:
    """Exchange a request token for an access token. Raises AuthFailed (also for keys that are missing), VenueDown."""
    with warnings.catch_warnings():
        # It and what it stands on use what Python has deprecated; that is not for a trader to read.
        warnings.simplefilter("ignore")
        from kiteconnect import KiteConnect
        from kiteconnect.exceptions import DataException, GeneralException, KiteException, NetworkException

    from algo_py.finstore.sources.bounded_http import BoundedSession

    key, secret = (credentials.secret(name).get_secret_value() for name in (API_KEY, API_SECRET))
    base_url = credentials.base_url("zerodha")
    kite: Any = KiteConnect(key, root=None if base_url is None else base_and_host(base_url)[0])  # type: ignore[no-untyped-call]
    kite.reqsession = BoundedSession()
    kite.reqsession.until_s, kite.timeout = monotonic_s() + _TIMEOUT_S, _TIMEOUT_S
    try:
        answer = kite.generate_session(request_token.get_secret_value(), secret)
        return Session(
            user_id=_text(answer["user_id"]), access_token=SecretStr(_text(answer["access_token"])), ends_at=next_end(now)
        )
    except (DataException, NetworkException) as error:  # what they quote may hold the token
        raise VenueDown(f"Kite's answer to the login makes no sense ({type(error).__name__})", remedy=_AGAIN) from None
    except KiteException as error:
        if isinstance(error, GeneralException) and error.code >= 500:
            raise VenueDown(f"Kite could not log in (status {error.code})", remedy=_AGAIN) from None
        said = _without(str(error), request_token.get_secret_value(), secret)
        raise AuthFailed(
            f"Kite does not accept the login: {said}", remedy=f"Check {API_KEY} and {API_SECRET}. {_AGAIN}"
        ) from None
    except OSError as error:
        raise VenueDown(f"Kite cannot be reached for the login ({type(error).__name__})", remedy=_AGAIN) from None
    except _MISREAD as error:
        raise VenueDown(f"Kite's answer to the login makes no sense ({type(error).__name__})", remedy=_AGAIN) from None


def next_end(now: datetime) -> datetime:
    """Return when an access token of now ends, UTC."""
    today = datetime.combine(now.astimezone(INDIA).date(), _ENDS_AT, INDIA)
    return as_utc(today if now < today else today + timedelta(days=1))


def _text(value: object) -> str:
    if not isinstance(value, str) or not value or not value.isprintable():
        raise TypeError("a text is missing")
    return value


def _without(text: str, *secrets: str) -> str:
    for secret in secrets:
        text = text.replace(secret, "...")
    return " ".join(text.split())[:200]
