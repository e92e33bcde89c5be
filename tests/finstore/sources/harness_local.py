"""Sources without a network, on the way to which nothing can go wrong: files, the sample, shorter bars of the same store."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path

import pandas as pd

from algo_py.finstore import FinStore
from algo_py.finstore.files import InfoCache, read_bars
from algo_py.finstore.frames import to_frame
from algo_py.finstore.resample import resample
from algo_py.finstore.sample import SAMPLE
from algo_py.finstore.sources import Source
from algo_py.finstore.sources.files import FileSource
from algo_py.finstore.sources.sample import SampleSource
from algo_py.finstore.sources.stored import StoredSource
from algo_py.market import Timeframe, get_market
from tests.finstore.making import LATE, bars
from tests.finstore.sources.harness import Build, Harness, Trouble

_CRYPTO = get_market("crypto_binance")


@dataclass
class LocalHarness:
    """A source that has its bars at hand."""

    build: Callable[[], Source]
    timeframe: Timeframe
    bars: pd.DataFrame
    missing_timeframe: Timeframe | None
    symbol: str = "BTC/USDT"
    unknown_symbol: str | None = "NOBODY/USDT"
    troubles: Collection[Trouble] = ()
    tells_time: bool = False
    secrets: Collection[str] = field(default=())

    def source(self) -> Source:
        return self.build()

    def cause(self, trouble: Trouble) -> None:
        raise NotImplementedError(trouble)

    def asked(self) -> int:
        return 0

    def set_clock(self, ahead_s: float) -> datetime:
        raise NotImplementedError(ahead_s)


def _files(suffix: str) -> Build:
    @contextmanager
    def build(folder: Path) -> Iterator[Harness]:
        folder.mkdir(parents=True)
        frame = bars(48)
        if suffix == "csv":
            frame.to_csv(folder / "BTC-USDT-1h.csv", index_label="timestamp")
        else:
            frame.to_parquet(folder / "BTC-USDT-1h.parquet")
        yield LocalHarness(lambda: FileSource(folder, _CRYPTO), Timeframe.H1, frame, Timeframe.M1)

    return build


@contextmanager
def _sample(_folder: Path) -> Iterator[Harness]:
    file = next(one.file for one in SAMPLE if (one.symbol, one.timeframe) == ("BTC/USDT", "1d"))
    yield LocalHarness(lambda: SampleSource(_CRYPTO), Timeframe.D1, to_frame(read_bars(file, InfoCache())), Timeframe.M1)


@contextmanager
def _stored(folder: Path) -> Iterator[Harness]:
    hours = bars(24 * 30, start=datetime(2024, 1, 1, 5, tzinfo=UTC))
    store = FinStore(folder)
    store.append("crypto_binance", "1h", {"BTC/USDT": hours}, now=LATE)
    fours = resample(hours, _CRYPTO, Timeframe.H1, Timeframe.H4)
    yield LocalHarness(lambda: StoredSource(store, _CRYPTO, Timeframe.H1), Timeframe.H4, fours, Timeframe.M30)


HARNESSES: Mapping[str, Build] = {
    "files csv": _files("csv"),
    "files parquet": _files("parquet"),
    "sample": _sample,
    "stored": _stored,
}
