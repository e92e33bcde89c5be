"""Binance spot's REST API on loopback: klines, exchange information, weights, and what goes wrong with them.

Written from Binance's public documentation of the spot API ("General endpoints", "Market Data endpoints", "Filters", "Errors" and
"IP Limits"). Prices and quantities are strings with eight decimals, times are milliseconds, errors are {"code", "msg"}.
"""

from __future__ import annotations

import json
import re
from bisect import bisect_left, bisect_right
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any, Protocol

import pandas as pd

from .binance_rules import Rules
from .server import Fault, Reply, Request, Server

WEIGHT_PER_MINUTE = 6_000
KLINES, EXCHANGE_INFO, TIME, PING = "/api/v3/klines", "/api/v3/exchangeInfo", "/api/v3/time", "/api/v3/ping"

_WEIGHTS = {KLINES: 2, EXCHANGE_INFO: 20, TIME: 1, PING: 1}
_INTERVAL_MS = {
    **{f"{number}m": number * 60_000 for number in (1, 3, 5, 15, 30)},
    **{f"{number}h": number * 3_600_000 for number in (1, 2, 4, 6, 8, 12)},
    "1s": 1_000,
    "1d": 86_400_000,
    "3d": 3 * 86_400_000,
    "1w": 7 * 86_400_000,
}
_PARAMETERS = {
    KLINES: {"symbol", "interval", "startTime", "endTime", "timeZone", "limit"},
    EXCHANGE_INFO: {"symbol", "symbols", "permissions", "showPermissionSets", "symbolStatus"},
    TIME: set(),
    PING: set(),
}
_SYMBOL_RANGE = "^[A-Z0-9-_.]{1,20}$"
LIST_RANGE = '^\\[("[A-Z0-9-_.]{1,20}"(,"[A-Z0-9-_.]{1,20}"){0,}){0,1}\\]$'
_NUMBER_RANGE = "^[0-9]{1,20}$"

Kline = list[Any]


class Piece(Protocol):
    """A part of the API: market data here, orders elsewhere."""

    def weight(self, request: Request) -> int | None:
        """Return what a request costs, None when it belongs to another part."""

    def respond(self, request: Request) -> Reply:
        """Answer a request that is this part's."""


class Problem(Exception):
    """Binance's refusal of a request."""

    def __init__(self, code: int, message: str, *, status: int = 400, data: object = None) -> None:
        super().__init__(message)
        content = {"code": code, "msg": message} | ({} if data is None else {"data": data})
        self.reply = replace(answer(content), status=status)


@dataclass(slots=True)
class _Series:
    opens: list[int] = field(default_factory=list)
    rows: list[Kline] = field(default_factory=list)


