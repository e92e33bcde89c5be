"""Binance's public archive: a packed file of klines for each month that is over, and for each day.

Source: github.com/binance/binance-public-data. A day's file appears on the next day, a month's in the days after its end. Times
are milliseconds, since 2025 microseconds. Beside each file stands its SHA-256. Files may be replaced when a fault was found.
"""

from __future__ import annotations

import hashlib
import io
import re
import threading
import zipfile
import zlib
from collections import OrderedDict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from typing import TYPE_CHECKING, Final

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from algo_py.clock import as_utc, monotonic_s
from algo_py.errors import NotFound, RateLimited, VenueDown
from algo_py.finstore.frames import to_us
from algo_py.finstore.sources.answers import (
    AGAIN_LATER,
    base_and_host,
    check_range,
    date_of,
    frame_of,
    retry_after_s,
    time_left_s,
)
from algo_py.finstore.sources.limits import SharedLimit
from algo_py.finstore.sources.protocol import Answer
from algo_py.market import Instrument, Timeframe

if TYPE_CHECKING:
    from algo_py.finstore.sources.bounded_http import BoundedSession, Pool

_BASE_URL: Final = "https://data.binance.vision"
_PAGE: Final = timedelta(days=31)
_REQUEST_S: Final = 30.0
# No limit is published; this is a polite pace for files.
_REQUESTS_PER_S: Final = 10.0
_BURST: Final = 20.0
# A month whose file is not there so long after its end will not get one: the symbol was not traded.
_LATE: Final = timedelta(days=45)
_SERIES_KEPT: Final = 8
_FIELDS: Final = ("open_time", "open", "high", "low", "close", "volume")
_UNPACKED_BYTES_MOST: Final = 64 * 2**20
_MICROSECONDS_FROM: Final = 100_000_000_000_000  # as milliseconds this would be the year 5138
_TITLES: Final = re.compile(rb"\W*open", re.IGNORECASE)
_SYMBOL: Final = re.compile(r"[A-Z0-9]+/[A-Z0-9]+")


@dataclass(frozen=True, slots=True, eq=False)
class _Bars:
    """Open times in microseconds since 1970 UTC, and rows x 5 values."""

    times: NDArray[np.int64]
    values: NDArray[np.float64]

    @classmethod
    def joined(cls, parts: Sequence[_Bars]) -> _Bars:
        empty = cls(np.empty(0, dtype=np.int64), np.empty((0, len(_FIELDS) - 1), dtype=np.float64))
        parts = [empty, *parts]
        return cls(np.concatenate([part.times for part in parts]), np.concatenate([part.values for part in parts]))


def archive_source(*, base_url: str | None = None) -> ArchiveSource:
    """Return the source called `binance-archive`."""
    return ArchiveSource(base_url)


