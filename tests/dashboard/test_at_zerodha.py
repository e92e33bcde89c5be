"""A deployment at Zerodha while NSE is open: by command line and in the browser, in processes that live on such a day."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import expect

from algo_py.backtest import BacktestConfig, SnapshotStore, run_backtest
from algo_py.clock import SystemClock, parse_time
from algo_py.settings import Workspace
from tests.dashboard.conftest import Open, Serve
from tests.dashboard.person import eventually
from tests.oms.zerodha_desk import API_KEY, API_SECRET, TOKEN
from tests.venues.kite import Share
from tests.venues.kite_trading import KiteTradingServer

# A Tuesday, half past ten in India.
MOMENT = datetime(2025, 6, 3, 5, 0, tzinfo=UTC)
SHIFTED = Path(__file__).parent.parent / "shifted"
STRATEGY = '''from algo_py.strategy import Bars, Signals, Strategy


class AlwaysIn(Strategy):
    """Hold whatever there is."""

    @property
    def warm_up_bars(self) -> int:
        return 1

    def run(self, bars: Bars) -> Signals:
        return Signals(entries=bars.close > 0, exits=bars.close < 0)
'''


class ShiftedClock(SystemClock):
    """The machine's clock, `shift` away."""

    def __init__(self, shift: timedelta) -> None:
        self._shift = shift

    def now(self) -> datetime:
        return super().now() + self._shift


@pytest.fixture
def shift(monkeypatch: pytest.MonkeyPatch) -> timedelta:
    """Have processes that start from here on live at the moment."""
    shift = MOMENT - datetime.now(UTC)
    monkeypatch.setenv("PYTHONPATH", str(SHIFTED))
    monkeypatch.setenv("TEST_CLOCK_SHIFT_S", str(shift.total_seconds()))
    return shift


@pytest.fixture
def kite(shift: timedelta) -> Iterator[KiteTradingServer]:
    with KiteTradingServer(ShiftedClock(shift), api_key=API_KEY, api_secret=API_SECRET, access_token=TOKEN) as server:
        server.shares = {"INFY": Share(token=408065)}
        server.prices = {"INFY": Decimal("1550.0")}
        yield server


@pytest.fixture
def ready(workspace: Workspace, kite: KiteTradingServer) -> Workspace:
    (workspace.strategies / "always.py").write_text(STRATEGY)
    workspace.credentials_file.write_text(
        f"ZERODHA_API_KEY={API_KEY}\nZERODHA_API_SECRET={API_SECRET}\nZERODHA_ACCESS_TOKEN={TOKEN}\n"
        f"ZERODHA_ACCESS_TOKEN_EXPIRES=2025-06-04T00:30:00Z\nZERODHA_BASE_URL={kite.url}\n"
    )
    workspace.credentials_file.chmod(0o600)
    config = BacktestConfig(
        strategy="always-in",
        market="indian_equity",
        timeframe="1d",
        symbols=("INFY",),
        start=parse_time("2025-01-01"),
        end=parse_time("2025-06-02"),
        initial_cash=100_000.0,
        size=0.5,
    )
    SnapshotStore(workspace).save(run_backtest(workspace, config), "first")
    return workspace


def _typed(workspace: Workspace, *arguments: str) -> Any:
    """Run a command in a process of its own, and return what it printed."""
    command = [sys.executable, "-m", "algo_py", "--workspace", str(workspace.root), *arguments, "--json"]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, env=os.environ | {"PYTHONPATH": str(SHIFTED)})
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


def test_typed_and_seen(serve: Serve, sit_down: Open, ready: Workspace, kite: KiteTradingServer) -> None:
    deployed = _typed(
        ready, "deploy", "first", "--oms", "zerodha", "--every", "1s", "--start", "2025-06-01T00:00:00Z", "--name", "typed"
    )

    def orders() -> list[dict[str, Any]]:
        found: list[dict[str, Any]] = _typed(ready, "show", deployed["id"])["orders"]
        return found

    eventually(lambda: any(order["status"] == "FILLED" for order in orders()), "the order is filled")
    [order] = orders()
    assert (order["symbol"], order["side"], order["quantity"]) == ("INFY", "BUY", kite.trades[0].quantity)
    assert [one.tag for one in kite.orders.values()] == [order["client_order_id"]]

    person = sit_down(serve())
    person.opens("deployment")
    eventually(lambda: person.row("Deployments", "typed")["Status"] == "running", "the page shows it as running")
    assert person.row("Deployments", "typed")["OMS"] == "zerodha"
    person.page.get_by_role("table", name="Deployments").get_by_role("row").filter(has_text="typed").first.click()
    person.waits_for_quiet()
    person.chooses("View", "Orders")
    expect(person.page.get_by_role("table", name="Orders").get_by_role("row").filter(has_text="FILLED")).to_contain_text("INFY")

    person.presses("Load Backtest")
    expect(person.button("Deploy Strategy")).to_be_enabled()
    person.selects("OMS", "Zerodha")
    expect(person.page.get_by_text("Credentials: configured")).to_be_visible()
    person.presses("Check connection")
    expect(person.page.get_by_text("Connected, account AB1234")).to_be_visible()
    person.types("Deployment name", "seen")
    person.presses("Deploy Strategy")
    eventually(lambda: person.row("Deployments", "seen")["Status"] == "running", "the page shows it as running")
    assert _typed(ready, "stop", deployed["id"])["status"] == "stopped"
