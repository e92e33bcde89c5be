"""A way to run command lines in this process, a workspace with the sample bars, and one at a local exchange."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from algo_py.cli.app import run
from algo_py.settings import Workspace
from tests.oms.binance_desk import KEY, SECRET
from tests.processes import stop_everything
from tests.venues.binance_trading import BinanceTradingServer

LIVE_SYMBOL = "BTC/USDT"
_BARS = ("--market", "crypto_binance", "--timeframe", "1m", "--symbols", LIVE_SYMBOL)
_ALWAYS_IN = '''from algo_py.strategy import Bars, Signals, Strategy


class AlwaysIn(Strategy):
    """Hold whatever there is."""

    @property
    def warm_up_bars(self) -> int:
        return 1

    def run(self, bars: Bars) -> Signals:
        return Signals(entries=bars.close > 0, exits=bars.close < 0)
'''

RUN = ("backtest", "run", "ema-cross", "--market", "crypto_binance", "--timeframe", "1d", "--symbols", "BTC/USDT")


@dataclass(frozen=True)
class Outcome:
    """What a command line came to."""

    code: int
    out: str
    err: str

    def json(self) -> Any:
        return json.loads(self.out)


Invoke = Callable[..., Outcome]


@pytest.fixture
def invoke(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> Invoke:
    """Run a command line as a process would, without a process."""
    monkeypatch.delenv("ALGO_PY_WORKSPACE", raising=False)

    def invoke(*arguments: str | Path) -> Outcome:
        capsys.readouterr()
        code = run([str(argument) for argument in arguments])
        captured = capsys.readouterr()
        return Outcome(code, captured.out, captured.err)

    return invoke


@pytest.fixture(scope="session")
def pristine(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A workspace as `init` leaves it; not to be changed."""
    folder = tmp_path_factory.mktemp("pristine") / "workspace"
    assert run(["init", str(folder)]) == 0
    return folder


@pytest.fixture
def workspace(pristine: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A workspace of one's own, which is the current folder."""
    folder = tmp_path / "workspace"
    shutil.copytree(pristine, folder)
    monkeypatch.chdir(folder)
    return folder


@pytest.fixture
def server() -> Iterator[BinanceTradingServer]:
    """An exchange that lists one symbol at 100 and shows the last hour's minutes and half an hour to come."""
    with BinanceTradingServer(key=KEY, secret=SECRET) as server:
        server.list_symbol(LIVE_SYMBOL, "100")
        server.deposit("USDT", "10000")
        server.matching.fee_asset = "USDT"
        now = pd.Timestamp(datetime.now(UTC)).floor("min")
        index = pd.date_range(now - pd.Timedelta(minutes=60), periods=90, freq="min", unit="us", name="open_time")
        close = np.full(len(index), 100.0)
        bars = {"open": close, "high": close + 1, "low": close - 1, "close": close, "volume": close}
        server.set_bars(LIVE_SYMBOL, "1m", pd.DataFrame(bars, index=index))
        yield server


@pytest.fixture
def typed(workspace: Path, server: BinanceTradingServer, invoke: Invoke) -> Iterator[Path]:
    """A workspace with a backtest `first` that buys at once and stops at 10 %; what was started is ended."""
    (workspace / "strategies" / "always.py").write_text(_ALWAYS_IN)
    secrets = workspace / "config" / ".env"
    secrets.write_text(f"BINANCE_API_KEY={KEY}\nBINANCE_API_SECRET={SECRET}\nBINANCE_BASE_URL={server.url}\n")
    secrets.chmod(0o600)
    start = (datetime.now(UTC) - timedelta(minutes=50)).isoformat()
    assert invoke("data", "fetch", *_BARS, "--start", start).code == 0
    run = ("backtest", "run", "always-in", *_BARS, "--size", "0.5", "--stop-loss", "0.1", "--save", "first")
    assert invoke(*run).code == 0
    yield workspace
    stop_everything(Workspace(workspace))


def deploy_live(invoke: Invoke, oms: str = "binance") -> str:
    """Deploy `first` on the live clock, a run each second; return its id."""
    start = (datetime.now(UTC) - timedelta(minutes=5)).isoformat()
    outcome = invoke("deploy", "first", "--oms", oms, "--every", "1s", "--start", start, "--json")
    assert outcome.code == 0, outcome.err
    return str(outcome.json()["id"])
