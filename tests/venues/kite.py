"""Kite Connect v3 as far as bars need it: the lists of instruments and historical candles, with its bounds and its errors.

What it answers follows Kite's documentation (kite.trade/docs/connect/v3): headers, routes, the columns of the list, candles as
rows, errors as status, message and error_type.
"""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from zoneinfo import ZoneInfo

import pandas as pd

from algo_py.market.derivatives import SHIPPED

from .server import Reply, Request, Server

INDIA = ZoneInfo("Asia/Kolkata")
DAYS_MOST = {
    "minute": 60,
    "3minute": 100,
    "5minute": 100,
    "10minute": 100,
    "15minute": 200,
    "30minute": 200,
    "60minute": 400,
    "day": 2_000,
}
_COLUMNS = (
    "instrument_token,exchange_token,tradingsymbol,name,last_price,expiry,"
    "strike,tick_size,lot_size,instrument_type,segment,exchange"
)
_HISTORICAL = "/instruments/historical/"


@dataclass(frozen=True, slots=True, kw_only=True)
class Share:
    """A row of the list, and the candles that Kite has of it: by interval, frames with open times in UTC."""

    token: int
    tick_size: str = "0.05"
    lot_size: int = 1
    segment: str = "NSE"
    candles: dict[str, pd.DataFrame] = field(default_factory=dict)


class KiteServer(Server):
    """Kite Connect on loopback. `per_s` is how many historical requests it takes within any second; None is any number."""

    def __init__(self, *, api_key: str = "key", access_token: str = "today", per_s: int | None = None) -> None:
        super().__init__()
        self.api_key = api_key
        self.access_token = access_token
        self.per_s = per_s
        self.shares: dict[str, Share] = {}
        self.derivatives: list[str] = [*SHIPPED]
        self._asked_at: list[float] = []

    def respond(self, request: Request) -> Reply:
        if request.headers.get("x-kite-version") != "3":
            return error(400, "InputException", "Missing or wrong X-Kite-Version.")
        if request.headers.get("authorization") != f"token {self.api_key}:{self.access_token}":
            return error(403, "TokenException", "Incorrect `api_key` or `access_token`.")
        if request.path == "/instruments/NSE":
            return Reply(body=self._list().encode(), content_type="text/csv")
        if request.path == "/instruments/NFO":
            return Reply(body=self._futures().encode(), content_type="text/csv")
        if request.path.startswith(_HISTORICAL):
            return self._candles(request)
        return error(404, "GeneralException", "Route not found")

    def _list(self) -> str:
        rows = [
            f"{share.token},{share.token // 256},{symbol},,0,,0,{share.tick_size},{share.lot_size},EQ,{share.segment},NSE"
            for symbol, share in self.shares.items()
        ]
        return "\n".join((_COLUMNS, *rows)) + "\n"

    def _futures(self) -> str:
        """Write the derivatives' list: three expiries of each future, an option, the indices and the exchange's own test."""
        rows = []
        for number, name in enumerate(["NIFTY", "BANKNIFTY", "011NSETEST", *self.derivatives]):
            token = 10_000_000 + 1_024 * number
            rows += [
                f'{token},{token // 256},{name}{month}FUT,"{name}",0,2026-12-29,0,0.1,500,FUT,NFO-FUT,NFO'
                for month in ("26DEC", "27JAN", "27FEB")
            ]
            rows.append(f'{token + 1},{token // 256},{name}26DEC100CE,"{name}",0,2026-12-29,100,0.05,500,CE,NFO-OPT,NFO')
        rows.append('1,1,ONLYOPTION26DEC100CE,"ONLYOPTION",0,2026-12-29,100,0.05,500,CE,NFO-OPT,NFO')
        return "\n".join((_COLUMNS, *rows)) + "\n"

    def _candles(self, request: Request) -> Reply:
        now_s = self.now_s()
        self._asked_at = [moment for moment in self._asked_at if moment > now_s - 1]
        if self.per_s is not None and len(self._asked_at) >= self.per_s:
            return error(429, "NetworkException", "Too many requests")
        self._asked_at.append(now_s)
        token, interval = request.path.removeprefix(_HISTORICAL).split("/")
        if interval not in DAYS_MOST:
            return error(400, "InputException", "invalid interval")
        share = next((share for share in self.shares.values() if str(share.token) == token), None)
        if share is None:
            return error(400, "InputException", "invalid token")
        first, last = (
            datetime.strptime(request.values[name], "%Y-%m-%d %H:%M:%S").replace(tzinfo=INDIA) for name in ("from", "to")
        )
        if last < first:
            return error(400, "InputException", "from date should be before to date")
        if last - first > timedelta(days=DAYS_MOST[interval]):
            return error(400, "InputException", f"interval exceeds max limit: {DAYS_MOST[interval]} days")
        bars = share.candles.get(interval)
        found = [] if bars is None else [row(bar) for bar in bars.loc[first:last].itertuples()]
        return Reply(body=json.dumps({"status": "success", "data": {"candles": found}}).encode())


def row(bar: tuple[pd.Timestamp, float, float, float, float, float]) -> list[str | float]:
    """Write a bar as a candle."""
    moment, *prices, volume = bar
    return [f"{moment.tz_convert(INDIA):%Y-%m-%dT%H:%M:%S%z}", *prices, int(volume)]


def error(status: int, kind: str, message: str) -> Reply:
    """Say no as Kite does."""
    return Reply(status=status, body=json.dumps({"status": "error", "message": message, "error_type": kind}).encode())