class ArchiveSource:
    """Long history without weights: one download a month. Today's bars are not there, and order rules neither.

    What the archive does not have may never have been traded, or may be misspelled: it cannot tell, so it says that there are no
    bars. The last month of each of a few symbols stays in memory, since the next page begins in it.
    """

    name = "binance-archive"
    parallel = 4
    rewrites_history = False

    def __init__(self, base_url: str | None = None, limit: SharedLimit | None = None) -> None:
        """`base_url` is where the archive is asked instead of its own address; `limit` None is its own."""
        self._base_url, host = base_and_host(base_url or _BASE_URL)
        self._limit = limit or SharedLimit(f"binance-archive {host}", per_s=_REQUESTS_PER_S, burst=_BURST)
        self._months: OrderedDict[tuple[str, Timeframe], tuple[date, _Bars]] = OrderedDict()
        self._lock = threading.Lock()
        self._pool: Pool[BoundedSession] | None = None

    def page(self, timeframe: Timeframe) -> timedelta:
        return _PAGE

    def fetch(self, timeframe: Timeframe, symbol: str, start: datetime, end: datetime, *, deadline_s: float) -> Answer:
        check_range(start, end, _PAGE)
        if not _SYMBOL.fullmatch(symbol):
            raise NotFound(f"{self.name} does not know {symbol}", remedy="Spot symbols are spelled like BTC/USDT.")
        start, end = as_utc(start), as_utc(end)
        bars = _Bars.joined([self._month(timeframe, symbol, month, start, end, deadline_s) for month in _months(start, end)])
        inside = (bars.times >= to_us(start)) & (bars.times < to_us(end))
        return Answer(frame=frame_of(bars.times[inside], bars.values[inside]))

    def earliest(self, timeframe: Timeframe, symbol: str, *, deadline_s: float) -> datetime | None:
        return None

    def instruments(self, symbols: Sequence[str], *, deadline_s: float) -> Mapping[str, Instrument]:
        return {}

    def _month(self, timeframe: Timeframe, symbol: str, month: date, start: datetime, end: datetime, deadline_s: float) -> _Bars:
        """Return the bars of a month, or of its days between `start` and `end` while it has no file of its own."""
        series = (symbol, timeframe)
        with self._lock:
            kept = self._months.get(series)
        if kept is not None and kept[0] == month:
            return kept[1]
        bars, now = self._file("monthly", timeframe, symbol, f"{month:%Y-%m}", deadline_s)
        if bars is not None:
            with self._lock:
                self._months[series] = (month, bars)
                self._months.move_to_end(series)
                while len(self._months) > _SERIES_KEPT:
                    self._months.popitem(last=False)
            return bars
        following = _following(month)
        if timeframe is Timeframe.W1 or (now is not None and now.date() - following > _LATE):
            return _Bars.joined([])
        first = max(start.date(), month)
        last = min((end - timedelta(microseconds=1)).date(), following - timedelta(days=1))
        days = []
        for number in range((last - first).days + 1):
            day = first + timedelta(days=number)
            if now is not None and day >= now.date():
                break
            found, _ = self._file("daily", timeframe, symbol, f"{day:%Y-%m-%d}", deadline_s)
            if found is not None:
                days.append(found)
        return _Bars.joined(days)

    def _file(
        self, kind: str, timeframe: Timeframe, symbol: str, period: str, deadline_s: float
    ) -> tuple[_Bars | None, datetime | None]:
        """Return the bars of one file, None when the archive does not have it; and the archive's clock."""
        name = symbol.replace("/", "")
        file = f"{name}-{timeframe}-{period}.zip"
        path = f"/data/spot/{kind}/klines/{name}/{timeframe}/{file}"
        packed, now = self._get(path, file, deadline_s)
        if packed is None:
            return None, now
        checksum, _ = self._get(f"{path}.CHECKSUM", f"{file}.CHECKSUM", deadline_s)
        try:
            _verify(packed, checksum)
            return _unpacked(packed), now
        except (ValueError, zipfile.BadZipFile, zlib.error, EOFError, NotImplementedError, RuntimeError) as error:
            raise VenueDown(f"{file} of {self.name} cannot be used: {error}", remedy=AGAIN_LATER) from None

    def _get(self, path: str, file: str, deadline_s: float) -> tuple[bytes | None, datetime | None]:
        """Download a file, None when it is not there; and the archive's clock."""
        import requests

        time_left_s(self.name, file, deadline_s=deadline_s, at_most_s=_REQUEST_S)
        self._limit.acquire(1.0, deadline_s=deadline_s)
        with self._sessions().one() as session:
            session.until_s = monotonic_s() + time_left_s(self.name, file, deadline_s=deadline_s, at_most_s=_REQUEST_S)
            try:
                response = session.get(f"{self._base_url}{path}")
            except requests.Timeout:
                raise VenueDown(f"{self.name} did not answer in time for {file}", remedy=AGAIN_LATER) from None
            except requests.RequestException as error:
                kind = type(error).__name__
                raise VenueDown(f"{self.name} cannot be reached for {file} ({kind})", remedy=AGAIN_LATER) from None
        now = date_of(response.headers)
        if response.status_code in (418, 429):
            wait_s = retry_after_s(response.headers)
            self._limit.silence(wait_s)
            raise RateLimited(f"{self.name} asks to be left alone", remedy="Wait.", retry_after_s=wait_s)
        if response.status_code == 404:
            return None, now
        if response.status_code != 200:
            raise VenueDown(f"{self.name} answers {response.status_code} for {file}", remedy=AGAIN_LATER)
        return response.content, now

    def _sessions(self) -> Pool[BoundedSession]:
        with self._lock:
            if self._pool is None:
                from algo_py.finstore.sources.bounded_http import BoundedSession, Pool

                self._pool = Pool(BoundedSession)
            return self._pool


def _months(start: datetime, end: datetime) -> list[date]:
    """Return the first day of each month, in UTC, that [start, end) touches."""
    months: list[date] = []
    month = start.date().replace(day=1)
    while datetime(month.year, month.month, 1, tzinfo=UTC) < end:
        months.append(month)
        month = _following(month)
    return months if start < end else []


def _following(month: date) -> date:
    return (month + timedelta(days=31)).replace(day=1)


def _verify(packed: bytes, checksum: bytes | None) -> None:
    """Refuse a file that is not what its checksum (as `sha256sum` writes it) says."""
    said = (checksum or b"").split(maxsplit=1)[:1]
    if not said or said[0].lower() != hashlib.sha256(packed).hexdigest().encode():
        raise ValueError("its SHA-256 is missing or another one")


def _unpacked(packed: bytes) -> _Bars:
    """Return the bars in a packed file of klines, with or without a line of titles."""
    with zipfile.ZipFile(io.BytesIO(packed)) as archive:
        inside = [entry for entry in archive.infolist() if entry.filename.endswith(".csv")]
        if len(inside) != 1 or inside[0].file_size > _UNPACKED_BYTES_MOST:
            raise ValueError("it does not hold one table of klines")
        text = archive.read(inside[0])
    first_line, _, following = text.partition(b"\n")
    if _TITLES.match(first_line):
        text = following
    if not text.strip():
        return _Bars.joined([])
    table = pd.read_csv(
        io.BytesIO(text),
        header=None,
        names=list(_FIELDS),
        usecols=range(len(_FIELDS)),
        dtype={"open_time": np.int64, **dict.fromkeys(_FIELDS[1:], np.float64)},
        keep_default_na=False,
    )
    times = table["open_time"].to_numpy()
    values = table[list(_FIELDS[1:])].to_numpy()
    if not np.isfinite(values).all():
        raise ValueError("a bar lacks a number")
    return _Bars(np.where(times < _MICROSECONDS_FROM, times * 1_000, times), values)
