"""What the manager refuses, and that a refusal leaves nothing behind."""

from __future__ import annotations

import json
from decimal import Decimal
from typing import Any

import pytest

from algo_py.clock import parse_time
from algo_py.deployment import DeploymentManager, DeploymentRequest
from algo_py.deployment.config import LiveClock, Replay
from algo_py.deployment.report import deployment_json
from algo_py.deployment.schedule import EveryInterval, OnBarClose
from algo_py.errors import AlgoPyError, Conflict, InvalidInput, NotFound, Refused
from algo_py.orders.model import OrderStatus
from algo_py.orders.risk import Limits
from algo_py.settings import Workspace
from tests.deployment.conftest import Save

FULL_SPEED = Replay(bars_per_s=None)

pytestmark = pytest.mark.shared_workspace


def request(**changes: Any) -> DeploymentRequest:
    values: dict[str, Any] = {"backtest": "saved", "schedule": OnBarClose(), "clock": FULL_SPEED}
    return DeploymentRequest(**(values | changes))


@pytest.mark.parametrize(
    ("changes", "kind", "message"),
    [
        ({"backtest": "nobody"}, NotFound, "there is no saved backtest 'nobody'"),
        ({"oms": "robinhood"}, NotFound, "there is no OMS 'robinhood'. Use one of paper, telegram, zerodha, binance."),
        ({"params": {"fastest": 1}}, InvalidInput, "ema-cross has no parameter 'fastest'. Did you mean 'fast'?"),
        ({"params": {"fast": 1}}, InvalidInput, "fast must be greater than or equal to 2 (was 1)"),
        ({"initial_cash": -5.0}, InvalidInput, "initial_cash"),
        ({"size": 0.0}, InvalidInput, "size"),
        ({"start": parse_time("2025-01-10"), "end": parse_time("2025-01-09")}, InvalidInput, "start"),
        ({"start": parse_time("2024-01-01")}, InvalidInput, "cannot start before its backtest's first bar"),
        ({"end": parse_time("2024-01-01")}, InvalidInput, "end must be after start"),
        ({"clock": LiveClock(), "end": parse_time("2020-01-01")}, InvalidInput, "end must be in the future"),
        (
            {"schedule": EveryInterval(every_s=86_400 * 7), "end": parse_time("2025-01-01T05:00")},
            InvalidInput,
            "the schedule has no run between start and end",
        ),
    ],
)
def test_what_cannot_be_is_refused_by_name_and_leaves_nothing(
    workspace: Workspace,
    manager: DeploymentManager,
    save: Save,
    changes: dict[str, Any],
    kind: type[AlgoPyError],
    message: str,
) -> None:
    save()
    with pytest.raises(kind) as refusal:
        manager.deploy(request(**changes))
    assert message in str(refusal.value)
    assert manager.list() == []
    assert not workspace.deployments.exists() or list(workspace.deployments.iterdir()) == []


@pytest.mark.parametrize(
    ("options", "named"),
    [
        ({"direction": "both"}, "direction both"),
        ({"direction": "short", "strategy": "bollinger-reversion", "params": {}}, "direction short"),
        ({"execution": "close"}, "execution close"),
        ({"execution": "close", "stop_loss": 0.05}, "execution close"),
    ],
)
def test_a_backtest_that_the_worker_cannot_repeat_is_refused(
    workspace: Workspace, manager: DeploymentManager, save: Save, options: dict[str, Any], named: str
) -> None:
    save(**options)
    for clock in (FULL_SPEED, LiveClock()):
        with pytest.raises(Refused) as refusal:
            manager.deploy(request(clock=clock))
        assert str(refusal.value) == (
            f"backtest 'saved' has {named}, which a deployment does not carry out yet. "
            "Deploy a backtest that was run long only, with fills at the next open."
        )
    assert manager.list() == []
    assert not workspace.deployments.exists()


@pytest.mark.parametrize(
    "options",
    [{"max_hold_bars": 5}, {"fixed_fees": 1.0}, {"maker_fees": 0.0}, {"borrow_rate_annual": 0.1}, {"cash_sharing": False}],
)
def test_what_the_worker_does_as_the_backtest_did_is_not_refused(
    manager: DeploymentManager, save: Save, options: dict[str, Any]
) -> None:
    snapshot = save(**options)
    config, _ = manager.configure(request())
    assert config.backtest == snapshot.config


