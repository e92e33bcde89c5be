"""The session that yfinance sends its requests through: within our limit and our time, to our address.

Imported only when Yahoo is asked for something: it needs curl_cffi, which comes with the extra `yahoo`.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from typing import Any
from urllib.parse import urlsplit

from curl_cffi.requests import Session

from algo_py.clock import monotonic_s
from algo_py.errors import InvalidInput, NotFound, RateLimited, VenueDown
from algo_py.finstore.sources.limits import SharedLimit

_CHART = "/v8/finance/chart/"
_TIMEOUT_S = 20.0


class NothingThere(Exception):
    """Yahoo has no bars in the range that was asked for; it says so as an error."""


class YahooSession(Session):  # type: ignore[type-arg]
    """yfinance takes cookies and a crumb by itself; the answers about charts are judged here, before it looks at them.

    Left to itself it asks again with other cookies whatever went wrong, and tells an outage from an empty range only by a text.
    """

    def __init__(self, *, base_url: str | None, limit: SharedLimit) -> None:
        super().__init__(impersonate="chrome")
        self._address = base_url
        self._limit = limit
        self.deadline_s = 0.0  # set before each question
        self.as_of: datetime | None = None

    def request(self, method: Any, url: str, **options: Any) -> Any:  # type: ignore[override]
        parts = urlsplit(url)
        is_chart = _CHART in parts.path
        if is_chart:
            self._limit.acquire(1.0, deadline_s=self.deadline_s)
        left_s = self.deadline_s - monotonic_s()
        if left_s <= 0:
            raise VenueDown("there was no time left to ask Yahoo", remedy="It is asked again later.")
        options["timeout"] = min(_TIMEOUT_S, left_s)
        if self._address is not None and parts.netloc.endswith("yahoo.com"):
            url = f"{self._address}{parts.path or '/'}{f'?{parts.query}' if parts.query else ''}"
        if not is_chart:
            return super().request(method, url, **options)  # yfinance can do without cookies, and knows when
        try:
            response = super().request(method, url, **options)
        except OSError as error:
            raise VenueDown(f"Yahoo cannot be reached ({type(error).__name__})", remedy="It is asked again later.") from None
        self.as_of = _date(response)
        self._judge(response)
        return response

    def _judge(self, response: Any) -> None:
        """Raise what an answer about a chart means when it carries no bars."""
        status = int(response.status_code)
        if status == 429:
            text = response.headers.get("Retry-After") or ""
            retry_after_s = float(text) if text.isdigit() else None
            self._limit.silence(retry_after_s)
            raise RateLimited("Yahoo says: Too Many Requests", remedy="Wait.", retry_after_s=retry_after_s)
        if status in (401, 403):
            return  # yfinance takes a new crumb and asks again
        chart = _chart(response)
        if status >= 500 or (status >= 400 and chart is None):
            raise VenueDown(f"Yahoo answers with status {status}", remedy="It is asked again later.")
        if chart is None:
            return  # yfinance says what is wrong with it
        code, description = chart.problem
        if chart.is_empty or "Data doesn't exist" in description:
            raise NothingThere
        if not code:
            return
        if code == "Not Found":
            raise NotFound(f"Yahoo says: {description}", remedy="Write symbols of NSE as RELIANCE or M&M.")
        raise InvalidInput(f"Yahoo says: {description}")


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


def _date(response: Any) -> datetime | None:
    try:
        return parsedate_to_datetime(response.headers["Date"]).astimezone(UTC)
    except (KeyError, ValueError, TypeError):
        return None
