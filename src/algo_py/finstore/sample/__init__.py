"""The bars that come with Algo.Py, so that it can be tried without a network. Their origin stands in ORIGIN.md beside them."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Final

from algo_py.finstore.files import InfoCache, read_bars
from algo_py.finstore.frames import to_frame
from algo_py.finstore.reports import AppendReport
from algo_py.finstore.store import FinStore

# Every bundled bar had closed by then.
SAMPLE_CLOSED_BY: Final = datetime(2026, 2, 19, tzinfo=UTC)

_FOLDER = Path(__file__).parent


@dataclass(frozen=True, slots=True)
class SampleBars:
    """One bundled file: the bars of a symbol."""

    market: str
    timeframe: str
    symbol: str

    @property
    def file(self) -> Path:
        return _FOLDER / self.market / self.timeframe / f"{self.symbol.replace('/', '-')}.parquet"


_PAIRS = ("BTC/USDT", "ETH/USDT", "SOL/USDT", "BNB/USDT", "XRP/USDT")
_NSE = ("RELIANCE", "TCS", "INFY", "HDFCBANK", "ICICIBANK", "SBIN", "ITC", "LT", "AXISBANK", "BHARTIARTL")

SAMPLE: Final = (
    *(SampleBars("crypto_binance", "1h", symbol) for symbol in _PAIRS),
    *(SampleBars("crypto_binance", "1d", symbol) for symbol in _PAIRS),
    *(SampleBars("indian_equity", "1d", symbol) for symbol in _NSE),
)


@dataclass(frozen=True, slots=True)
class InstalledSample:
    """What `install_sample` did with one bundled file."""

    bars: SampleBars
    new: int
    repeated: int
    revised: int


def install_sample(store: FinStore) -> list[InstalledSample]:
    """Store the bundled bars; those that are stored already are left as they are. Return what was done, a line a symbol.

    May be repeated. Raises what `FinStore.append` raises.
    """
    installed: list[InstalledSample] = []
    for market, timeframe in dict.fromkeys((bars.market, bars.timeframe) for bars in SAMPLE):
        chosen = [bars for bars in SAMPLE if (bars.market, bars.timeframe) == (market, timeframe)]
        frames = {bars.symbol: to_frame(read_bars(bars.file, InfoCache())) for bars in chosen}
        report: AppendReport = store.append(market, timeframe, frames, now=SAMPLE_CLOSED_BY)
        for bars in chosen:
            counts = report.by_symbol[bars.symbol]
            installed.append(InstalledSample(bars, counts.new, counts.repeated, counts.revised))
    return installed