class MarketData:
    """Symbols with their rules and klines. No bar of the future is given, and the newest one is still forming."""

    def __init__(self, now_ms: Callable[[], int]) -> None:
        self._now_ms = now_ms
        self._series: dict[tuple[str, str], _Series] = {}
        self.rules: dict[str, Rules] = {}

    def list_symbol(self, rules: Rules) -> None:
        """List a symbol, or give it other rules."""
        self.rules[rules.symbol] = rules

    def delist(self, symbol_id: str) -> None:
        """Know a symbol no longer, nor its klines."""
        self.rules.pop(symbol_id)
        self._series = {key: series for key, series in self._series.items() if key[0] != symbol_id}

    def set_bars(self, symbol: str, interval: str, frame: pd.DataFrame) -> None:
        """Have these bars of `BTC/USDT` in the place of what there was; the symbol is listed if it was not."""
        base, quote = symbol.split("/")
        self.rules.setdefault(base + quote, Rules(base=base, quote=quote))
        length_ms = _INTERVAL_MS[interval]
        opens = [int(ms) for ms in pd.DatetimeIndex(frame.index).as_unit("ms").asi8]
        columns = (frame[name].tolist() for name in ("open", "high", "low", "close", "volume"))
        rows = [kline(ms, length_ms, *values) for ms, *values in zip(opens, *columns, strict=True)]
        self._series[base + quote, interval] = _Series(opens, rows)

    def weight(self, request: Request) -> int | None:
        return _WEIGHTS.get(request.path) if request.method == "GET" else None

    def respond(self, request: Request) -> Reply:
        try:
            known = _PARAMETERS[request.path]
            if not request.values.keys() <= known:
                sent = len(request.values)
                raise Problem(-1101, f"Too many parameters; expected '{len(known)}' and received '{sent}'.")
            if request.path == KLINES:
                return answer(self._klines(request.values))
            if request.path == EXCHANGE_INFO:
                return answer(self._exchange_info(request.values))
            return answer({"serverTime": self._now_ms()} if request.path == TIME else {})
        except Problem as problem:
            return problem.reply

    def _klines(self, values: Mapping[str, str]) -> list[Kline]:
        symbol = self._symbol(mandatory(values, "symbol"))
        interval = mandatory(values, "interval")
        if interval not in _INTERVAL_MS:
            raise Problem(-1120, "Invalid interval.")
        limit = min(number(values, "limit", 500), 1_000)
        if limit == 0:
            raise Problem(-1130, "Data sent for parameter 'limit' is not valid.")
        series = self._series.get((symbol, interval), _Series())
        now = self._now_ms()
        first = bisect_left(series.opens, number(values, "startTime", 0))
        last = bisect_right(series.opens, min(number(values, "endTime", now), now))
        chosen = slice(first, min(last, first + limit)) if "startTime" in values else slice(max(first, last - limit), last)
        return [_as_seen_at(now, row) for row in series.rows[chosen]]

    def _exchange_info(self, values: Mapping[str, str]) -> dict[str, Any]:
        if "symbol" in values and "symbols" in values:
            raise Problem(-1128, "Combination of optional parameters invalid.")
        wanted = list(self.rules)
        if "symbol" in values:
            wanted = [self._symbol(values["symbol"])]
        elif "symbols" in values:
            if not re.fullmatch(LIST_RANGE, values["symbols"]):
                raise illegal("symbols", LIST_RANGE)
            wanted = [self._symbol(symbol) for symbol in json.loads(values["symbols"])]
        if len(set(wanted)) < len(wanted):
            raise Problem(-1151, "Symbol is present multiple times in the list.")
        return {
            "timezone": "UTC",
            "serverTime": self._now_ms(),
            "rateLimits": [
                {"rateLimitType": "REQUEST_WEIGHT", "interval": "MINUTE", "intervalNum": 1, "limit": WEIGHT_PER_MINUTE},
                {"rateLimitType": "ORDERS", "interval": "SECOND", "intervalNum": 10, "limit": 100},
                {"rateLimitType": "ORDERS", "interval": "DAY", "intervalNum": 1, "limit": 200_000},
            ],
            "exchangeFilters": [],
            "symbols": [self.rules[symbol].entry() for symbol in wanted],
        }

    def _symbol(self, text: str) -> str:
        if not re.fullmatch(_SYMBOL_RANGE, text):
            raise illegal("symbol", _SYMBOL_RANGE)
        if text not in self.rules:
            raise Problem(-1121, "Invalid symbol.")
        return text


