"""Binance by its klines, and another exchange by ccxt's unified methods (one that speaks the same protocol)."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

from algo_py.clock import monotonic_s
from algo_py.finstore.sources.exchange import ExchangeSource
from algo_py.finstore.sources.limits import SharedLimit
from algo_py.market import Timeframe
from tests.finstore.making import bars
from tests.finstore.sources.harness import Build, Harness, ServedHarness
from tests.venues.binance import KLINES, BinanceServer, as_quoted

_PASSWORD = "hidden-away"


class ExchangeHarness(ServedHarness):
    """An exchange on a local server. Its address holds a password, as that of a proxy may."""

    unknown_symbol: str | None = "NOBODY/USDT"
    secrets: Collection[str] = (_PASSWORD,)

    def __init__(self, server: BinanceServer, exchange_id: str, folder: Path) -> None:
        frame = as_quoted(bars(48))
        super().__init__(server, bars_path=KLINES, symbol="BTC/USDT", timeframe=Timeframe.H1, bars=frame)
        server.set_bars("BTC/USDT", "1h", frame)
        self._exchange_id = exchange_id
        self._base_url = server.url.replace("//", f"//someone:{_PASSWORD}@")
        self._limit = SharedLimit(exchange_id, per_s=1_000, burst=100, folder=folder)

    def source(self) -> ExchangeSource:
        source = ExchangeSource(self._exchange_id, base_url=self._base_url, limit=self._limit)
        if self._exchange_id != "binance" and not self._asked_markets():
            source.fetch(self.timeframe, self.symbol, self.bars.index[0], self.bars.index[1], deadline_s=monotonic_s() + 10)
        return source

    def _asked_markets(self) -> bool:
        return bool(self.server.asked("exchangeInfo"))


def _build(exchange_id: str) -> Build:
    @contextmanager
    def build(folder: Path) -> Iterator[Harness]:
        with BinanceServer() as server:
            yield ExchangeHarness(server, exchange_id, folder)

    return build


HARNESSES: Mapping[str, Build] = {"binance": _build("binance"), "ccxt": _build("binanceus")}
