"""Kite and Yahoo, the sources of NSE's bars."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping
from contextlib import contextmanager
from datetime import datetime, timedelta
from pathlib import Path
from zoneinfo import ZoneInfo

import pandas as pd

from algo_py.clock import monotonic_s
from algo_py.credentials import Credentials
from algo_py.finstore.sources.kite import KiteSource
from algo_py.finstore.sources.limits import SharedLimit
from algo_py.finstore.sources.yahoo import YahooSource
from algo_py.market import Timeframe, get_market
from tests.finstore.making import bars_at
from tests.finstore.sources.harness import Build, Harness, ServedHarness, Trouble
from tests.venues.kite import KiteServer, Share
from tests.venues.yahoo import Chart, YahooServer

_INDIA = ZoneInfo("Asia/Kolkata")
_FIRST = datetime(2024, 1, 1, tzinfo=_INDIA)
_PASSWORD, _KEY, _TOKEN = "hidden-away", "key-of-a-trader", "token-of-the-day"
# Neither bans an address with 418.
_TROUBLES = tuple(trouble for trouble in Trouble if trouble is not Trouble.BANNED)


def days() -> pd.DataFrame:
    """Make two months of NSE's daily bars, with whole volumes."""
    opens = get_market("indian_equity").calendar.bar_opens(Timeframe.D1, _FIRST, _FIRST + timedelta(days=60))
    frame = bars_at(pd.DatetimeIndex(list(opens)).as_unit("us"))
    return frame.assign(volume=frame["volume"].round())


class KiteHarness(ServedHarness):
    """Kite on a local server; its list of shares has been read."""

    unknown_symbol: str | None = "NOBODY"
    missing_timeframe: Timeframe | None = Timeframe.H4
    troubles: Collection[Trouble] = _TROUBLES
    secrets: Collection[str] = (_KEY, _TOKEN)

    def __init__(self, server: KiteServer, folder: Path) -> None:
        super().__init__(server, bars_path="/historical/", symbol="M&M", timeframe=Timeframe.D1, bars=days())
        server.shares = {"M&M": Share(token=519937, candles={"day": self.bars})}
        self._limit = SharedLimit("kite", per_s=1_000, burst=100, folder=folder)
        self._cache = folder / "cache"

    def source(self) -> KiteSource:
        credentials = Credentials({"ZERODHA_API_KEY": _KEY, "ZERODHA_ACCESS_TOKEN": _TOKEN})
        source = KiteSource(credentials, base_url=self.server.url, limit=self._limit, folder=self._cache)
        if not self._cache.exists():
            source.instruments(["M&M"], deadline_s=monotonic_s() + 10)
        return source


class YahooHarness(ServedHarness):
    """Yahoo on a local server."""

    unknown_symbol: str | None = "NOBODY"
    missing_timeframe: Timeframe | None = Timeframe.M30
    troubles: Collection[Trouble] = _TROUBLES
    secrets: Collection[str] = (_PASSWORD,)

    def __init__(self, server: YahooServer, folder: Path) -> None:
        super().__init__(server, bars_path="/chart/", symbol="M&M", timeframe=Timeframe.D1, bars=days())
        server.charts = {"M&M": Chart(first_trade=_FIRST - timedelta(days=900), bars={"1d": self.bars})}
        self._base_url = server.url.replace("//", f"//someone:{_PASSWORD}@")
        self._limit = SharedLimit("yahoo", per_s=1_000, burst=100, folder=folder)

    def source(self) -> YahooSource:
        return YahooSource(base_url=self._base_url, limit=self._limit)


@contextmanager
def _kite(folder: Path) -> Iterator[Harness]:
    with KiteServer(api_key=_KEY, access_token=_TOKEN) as server:
        yield KiteHarness(server, folder)


@contextmanager
def _yahoo(folder: Path) -> Iterator[Harness]:
    with YahooServer() as server:
        yield YahooHarness(server, folder)


HARNESSES: Mapping[str, Build] = {"kite": _kite, "yahoo": _yahoo}
