"""ccxt's client for orders: keys and our clock in it, a session that remembers the answer, and no word of it in any log.

Importing this module imports ccxt: it is done when the first request leaves.
"""

from __future__ import annotations

import json
import logging
import re
from collections.abc import Callable, Collection
from dataclasses import replace
from typing import Any, Final

import requests
from ccxt.base.errors import BaseError
from pydantic import SecretStr
from urllib3.exceptions import ConnectTimeoutError, MaxRetryError, NewConnectionError

from algo_py.clock import monotonic_s
from algo_py.finstore.sources.answers import retry_after_s
from algo_py.finstore.sources.bounded_http import BoundedSession
from algo_py.finstore.sources.exchange_client import MISREAD, build
from algo_py.oms.binance.failures import Failure

_WORDS_MOST: Final = 160


class _WatchedSession(BoundedSession):
    """Keeps the last answer, whatever ccxt then makes of it. A redirect is not followed: the key goes to one host only."""

    def __init__(self) -> None:
        super().__init__()
        self.answer: requests.Response | None = None

    def send(self, request: requests.PreparedRequest, **options: Any) -> requests.Response:
        self.answer = None
        options["allow_redirects"] = False
        self.answer = super().send(request, **options)
        return self.answer


def build_client(
    exchange_id: str,
    *,
    base_url: str | None,
    is_testnet: bool,
    key: SecretStr,
    secret: SecretStr,
    recv_window_ms: int,
    timestamp_ms: Callable[[], int],
) -> Any:
    """Build the client of an exchange, for one thread; `timestamp_ms` is asked for the time of each signed request."""
    client = build(exchange_id, base_url)
    if is_testnet and base_url is None:
        client.set_sandbox_mode(True)
    client.session.close()
    client.session = _WatchedSession()
    client.logger = logging.Logger("ccxt", level=logging.CRITICAL)  # its own writes keys down at level DEBUG
    client.apiKey, client.secret = key.get_secret_value(), secret.get_secret_value()
    client.options["recvWindow"] = recv_window_ms
    client.nonce = timestamp_ms
    return client


def ask(client: Any, action: Callable[[Any], Any], *, request_s: float, secrets: Collection[str]) -> Any | Failure:
    """Send one request and return what ccxt read from its answer, or why there is nothing. Raises nothing of ccxt's."""
    session: _WatchedSession = client.session
    session.until_s = monotonic_s() + request_s
    session.answer = None
    client.timeout = request_s * 1_000
    try:
        content = action(client)
    except BaseError as error:
        failure = _failure(error.__cause__, session.answer)
    except requests.RequestException as error:
        failure = _failure(error, session.answer)
    except MISREAD as error:
        failure = Failure(status=_status(session.answer), code=None, words=f"the answer makes no sense: {type(error).__name__}")
    else:
        if isinstance(content, (dict, list)):
            return content
        failure = Failure(status=_status(session.answer), code=None, words="the answer is not JSON")
    for hidden in secrets:
        if hidden in failure.words:
            return replace(failure, words="its words held a secret", data=None)
    return failure


def _failure(cause: BaseException | None, answer: requests.Response | None) -> Failure:
    if answer is None:
        in_time = "no answer came in time" if isinstance(cause, requests.Timeout) else "the connection failed"
        return Failure(status=None, code=None, words=in_time, was_sent=not _is_unconnected(cause))
    code, words, data = None, f"HTTP {answer.status_code}", None
    try:
        content = json.loads(answer.text)
        code, words, data = int(content["code"]), _plain(str(content["msg"])) or words, content.get("data")
    except (ValueError, LookupError, TypeError, AttributeError):
        words = f"{words}, and not in Binance's format"
    return Failure(status=answer.status_code, code=code, words=words, retry_after_s=retry_after_s(answer.headers), data=data)


def _is_unconnected(cause: BaseException | None) -> bool:
    """Return whether no connection came about, so that certainly nothing was sent."""
    if isinstance(cause, requests.exceptions.ConnectTimeout):
        return True
    if not isinstance(cause, requests.exceptions.ConnectionError) or not cause.args:
        return False
    reason = cause.args[0].reason if isinstance(cause.args[0], MaxRetryError) else cause.args[0]
    return isinstance(reason, (NewConnectionError, ConnectTimeoutError))


def _status(answer: requests.Response | None) -> int | None:
    return None if answer is None else answer.status_code


def _plain(text: str) -> str:
    """Return one short line without addresses of the web."""
    return " ".join(re.sub(r"\b[a-z]+://\S*", "", text).split())[:_WORDS_MOST]
