"""A replay through the whole pipeline, in processes of its own, gives exactly the orders of the backtest."""

from __future__ import annotations

from datetime import datetime, timedelta

import pandas as pd
import pytest

from algo_py.backtest import Snapshot
from algo_py.clock import parse_time
from algo_py.deployment import Deployment, DeploymentManager, DeploymentRequest
from algo_py.deployment.config import Replay
from algo_py.deployment.schedule import EveryInterval, OnBarClose, Schedule
from algo_py.finstore import FinStore
from algo_py.orders.model import OrderStatus
from algo_py.settings import Workspace
from tests.deployment.conftest import Save

Row = tuple[datetime, str, str, float, float, float]
FULL_SPEED = Replay(bars_per_s=None)

pytestmark = pytest.mark.shared_workspace


def replay(manager: DeploymentManager, name: str = "saved", schedule: Schedule | None = None) -> Deployment:
    request = DeploymentRequest(backtest=name, schedule=schedule or OnBarClose(), clock=FULL_SPEED)
    deployment = manager.deploy(request)
    deployment = manager.wait_until(deployment.id, lambda d: d.status.has_ended, timeout_s=90)
    assert (deployment.status, deployment.row.missed_runs) == ("finished", 0), (deployment.reason, manager.logs(deployment.id))
    return deployment


def of_the_backtest(snapshot: Snapshot) -> list[Row]:
    orders = snapshot.orders()
    filled = orders[orders["status"] == "FILLED"]
    columns = [filled[name].to_list() for name in ("time", "symbol", "side", "quantity", "price", "fee")]
    return [(time.to_pydatetime(), *rest) for time, *rest in zip(*columns, strict=True)]


def of_the_replay(manager: DeploymentManager, deployment: Deployment) -> list[Row]:
    fills = manager.fills(deployment.id)
    return [(f.time, f.symbol, str(f.side), float(f.quantity), float(f.price), float(f.fee)) for f in fills]


def assert_equal(manager: DeploymentManager, deployment: Deployment, snapshot: Snapshot) -> None:
    expected = of_the_backtest(snapshot)
    assert len(expected) > 10
    assert sorted(of_the_replay(manager, deployment)) == sorted(expected)
    assert deployment.row.equity is not None
    assert float(deployment.row.equity) == snapshot.metrics["final_equity"]
    equity = manager.equity(deployment.id)
    assert [float(point.equity) for point in equity] == snapshot.equity().to_list()


@pytest.mark.parametrize(
    "changes",
    [
        {},
        {"cash_sharing": False, "size": 1.0},
        {"size": 1.0, "symbols": ("BTC/USDT", "ETH/USDT", "SOL/USDT"), "strategy": "rsi-reversion", "params": {"length": 5}},
        {"size_type": "value", "size": 6000.0, "allow_partial": True},
        {
            "market": "indian_equity",
            "timeframe": "1d",
            "symbols": ("RELIANCE", "TCS", "INFY"),
            "start": parse_time("2024-07-01"),
            "end": parse_time("2025-01-01"),
            "initial_cash": 1_000_000.0,
            "params": {"fast": 3, "slow": 8},
        },
        {"max_hold_bars": 7},
        {
            "market": "indian_equity",
            "timeframe": "1d",
            "symbols": ("RELIANCE", "TCS", "INFY"),
            "start": parse_time("2024-10-01"),
            "end": parse_time("2025-04-01"),
            "initial_cash": 1_000_000.0,
            "params": {"fast": 3, "slow": 8},
            "cost_schedule": "nse_delivery",
            "fixed_fees": 20.0,
        },
        {"stop_loss": 0.006},
        {"take_profit": 0.01, "maker_fees": 0.0002},
        {"trailing_stop": 0.012},
        {
            "stop_loss": 0.006,
            "take_profit": 0.008,
            "trailing_stop": 0.007,
            "max_hold_bars": 9,
            "size": 0.9,
            "params": {"fast": 2, "slow": 4},
            "symbols": ("BTC/USDT", "ETH/USDT", "SOL/USDT"),
        },
        {"stop_loss": 0.004, "take_profit": 0.004, "cash_sharing": False, "size": 1.0, "params": {"fast": 2, "slow": 4}},
    ],
    ids=[
        "two symbols",
        "split cash",
        "all-in on three",
        "not enough cash",
        "NSE daily",
        "longest hold",
        "NSE charges",
        "stop loss",
        "take profit",
        "trailing stop",
        "all stops",
        "stops, split cash",
    ],
)
def test_a_replay_gives_exactly_the_orders_of_its_backtest(
    manager: DeploymentManager, save: Save, changes: dict[str, object]
) -> None:
    snapshot = save(**changes)
    deployment = replay(manager)
    assert_equal(manager, deployment, snapshot)


