"""The local Binance answers as the documentation of the real one says, so that what passes against it means something."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import pytest

from tests.finstore.making import START, bars
from tests.venues.binance import EXCHANGE_INFO, KLINES, BinanceServer
from tests.venues.server import Request

HOUR_MS = 3_600_000
START_MS = int(START.timestamp() * 1_000)


@pytest.fixture
def server() -> Iterator[BinanceServer]:
    with BinanceServer() as server:
        server.set_bars("BTC/USDT", "1h", bars(1_500))
        yield server


def asked(server: BinanceServer, path: str, **values: object) -> Any:
    reply = server.answer(
        Request(method="GET", path=path, values={name: str(value) for name, value in values.items()}, headers={})
    )
    assert reply is not None
    return json.loads(reply.body)


def opens(server: BinanceServer, **values: object) -> tuple[int, int, int]:
    """Return how many klines came, and which hours the first and the last of them are."""
    rows = asked(server, KLINES, symbol="BTCUSDT", interval="1h", **values)
    return len(rows), (rows[0][0] - START_MS) // HOUR_MS, (rows[-1][0] - START_MS) // HOUR_MS


def test_which_klines_come(server: BinanceServer) -> None:
    assert opens(server) == (500, 1_000, 1_499)
    assert opens(server, limit=10) == (10, 1_490, 1_499)
    assert opens(server, limit=5_000) == (1_000, 500, 1_499)
    assert opens(server, startTime=START_MS) == (500, 0, 499)
    assert opens(server, startTime=START_MS + 1) == (500, 1, 500)
    assert opens(server, endTime=START_MS + 9 * HOUR_MS) == (10, 0, 9)
    assert opens(server, endTime=START_MS + 900 * HOUR_MS, limit=10) == (10, 891, 900)
    assert opens(server, startTime=START_MS, endTime=START_MS + 3 * HOUR_MS) == (4, 0, 3)
    assert opens(server, startTime=START_MS, endTime=START_MS + 4 * HOUR_MS - 1) == (4, 0, 3)
    assert opens(server, startTime=START_MS, endTime=START_MS + 900 * HOUR_MS, limit=10) == (10, 0, 9)


def test_a_kline_has_twelve_columns(server: BinanceServer) -> None:
    (row,) = asked(server, KLINES, symbol="BTCUSDT", interval="1h", limit=1)
    assert [type(value) for value in row] == [int, *[str] * 5, int, str, int, str, str, str]
    assert row[6] - row[0] == HOUR_MS - 1
    assert all(len(text.split(".")[1]) == 8 for text in row[1:6])


@pytest.mark.parametrize(
    ("path", "values", "code"),
    [
        (KLINES, {"interval": "1h"}, -1102),
        (KLINES, {"symbol": "BTCUSDT"}, -1102),
        (KLINES, {"symbol": "", "interval": "1h"}, -1102),
        (KLINES, {"symbol": "BTC/USDT", "interval": "1h"}, -1100),
        (KLINES, {"symbol": "BTCUSDT", "interval": "1h", "startTime": "soon"}, -1100),
        (KLINES, {"symbol": "BTCUSDT", "interval": "1h", "limit": "-1"}, -1100),
        (KLINES, {"symbol": "BTCUSDT", "interval": "1h", "limit": "0"}, -1130),
        (KLINES, {"symbol": "BTCUSDT", "interval": "7h"}, -1120),
        (KLINES, {"symbol": "NOUSDT", "interval": "1h"}, -1121),
        (KLINES, {"symbol": "BTCUSDT", "interval": "1h", "colour": "red"}, -1101),
        (EXCHANGE_INFO, {"symbol": "NOUSDT"}, -1121),
        (EXCHANGE_INFO, {"symbols": '["BTCUSDT","NOUSDT"]'}, -1121),
        (EXCHANGE_INFO, {"symbols": "BTCUSDT"}, -1100),
        (EXCHANGE_INFO, {"symbols": '["BTCUSDT","BTCUSDT"]'}, -1151),
        (EXCHANGE_INFO, {"symbol": "BTCUSDT", "symbols": '["BTCUSDT"]'}, -1128),
    ],
)
def test_requests_that_are_refused(server: BinanceServer, path: str, values: dict[str, str], code: int) -> None:
    assert asked(server, path, **values)["code"] == code


def test_time_and_ping(server: BinanceServer) -> None:
    server.clock_offset_s = 3_600
    assert asked(server, "/api/v3/time")["serverTime"] == pytest.approx(server.now_ms(), abs=2_000)
    assert asked(server, "/api/v3/ping") == {}


def test_beyond_the_weight_of_a_minute_it_refuses(server: BinanceServer) -> None:
    asked(server, "/api/v3/ping")
    server.used_weight = 5_998
    reply = server.answer(Request(method="GET", path=EXCHANGE_INFO, values={}, headers={}))
    assert reply is not None
    assert reply.status == 429
    assert 0 < int(reply.headers["Retry-After"]) <= 60
