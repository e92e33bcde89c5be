"""Stopping is no forgetting: processes at a local Binance that go on watching what is open, and a key that becomes another."""

from __future__ import annotations

import signal
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from decimal import Decimal

import numpy as np
import pandas as pd
import pytest

from algo_py.clock import SystemClock
from algo_py.deployment import Deployment, DeploymentManager, DeploymentRequest
from algo_py.deployment.config import OrderChoice
from algo_py.deployment.schedule import EveryInterval
from algo_py.deployment.status import Status
from algo_py.errors import Refused
from algo_py.finstore import FinStore
from algo_py.orders.model import OrderStatus
from algo_py.settings import Workspace
from tests.deployment.conftest import Save
from tests.deployment.strategies import ALWAYS_IN, write_strategy
from tests.deployment.test_lives import kill
from tests.oms.binance_desk import KEY, SECRET
from tests.venues.binance_trading import BinanceTradingServer

SYMBOL = "AAA/USDT"
Deploy = Callable[..., Deployment]


@pytest.fixture
def server() -> Iterator[BinanceTradingServer]:
    with BinanceTradingServer(key=KEY, secret=SECRET) as server:
        server.list_symbol(SYMBOL, "100")
        server.deposit("USDT", "10000")
        server.matching.fee_asset = "USDT"
        yield server


@pytest.fixture
def deploy(workspace: Workspace, manager: DeploymentManager, save: Save, server: BinanceTradingServer) -> Deploy:
    now = pd.Timestamp(datetime.now(UTC)).floor("min")
    index = pd.date_range(now - pd.Timedelta(minutes=60), periods=90, freq="min", unit="us", name="open_time")
    close = np.full(len(index), 100.0)
    bars = pd.DataFrame({"open": close, "high": close, "low": close, "close": close, "volume": close}, index=index)
    server.set_bars(SYMBOL, "1m", bars)
    FinStore(workspace.finstore).append("crypto_binance", "1m", {SYMBOL: bars[:60]}, now=SystemClock().now())
    write_strategy(workspace, "always-in", ALWAYS_IN)
    credentials(workspace, server)
    save(strategy="always-in", params={}, symbols=(SYMBOL,), timeframe="1m", start=index[0], end=index[40], stop_loss=0.05)
    workspace.settings_file.write_text("[supervisor]\nheartbeat_s = 0.2\nstalled_after_s = 5\nstop_grace_s = 3\n")

    def deployed(**changes: object) -> Deployment:
        values: dict[str, object] = {"schedule": EveryInterval(every_s=2), "oms": "binance", "enter_open_position": True}
        return manager.deploy(DeploymentRequest(backtest="saved", **values | changes))  # type: ignore[arg-type]

    return deployed


def credentials(workspace: Workspace, server: BinanceTradingServer, *, key: str = KEY, secret: str = SECRET) -> None:
    workspace.credentials_file.write_text(f"BINANCE_API_KEY={key}\nBINANCE_API_SECRET={secret}\nBINANCE_BASE_URL={server.url}\n")
    workspace.credentials_file.chmod(0o600)


def until(manager: DeploymentManager, deployment: Deployment, reached: Callable[[Deployment], bool]) -> Deployment:
    found = manager.wait_until(deployment.id, reached, timeout_s=40)
    assert reached(found), f"{found.status}: {found.reason}"
    return found


def resting(server: BinanceTradingServer) -> list[str]:
    return [order.type for order in server.matching.orders if order.is_open]


def test_what_is_held_is_watched_after_a_stop_until_nothing_is_open(
    manager: DeploymentManager, deploy: Deploy, server: BinanceTradingServer
) -> None:
    deployment = deploy()
    until(manager, deployment, lambda d: resting(server) == ["STOP_LOSS"])
    manager.stop(deployment.id, close_positions=False)
    watching = until(manager, deployment, lambda d: d.status is Status.WATCHING)
    assert "it goes on watching STOP SELL" in watching.reason
    assert resting(server) == ["STOP_LOSS"], "the stop stays"
    with pytest.raises(Refused, match="Stop it before clearing it"):
        manager.clear(deployment.id)
    supervisor_survives_its_worker = watching.pid
    kill(watching, signal.SIGKILL)
    until(manager, deployment, lambda d: d.status is Status.WATCHING and d.pid not in (None, supervisor_survives_its_worker))
    server.set_price(SYMBOL, "94.00")
    ended = until(manager, deployment, lambda d: d.status is Status.STOPPED)
    assert ended.reason == "stopped by request"
    assert manager.ledger(deployment.id).positions == {}
    sold = [fill for fill in manager.fills(deployment.id) if fill.side == "SELL"]
    assert sum((fill.quantity for fill in sold), Decimal(0)) > 0
    assert manager.clear(deployment.id) == [deployment.id]


def test_what_is_watched_can_be_closed_and_restarted(
    manager: DeploymentManager, deploy: Deploy, server: BinanceTradingServer
) -> None:
    deployment = deploy()
    until(manager, deployment, lambda d: resting(server) == ["STOP_LOSS"])
    manager.stop(deployment.id, close_positions=False)
    until(manager, deployment, lambda d: d.status is Status.WATCHING)
    manager.restart(deployment.id)
    until(manager, deployment, lambda d: d.status is Status.RUNNING)
    manager.stop(deployment.id, close_positions=True)
    ended = until(manager, deployment, lambda d: d.status is Status.STOPPED)
    assert ended.reason == "stopped by request, its positions are closed"
    assert resting(server) == []
    balance = server.matching.balance("AAA")
    assert balance.free + balance.locked == 0


def test_a_limit_entry_is_taken_back_when_it_is_stopped(
    manager: DeploymentManager, deploy: Deploy, server: BinanceTradingServer
) -> None:
    deployment = deploy(order=OrderChoice(type="limit", offset_bps=-500.0, timeout_s=3600.0))
    until(manager, deployment, lambda d: resting(server) == ["LIMIT"])
    manager.stop(deployment.id, close_positions=False)
    until(manager, deployment, lambda d: d.status is Status.STOPPED)
    assert resting(server) == []
    assert [order.status for order in manager.orders(deployment.id)] == [OrderStatus.CANCELED]


def test_a_key_of_another_account_sends_nothing_until_the_right_one_is_back(
    workspace: Workspace, manager: DeploymentManager, deploy: Deploy, server: BinanceTradingServer
) -> None:
    other = server.add_account(key="anotherkeyofanother", secret="anothersecretofthat", uid=99)
    other.matching.balance("AAA").free = Decimal(500)
    deployment = deploy()
    held = until(manager, deployment, lambda d: resting(server) == ["STOP_LOSS"])
    credentials(workspace, server, key="anotherkeyofanother", secret="anothersecretofthat")
    kill(held, signal.SIGKILL)
    told = until(manager, deployment, lambda d: d.status is Status.HALTED)
    assert "the credentials are those of" in told.reason
    assert other.matching.orders == []
    credentials(workspace, server)
    kill(manager.show(deployment.id), signal.SIGKILL)
    until(manager, deployment, lambda d: d.status is Status.RUNNING and d.row.bad_runs == 0)
    assert resting(server) == ["STOP_LOSS"]