def test_denied_orders_of_the_backtest_do_not_fill_in_the_replay_either(manager: DeploymentManager, save: Save) -> None:
    snapshot = save(size_type="value", size=6000.0, allow_partial=False)
    denied = (snapshot.orders()["status"] == "DENIED").sum()
    assert denied > 0
    deployment = replay(manager)
    assert_equal(manager, deployment, snapshot)
    assert sum(order.status is OrderStatus.REJECTED for order in manager.orders(deployment.id)) == denied


def test_symbols_that_lack_bars_wait_as_they_do_in_the_backtest(
    workspace: Workspace, manager: DeploymentManager, save: Save
) -> None:
    """An order that is due on a missing bar fills at its symbol's next one, in the engine's order among the others."""
    store = FinStore(workspace.finstore)
    start, end = parse_time("2025-01-01"), parse_time("2025-01-08")
    now = parse_time("2026-06-01")
    for number, symbol in enumerate(("AAA/USDT", "BBB/USDT", "CCC/USDT")):
        source = ("BTC/USDT", "ETH/USDT", "SOL/USDT")[number]
        frame = store.read("crypto_binance", "1h", source, start=start, end=end)
        holes = [row for row in range(len(frame)) if (row * 7 + number * 3) % 11 in (0, 1)]
        store.append("crypto_binance", "1h", {symbol: frame.drop(frame.index[holes])}, now=now)
    changes = {"symbols": ("BBB/USDT", "AAA/USDT", "CCC/USDT"), "params": {"fast": 2, "slow": 4}, "size": 0.9}
    snapshot = save(**changes)
    waited = pd.to_datetime(snapshot.orders()["time"]) - pd.to_datetime(snapshot.orders()["bar_time"])
    assert (waited > timedelta(hours=1)).any()
    assert_equal(manager, replay(manager), snapshot)


def test_a_coarser_schedule_trades_on_what_it_sees(manager: DeploymentManager, save: Save) -> None:
    """Every four hours: fewer runs, entries only of the newest bar, exits of every bar since the last run."""
    save()
    deployment = replay(manager, schedule=EveryInterval(every_s=4 * 3600))
    runs = manager.runs(deployment.id, last=1000)
    assert {run.scheduled_at.hour % 4 for run in runs} == {0}
    assert len(runs) == 7 * 6
    assert all(order.request.bar_time.hour % 4 == 3 for order in manager.orders(deployment.id))


def test_two_replays_at_once_do_not_touch_one_another(manager: DeploymentManager, save: Save) -> None:
    snapshot = save()
    request = DeploymentRequest(backtest="saved", schedule=OnBarClose(), clock=FULL_SPEED)
    both = [manager.deploy(request), manager.deploy(request)]
    assert both[0].name != both[1].name
    for deployment in both:
        ended = manager.wait_until(deployment.id, lambda d: d.status.has_ended, timeout_s=90)
        assert_equal(manager, ended, snapshot)


def test_the_strategy_of_that_day_runs_and_not_that_of_the_workspace(
    workspace: Workspace, manager: DeploymentManager, save: Save
) -> None:
    workspace.strategies.mkdir()
    source = workspace.strategies / "mine.py"
    source.write_text(
        "from algo_py.strategy import Bars, Signals, Strategy\n"
        "class Mine(Strategy):\n"
        "    def run(self, bars: Bars) -> Signals:\n"
        "        up = bars.close > bars.open\n"
        "        return Signals(entries=up, exits=~up)\n"
    )
    snapshot = save(strategy="mine", params={})
    source.write_text("this is no longer Python")
    assert_equal(manager, replay(manager), snapshot)
