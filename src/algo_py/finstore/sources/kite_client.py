"""Questions to Kite Connect through its own client: within the limit, in bounded time, with errors that say what to do."""

from __future__ import annotations

import csv
import warnings
from collections import deque
from collections.abc import Callable
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from typing import Any, Final, TypeVar

from algo_py.clock import monotonic_s
from algo_py.credentials import Credentials
from algo_py.errors import AlgoPyError, AuthFailed, InvalidInput, RateLimited, VenueDown
from algo_py.finstore.sources.limits import SharedLimit

_KEY, _TOKEN = "ZERODHA_API_KEY", "ZERODHA_ACCESS_TOKEN"
_LOGIN: Final = "Run `algo-py login zerodha` for today's access token."
_TIMEOUT_S: Final = 20.0
_SHOWN_CHARACTERS: Final = 200

# What its client raises, beside its own errors and requests' (which are OSErrors), when an answer is not built as it expects.
_SENSELESS = (ValueError, KeyError, TypeError, AttributeError, IndexError, ArithmeticError, csv.Error)

_T = TypeVar("_T")


class KiteClient:
    """Threads may share it: each question takes an idle connection, or makes one."""

    def __init__(self, credentials: Credentials, *, base_url: str | None, limit: SharedLimit) -> None:
        self._credentials = credentials
        self._base_url = base_url
        self._limit = limit
        self._idle: deque[_Connection] = deque()

    def ask(self, question: Callable[[Any], _T], *, deadline_s: float) -> tuple[_T, datetime | None]:
        """Put a question to kiteconnect's KiteConnect; return what it returns, and what Kite's clock showed then.

        Reading the answer belongs into the question: whatever it trips over is Kite's fault. Raises AuthFailed, RateLimited,
        InvalidInput (Kite refuses the question), VenueDown.
        """
        connection = self._connection()
        try:
            self._limit.acquire(1.0, deadline_s=deadline_s)
            try:
                return connection.ask(question, timeout_s=min(_TIMEOUT_S, deadline_s - monotonic_s()))
            except RateLimited as error:
                self._limit.silence(error.retry_after_s)
                raise
        finally:
            self._idle.append(connection)

    def _connection(self) -> _Connection:
        try:
            return self._idle.pop()
        except IndexError:
            pass  # all are busy
        key = self._credentials.secret(_KEY)
        if not self._credentials.has(_TOKEN):
            raise AuthFailed(f"{_TOKEN} is missing", remedy=_LOGIN)
        return _Connection(key.get_secret_value(), self._credentials.secret(_TOKEN).get_secret_value(), self._base_url)


class _Connection:
    """One KiteConnect, and the head of its last answer, which it keeps to itself."""

    def __init__(self, api_key: str, access_token: str, base_url: str | None) -> None:
        with warnings.catch_warnings():
            # It and what it stands on use what Python has deprecated; that is not for a trader to read.
            warnings.simplefilter("ignore")
            import kiteconnect
        self._errors = kiteconnect.exceptions
        self._kite: Any = kiteconnect.KiteConnect(  # type: ignore[no-untyped-call]
            api_key, access_token=access_token, root=base_url
        )
        self._kite.reqsession.hooks["response"].append(self._note)
        self._status = 0
        self._date: datetime | None = None
        self._retry_after_s: float | None = None

    def ask(self, question: Callable[[Any], _T], *, timeout_s: float) -> tuple[_T, datetime | None]:
        """Put a question and translate what goes wrong."""
        if timeout_s <= 0:
            raise VenueDown("there was no time left to ask Kite", remedy="It is asked again later.")
        self._kite.timeout = timeout_s
        self._status, self._date, self._retry_after_s = 0, None, None
        try:
            return question(self._kite), self._date
        except self._errors.KiteException as error:
            raise self._translated(error) from None
        except OSError as error:
            raise VenueDown(f"Kite cannot be reached ({type(error).__name__})", remedy="It is asked again later.") from None
        except _SENSELESS as error:
            raise VenueDown(
                f"Kite's answer makes no sense ({type(error).__name__}: {_short(error)})", remedy="It is asked again later."
            ) from None

    def _note(self, response: Any, *_: object, **__: object) -> None:
        self._status = int(response.status_code)
        try:
            date = parsedate_to_datetime(response.headers["Date"])
            self._date = date.replace(tzinfo=UTC) if date.tzinfo is None else date.astimezone(UTC)
        except (KeyError, ValueError):
            self._date = None
        retry_after = response.headers.get("Retry-After", "")
        self._retry_after_s = float(retry_after) if retry_after.isdigit() else None

    def _translated(self, error: Exception) -> AlgoPyError:
        """Say an error of Kite as one of ours. kite.trade/docs/connect/v3/exceptions lists its kinds and codes."""
        said = f"Kite says: {_short(error)}"
        if self._status == 429:
            return RateLimited(said, remedy="Wait.", retry_after_s=self._retry_after_s)
        if isinstance(error, self._errors.PermissionException):
            return AuthFailed(said, remedy="Allow it for the app of ZERODHA_API_KEY at developers.kite.trade.")
        if isinstance(error, self._errors.TokenException) or self._status == 403:
            return AuthFailed(said, remedy=_LOGIN)
        is_understood = not isinstance(error, (self._errors.DataException, self._errors.NetworkException))
        if isinstance(error, self._errors.InputException) or (is_understood and 400 <= self._status < 500):
            return InvalidInput(said)
        return VenueDown(said, remedy="It is asked again later.")


def _short(error: Exception) -> str:
    text = " ".join(str(error).split())
    return text if len(text) <= _SHOWN_CHARACTERS else f"{text[:_SHOWN_CHARACTERS]}..."
