"""Binance's public archive on loopback: packed klines by month and by day, each with its checksum.

Written from the description in github.com/binance/binance-public-data. A day's file is there from the next day on, a month's from
the first day after it; times are milliseconds, since 2025-01-01 microseconds.
"""

from __future__ import annotations

import hashlib
import io
import re
import zipfile
from dataclasses import replace
from datetime import UTC, date, datetime, timedelta

import pandas as pd

from .binance import kline
from .server import Fault, Reply, Request, Server

_PATH = re.compile(
    r"/data/spot/(monthly|daily)/klines/(?P<symbol>[A-Z0-9]+)/(?P<interval>\w+)/"
    r"(?P=symbol)-(?P=interval)-(?P<period>[\d-]+)\.zip(?P<checksum>\.CHECKSUM)?"
)
_MICROSECONDS_FROM_MS = 1_735_689_600_000  # 2025-01-01
_TITLES = "open_time,open,high,low,close,volume,close_time,quote_volume,count,taker_buy_volume,taker_buy_quote_volume,ignore"


class ArchiveServer(Server):
    """The archive. `late_months` ("2024-03") have no file of their own yet; `has_titles` puts a line of titles into each table.

    Bars that the server's clock has not passed are in no file.
    """

    def __init__(self) -> None:
        super().__init__()
        self.late_months: set[str] = set()
        self.files: dict[str, bytes] = {}  # by name, in the place of what would be packed
        self.has_titles = False
        self._bars: dict[tuple[str, str], pd.DataFrame] = {}

    def set_bars(self, symbol: str, interval: str, frame: pd.DataFrame) -> None:
        """Have these bars of `BTC/USDT`."""
        self._bars[symbol.replace("/", ""), interval] = frame

    def respond(self, request: Request) -> Reply:
        found = _PATH.fullmatch(request.path)
        content = self._packed(found["symbol"], found["interval"], found["period"]) if found else None
        content = self.files.get(request.path.rsplit("/", 1)[1].removesuffix(".CHECKSUM"), content)
        if found is None or content is None:
            body = b'<?xml version="1.0" encoding="UTF-8"?>\n<Error><Code>NoSuchKey</Code></Error>'
            return Reply(status=404, body=body, content_type="application/xml")
        if found["checksum"]:
            name = request.path.rsplit("/", 1)[1].removesuffix(".CHECKSUM")
            return Reply(body=f"{hashlib.sha256(content).hexdigest()}  {name}\n".encode(), content_type="binary/octet-stream")
        return Reply(body=content, content_type="application/zip")

    def _packed(self, symbol: str, interval: str, period: str) -> bytes | None:
        frame = self._bars.get((symbol, interval))
        is_month = len(period) == 7
        first = date.fromisoformat(f"{period}-01" if is_month else period)
        end = (first + timedelta(days=31)).replace(day=1) if is_month else first + timedelta(days=1)
        today = datetime.fromtimestamp(self.now_s(), tz=UTC).date()
        if frame is None or end > today or period in self.late_months:
            return None
        inside = frame[(frame.index >= pd.Timestamp(first, tz="UTC")) & (frame.index < pd.Timestamp(end, tz="UTC"))]
        return packed(f"{symbol}-{interval}-{period}.csv", self._table(inside, interval)) if len(inside) else None

    def _table(self, frame: pd.DataFrame, interval: str) -> str:
        length_ms = pd.Timedelta(interval.replace("m", "min")) // pd.Timedelta("1ms")
        lines = [_TITLES] if self.has_titles else []
        opens = pd.DatetimeIndex(frame.index).as_unit("ms").asi8
        for open_ms, values in zip(opens, frame.itertuples(index=False), strict=True):
            row = kline(int(open_ms), length_ms, *map(float, values))
            if open_ms >= _MICROSECONDS_FROM_MS:
                row = [row[0] * 1_000, *row[1:6], row[6] * 1_000 + 999, *row[7:]]
            lines.append(",".join(map(str, row)))
        return "\n".join([*lines, ""])


def packed(name: str, text: str) -> bytes:
    """Pack one file; the same text gives the same bytes whenever that is done."""
    file = io.BytesIO()
    entry = zipfile.ZipInfo(name, date_time=(2025, 1, 1, 0, 0, 0))
    entry.compress_type = zipfile.ZIP_DEFLATED
    with zipfile.ZipFile(file, "w") as archive:
        archive.writestr(entry, text)
    return file.getvalue()


# Faults, to be given to `Server.fail`.


def damaged() -> Fault:
    """A byte of the packed file is another one, so that its checksum no longer fits."""
    return Fault(change=lambda reply: replace(reply, body=reply.body[:40] + bytes([reply.body[40] ^ 1]) + reply.body[41:]))


def other_checksum() -> Fault:
    """The checksum is that of another file."""
    return Fault(
        applies=lambda request: request.path.endswith(".CHECKSUM"),
        change=lambda reply: replace(reply, body=hashlib.sha256(b"other").hexdigest().encode() + reply.body[64:]),
    )
