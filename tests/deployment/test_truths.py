"""Every status, made to happen for real: what is shown is what is."""

from __future__ import annotations

import resource
import shutil
import signal
import socket
import sqlite3
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path

import numpy as np
import pandas as pd
import psutil
import pytest

from algo_py.clock import SystemClock, parse_time
from algo_py.deployment import Deployment, DeploymentManager, DeploymentRequest
from algo_py.deployment.config import Replay
from algo_py.deployment.schedule import EveryInterval, OnBarClose
from algo_py.finstore import FinStore
from algo_py.settings import Workspace
from tests.deployment.conftest import Save
from tests.deployment.strategies import ALWAYS_IN, write_strategy
from tests.deployment.test_lives import deploy, reach, run_on
from tests.processes import NO_NETWORK, stop_everything, supervisors
from tests.venues.binance import BinanceServer
from tests.venues.server import Fault

pytestmark = pytest.mark.shared_workspace

SUPERVISOR = "[supervisor]\nheartbeat_s = 0.2\nstop_grace_s = 3\n"
MARKET, SYMBOL = "crypto_binance", "AAA/USDT"


@pytest.fixture
def exchange() -> Iterator[BinanceServer]:
    with BinanceServer() as server:
        now = pd.Timestamp(datetime.now(UTC)).floor("min")
        index = pd.date_range(now - pd.Timedelta(minutes=120), periods=150, freq="min", unit="us", name="open_time")
        close = np.full(len(index), 100.0)
        values = {"open": close, "high": close + 1, "low": close - 1, "close": close, "volume": close}
        server.set_bars(SYMBOL, "1m", pd.DataFrame(values, index=index))
        yield server


@pytest.fixture
def live(workspace: Workspace, save: Save, exchange: BinanceServer) -> Workspace:
    """A saved backtest on minutes, whose deployments ask the exchange on loopback."""
    workspace.settings_file.write_text(SUPERVISOR + "stalled_after_s = 20\nlate_after_s = 1\n[data]\nfill_timeout_s = 20\n")
    workspace.credentials_file.write_text(f"BINANCE_BASE_URL={exchange.url}\n")
    index = pd.date_range(parse_time("2025-01-01"), periods=60, freq="min", unit="us", name="open_time")
    close = np.full(60, 100.0)
    values = {"open": close, "high": close + 1, "low": close - 1, "close": close, "volume": close}
    frame = pd.DataFrame(values, index=pd.DatetimeIndex(index))
    newer = frame.set_axis(pd.date_range(datetime.now(UTC) - timedelta(minutes=100), periods=60, freq="min").floor("min"))
    newer.index = pd.DatetimeIndex(newer.index, name="open_time").as_unit("us")
    FinStore(workspace.finstore).append(MARKET, "1m", {SYMBOL: newer}, now=SystemClock().now())
    write_strategy(workspace, "always-in", ALWAYS_IN)
    save(strategy="always-in", params={}, timeframe="1m", symbols=(SYMBOL,), start=newer.index[0], end=newer.index[50])
    return workspace


def replay(manager: DeploymentManager) -> Deployment:
    return manager.deploy(DeploymentRequest(backtest="saved", schedule=OnBarClose(), clock=Replay(bars_per_s=None)))


def test_late_while_the_exchange_answers_slowly_and_running_again_after(
    live: Workspace, manager: DeploymentManager, exchange: BinanceServer
) -> None:
    exchange.fail(Fault(applies=lambda request: request.path.endswith("/klines"), delay_s=4.0), times=1)
    deployment = manager.deploy(DeploymentRequest(backtest="saved", schedule=EveryInterval(every_s=1)))
    late = reach(manager, deployment, "late")
    assert "has not ended after" in late.reason
    assert late.since == late.row.next_run_at
    back = reach(manager, deployment, "running")
    assert back.row.runs >= 1