class BinanceServer(Server):
    """Binance spot. `used_weight` counts within a minute of its own clock, and 429 is the answer beyond 6,000."""

    def __init__(self) -> None:
        super().__init__()
        self.market = MarketData(self.now_ms)
        self.pieces: list[Piece] = [self.market]
        self.used_weight = 0
        self._minute = 0

    def set_bars(self, symbol: str, interval: str, frame: pd.DataFrame) -> None:
        """Have these bars of `BTC/USDT`; see MarketData."""
        self.market.set_bars(symbol, interval, frame)

    def now_ms(self) -> int:
        return int(self.now_s() * 1_000)

    def respond(self, request: Request) -> Reply:
        if self._minute != self.now_ms() // 60_000:
            self._minute, self.used_weight = self.now_ms() // 60_000, 0
        piece, weight = next(
            ((piece, weight) for piece in self.pieces if (weight := piece.weight(request)) is not None), (None, 1)
        )
        self.used_weight += weight
        if self.used_weight > WEIGHT_PER_MINUTE:
            reply = too_many_requests(60 - self.now_ms() // 1_000 % 60)
        elif piece is None:
            reply = Reply(status=404, body=b"<html>404 Not Found</html>", content_type="text/html")
        else:
            reply = piece.respond(request)
        return replace(reply, headers={"X-MBX-USED-WEIGHT-1M": str(self.used_weight), **reply.headers})


def answer(content: object) -> Reply:
    """Return a good answer."""
    return Reply(body=json.dumps(content, separators=(",", ":")).encode(), content_type="application/json;charset=UTF-8")


def error(code: int, message: str, *, status: int = 400, headers: Mapping[str, str] | None = None) -> Reply:
    """Return a refusal."""
    return replace(answer({"code": code, "msg": message}), status=status, headers=headers or {})


def kline(open_ms: int, length_ms: int, *values: float) -> Kline:
    """Return the twelve columns of a bar: open, high, low, close and volume are `values`, the rest follows from them."""
    texts = [f"{value:.8f}" for value in values]
    traded = values[3] * values[4]
    trades = round(values[4]) + 1 if values[4] else 0
    bought = [f"{values[4] / 2:.8f}", f"{traded / 2:.8f}"]
    return [open_ms, *texts, open_ms + length_ms - 1, f"{traded:.8f}", trades, *bought, "0"]


def as_quoted(frame: pd.DataFrame) -> pd.DataFrame:
    """Return bars with eight decimals, which is all that Binance gives."""
    return frame.map(lambda value: float(f"{value:.8f}"))


def _as_seen_at(now_ms: int, row: Kline) -> Kline:
    """Return a bar as it stands at a moment within it: part of the way from its open, with part of its volume."""
    open_ms, close_ms = row[0], row[6]
    if now_ms > close_ms:
        return row
    share = (now_ms - open_ms) / (close_ms + 1 - open_ms)
    opened, closed, volume = (float(row[column]) for column in (1, 4, 5))
    price = opened + (closed - opened) * share
    return kline(open_ms, close_ms + 1 - open_ms, opened, max(opened, price), min(opened, price), price, volume * share)


def mandatory(values: Mapping[str, str], name: str) -> str:
    """Return a parameter that must be there."""
    if not values.get(name):
        raise Problem(-1102, f"Mandatory parameter '{name}' was not sent, was empty/null, or malformed.")
    return values[name]


def number(values: Mapping[str, str], name: str, default: int) -> int:
    """Return a parameter that is a whole number."""
    text = values.get(name, str(default))
    if not re.fullmatch(_NUMBER_RANGE, text):
        raise illegal(name, _NUMBER_RANGE)
    return int(text)


def illegal(name: str, legal: str) -> Problem:
    """Return the refusal of a parameter with characters that it cannot have."""
    return Problem(-1100, f"Illegal characters found in parameter '{name}'; legal range is '{legal}'.")


# Faults, to be given to `Server.fail`.


def too_many_requests(retry_after_s: int | None) -> Reply:
    """429: the weight of this minute is used up."""
    message = (
        f"Too much request weight used; current limit is {WEIGHT_PER_MINUTE} request weight per 1 MINUTE. "
        "Please use WebSocket Streams for live updates to avoid polling the API."
    )
    return error(-1003, message, status=429, headers=_retry_after(retry_after_s))


def banned(retry_after_s: int | None) -> Reply:
    """418: the address is banned, for having gone on after a 429."""
    message = (
        "Way too much request weight used; IP banned until 1764000000000. "
        "Please use WebSocket Streams for live updates to avoid bans."
    )
    return error(-1003, message, status=418, headers=_retry_after(retry_after_s))


def unavailable(status: int = 503) -> Reply:
    """5xx, as Binance says it."""
    message = "Unknown error, please check your request or try again later."
    return error(-1000, message, status=status)


def changed_klines(change: Callable[[list[Kline]], list[Kline]]) -> Fault:
    """Return a fault that answers with klines that were changed."""

    def altered(reply: Reply) -> Reply:
        return replace(reply, body=json.dumps(change(json.loads(reply.body))).encode())

    return Fault(applies=lambda request: request.path == KLINES, change=altered)


def out_of_order() -> Fault:
    """Newest bar first."""
    return changed_klines(lambda rows: rows[::-1])


def repeated() -> Fault:
    """Each bar twice."""
    return changed_klines(lambda rows: [row for row in rows for _ in range(2)])


def contradicting() -> Fault:
    """The first bar twice, with another close the second time."""
    return changed_klines(lambda rows: [*rows, [*rows[0][:4], f"{float(rows[0][4]) * 1.01:.8f}", *rows[0][5:]]])


def empty_page() -> Fault:
    """No bars, though there are some."""
    return changed_klines(lambda _rows: [])


def cut_short() -> Fault:
    """Half of the answer, then the connection breaks."""
    return Fault(change=lambda reply: replace(reply, truncated=True))


def _retry_after(seconds: int | None) -> dict[str, str]:
    return {} if seconds is None else {"Retry-After": str(seconds)}
