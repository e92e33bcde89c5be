"""Real bars with real outages of the exchange, holes punched at random, and a local Binance to fill them from."""

from __future__ import annotations

import os
import random
from collections.abc import Iterator
from datetime import timedelta
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from algo_py.clock import FrozenClock, SystemClock
from algo_py.finstore import FinStore
from algo_py.finstore.gaps import fill_gap
from algo_py.finstore.sources import Source
from algo_py.finstore.sources.registry import open_source
from algo_py.market import get_market
from algo_py.settings import Workspace
from tests.venues.binance import BinanceServer

from .processes import forked

MARKET, HOUR = "crypto_binance", pd.Timedelta(hours=1)
FOLDER = Path(__file__).parent / "outages"
SPELLED = {"LTC/USDT": "LTCUSDT", "ADA/USDT": "ADAUSDT"}


def _real(symbol: str) -> pd.DataFrame:
    table = pd.read_parquet(FOLDER / f"{SPELLED[symbol]}-1h.parquet")
    index = pd.DatetimeIndex(table.pop("timestamp"), name="open_time").as_unit("us")
    return table.set_axis(index)


def _hours(first: Any, last: Any) -> pd.DatetimeIndex:
    return pd.date_range(first, last, freq="h")


REAL = {symbol: _real(symbol) for symbol in SPELLED}
OUTAGES = {
    symbol: _hours(frame.index[0], frame.index[-1]).difference(pd.DatetimeIndex(frame.index)) for symbol, frame in REAL.items()
}


@pytest.fixture
def server() -> Iterator[BinanceServer]:
    with BinanceServer() as server:
        for symbol, frame in REAL.items():
            server.set_bars(symbol, "1h", frame)
        yield server


@pytest.fixture
def workspace(server: BinanceServer, tmp_path: Path) -> Workspace:
    workspace = Workspace(tmp_path)
    workspace.credentials_file.parent.mkdir()
    workspace.credentials_file.write_text(f"BINANCE_BASE_URL={server.url}\n")
    return workspace


def _source(workspace: Workspace, store: FinStore) -> Source:
    return open_source("binance", workspace=workspace, market=get_market(MARKET), store=store)


def _asked(server: BinanceServer) -> list[tuple[str, pd.Timestamp, pd.Timestamp]]:
    """What klines were asked for: symbol, first open time, last open time."""
    return [
        (
            request.values["symbol"],
            pd.Timestamp(int(request.values["startTime"]), unit="ms", tz="UTC"),
            pd.Timestamp(int(request.values["endTime"]), unit="ms", tz="UTC").floor("h"),
        )
        for request in server.asked("/klines")
    ]


@pytest.mark.parametrize("seed", range(4))
def test_holes_at_random_are_filled_exactly(server: BinanceServer, workspace: Workspace, seed: int) -> None:
    chance = random.Random(seed)
    store = FinStore(workspace.finstore)
    stored: dict[str, pd.DatetimeIndex] = {}
    for symbol, frame in REAL.items():
        keep = np.ones(len(frame), dtype=bool)
        for _ in range(chance.randint(5, 40)):
            first = chance.randrange(1, len(frame))
            keep[first : first + chance.choice([1, 1, 2, 7, 50, 600])] = False
        keep[-chance.randint(1, 30) :] = False
        stored[symbol] = pd.DatetimeIndex(frame.index[keep])
        store.append(MARKET, "1h", {symbol: frame[keep]}, now=SystemClock().now())
    until = {symbol: (frame.index[-1] + HOUR).to_pydatetime() for symbol, frame in REAL.items()}
    source = _source(workspace, store)

    for symbol, frame in REAL.items():
        report = fill_gap(store, source, MARKET, "1h", [symbol], until[symbol])
        assert report.problems == ()
        assert report.fetched == len(frame) - len(stored[symbol])
        pd.testing.assert_frame_equal(store.read(MARKET, "1h", symbol), frame, check_freq=False, check_names=False)

    spelling = {short: symbol for symbol, short in SPELLED.items()}
    for short, *asked in _asked(server):
        wanted = _hours(*asked)
        assert not wanted.isin(stored[spelling[short]]).any(), "it asked for what was already there"
    for symbol in REAL:
        gaps = store.coverage(MARKET, "1h", symbol).gaps
        absent = [moment for gap in gaps for moment in _hours(gap.first, gap.last)]
        assert pd.DatetimeIndex(absent).equals(OUTAGES[symbol].as_unit(pd.DatetimeIndex(absent).unit))
        assert {gap.reason for gap in gaps} == {"not at binance"}

    server.forget()
    for symbol in REAL:
        for opened in (source, _source(workspace, store)):
            report = fill_gap(store, opened, MARKET, "1h", [symbol], until[symbol])
            assert (report.is_complete, report.requests, report.fetched) == (True, 0, 0)
    assert server.requests == []


def test_of_twenty_that_ask_at_once_one_asks_the_exchange(server: BinanceServer, workspace: Workspace) -> None:
    FinStore(workspace.finstore).append(
        MARKET, "1h", {symbol: frame[:100] for symbol, frame in REAL.items()}, now=SystemClock().now()
    )
    ready, results = workspace.root / "ready", workspace.root / "results"
    results.mkdir()

    def ask(number: int) -> None:
        store = FinStore(workspace.finstore)
        source = _source(workspace, store)
        while not ready.exists():
            SystemClock().sleep(0.005)
        for symbol, frame in REAL.items():
            report = fill_gap(store, source, MARKET, "1h", [symbol], frame.index[300].to_pydatetime(), timeout_s=60)
            assert report.problems == ()
            assert len(store.read(MARKET, "1h", symbol)) == 300
            (results / f"{number}-{SPELLED[symbol]}").write_text(str(report.requests))

    pids = [forked(partial(ask, number)) for number in range(20)]
    SystemClock().sleep(1.0)
    ready.touch()
    assert [os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) for pid in pids] == [0] * 20
    for short in SPELLED.values():
        asked = [request for request in _asked(server) if request[0] == short]
        assert len({(first, last) for _, first, last in asked}) == len(asked), "a bar was asked for twice"
        requests = [int(file.read_text()) for file in results.glob(f"*-{short}")]
        assert len(requests) == 20
        # One request for the bars, and one more for the outage among them, which is believed the second time.
        assert sum(requests) == len(asked) == 2


def test_a_bar_that_nobody_has_yet_is_asked_for_once_by_all(server: BinanceServer, workspace: Workspace) -> None:
    frame = REAL["ADA/USDT"][:100]
    server.set_bars("ADA/USDT", "1h", frame)
    store = FinStore(workspace.finstore)
    store.append(MARKET, "1h", {"ADA/USDT": frame}, now=SystemClock().now())
    clock = FrozenClock((frame.index[-1] + 2 * HOUR).to_pydatetime() + timedelta(seconds=1))
    reports = [
        fill_gap(store, _source(workspace, store), MARKET, "1h", ["ADA/USDT"], clock=clock).by_symbol["ADA/USDT"]
        for _ in range(5)
    ]
    assert [report.awaited for report in reports] == [1] * 5
    assert [report.requests for report in reports] == [1, 0, 0, 0, 0]