def test_late_by_the_strategy_itself_then_stalled(live: Workspace, manager: DeploymentManager, save: Save) -> None:
    live.settings_file.write_text(live.settings_file.read_text().replace("stalled_after_s = 20", "stalled_after_s = 3"))
    first = FinStore(live.finstore).coverage(MARKET, "1m", SYMBOL).first
    body = "        import sys\n        if 'supervisor' in ' '.join(sys.orig_argv):\n            time.sleep(8)\n" + ALWAYS_IN
    write_strategy(live, "sleepy", body, imports="import time\n\n")
    save(
        "sleepy", strategy="sleepy", params={}, timeframe="1m", symbols=(SYMBOL,), start=first, end=first + timedelta(minutes=50)
    )
    start = datetime.now(UTC) - timedelta(minutes=5)
    deployment = manager.deploy(DeploymentRequest(backtest="sleepy", schedule=EveryInterval(every_s=1), start=start))
    reach(manager, deployment, "late")
    stalled = reach(manager, deployment, "stalled")
    assert stalled.reason.startswith("no heartbeat for")
    assert stalled.since == stalled.row.heartbeat_at
    reach(manager, deployment, "running")


def test_a_strategy_that_does_not_come_back_loses_its_run_and_not_its_process(
    workspace: Workspace, manager: DeploymentManager, save: Save
) -> None:
    workspace.settings_file.write_text(SUPERVISOR + "strategy_timeout_s = 0.5\n" + NO_NETWORK)
    endless = (
        "            while True:\n                try:\n                    time.sleep(0.1)\n"
        "                except Exception:\n                    caught += 1\n                    if caught > 1:\n"
        "                        raise\n"
    )
    endless = "            caught = 0\n" + endless  # it swallows the first error
    body = "        if len(bars.index) == 20 and 'supervisor' in ' '.join(sys.orig_argv):\n" + endless
    write_strategy(workspace, "endless", body + ALWAYS_IN, imports="import sys\nimport time\n\n")
    save(strategy="endless", params={})
    deployment = reach(manager, replay(manager), "finished", timeout_s=60)
    [failed] = [run for run in manager.runs(deployment.id, last=1000) if run.outcome == "failed"]
    assert failed.detail["reason"] == "run of endless took longer than 0.5 s and was broken off. Make it faster."
    assert len([entry for entry in manager.logs(deployment.id, last=9999) if entry["event"] == "deployment.start"]) == 1


def test_a_strategy_that_takes_all_memory_loses_its_run_and_not_its_process(
    workspace: Workspace, manager: DeploymentManager, save: Save
) -> None:
    workspace.settings_file.write_text(SUPERVISOR + "memory_mib = 256\n" + NO_NETWORK)
    body = "        if len(bars.index) == 20 and 'supervisor' in ' '.join(sys.orig_argv):\n            bytearray(2**31)\n"
    write_strategy(workspace, "greedy", body + ALWAYS_IN, imports="import sys\n\n")
    save(strategy="greedy", params={})
    deployment = reach(manager, replay(manager), "finished", timeout_s=60)
    [failed] = [run for run in manager.runs(deployment.id, last=1000) if run.outcome == "failed"]
    assert "MemoryError" in str(failed.detail["reason"])


@pytest.mark.own_workspace
def test_a_process_that_hangs_where_no_signal_reaches_is_killed_and_goes_on(
    workspace: Workspace, manager: DeploymentManager, save: Save
) -> None:
    workspace.settings_file.write_text(
        SUPERVISOR + "stalled_after_s = 1\nhung_after_s = 3\nstrategy_timeout_s = 1\n" + NO_NETWORK
    )
    mark = workspace.root / "hung"
    body = (
        f"        if len(bars.index) == 20 and not Path({str(mark)!r}).exists() and 'supervisor' in ' '.join(sys.orig_argv):\n"
        f"            Path({str(mark)!r}).touch()\n"
        "            signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGALRM, signal.SIGTERM})\n"
        "            time.sleep(1000)\n"
    )
    write_strategy(
        workspace, "hanging", body + ALWAYS_IN, imports="import signal\nimport sys\nimport time\nfrom pathlib import Path\n\n"
    )
    save(strategy="hanging", params={})
    deployment = reach(manager, replay(manager), "stalled")
    killed = manager.wait_until(deployment.id, lambda d: "SIGKILL" in d.reason or d.status == "finished", timeout_s=30)
    assert killed.status in ("restarting", "finished")
    reach(manager, deployment, "finished", timeout_s=60)


