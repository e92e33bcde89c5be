"""A hundred deployments at once, 50 replays and 50 on the live clock, with a local Binance.

`python -m benchmarks.hundred [SECONDS]`: they live as in a trader's workspace, with the usual settings, for ten minutes unless
told otherwise (a minute among the other benchmarks). All the while it is looked at whether each is shown as it should be; what
they take of the machine is told at the end.
"""

from __future__ import annotations

import multiprocessing
import sys
import tempfile
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import psutil

from algo_py.backtest import BacktestConfig, SnapshotStore, run_backtest
from algo_py.clock import SystemClock, monotonic_s, parse_time
from algo_py.deployment import Deployment, DeploymentManager, DeploymentRequest
from algo_py.deployment.config import LiveClock, Replay
from algo_py.deployment.schedule import EveryInterval, OnBarClose
from algo_py.finstore import FinStore
from algo_py.finstore.sample import install_sample
from algo_py.settings import Workspace
from tests.processes import processes_of, stop_everything
from tests.venues.binance import BinanceServer

_EACH = 50
_SYMBOLS = ("BTC/USDT", "ETH/USDT")
_MIB = 1024 * 1024
_LOOK_EVERY_S = 2.0
_SETTLED_S = 180.0
_USUAL_S, _AMONG_OTHERS_S = 600.0, 60.0


def main(seconds: float = _AMONG_OTHERS_S) -> None:
    """Print what a hundred deployments take, beside the budgets, and whether all of them did what they should."""
    with tempfile.TemporaryDirectory() as folder, _exchange(seconds) as url:
        workspace = Workspace(Path(folder))
        try:
            _measure(workspace, url, seconds)
        finally:
            stop_everything(workspace)


@dataclass
class _Seen:
    """What the looks have found. `ages_s`: of every heartbeat at every look."""

    list_s: list[float] = field(default_factory=list)
    ages_s: list[float] = field(default_factory=list)
    statuses: Counter[str] = field(default_factory=Counter)
    reasons: Counter[str] = field(default_factory=Counter)

    def look(self, manager: DeploymentManager) -> None:
        began_s = monotonic_s()
        shown = manager.list()
        self.list_s.append(monotonic_s() - began_s)
        now = SystemClock().now()
        for one in shown:
            self.statuses[one.status] += 1
            if one.status != "running":
                self.reasons[f"{one.name} {one.status}: {one.reason}"] += 1
            if one.row.heartbeat_at is not None:
                self.ages_s.append((now - one.row.heartbeat_at).total_seconds())


def _measure(workspace: Workspace, url: str, seconds: float) -> None:
    _prepare(workspace, url)
    manager, began_s = DeploymentManager(workspace), monotonic_s()
    for number in range(_EACH):
        replay = Replay(bars_per_s=1.0)
        manager.deploy(DeploymentRequest(backtest="hours", schedule=OnBarClose(), clock=replay, name=f"replay {number}"))
        every_s = 10 if number % 2 else 60
        schedule = EveryInterval(every_s=every_s)
        manager.deploy(DeploymentRequest(backtest="minutes", schedule=schedule, clock=LiveClock(), name=f"live {number}"))
    asked_s = monotonic_s() - began_s
    while any(one.status == "starting" for one in manager.list()) and monotonic_s() - began_s < _SETTLED_S:
        SystemClock().sleep(0.5)
    up_s = monotonic_s() - began_s

    seen, began_s, before = _Seen(), monotonic_s(), _cpu_s(workspace, manager)
    psutil.cpu_percent()
    while monotonic_s() - began_s < seconds:
        seen.look(manager)
        SystemClock().sleep(_LOOK_EVERY_S)
    busy_percent, after, wall_s = psutil.cpu_percent(), _cpu_s(workspace, manager), monotonic_s() - began_s
    spent = {name: (after[name] - before[name]) / wall_s for name in after}
    shown = manager.list()
    _print_table(manager, shown, seen, spent, busy_percent=busy_percent)
    print(f"deployed in {asked_s:.1f} s, all up after {up_s:.1f} s, watched for {wall_s:.0f} s")
    _print_verdict(workspace, shown, seen)


def _print_table(
    manager: DeploymentManager, shown: Sequence[Deployment], seen: _Seen, spent: dict[str, float], *, busy_percent: float
) -> None:
    starts = [(d.row.started_at - d.row.created_at).total_seconds() for d in shown if d.row.started_at is not None]
    shares = [psutil.Process(d.pid).memory_full_info().pss / _MIB for d in shown if d.pid is not None]
    _line("deploy to first heartbeat, median of 100, all at once", np.median(starts), "s", "1.5 s")
    _line("deploy to first heartbeat, longest", max(starts), "s")
    _line("memory of a deployment (PSS), mean", np.mean(shares), "MiB", "45 MiB")
    _line("memory of a deployment (PSS), most", max(shares), "MiB")
    _line("memory of all", sum(shares) / 1024, "GiB", "24 GiB")
    _line("ps: the list of all, median", np.median(seen.list_s) * 1000, "ms", "the page: 2 s")
    _line("ps: the list of all, longest", max(seen.list_s) * 1000, "ms")
    _line("heartbeat, age at 99 of 100 looks", np.percentile(seen.ages_s, 99), "s", "2 s, then the next")
    _line("heartbeat, greatest age", max(seen.ages_s), "s", "30 s: stalled")
    for kind in ("replay", "live"):
        runs = [run for d in shown if d.name.startswith(kind) for run in manager.runs(d.id, last=2000)]
        took = [run.duration_s * 1000 for run in runs]
        _line(f"a {kind}'s run, median of {len(runs)}", np.median(took), "ms", "150 ms, fetch aside" if kind == "live" else "")
        _line(f"a {kind}'s run, 99 of 100", np.percentile(took, 99), "ms")
    _line("CPU of all replays (1 bar/s each)", spent["replay"] * 100, "% of a core")
    _line("CPU of all live ones (every 10 s and 60 s)", spent["live"] * 100, "% of a core")
    _line("CPU of the supervisor", spent["supervisor"] * 100, "% of a core")
    _line(f"CPU of the whole machine, {psutil.cpu_count()} cores, others too", busy_percent, "%")


