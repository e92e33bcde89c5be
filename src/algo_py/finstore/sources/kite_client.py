"""Questions to Kite Connect through its own client: within the limit, in bounded time, with errors that say what to do."""

from __future__ import annotations

import csv
import threading
import warnings
from collections.abc import Callable, Mapping
from datetime import datetime
from typing import TYPE_CHECKING, Any, Final, TypeVar

from algo_py.clock import monotonic_s
from algo_py.credentials import Credentials
from algo_py.errors import AlgoPyError, AuthFailed, InvalidInput, RateLimited, VenueDown
from algo_py.finstore.sources.answers import AGAIN_LATER, date_of, retry_after_s, time_left_s
from algo_py.finstore.sources.limits import SharedLimit

if TYPE_CHECKING:
    from algo_py.finstore.sources.bounded_http import Pool

_KEY, _TOKEN = "ZERODHA_API_KEY", "ZERODHA_ACCESS_TOKEN"
_LOGIN: Final = "Run `algo-py login zerodha` for today's access token."
_REQUEST_S: Final = 20.0
_SHOWN_CHARACTERS: Final = 200

# What its client raises, beside its own errors and requests' (which are OSErrors), when an answer is not built as it expects.
_MISREAD = (ValueError, LookupError, TypeError, AttributeError, ArithmeticError, RecursionError, csv.Error)

_T = TypeVar("_T")


class KiteClient:
    """Threads may share it: each question is put by a client that is its own meanwhile.

    `credentials` is called before each question: the access token is another one every morning.
    """

    def __init__(self, credentials: Callable[[], Credentials], *, base_url: str | None, limit: SharedLimit) -> None:
        self._credentials = credentials
        self._base_url = base_url
        self._limit = limit
        self._lock = threading.Lock()
        self._keys: tuple[str, str] | None = None
        self._pool: Pool[_Client] | None = None

    def ask(
        self, question: Callable[[Any], _T], *, subject: str, deadline_s: float, urgent: bool = False
    ) -> tuple[_T, datetime | None]:
        """Put a question to kiteconnect's KiteConnect; return what it returns, and what Kite's clock showed then.

        Reading the answer belongs into the question: whatever it trips over is Kite's fault. An `urgent` question waits for a
        silence only a short while. Raises AuthFailed, RateLimited, InvalidInput (Kite refuses the question), VenueDown.
        """
        with self._clients().one() as client:
            self._limit.acquire(1.0, deadline_s=deadline_s, urgent=urgent)
            left_s = time_left_s("Kite", subject, deadline_s=deadline_s, at_most_s=_REQUEST_S)
            try:
                return client.ask(question, subject=subject, left_s=left_s)
            except RateLimited as error:
                self._limit.silence(error.retry_after_s)
                raise

    def _clients(self) -> Pool[_Client]:
        credentials = self._credentials()
        key = credentials.secret(_KEY).get_secret_value()
        if not credentials.has(_TOKEN):
            raise AuthFailed(f"{_TOKEN} is missing", remedy=_LOGIN)
        token = credentials.secret(_TOKEN).get_secret_value()
        with self._lock:
            if self._pool is None or self._keys != (key, token):
                from algo_py.finstore.sources.bounded_http import Pool

                self._keys, self._pool = (key, token), Pool(lambda: _Client(key, token, self._base_url))
            return self._pool


class _Client:
    """One KiteConnect, and the head of its last answer, which it keeps to itself."""

    def __init__(self, api_key: str, access_token: str, base_url: str | None) -> None:
        with warnings.catch_warnings():
            # It and what it stands on use what Python has deprecated; that is not for a trader to read.
            warnings.simplefilter("ignore")
            import kiteconnect

        from algo_py.finstore.sources.bounded_http import BoundedSession

        self._errors = kiteconnect.exceptions
        self._kite: Any = kiteconnect.KiteConnect(  # type: ignore[no-untyped-call]
            api_key, access_token=access_token, root=base_url
        )
        self._session = self._kite.reqsession = BoundedSession()
        self._session.hooks["response"].append(self._note)
        self._status = 0
        self._headers: Mapping[str, str] = {}

    def ask(self, question: Callable[[Any], _T], *, subject: str, left_s: float) -> tuple[_T, datetime | None]:
        """Put a question and translate what goes wrong."""
        self._session.until_s = monotonic_s() + left_s
        self._kite.timeout = left_s
        self._status, self._headers = 0, {}
        try:
            return question(self._kite), date_of(self._headers)
        except self._errors.KiteException as error:
            raise self._translated(error, subject) from None
        except OSError as error:
            raise VenueDown(f"Kite cannot be reached for {subject} ({type(error).__name__})", remedy=AGAIN_LATER) from None
        except _MISREAD as error:
            said = f"{type(error).__name__}: {_short(error)}"
            raise VenueDown(f"Kite's answer for {subject} makes no sense ({said})", remedy=AGAIN_LATER) from None

    def _note(self, response: Any, *_: object, **__: object) -> None:
        self._status, self._headers = int(response.status_code), response.headers
        if self._status == 429:  # whatever the body is, by which its own client would tell
            response.close()
            wait_s = retry_after_s(self._headers)
            how_long = "for a while" if wait_s is None else f"for {wait_s:g} s"
            raise RateLimited(f"Kite asks to be left alone {how_long}", remedy="Wait.", retry_after_s=wait_s)

    def _translated(self, error: Exception, subject: str) -> AlgoPyError:
        """Say an error of Kite as one of ours. kite.trade/docs/connect/v3/exceptions lists its kinds and codes."""
        said = f"Kite says for {subject}: {_short(error)}"
        if isinstance(error, self._errors.PermissionException):
            return AuthFailed(said, remedy="Allow it for the app of ZERODHA_API_KEY at developers.kite.trade.")
        if isinstance(error, self._errors.TokenException) or self._status == 403:
            return AuthFailed(said, remedy=_LOGIN)
        is_understood = not isinstance(error, (self._errors.DataException, self._errors.NetworkException))
        if isinstance(error, self._errors.InputException) or (is_understood and 400 <= self._status < 500):
            return InvalidInput(said)
        return VenueDown(said, remedy=AGAIN_LATER)


def _short(error: Exception) -> str:
    text = " ".join(str(error).split())
    return text if len(text) <= _SHOWN_CHARACTERS else f"{text[:_SHOWN_CHARACTERS]}..."