def test_a_machine_that_sleeps_for_long_kills_nobody_on_waking(
    workspace: Workspace, manager: DeploymentManager, save: Save
) -> None:
    workspace.settings_file.write_text(SUPERVISOR + "stalled_after_s = 1\nhung_after_s = 3\n" + NO_NETWORK)
    save()
    deployment = run_on(manager, deploy(manager, bars_per_s=10), 2)
    [judge] = [process for process in supervisors(workspace) if process.pid != deployment.pid]
    for _ in range(2):
        sleepers = [judge, psutil.Process(deployment.pid)]
        for process in sleepers:
            process.suspend()
        SystemClock().sleep(4.0)
        for process in sleepers:  # the judge wakes first
            process.resume()
            SystemClock().sleep(0.4)
    later = run_on(manager, manager.show(deployment.id), manager.show(deployment.id).row.runs + 2)
    assert (later.pid, later.status) == (deployment.pid, "running")


def test_a_venue_that_cannot_be_reached_at_the_start_is_asked_until_it_can(live: Workspace, manager: DeploymentManager) -> None:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    live.credentials_file.write_text(
        f"BINANCE_API_KEY=some-key\nBINANCE_API_SECRET=some-secret\nBINANCE_BASE_URL=http://127.0.0.1:{port}\n"
    )
    live.credentials_file.chmod(0o600)
    deployment = manager.deploy(DeploymentRequest(backtest="saved", schedule=EveryInterval(every_s=1), oms="binance"))
    told = manager.wait_until(deployment.id, lambda d: "asked again" in d.reason, timeout_s=60)
    assert told.status == "starting", (told.status, told.reason)
    SystemClock().sleep(1.0)
    assert manager.show(deployment.id).pid == told.pid, "it waits in one process"
    manager.stop(deployment.id, close_positions=False)
    stopped = reach(manager, deployment, "stopped")
    assert "before its venue was reached" in stopped.reason


@contextmanager
def no_writes(workspace: Workspace) -> Iterator[None]:
    """Hold the database's write lock, as a process does that was suspended in a transaction."""
    with sqlite3.connect(workspace.database_file, isolation_level=None) as holder:
        holder.execute("BEGIN IMMEDIATE")
        try:
            yield
        finally:
            holder.execute("ROLLBACK")


def test_a_database_that_takes_no_writes_is_shown_as_silence_and_survived(
    workspace: Workspace, manager: DeploymentManager, save: Save
) -> None:
    save()
    deployment = deploy(manager, bars_per_s=20)
    with no_writes(workspace):
        stalled = reach(manager, deployment, "stalled")
        assert stalled.pid is not None
    back = manager.wait_until(deployment.id, lambda d: d.status == "running", timeout_s=40)
    assert (back.status, back.pid) == ("running", stalled.pid)


