"""What the contract needs of a source: the source itself, bars that are there, and a way to have things go wrong.

To have a source keep the contract, write a module `harness_<name>.py` in this folder with `HARNESSES`: names, each with a
function that takes a folder for limits and gives a context manager of a Harness. What asks over HTTP begins with ServedHarness.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Collection
from contextlib import AbstractContextManager
from dataclasses import replace
from datetime import UTC, datetime
from enum import StrEnum
from pathlib import Path
from typing import Protocol

import pandas as pd

from algo_py.finstore.sources import Source
from algo_py.market import Timeframe
from tests.venues.server import Fault, Reply, Server

RETRY_AFTER_S = 30


class Trouble(StrEnum):
    """What may go wrong on the way to bars."""

    TIME_OUT = "no answer for a long time"
    TRICKLE = "an answer that never ends"
    DROPPED = "the connection is broken without an answer"
    SERVER_ERROR = "status 500"
    MAINTENANCE = "status 503, with a page for people"
    CUT_SHORT = "the connection is broken within the answer"
    NONSENSE = "status 200 with something else"
    TOO_MANY = "status 429 with Retry-After"
    TOO_MANY_SILENT = "status 429 without Retry-After"
    BANNED = "status 418 with Retry-After"


LIMITING: Collection[Trouble] = (Trouble.TOO_MANY, Trouble.TOO_MANY_SILENT, Trouble.BANNED)


class Harness(Protocol):
    """A source that can be asked, and knowledge of what it should say.

    bars: what it has of `symbol`, at least 20 and all within one page; there is none in the 20 times the timeframe before them.
    unknown_symbol, missing_timeframe: what it must refuse, None when there is nothing such.
    troubles: those that can happen to it. tells_time: whether its answers carry its own clock.
    secrets: what must never be seen in a message.
    """

    symbol: str
    timeframe: Timeframe
    bars: pd.DataFrame
    unknown_symbol: str | None
    missing_timeframe: Timeframe | None
    troubles: Collection[Trouble]
    tells_time: bool
    secrets: Collection[str]

    def source(self) -> Source:
        """Build a source; all of them share their limits. Whatever it must ask before bars can be asked has been asked."""

    def cause(self, trouble: Trouble) -> None:
        """Have the next request for bars go wrong."""

    def asked(self) -> int:
        """Return how many requests for bars have arrived so far."""

    def set_clock(self, ahead_s: float) -> datetime:
        """Have the source's own clock run ahead; return what it shows."""


Build = Callable[[Path], AbstractContextManager[Harness]]


class ServedHarness(ABC):
    """A harness of a source that asks a local server; `bars_path` is part of the path of each request for bars."""

    unknown_symbol: str | None = None
    missing_timeframe: Timeframe | None = None
    troubles: Collection[Trouble] = tuple(Trouble)
    tells_time = True
    secrets: Collection[str] = ()

    def __init__(self, server: Server, *, bars_path: str, symbol: str, timeframe: Timeframe, bars: pd.DataFrame) -> None:
        self.server = server
        self.bars_path = bars_path
        self.symbol = symbol
        self.timeframe = timeframe
        self.bars = bars

    @abstractmethod
    def source(self) -> Source: ...

    def cause(self, trouble: Trouble) -> None:
        self.server.fail(replace(_FAULTS[trouble], applies=lambda request: self.bars_path in request.path))

    def asked(self) -> int:
        return len(self.server.asked(self.bars_path))

    def set_clock(self, ahead_s: float) -> datetime:
        self.server.clock_offset_s = ahead_s
        return datetime.fromtimestamp(self.server.now_s(), tz=UTC)


_LATER = {"Retry-After": str(RETRY_AFTER_S)}
_PAGE = Reply(status=503, body=b"<html><h1>Be right back</h1></html>", content_type="text/html")
_FAULTS = {
    Trouble.TIME_OUT: Fault(delay_s=20),
    Trouble.TRICKLE: Fault(change=lambda reply: replace(reply, trickle_s=20)),
    Trouble.DROPPED: Fault(drop=True),
    Trouble.SERVER_ERROR: Fault(reply=Reply(status=500, body=b"{}")),
    Trouble.MAINTENANCE: Fault(reply=_PAGE),
    Trouble.CUT_SHORT: Fault(change=lambda reply: replace(reply, truncated=True)),
    Trouble.NONSENSE: Fault(reply=replace(_PAGE, status=200)),
    Trouble.TOO_MANY: Fault(reply=Reply(status=429, body=b"{}", headers=_LATER)),
    Trouble.TOO_MANY_SILENT: Fault(reply=Reply(status=429, body=b"{}")),
    Trouble.BANNED: Fault(reply=Reply(status=418, body=b"{}", headers=_LATER)),
}