def _line(what: str, value: float | np.floating[Any], unit: str, budget: str = "") -> None:
    print(f"{what:56}{value:10.2f} {unit:12}{'budget ' + budget if budget else ''}".rstrip())


def _print_verdict(workspace: Workspace, shown: Sequence[Deployment], seen: _Seen) -> None:
    limit_s = workspace.settings().supervisor.stalled_after_s
    late = sum(age > limit_s for age in seen.ages_s)
    print(f"all heartbeats on time: {'yes' if not late else f'no, {late} of {len(seen.ages_s)} were older than {limit_s:g} s'}")
    print(f"missed runs: {sum(d.row.missed_runs for d in shown)} of {sum(d.row.runs for d in shown)}")
    others = {status: count for status, count in seen.statuses.items() if status != "running"}
    print(f"shown as running at all looks: {'yes' if not others else f'no: {others} of {seen.statuses.total()}'}")
    for reason, count in seen.reasons.most_common(10):
        print(f"  {count} times {reason}")
    failed = [f"{d.name}: {d.reason}" for d in shown if d.reason]
    print(f"last run with a reason: {len(failed)}{''.join(f'{chr(10)}  {line}' for line in failed[:10])}")


def _cpu_s(workspace: Workspace, manager: DeploymentManager) -> dict[str, float]:
    """Return the CPU seconds of the replays, the live deployments, and the supervisor with its fork server so far."""
    kinds = {d.pid: d.name.partition(" ")[0] for d in manager.list()}
    spent = {"replay": 0.0, "live": 0.0, "supervisor": 0.0}
    for process in processes_of(workspace):
        with suppress(psutil.NoSuchProcess, KeyError):
            times = process.cpu_times()
            spent[kinds.get(process.pid, "supervisor")] += times.user + times.system
    return spent


def _prepare(workspace: Workspace, url: str) -> None:
    store, now = FinStore(workspace.finstore), pd.Timestamp(SystemClock().now()).floor("min")
    install_sample(store)
    workspace.credentials_file.parent.mkdir(parents=True)
    workspace.credentials_file.write_text(f"BINANCE_BASE_URL={url}\n")
    frame = _minutes(now, seconds=0)[:-1]
    store.append("crypto_binance", "1m", dict.fromkeys(_SYMBOLS, frame), now=SystemClock().now())
    common = {
        "strategy": "ema-cross",
        "params": {"fast": 5, "slow": 20},
        "market": "crypto_binance",
        "symbols": _SYMBOLS,
        "size": 0.4,
    }
    hours = {"timeframe": "1h", "start": parse_time("2025-01-01"), "end": parse_time("2026-02-01")}
    minutes = {"timeframe": "1m", "start": frame.index[0], "end": frame.index[-1]}
    for name, window in (("hours", hours), ("minutes", minutes)):
        SnapshotStore(workspace).save(run_backtest(workspace, BacktestConfig.model_validate(common | window)), name)


def _minutes(now: pd.Timestamp, *, seconds: float) -> pd.DataFrame:
    """Return the minutes of the last five hours and of `seconds` to come, an hour more than that."""
    index = pd.date_range(
        now - pd.Timedelta(hours=5), now + pd.Timedelta(seconds=seconds), freq="min", unit="us", name="open_time"
    )
    close = np.round(100 + 5 * np.sin(np.arange(len(index)) / 4), 2)
    values = {"open": close, "high": close + 0.5, "low": close - 0.5, "close": close, "volume": np.full(len(index), 3.0)}
    return pd.DataFrame(values, index=index)


@contextmanager
def _exchange(seconds: float) -> Iterator[str]:
    """Have a Binance in a process of its own, and yield its address."""
    ours, its = multiprocessing.Pipe()
    process = multiprocessing.get_context("spawn").Process(target=_serve, args=(its, seconds + 3600), daemon=True)
    process.start()
    try:
        yield ours.recv()
    finally:
        ours.send("enough")
        process.join(10)


def _serve(line: Connection, seconds: float) -> None:
    with BinanceServer() as server:
        frame = _minutes(pd.Timestamp(SystemClock().now()).floor("min"), seconds=seconds)
        for symbol in _SYMBOLS:
            server.set_bars(symbol, "1m", frame)
        line.send(server.url)
        line.recv()


if __name__ == "__main__":
    main(float(sys.argv[1]) if len(sys.argv) > 1 else _USUAL_S)
