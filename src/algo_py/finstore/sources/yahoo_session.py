"""The session that yfinance sends its requests through: within our time, to our address, and each of them once.

Imported only when Yahoo is asked for something: it needs curl_cffi, which comes with the extra `yahoo`.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Any
from urllib.parse import urlsplit

from curl_cffi import CurlOpt
from curl_cffi.requests import Session

from algo_py.errors import InvalidInput, NotFound, RateLimited, VenueDown
from algo_py.finstore.sources.answers import AGAIN_LATER, date_of, retry_after_s, time_left_s

_CHART = "/v8/finance/chart/"
_REQUEST_S = 20.0


class NothingThere(Exception):
    """Yahoo has no bars in the range that was asked for; it says so as an error."""


class YahooSession(Session):  # type: ignore[type-arg]
    """yfinance takes cookies and a crumb by itself; the answers about charts are judged here, before it looks at them.

    Left to itself it asks again with other cookies whatever went wrong, and tells an outage from an empty range only by a text.
    """

    def __init__(self, *, base_url: str | None) -> None:
        # On a connection that it has used before libcurl sends again by itself; here nothing is sent twice.
        super().__init__(impersonate="chrome", curl_options={CurlOpt.FRESH_CONNECT: 1})
        self._address = base_url
        self._subject, self._until_s = "", 0.0
        self.as_of: datetime | None = None

    def prepare(self, subject: str, *, deadline_s: float) -> None:
        """Begin a question about a symbol: what is sent for it ends by `deadline_s`."""
        self._subject, self._until_s, self.as_of = subject, deadline_s, None

    def request(self, method: Any, url: str, **options: Any) -> Any:  # type: ignore[override]
        options["timeout"] = time_left_s("Yahoo", self._subject, deadline_s=self._until_s, at_most_s=_REQUEST_S)
        parts = urlsplit(url)
        if self._address is not None and parts.netloc.endswith("yahoo.com"):
            url = f"{self._address}{parts.path or '/'}{f'?{parts.query}' if parts.query else ''}"
        if _CHART not in parts.path:
            return super().request(method, url, **options)  # yfinance can do without cookies, and knows when
        try:
            response = super().request(method, url, **options)
        except OSError as error:
            raise VenueDown(f"Yahoo cannot be reached for {self._subject} ({type(error).__name__})", remedy=AGAIN_LATER) from None
        self.as_of = date_of(response.headers)
        self._judge(response)
        return response

    def _judge(self, response: Any) -> None:
        """Raise what an answer about a chart means when it carries no bars."""
        status = int(response.status_code)
        if status == 429:
            wait_s = retry_after_s(response.headers)
            how_long = "for a while" if wait_s is None else f"for {wait_s:g} s"
            raise RateLimited(f"Yahoo asks to be left alone {how_long}", remedy="Wait.", retry_after_s=wait_s)
        if status in (401, 403):
            return  # yfinance takes a new crumb and asks again
        chart = _chart(response)
        if status >= 500 or (status >= 400 and chart is None):
            raise VenueDown(f"Yahoo answers for {self._subject} with status {status}", remedy=AGAIN_LATER)
        if chart is None:
            return  # yfinance says what is wrong with it
        code, description = chart.problem
        if chart.is_empty or "Data doesn't exist" in description:
            raise NothingThere
        if code == "Not Found":
            raise NotFound(f"Yahoo says for {self._subject}: {description}", remedy="Write it as NSE does: RELIANCE, M&M.")
        if code:
            raise InvalidInput(f"Yahoo says for {self._subject}: {description}")


@dataclass(frozen=True, slots=True)
class _Chart:
    """What Yahoo calls an error, its code and its description, both empty for none; and whether there is no bar in it."""

    problem: tuple[str, str]
    is_empty: bool


def _chart(response: Any) -> _Chart | None:
    """Look into an answer; None when it is not built like one."""
    try:
        chart = response.json()["chart"]
        if chart["error"]:
            return _Chart((str(chart["error"]["code"]), str(chart["error"]["description"])), is_empty=False)
        return _Chart(("", ""), is_empty=not chart["result"][0].get("timestamp"))
    except (ValueError, KeyError, TypeError, IndexError, AttributeError):
        return None
