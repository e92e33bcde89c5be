"""Deployments: how fast one starts, what one more costs in memory, and how long a run without new bars takes."""

from __future__ import annotations

import subprocess
import sys
import tempfile
import time
from pathlib import Path

import psutil

from algo_py.backtest import BacktestConfig, SnapshotStore, run_backtest
from algo_py.clock import parse_time
from algo_py.deployment import Deployment, DeploymentManager, DeploymentRequest
from algo_py.deployment.config import LiveClock, Replay
from algo_py.deployment.schedule import EveryInterval, OnBarClose
from algo_py.finstore import FinStore
from algo_py.finstore.sample import install_sample
from algo_py.settings import Workspace
from tests.processes import stop_everything

_MANY = 20
_MIB = 1024 * 1024


def main() -> None:
    """Print start times, memory and run durations, each beside its budget."""
    with tempfile.TemporaryDirectory() as folder:
        workspace = Workspace(Path(folder))
        try:
            _measure(workspace)
        finally:
            stop_everything(workspace)


def _measure(workspace: Workspace) -> None:
    install_sample(FinStore(workspace.finstore))
    workspace.credentials_file.parent.mkdir(parents=True, exist_ok=True)
    workspace.credentials_file.write_text("BINANCE_BASE_URL=http://127.0.0.1:9\n")  # nobody answers, and nothing leaves
    config = BacktestConfig.model_validate(
        {
            "strategy": "ema-cross",
            "market": "crypto_binance",
            "timeframe": "1h",
            "symbols": ("BTC/USDT", "ETH/USDT", "SOL/USDT", "BNB/USDT", "XRP/USDT"),
            "start": parse_time("2025-01-01"),
            "end": parse_time("2025-02-01"),
        }
    )
    SnapshotStore(workspace).save(run_backtest(workspace, config), "saved")
    manager = DeploymentManager(workspace)
    idle = DeploymentRequest(backtest="saved", schedule=EveryInterval(every_s=86_400), clock=LiveClock())

    cold_s = _start(manager, idle)
    starts = sorted(_start(manager, idle) for _ in range(_MANY))
    print(f"deploy to first heartbeat, no supervisor yet   {cold_s * 1000:8.0f} ms")
    print(f"deploy to first heartbeat, median of {_MANY}        {starts[_MANY // 2] * 1000:8.0f} ms   budget 1500 ms")

    shares = [_pss(deployment) for deployment in manager.list() if deployment.pid]
    print(f"memory of one more idle deployment (PSS), mean {sum(shares) / len(shares):8.1f} MiB  budget 45 MiB")
    reference_s, reference_mib = _plain_process()
    print(f"reference: a process of its own, imports alone {reference_mib:8.1f} MiB, {reference_s * 1000:.0f} ms")

    replay = DeploymentRequest(backtest="saved", schedule=OnBarClose(), clock=Replay(bars_per_s=None), name="replay")
    ended = manager.wait_until(manager.deploy(replay).id, lambda d: d.status.has_ended, timeout_s=120)
    runs = sorted(run.duration_s for run in manager.runs(ended.id, last=1000))
    print(f"a run with one new bar, 5 symbols, median      {runs[len(runs) // 2] * 1000:8.1f} ms   ({len(runs)} runs)")


def _start(manager: DeploymentManager, request: DeploymentRequest) -> float:
    began = time.monotonic()
    deployment = manager.deploy(request)
    up = manager.wait_until(deployment.id, lambda d: d.status == "running", timeout_s=60)
    if up.status != "running":
        raise SystemExit(f"the deployment did not start: {up.status} {up.reason}")
    return time.monotonic() - began


def _pss(deployment: Deployment) -> float:
    return float(psutil.Process(deployment.pid).memory_full_info().pss / _MIB)


def _plain_process() -> tuple[float, float]:
    """Return the start time and the memory of a process that imports what a worker needs, without the shared parent."""
    code = (
        "import algo_py.deployment.worker\n"
        "from algo_py.engine import Account, PortfolioConfig\n"
        "Account(('A',), PortfolioConfig())\n"
        "import psutil; print(psutil.Process().memory_full_info().pss)"
    )
    began = time.monotonic()
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    return time.monotonic() - began, int(done.stdout) / _MIB
