"""Deployments at Binance and in a Telegram chat, from the form to the orders, as a person sees them in the browser."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime
from functools import partial

import numpy as np
import pandas as pd
import pytest
from playwright.sync_api import expect

from algo_py.backtest import BacktestConfig, SnapshotStore, run_backtest
from algo_py.clock import SystemClock
from algo_py.deployment import DeploymentManager
from algo_py.finstore import FinStore
from algo_py.orders.model import OrderStatus
from algo_py.settings import Workspace
from tests.dashboard.conftest import Open, Serve
from tests.dashboard.person import Person, eventually
from tests.oms.binance_desk import KEY, SECRET
from tests.venues.binance_trading import BinanceTradingServer
from tests.venues.telegram import CHAT, TOKEN, TelegramServer

STRATEGY = '''from algo_py.strategy import Bars, Signals, Strategy


class AlwaysIn(Strategy):
    """Hold whatever there is."""

    @property
    def warm_up_bars(self) -> int:
        return 1

    def run(self, bars: Bars) -> Signals:
        return Signals(entries=bars.close > 0, exits=bars.close < 0)
'''


@pytest.fixture
def binance() -> Iterator[BinanceTradingServer]:
    with BinanceTradingServer(key=KEY, secret=SECRET) as server:
        server.list_symbol("BTC/USDT", "100")
        server.deposit("USDT", "10000")
        yield server


@pytest.fixture
def telegram() -> Iterator[TelegramServer]:
    with TelegramServer() as server:
        yield server


@pytest.fixture
def ready(workspace: Workspace, binance: BinanceTradingServer, telegram: TelegramServer) -> Workspace:
    """A saved backtest on minutes, and credentials for both."""
    now = pd.Timestamp(datetime.now(UTC)).floor("min")
    index = pd.date_range(now - pd.Timedelta(minutes=30), periods=60, freq="min", unit="us", name="open_time")
    close = np.full(len(index), 100.0)
    bars = pd.DataFrame({"open": close, "high": close + 1, "low": close - 1, "close": close, "volume": close}, index=index)
    binance.set_bars("BTC/USDT", "1m", bars)
    FinStore(workspace.finstore).append("crypto_binance", "1m", {"BTC/USDT": bars[:30]}, now=SystemClock().now())
    (workspace.strategies / "always.py").write_text(STRATEGY)
    workspace.settings_file.write_text("[supervisor]\nheartbeat_s = 0.2\nstalled_after_s = 10\nstop_grace_s = 5\n")
    workspace.credentials_file.write_text(
        f"BINANCE_API_KEY={KEY}\nBINANCE_API_SECRET={SECRET}\nBINANCE_BASE_URL={binance.url}\n"
        f"TELEGRAM_BOT_TOKEN={TOKEN}\nTELEGRAM_CHAT_ID={CHAT}\nTELEGRAM_BASE_URL={telegram.url}\n"
    )
    workspace.credentials_file.chmod(0o600)
    config = BacktestConfig(
        strategy="always-in", market="crypto_binance", timeframe="1m", symbols=("BTC/USDT",), size=0.5, stop_loss=0.1
    )
    SnapshotStore(workspace).save(run_backtest(workspace, config), "first")
    return workspace


def test_from_the_form_to_the_orders(
    serve: Serve,
    sit_down: Open,
    ready: Workspace,
    manager: DeploymentManager,
    binance: BinanceTradingServer,
    telegram: TelegramServer,
) -> None:
    person = sit_down(serve())
    for oms, account in (("Binance", "Connected, account"), ("Telegram", "Connected, account @algo_bot")):
        person.opens("deployment")
        person.presses("Load Backtest")
        expect(person.button("Deploy Strategy")).to_be_enabled()
        person.selects("OMS", oms)
        expect(person.page.get_by_text("Credentials: configured")).to_be_visible()
        person.presses("Check connection")
        expect(person.page.get_by_text(account)).to_be_visible()
        person.types("Deployment name", oms.lower())
        person.presses("Deploy Strategy")
        eventually(partial(_runs, person, oms.lower()), "the page shows it as running")
    eventually(lambda: telegram.messages, "the order is in the chat", timeout_s=90)
    telegram.press(telegram.messages[0], "Done at")
    for name in ("binance", "telegram"):
        eventually(partial(_has_filled, manager, name), "its order is filled", timeout_s=90)
        _look_at(person, name)
        orders = person.page.get_by_role("table", name="Orders")
        expect(orders.get_by_role("row").filter(has_text="FILLED").first).to_contain_text("BTC/USDT")
    _stop_and_see_what_is_watched(person, manager)
    secrets = (KEY, SECRET, TOKEN.partition(":")[2])
    assert not any(secret in person.page.content() for secret in secrets)
    assert len(binance.matching.orders) >= 1
    assert "done at 100" in telegram.messages[0].text


def _stop_and_see_what_is_watched(person: Person, manager: DeploymentManager) -> None:
    _look_at(person, "binance")
    person.chooses("View", "Positions")
    eventually(lambda: person.row("Protection", "BTC/USDT")["Protected by"] == "stop at the venue", "its stop is shown")
    person.unfolds("Stop", "Keep positions")
    expect(person.page.get_by_text("With its positions kept, its process goes on watching")).to_be_visible()
    expect(person.page.get_by_role("listitem").filter(has_text="STOP SELL")).to_be_visible()
    person.presses("Keep positions")
    eventually(lambda: person.row("Deployments", "binance")["Status"] == "watching", "it goes on watching its stop")
    person.stops(what="Close positions")
    eventually(lambda: person.row("Deployments", "binance")["Status"] == "stopped", "its positions are closed")
    assert manager.ledger("binance").positions == {}


def _runs(person: Person, name: str) -> bool:
    return person.row("Deployments", name)["Status"] == "running"


def _has_filled(manager: DeploymentManager, name: str) -> bool:
    return any(order.status is OrderStatus.FILLED for order in manager.orders(name))


def _look_at(person: Person, name: str) -> None:
    person.opens("deployment")
    person.page.get_by_role("table", name="Deployments").get_by_role("row").filter(has_text=name).first.click()
    person.waits_for_quiet()
    person.chooses("View", "Orders")
