"""Binance's archive of files."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

from algo_py.finstore.sources.archive import ArchiveSource
from algo_py.finstore.sources.limits import SharedLimit
from algo_py.market import Timeframe
from tests.finstore.making import bars
from tests.finstore.sources.harness import Build, Harness, ServedHarness
from tests.venues.archive import ArchiveServer
from tests.venues.binance import as_quoted

_PASSWORD = "hidden-away"


class ArchiveHarness(ServedHarness):
    """The archive on a local server. It cannot tell what it does not know, and shows no clock: all its bars are long closed."""

    tells_time = False
    secrets: Collection[str] = (_PASSWORD,)

    def __init__(self, server: ArchiveServer, folder: Path) -> None:
        frame = as_quoted(bars(48))
        super().__init__(server, bars_path=".zip", symbol="BTC/USDT", timeframe=Timeframe.H1, bars=frame)
        server.set_bars("BTC/USDT", "1h", frame)
        self._base_url = server.url.replace("//", f"//someone:{_PASSWORD}@")
        self._limit = SharedLimit("archive", per_s=1_000, burst=100, folder=folder)

    def asked(self) -> int:
        """Count files, without the checksums that are asked for beside them."""
        return sum(request.path.endswith(".zip") for request in self.server.asked())

    def source(self) -> ArchiveSource:
        return ArchiveSource(self._base_url, self._limit)


@contextmanager
def _build(folder: Path) -> Iterator[Harness]:
    with ArchiveServer() as server:
        yield ArchiveHarness(server, folder)


HARNESSES: Mapping[str, Build] = {"binance-archive": _build}
