"""Yahoo's chart service as yfinance speaks to it: a cookie, a crumb, and charts of NSE's shares.

What it answers is built after what is known of Yahoo from yfinance's reader and its users' reports; Yahoo documents nothing.
"""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any
from zoneinfo import ZoneInfo

import pandas as pd

from .server import Reply, Request, Server

INDIA = ZoneInfo("Asia/Kolkata")
_CHART = "/v8/finance/chart/"
_CRUMB = "crumb-of-the-day"
_DAYS_BACK = {"1m": 30, "5m": 60, "15m": 60, "1h": 730}
_DAYS_MOST = {"1m": 8}


@dataclass(frozen=True, slots=True, kw_only=True)
class Chart:
    """What Yahoo has of a share: by interval, frames with open times in UTC. `first_trade` is the day of its first trade.

    A price that is NaN is sent as null.
    """

    first_trade: datetime
    bars: dict[str, pd.DataFrame] = field(default_factory=dict)


class YahooServer(Server):
    """Yahoo on loopback. It gives a cookie at / and a crumb for it, and charts to whoever brings both or neither."""

    def __init__(self) -> None:
        super().__init__()
        self.charts: dict[str, Chart] = {}

    def respond(self, request: Request) -> Reply:
        has_cookie = "A3=" in request.headers.get("cookie", "")
        if request.path == "/":
            return Reply(status=404, headers={"Set-Cookie": "A3=sweet; Path=/; Max-Age=31536000"})
        if request.path == "/v1/test/getcrumb":
            return Reply(body=_CRUMB.encode(), content_type="text/plain") if has_cookie else Reply(status=401)
        if not request.path.startswith(_CHART):
            return Reply(status=404, content_type="text/html", body=b"<html>No such page</html>")
        if request.values.get("crumb", _CRUMB) != _CRUMB:
            return _error(401, "Unauthorized", "Invalid Crumb")
        symbol = request.path.removeprefix(_CHART).removesuffix(".NS")
        chart = self.charts.get(symbol)
        if chart is None or not request.path.endswith(".NS"):
            return _error(404, "Not Found", "No data found, symbol may be delisted")
        return self._chart(symbol, chart, request)

    def _chart(self, symbol: str, chart: Chart, request: Request) -> Reply:
        interval = request.values["interval"]
        now_s = int(self.now_s())
        if "range" in request.values:
            first, last = now_s - 86_400 * int(request.values["range"].removesuffix("d")), now_s
        else:
            first, last = int(request.values["period1"]), int(request.values["period2"])
        span = f"{interval} data not available for startTime={first} and endTime={last}."
        if interval in _DAYS_BACK and first < now_s - 86_400 * _DAYS_BACK[interval]:
            return _error(
                422, "Unprocessable Entity", f"{span} The requested range must be within the last {_DAYS_BACK[interval]} days."
            )
        if interval in _DAYS_MOST and last - first > 86_400 * _DAYS_MOST[interval]:
            return _error(422, "Unprocessable Entity", f"{span} Only {_DAYS_MOST[interval]} days worth of data are allowed.")
        if last <= chart.first_trade.timestamp() and "range" not in request.values:
            return _error(400, "Bad Request", f"Data doesn't exist for startDate = {first}, endDate = {last}")
        bars = chart.bars.get(interval)
        # It stamps a day with the opening of its session.
        shift_s = 33_300 if interval == "1d" else 0
        rows = {}
        if bars is not None:
            stamps = pd.DatetimeIndex(bars.index).as_unit("s").asi8 + shift_s
            chosen = (stamps >= first) & (stamps < last)
            rows = {int(stamp): row for stamp, row in zip(stamps[chosen], bars[chosen].to_numpy(), strict=True)}
        result: dict[str, Any] = {"meta": self._meta(symbol, chart, interval, first, last), "indicators": _indicators(rows)}
        if rows:
            result["timestamp"] = list(rows)
        return _answer({"result": [result], "error": None})

    def _meta(self, symbol: str, chart: Chart, interval: str, first: int, last: int) -> dict[str, Any]:
        start = datetime.fromtimestamp(self.now_s(), INDIA).replace(hour=9, minute=15, second=0, microsecond=0)
        meta: dict[str, Any] = {
            "currency": "INR",
            "symbol": f"{symbol}.NS",
            "exchangeName": "NSI",
            "instrumentType": "EQUITY",
            "firstTradeDate": int(chart.first_trade.timestamp()),
            "regularMarketTime": int(self.now_s()),
            "gmtoffset": 19_800,
            "timezone": "IST",
            "exchangeTimezoneName": "Asia/Kolkata",
            "regularMarketPrice": 100.0,
            "priceHint": 2,
            "currentTradingPeriod": {name: _period(start) for name in ("pre", "regular", "post")},
            "dataGranularity": interval,
            "validRanges": ["1d", "5d", "1mo", "3mo", "6mo", "1y", "2y", "5y", "10y", "ytd", "max"],
        }
        if interval[-1] in "mh":
            day = datetime.fromtimestamp(first, INDIA).replace(hour=9, minute=15, second=0, microsecond=0)
            meta["tradingPeriods"] = []
            while day.timestamp() < last:
                meta["tradingPeriods"].append([_period(day)])
                day += timedelta(days=1)
        return meta


def _period(start: datetime) -> dict[str, Any]:
    end = start.replace(hour=15, minute=30)
    return {"timezone": "IST", "gmtoffset": 19_800, "start": int(start.timestamp()), "end": int(end.timestamp())}


def _indicators(rows: dict[int, Any]) -> dict[str, Any]:
    if not rows:
        return {"quote": [{}], "adjclose": [{}]}
    columns = {
        name: [None if pd.isna(row[number]) else float(row[number]) for row in rows.values()]
        for number, name in enumerate(("open", "high", "low", "close", "volume"))
    }
    # Adjusted for dividends as well, which is not what is wanted.
    adjusted = [None if close is None else close * 0.9 for close in columns["close"]]
    return {"quote": [columns], "adjclose": [{"adjclose": adjusted}]}


def _error(status: int, code: str, description: str) -> Reply:
    chart = {"result": None, "error": {"code": code, "description": description}}
    return Reply(status=status, body=json.dumps({"chart": chart}).encode())


def _answer(chart: dict[str, Any]) -> Reply:
    return Reply(body=json.dumps({"chart": chart}).encode())