@pytest.mark.own_workspace
def test_a_clock_that_is_set(
    workspace: Workspace, manager: DeploymentManager, save: Save, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """Forward: the runs between are missed and counted. Back: the next run is due by the new time, not after hours."""
    shift = tmp_path / "shift"
    shift.write_text("0")
    monkeypatch.setenv("PYTHONPATH", str(Path(__file__).parent.parent / "shifted"))
    monkeypatch.setenv("TEST_CLOCK_SHIFT_FILE", str(shift))
    save()
    deployment = manager.deploy(DeploymentRequest(backtest="saved", schedule=EveryInterval(every_s=1)))
    before = run_on(manager, deployment, 2)
    shift.write_text("7200")
    ahead = manager.wait_until(deployment.id, lambda d: d.row.missed_runs > 7_000, timeout_s=30)
    assert 7_190 <= ahead.row.missed_runs - before.row.missed_runs <= 7_230
    shift.write_text("0")
    again = run_on(manager, deployment, 3)
    assert again.pid == before.pid
    assert abs(((again.row.last_run_at or ahead.row.created_at) - datetime.now(UTC)).total_seconds()) < 10
    assert any(entry["event"] == "clock.set_back" for entry in manager.logs(deployment.id))
    assert reach(manager, deployment, "no data").row.missed_runs < ahead.row.missed_runs + 10


@pytest.mark.own_workspace
def test_after_the_death_of_everything_the_command_brings_back_what_should_run(
    workspace: Workspace, manager: DeploymentManager, save: Save
) -> None:
    """A hundred lines of log or none: `algo-py up` is all that a person types after a reboot."""
    save()
    running = run_on(manager, deploy(manager, bars_per_s=20, name="running"), 5)
    paused, stopped = deploy(manager, bars_per_s=20, name="paused"), deploy(manager, name="stopped")
    manager.pause(paused.id)
    manager.stop(stopped.id, close_positions=False)
    reach(manager, paused, "paused")
    reach(manager, stopped, "stopped")
    finished = reach(manager, deploy(manager, bars_per_s=None, name="finished"), "finished")
    stop_everything(workspace)
    for one in (running, paused):
        assert manager.show(one.id).status == "restarting"
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    command = [sys.executable, "-m", "algo_py", "--workspace", str(workspace.root), "up", "--port", str(port)]
    up = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, cwd="/")
    try:
        back = reach(manager, running, "running")
        assert back.pid != running.pid
        reach(manager, paused, "paused")
        assert manager.show(stopped.id).status == "stopped"
        assert manager.show(finished.id).status == "finished"
        log = [entry["event"] for entry in manager.logs(running.id, last=10_000)]
        restart = len(log) - 1 - log[::-1].index("deployment.start")
        assert "run.done" in log[restart:] or run_on(manager, back, 2)
    finally:
        up.send_signal(signal.SIGTERM)
        up.wait(timeout=20)
    assert psutil.pid_exists(back.pid or 0), "what runs is no child of the page's"


def test_a_full_disk_is_shown_as_silence_and_what_traded_goes_on_after_it(manager: DeploymentManager, save: Save) -> None:
    """The kernel refuses every write of the worker, as it does on a full disk: to the database, to the log, to everything."""
    save()
    deployment = run_on(manager, deploy(manager, bars_per_s=60), 30)
    assert deployment.pid is not None
    _, most = resource.prlimit(deployment.pid, resource.RLIMIT_FSIZE)
    resource.prlimit(deployment.pid, resource.RLIMIT_FSIZE, (0, most))
    stalled = reach(manager, deployment, "stalled")
    assert stalled.pid == deployment.pid, "it waits for the disk, and does not die of it"
    resource.prlimit(deployment.pid, resource.RLIMIT_FSIZE, (most, most))
    reach(manager, deployment, "running")
    before = len(manager.orders(deployment.id))
    reach(manager, deployment, "finished", timeout_s=60)
    orders = manager.orders(deployment.id)
    assert len(orders) > before
    assert not [order for order in orders if order.status.is_open]
    events = {entry["event"] for entry in manager.logs(deployment.id, last=10_000)}
    assert "log.lost" in events


@pytest.mark.own_workspace
def test_a_deployment_whose_workspace_is_deleted_ends(workspace: Workspace, manager: DeploymentManager, save: Save) -> None:
    save()
    deployment = deploy(manager, bars_per_s=1)
    process = psutil.Process(deployment.pid)
    shutil.rmtree(workspace.root, ignore_errors=True)
    psutil.wait_procs([process], timeout=30)
    assert not process.is_running()
