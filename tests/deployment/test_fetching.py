"""Deployments on the live clock that bring their bars up to date themselves, from a local Binance."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta

import numpy as np
import pandas as pd
import pytest

from algo_py.clock import SystemClock
from algo_py.deployment import DeploymentManager, DeploymentRequest
from algo_py.deployment.schedule import EveryInterval
from algo_py.deployment.status import Status
from algo_py.finstore import FinStore
from algo_py.settings import Workspace
from tests.deployment.conftest import Save
from tests.venues.binance import BinanceServer
from tests.venues.server import Fault, Reply

SYMBOLS = ("AAA/USDT", "BBB/USDT")
MARKET = "crypto_binance"


def _minutes(rows: int, *, ahead: int) -> pd.DataFrame:
    """Return bars of the last `rows` minutes, and of `ahead` minutes to come, which the server shows as they begin."""
    now = pd.Timestamp(datetime.now(UTC)).floor("min")
    index = pd.date_range(now - pd.Timedelta(minutes=rows), periods=rows + ahead, freq="min", unit="us", name="open_time")
    close = np.round(100 + 5 * np.sin(np.arange(len(index)) / 4), 2)
    values = {"open": close, "high": close + 0.5, "low": close - 0.5, "close": close, "volume": np.full(len(index), 3.0)}
    return pd.DataFrame(values, index=index)


@pytest.fixture
def server() -> Iterator[BinanceServer]:
    with BinanceServer() as server:
        yield server


@pytest.fixture
def behind(server: BinanceServer, workspace: Workspace, save: Save) -> Workspace:
    """A saved backtest on minutes that ended an hour ago; the exchange has what came since."""
    frame = _minutes(300, ahead=30)
    for symbol in SYMBOLS:
        server.set_bars(symbol, "1m", frame)
    FinStore(workspace.finstore).append(MARKET, "1m", dict.fromkeys(SYMBOLS, frame[:240]), now=SystemClock().now())
    # Lines so long that they never cross: an order on paper would ask the exchange for a price.
    never = {"fast": 200, "slow": 500}
    save(timeframe="1m", symbols=SYMBOLS, params=never, start=frame.index[0], end=frame.index[240])
    supervisor = "[supervisor]\nheartbeat_s = 0.2\nstalled_after_s = 20\nstop_grace_s = 3\n"
    workspace.settings_file.write_text(supervisor + "[data]\nfill_timeout_s = 4\n")
    workspace.credentials_file.write_text(f"BINANCE_BASE_URL={server.url}\n")
    return workspace


def _request() -> DeploymentRequest:
    return DeploymentRequest(backtest="saved", schedule=EveryInterval(every_s=1))


def test_twenty_deployments_ask_once_for_each_bar(server: BinanceServer, behind: Workspace, manager: DeploymentManager) -> None:
    deployed = [manager.deploy(_request()) for _ in range(20)]
    for deployment in deployed:
        done = manager.wait_until(deployment.id, lambda d: d.row.runs >= 2, timeout_s=40)
        assert done.status is Status.RUNNING, done.reason
    asked = Counter(
        (request.values["symbol"], minute)
        for request in server.asked("/klines")
        for minute in range(int(request.values["startTime"]) // 60_000, int(request.values["endTime"]) // 60_000 + 1)
    )
    newest = int(datetime.now(UTC).timestamp()) // 60 - 2
    assert {times for (_, minute), times in asked.items() if minute < newest} == {1}, "a bar was asked for twice"
    store = FinStore(behind.finstore)
    for symbol in SYMBOLS:
        coverage = store.coverage(MARKET, "1m", symbol)
        assert coverage.gaps == ()
        assert datetime.now(UTC) - coverage.last < timedelta(minutes=3)
    told = [entry for one in deployed for entry in manager.logs(one.id) if entry["event"] == "run.fill_gap"]
    assert sum(entry["requests"] for entry in told) == len(server.asked("/klines"))
    assert len(told) >= 40


def test_on_bars_that_cannot_be_completed_nothing_is_traded(
    server: BinanceServer, behind: Workspace, manager: DeploymentManager
) -> None:
    server.fail(Fault(reply=Reply(status=503, body=b"{}")), times=10_000)
    deployment = manager.deploy(_request())
    done = manager.wait_until(deployment.id, lambda d: d.row.runs >= 1, timeout_s=40)
    assert done.status is Status.NO_DATA
    assert "the bars are not complete" in done.reason
    assert manager.orders(deployment.id) == []

    server.forget()
    better = manager.wait_until(deployment.id, lambda d: not d.reason and d.row.runs > done.row.runs, timeout_s=40)
    assert (better.status, better.reason) == (Status.RUNNING, "")


def test_paper_fills_at_the_markets_last_price(
    server: BinanceServer, behind: Workspace, manager: DeploymentManager, save: Save
) -> None:
    behind.strategies.mkdir()
    (behind.strategies / "always.py").write_text(
        "from algo_py.strategy import Bars, Signals, Strategy\n\n\n"
        'class AlwaysIn(Strategy):\n    """Hold."""\n\n'
        "    @property\n    def warm_up_bars(self) -> int:\n        return 1\n\n"
        "    def run(self, bars: Bars) -> Signals:\n        return Signals(entries=bars.close > 0, exits=bars.close < 0)\n"
    )
    first = FinStore(behind.finstore).coverage(MARKET, "1m", SYMBOLS[0]).first
    save(
        "always",
        strategy="always-in",
        params={},
        timeframe="1m",
        symbols=SYMBOLS[:1],
        start=first,
        end=first + timedelta(hours=2),
        slippage=0.0,
    )
    start = datetime.now(UTC) - timedelta(minutes=5)
    deployment = manager.deploy(DeploymentRequest(backtest="always", schedule=EveryInterval(every_s=1), start=start))
    manager.wait_until(deployment.id, lambda d: bool(manager.fills(d.id)), timeout_s=40)
    [fill] = manager.fills(deployment.id)
    minute = pd.Timestamp(fill.time).floor("min")
    frame = _minutes(300, ahead=30)
    forming = {float(frame["close"].loc[at]) for at in (minute, minute + pd.Timedelta(minutes=1)) if at in frame.index}
    assert float(fill.price) in forming