def test_a_name_in_use_is_refused_and_leaves_nothing(workspace: Workspace, manager: DeploymentManager, save: Save) -> None:
    save()
    manager.deploy(request(name="mine"))
    with pytest.raises(Conflict, match="the name 'mine' is used by deployment"):
        manager.deploy(request(name="mine"))
    assert len(manager.list()) == 1
    assert len(list(workspace.deployments.iterdir())) == 1


def test_overrides_change_the_deployment_and_not_the_backtest(manager: DeploymentManager, save: Save) -> None:
    snapshot = save()
    config, _ = manager.configure(request(initial_cash=5000.0, size=0.1, params={"fast": "3"}))
    assert (config.backtest.initial_cash, config.backtest.size) == (5000.0, 0.1)
    assert config.backtest.params == {"fast": 3, "slow": 5}
    assert config.backtest.symbols == snapshot.config.symbols
    assert snapshot.config.params == {"fast": 2, "slow": 5}


def test_clearing_takes_ended_deployments_off_the_list_and_keeps_their_orders(manager: DeploymentManager, save: Save) -> None:
    save()
    ended = manager.deploy(request(name="ended"))
    manager.wait_until(ended.id, lambda d: d.status.has_ended, timeout_s=60)
    orders = manager.orders(ended.id)
    assert orders
    running = manager.deploy(request(name="running", clock=Replay(bars_per_s=1)))
    manager.wait_until(running.id, lambda d: d.status == "running", timeout_s=30)
    with pytest.raises(Refused, match="Stop it before clearing it"):
        manager.clear(running.id)
    assert manager.clear() == [ended.id]
    assert [deployment.id for deployment in manager.list()] == [running.id]
    assert [deployment.id for deployment in manager.list(cleared=True)] == [ended.id]
    assert manager.orders(ended.id) == orders
    for call in (manager.show, manager.restart):
        with pytest.raises(NotFound):
            call("ended")  # its name is free again; by its id it is read, and not changed
    with pytest.raises(NotFound):
        manager.restart(ended.id)


def test_an_order_above_the_limit_is_denied_and_recorded(manager: DeploymentManager, save: Save) -> None:
    save()
    deployment = manager.deploy(request(limits=Limits(max_order_notional=Decimal(100))))
    manager.wait_until(deployment.id, lambda d: d.status.has_ended, timeout_s=60)
    orders = manager.orders(deployment.id)
    assert orders
    assert {order.status for order in orders} == {OrderStatus.DENIED}
    assert all("max_order_notional" in order.reason and "100" in order.reason for order in orders)
    assert manager.fills(deployment.id) == []


def test_a_live_deployment_on_old_bars_says_so_and_does_not_trade(manager: DeploymentManager, save: Save) -> None:
    save()
    deployment = manager.deploy(request(clock=LiveClock(), schedule=EveryInterval(every_s=1)))
    told = manager.wait_until(deployment.id, lambda d: d.row.runs > 0, timeout_s=30)
    assert told.status == "no data"
    assert "Nothing is decided on such bars" in told.reason
    assert manager.runs(deployment.id)[0].outcome == "skipped"
    assert manager.orders(deployment.id) == []


def test_a_deployment_waits_for_its_start(manager: DeploymentManager, save: Save) -> None:
    save()
    deployment = manager.deploy(request(clock=LiveClock(), start=parse_time("2090-01-01")))
    waiting = manager.wait_until(deployment.id, lambda d: d.status == "waiting", timeout_s=30)
    assert waiting.status == "waiting"
    told = manager.wait_until(deployment.id, lambda d: d.row.next_run_at is not None, timeout_s=10)
    assert deployment_json(told)["next_run_at"] == "2090-01-01T00:00:00Z"
    manager.stop(deployment.id, close_positions=False)
    assert manager.wait_until(deployment.id, lambda d: d.status == "stopped", timeout_s=15).status == "stopped"


def test_what_programs_read_is_plain_json(manager: DeploymentManager, save: Save) -> None:
    save()
    deployment = manager.deploy(request())
    ended = manager.wait_until(deployment.id, lambda d: d.status.has_ended, timeout_s=60)
    shown = json.loads(json.dumps(deployment_json(ended)))
    assert shown["status"] == "finished"
    assert shown["pid"] is None
    assert shown["clock"] == "replay"
    assert shown["equity"] > 0
    assert shown["started_at"].endswith("Z")
