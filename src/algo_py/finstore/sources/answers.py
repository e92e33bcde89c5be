"""What adapters of sources share: ranges, the time that is left, frames, addresses, HTTP's dates."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from email.utils import parsedate_to_datetime
from urllib.parse import urlsplit

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from algo_py.clock import monotonic_s
from algo_py.errors import InvalidInput, VenueDown
from algo_py.finstore.frames import COLUMNS

AGAIN_LATER = "It is asked again later."


def base_and_host(base_url: str) -> tuple[str, str]:
    """Return an address without a final slash, and its host with the port, which limits are kept for."""
    parts = urlsplit(base_url)
    if parts.scheme not in ("http", "https") or not parts.hostname:
        raise InvalidInput("the base URL of a source must be like https://api.example.com")  # it may hold a password
    return base_url.rstrip("/"), parts.netloc.rpartition("@")[2]


def check_range(start: datetime, end: datetime, longest: timedelta) -> None:
    """Refuse a range beyond one request: it would be cut short, and the rest would look like bars that do not exist."""
    if start > end:
        raise InvalidInput(f"start must not be after end (was {start.isoformat()} and {end.isoformat()})")
    if end - start > longest:
        raise InvalidInput(f"one request covers at most {longest} (was {end - start})", remedy="Ask page by page.")


def time_left_s(name: str, subject: str, *, deadline_s: float, at_most_s: float) -> float:
    """Return how long a request may take. Raises VenueDown when there is no time for it; then nothing must be sent."""
    left_s = deadline_s - monotonic_s()
    if left_s <= 0:
        raise VenueDown(f"{name} was not asked for {subject}: no time was left", remedy=AGAIN_LATER)
    return min(left_s, at_most_s)


def frame_of(times_us: NDArray[np.int64], values: NDArray[np.float64]) -> pd.DataFrame:
    """Return a frame of an Answer: `times_us` are open times in microseconds since 1970 UTC, `values` is rows x 5."""
    index = pd.DatetimeIndex(times_us.view("M8[us]"), name="open_time").tz_localize("UTC")
    return pd.DataFrame(values, index=index, columns=pd.Index(COLUMNS))


def empty_frame() -> pd.DataFrame:
    """Return the frame of an Answer without bars."""
    return frame_of(np.empty(0, dtype=np.int64), np.empty((0, len(COLUMNS)), dtype=np.float64))


def date_of(headers: Mapping[str, str]) -> datetime | None:
    """Return the clock of the server that answered, to the second below; None when it does not say."""
    try:
        moment = parsedate_to_datetime(headers.get("Date") or "")
        return moment.astimezone(UTC) if moment.tzinfo is not None else moment.replace(tzinfo=UTC)
    except (ValueError, OverflowError):  # such as the last hour of the year 9999, west of Greenwich
        return None


def retry_after_s(headers: Mapping[str, str]) -> float | None:
    """Return how long the server wants to be left alone (RFC 9110: seconds, or a date), None when it does not say."""
    text = (headers.get("Retry-After") or "").strip()
    if text.isascii() and text.isdigit():
        return float(text)
    until, now = date_of({"Date": text}), date_of(headers)
    return None if until is None or now is None else max(0.0, (until - now).total_seconds())
