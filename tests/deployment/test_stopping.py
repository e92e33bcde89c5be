"""Stopping: positions are kept or closed, exactly once, whatever dies meanwhile; a shutdown is no stop."""

from __future__ import annotations

import signal
import subprocess
import sys
from decimal import Decimal

import pytest

from algo_py.backtest import Snapshot
from algo_py.deployment import Deployment, DeploymentManager
from algo_py.deployment.closing import CLOSED_ON_STOPPING
from algo_py.deployment.store import DeploymentStore
from algo_py.errors import Refused
from algo_py.orders.model import OrderStatus, Side
from algo_py.orders.records import JournaledOrder
from algo_py.settings import Workspace
from algo_py.workspace_database import open_workspace_database
from tests.deployment.conftest import Save
from tests.deployment.strategies import ALWAYS_IN, write_strategy
from tests.deployment.test_lives import deploy, kill, reach, reach_another_process, run_on
from tests.deployment.test_replay import assert_equal

pytestmark = pytest.mark.shared_workspace


@pytest.fixture
def holding(workspace: Workspace, save: Save) -> Snapshot:
    """A saved backtest that buys at the first bar and never sells."""
    write_strategy(workspace, "always-in", ALWAYS_IN)
    return save(strategy="always-in", params={}, size=0.4)


def until_it_holds(manager: DeploymentManager, deployment: Deployment) -> None:
    manager.wait_until(deployment.id, lambda d: len(manager.ledger(d.id).positions) == 2, timeout_s=30)
    assert set(manager.ledger(deployment.id).positions) == {"BTC/USDT", "ETH/USDT"}


def closing(manager: DeploymentManager, deployment: Deployment) -> list[JournaledOrder]:
    return [order for order in manager.orders(deployment.id) if order.request.reason == CLOSED_ON_STOPPING]


def assert_closed(manager: DeploymentManager, deployment: Deployment) -> None:
    stopped = reach(manager, deployment, "stopped")
    assert stopped.reason == "stopped by request, its positions are closed"
    assert manager.ledger(deployment.id).positions == {}
    sold = [(order.request.symbol, order.status) for order in closing(manager, deployment)]
    assert sorted(sold) == [("BTC/USDT", OrderStatus.FILLED), ("ETH/USDT", OrderStatus.FILLED)]
    assert stopped.row.equity == stopped.row.cash
    assert not [order for order in manager.orders(deployment.id) if order.status.is_open]


def test_positions_are_closed_before_it_ends(manager: DeploymentManager, holding: Snapshot) -> None:
    deployment = deploy(manager)
    until_it_holds(manager, deployment)
    manager.stop(deployment.id, close_positions=True)
    assert_closed(manager, deployment)
    runs = manager.runs(deployment.id)
    assert (runs[-1].outcome, runs[-1].detail["left"]) == ("closed", [])


def test_kept_positions_can_be_closed_afterwards_and_no_other_time(manager: DeploymentManager, holding: Snapshot) -> None:
    deployment = deploy(manager)
    until_it_holds(manager, deployment)
    manager.stop(deployment.id, close_positions=False)
    reason = reach(manager, deployment, "stopped").reason
    assert reason.startswith("stopped by request, it keeps 0.")
    assert "BTC/USDT (3," in reason
    assert "ETH/USDT (3," in reason
    assert len(manager.ledger(deployment.id).positions) == 2
    assert manager.stop(deployment.id, close_positions=True).status == "stopping"
    assert_closed(manager, deployment)
    assert manager.stop(deployment.id, close_positions=True).status == "stopped"
    assert_closed(manager, deployment)


@pytest.mark.parametrize("times", [1, 3])
def test_a_worker_that_is_killed_while_it_closes_closes_once(manager: DeploymentManager, holding: Snapshot, times: int) -> None:
    deployment = deploy(manager, bars_per_s=4)
    until_it_holds(manager, deployment)
    manager.stop(deployment.id, close_positions=True)
    pid = manager.show(deployment.id).row.pid
    for _ in range(times):
        manager.wait_until(deployment.id, lambda d: bool(closing(manager, d)) or d.status.has_ended, timeout_s=30)
        found = manager.show(deployment.id)
        if found.pid is not None:
            kill(found)
        manager.wait_until(deployment.id, lambda d, dead=pid: d.row.pid != dead or d.status.has_ended, timeout_s=30)  # type: ignore[misc]
        pid = manager.show(deployment.id).row.pid
    assert_closed(manager, deployment)
    sold: dict[str, Decimal] = {}
    for fill in manager.fills(deployment.id):
        sign = 1 if fill.side is Side.BUY else -1
        sold[fill.symbol] = sold.get(fill.symbol, Decimal(0)) + sign * fill.quantity
    assert set(sold.values()) == {Decimal(0)}


def test_a_halt_does_not_keep_it_from_closing(manager: DeploymentManager, holding: Snapshot) -> None:
    deployment = deploy(manager)
    until_it_holds(manager, deployment)
    manager.halt(deployment.id, reason="somebody looks into it")
    manager.stop(deployment.id, close_positions=True)
    assert_closed(manager, deployment)


def test_a_replay_that_has_reached_its_end_has_nobody_to_trade_with(manager: DeploymentManager, holding: Snapshot) -> None:
    deployment = deploy(manager, bars_per_s=None)
    reach(manager, deployment, "finished")
    with pytest.raises(Refused, match="has reached the end of its replay"):
        manager.stop(deployment.id, close_positions=True)


def test_a_process_that_is_told_to_end_by_somebody_else_comes_back(manager: DeploymentManager, save: Save) -> None:
    """As when the machine shuts down: nobody has asked for a stop."""
    snapshot = save()
    deployment = run_on(manager, deploy(manager, bars_per_s=100), 20)
    kill(deployment, signal.SIGTERM)
    reach_another_process(manager, deployment)
    assert any(entry["event"] == "deployment.interrupted" for entry in manager.logs(deployment.id, last=1000))
    assert_equal(manager, reach(manager, deployment, "finished", timeout_s=60), snapshot)


def test_a_pid_that_belongs_to_another_by_now_is_never_signalled(
    workspace: Workspace, manager: DeploymentManager, save: Save
) -> None:
    """A stop of a deployment whose recorded process is by now another one signals neither."""
    save()
    deployment = deploy(manager, bars_per_s=1)
    innocent = subprocess.Popen([sys.executable, "-c", "import sys; sys.stdin.read()"], stdin=subprocess.PIPE)
    try:
        assert deployment.row.pid_created_s is not None
        store = DeploymentStore(open_workspace_database(workspace))
        born = deployment.row.pid_created_s
        store.set_process(deployment.id, pid=innocent.pid, pid_created_s=born, at=deployment.row.created_at)
        manager.stop(deployment.id, close_positions=False)
        manager.wait_until(deployment.id, lambda d: d.status.has_ended, timeout_s=5)
        assert innocent.poll() is None
        assert manager.show(deployment.id).status == "stopping"
    finally:
        innocent.kill()
        innocent.communicate(timeout=10)
