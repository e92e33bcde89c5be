"""The world in which chaos happens: a workspace on a small disk, a local Binance, a clock that can be set, and deployments."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
import threading
from collections.abc import Callable
from contextlib import AbstractContextManager, suppress
from dataclasses import dataclass, field
from datetime import timedelta
from decimal import Decimal
from pathlib import Path

import numpy as np
import pandas as pd
import psutil

from algo_py.backtest import BacktestConfig, Snapshot, SnapshotStore, run_backtest
from algo_py.clock import SystemClock, monotonic_s, parse_time
from algo_py.deployment import Deployment, DeploymentManager, DeploymentRequest
from algo_py.deployment.config import ClockChoice, LiveClock, Replay
from algo_py.deployment.processes import created_s, signal_process
from algo_py.deployment.schedule import EveryInterval, OnBarClose, Schedule
from algo_py.deployment.status import Wanted
from algo_py.deployment.supervisor import lock_path
from algo_py.finstore import FinStore
from algo_py.finstore.sample import install_sample
from algo_py.orders.risk import Limits
from algo_py.settings import Workspace
from algo_py.workspace_database import open_workspace_database
from tests.dashboard.servers import is_serving
from tests.deployment.strategies import write_strategy
from tests.finstore import small_disk
from tests.oms.binance_desk import KEY, SECRET
from tests.processes import fork_servers, open_files, supervisors
from tests.venues.binance_trading import BinanceTradingServer

SYMBOLS = ("BTC/USDT", "ETH/USDT")
DEPOSIT, CASH = Decimal(100_000), Decimal(10_000)
# The world lives a day ago: however its clock jumps, the true time is later than all that it has seen.
EARLIEST_S = -86_400.0
_WITH_DASHBOARD_S = 60.0  # it takes seconds to start
_DISK = 192 * 1024 * 1024
_SETTINGS = """[supervisor]
heartbeat_s = 0.2
stalled_after_s = 1.5
late_after_s = 10
stop_grace_s = 3
close_grace_s = 5
restart_limit = 10000
restart_window_s = 2
[data]
fill_timeout_s = 5
"""
_READ_ORDERS = """
import json, sqlite3, sys
connection = sqlite3.connect(sys.argv[1], timeout=20)
print(json.dumps([row[0] for row in connection.execute("SELECT client_order_id FROM orders")]))
connection.close()
"""
_IN_AND_OUT = """        phase = pd.Series(bars.close.index.minute % 4, index=bars.close.index)
        known = bars.close > 0
        return Signals(entries=known.mul(phase == 0, axis=0), exits=known.mul(phase == 2, axis=0))
"""


class Exchange(BinanceTradingServer):
    """Binance, whose market can be moved while it serves."""

    def move(self, symbol: str, factor: Decimal) -> Decimal:
        """Move the price of a symbol by a factor and return it."""
        with self._lock:
            price = round(self.matching.prices[symbol.replace("/", "")] * factor, 2)
            self.set_price(symbol, str(price))
        return price

    def keeps_still(self) -> AbstractContextManager[object]:
        """Answer nobody meanwhile."""
        return self._lock


class MachineClock:
    """The clock of every process of the world, `shift_s` ahead of the true one, and that of the exchange."""

    def __init__(self, file: Path, exchange: Exchange) -> None:
        self._file = file
        self._exchange = exchange
        self.set(EARLIEST_S, along=True)

    @property
    def shift_s(self) -> float:
        return float(self._file.read_text(encoding="ascii"))

    def set(self, shift_s: float, *, along: bool) -> None:
        """Set the machine's clock; the exchange's goes `along` or stays."""
        unfinished = self._file.with_suffix(".tmp")
        unfinished.write_text(str(shift_s), encoding="ascii")
        unfinished.replace(self._file)
        if along:
            self._exchange.clock_offset_s = shift_s

    def let_exchange_follow(self) -> None:
        self._exchange.clock_offset_s = self.shift_s


@dataclass(frozen=True, slots=True)
class Target:
    """A process of the world, known by its pid and when it was created."""

    pid: int
    born_s: float

    @classmethod
    def of(cls, pid: int) -> Target | None:
        try:
            return cls(pid, created_s(pid))
        except psutil.NoSuchProcess:
            return None

    def send(self, number: signal.Signals) -> bool:
        """Send a signal; False when the process has gone."""
        return signal_process(self.pid, self.born_s, number)


@dataclass
class Member:
    """A deployment, and what people have asked of it: more than one answer where nobody could tell them whether it was heard.

    is_pure: a replay that nobody halts, limits or closes, so that it must equal its backtest.
    """

    id: str
    name: str
    oms: str
    snapshot: Snapshot
    is_replay: bool = False
    is_pure: bool = False
    wanted: set[Wanted] = field(default_factory=lambda: {Wanted.RUNNING})
    halted: set[bool] = field(default_factory=lambda: {False})
    limits: list[Limits] = field(default_factory=lambda: [Limits()])


class World:
    """Built in a process of its own, which it gives a file system and a clock. `seconds` is how long the replays should last."""

    def __init__(self, workspace: Workspace, exchange: Exchange, *, seconds: float, has_small_disk: bool) -> None:
        self.workspace = workspace
        self.exchange = exchange
        self.has_small_disk = has_small_disk
        self.clock = MachineClock(Path(os.environ["TEST_CLOCK_SHIFT_FILE"]), exchange)
        self.ballast = workspace.root / "database" / "ballast"
        self._prepare()
        self.database = open_workspace_database(workspace)
        self.manager = DeploymentManager(workspace)
        self.later = Later()
        self.dashboard = Dashboard(workspace) if seconds >= _WITH_DASHBOARD_S else None
        self.members: list[Member] = []
        self.was_full = False
        self._deploy_all(seconds)

    def shown(self, member: Member) -> Deployment:
        return self.manager.show(member.id)

    def supervisor(self) -> Target | None:
        """Return the process that holds the supervisor's lock."""
        lock = str(lock_path(self.workspace))
        return next((Target.of(one.pid) for one in supervisors(self.workspace) if lock in open_files(one.pid).values()), None)

    def worker(self, member: Member) -> Target | None:
        """Return the process that the deployment is recorded to live in, if it does."""
        shown = self.shown(member)
        return None if shown.pid is None or shown.row.pid_created_s is None else Target(shown.pid, shown.row.pid_created_s)

    def fork_server(self) -> Target | None:
        """Return the process that forks deployments for the supervisor."""
        return next((Target.of(one.pid) for one in fork_servers(self.workspace)), None)

    def close_own(self) -> None:
        """Let go of the database: as long as this process has it open, nobody else is the last to close it."""
        self.database.close()
        self.manager._database.close()

    def orders_from_outside(self) -> set[str]:
        """Return the ids of all orders in the journal, as a process reads it that opens it, and closes it afterwards."""
        command = [sys.executable, "-c", _READ_ORDERS, str(self.workspace.database_file)]
        read = subprocess.run(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, check=True, timeout=60)
        return set(json.loads(read.stdout))

    def users(self) -> dict[str, set[int]]:
        """Return which processes of the machine, this one aside, have a file of each deployment's folder open."""
        folder, found = f"{self.workspace.deployments}/", dict[str, set[int]]()
        for pid in psutil.pids():
            for name in open_files(pid).values() if pid != os.getpid() else ():
                if name.startswith(folder):
                    found.setdefault(name.removeprefix(folder).partition("/")[0], set()).add(pid)
        return found

    def _prepare(self) -> None:
        """Have bars, credentials and saved backtests; the exchange has the minutes until after the true time."""
        workspace, store = self.workspace, FinStore(self.workspace.finstore)
        install_sample(store)
        workspace.settings_file.parent.mkdir()
        workspace.settings_file.write_text(_SETTINGS)
        workspace.credentials_file.write_text(
            f"BINANCE_API_KEY={KEY}\nBINANCE_API_SECRET={SECRET}\nBINANCE_BASE_URL={self.exchange.url}\n"
        )
        workspace.credentials_file.chmod(0o600)
        write_strategy(workspace, "in-and-out", _IN_AND_OUT, imports="import pandas as pd\n\n")
        now = pd.Timestamp(SystemClock().now()).floor("min")
        self.minutes = _minutes(now - pd.Timedelta(minutes=200), 200 + 24 * 60 + 60)
        for symbol in SYMBOLS:
            self.exchange.set_bars(symbol, "1m", self.minutes)
            self.exchange.set_price(symbol, "100")
        self.exchange.deposit("USDT", str(DEPOSIT))
        self.exchange.matching.fee_asset = "USDT"
        self.exchange.matching.pieces = 2
        store.append("crypto_binance", "1m", dict.fromkeys(SYMBOLS, self.minutes[:200]), now=SystemClock().now())

    def _deploy_all(self, seconds: float) -> None:
        days = 7 + int(seconds) // 8
        speed = days * 24 / (0.5 * seconds + 4)  # there are breaks
        replayed = {
            "calm": self._save("calm", days=days, params={"fast": 5, "slow": 20}),
            "guarded": self._save("guarded", days=days, params={"fast": 2, "slow": 5}, stop_loss=0.006, take_profit=0.008),
        }
        for name, snapshot, is_pure in (("pure", "calm", True), ("pure too", "guarded", True), ("replay", "guarded", False)):
            self._deploy(name, replayed[snapshot], OnBarClose(), clock=Replay(bars_per_s=speed), is_pure=is_pure)
        plain = self._save("plain", strategy="in-and-out")
        with_stops = self._save("with stops", strategy="in-and-out", stop_loss=0.01, take_profit=0.015)
        self._deploy("paper", plain, OnBarClose())
        self._deploy("paper too", with_stops, EveryInterval(every_s=10))
        self._deploy("paper often", plain, EveryInterval(every_s=1))
        self._deploy("at the exchange", plain, OnBarClose(), oms="binance")
        self._deploy("there too", with_stops, EveryInterval(every_s=10), oms="binance")

    def _save(self, name: str, *, days: int | None = None, strategy: str = "ema-cross", **changes: object) -> Snapshot:
        start = parse_time("2025-01-01")
        values: dict[str, object] = {
            "strategy": strategy,
            "market": "crypto_binance",
            "timeframe": "1m" if days is None else "1h",
            "symbols": SYMBOLS,
            "start": self.minutes.index[0] if days is None else start,
            "end": self.minutes.index[200] if days is None else start + timedelta(days=days),
            "size": 0.4,
            "initial_cash": float(CASH),
            "slippage": 0.0,
        }
        result = run_backtest(self.workspace, BacktestConfig.model_validate(values | changes))
        return SnapshotStore(self.workspace).save(result, name)

    def _deploy(
        self,
        name: str,
        snapshot: Snapshot,
        schedule: Schedule,
        *,
        oms: str = "paper",
        clock: ClockChoice | None = None,
        is_pure: bool = False,
    ) -> None:
        request = DeploymentRequest(
            backtest=snapshot.name, schedule=schedule, oms=oms, clock=clock or LiveClock(), name=name, end=None
        )
        deployment = self.manager.deploy(request)
        is_replay = clock is not None
        self.members.append(Member(deployment.id, name, oms, snapshot, is_replay=is_replay, is_pure=is_pure))


class Dashboard:
    """`algo-py up` on a port of its own."""

    def __init__(self, workspace: Workspace) -> None:
        self._workspace = workspace
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            self._port = int(probe.getsockname()[1])
        self._process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        """Type the command; a person does so again only once the one before has ended."""
        if self._process is None:
            command = [sys.executable, "-m", "algo_py", "--workspace", str(self._workspace.root), "up", "--port", str(self._port)]
            self._process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, cwd="/")

    def kill(self) -> None:
        """Kill it with the server that it has started, and wait until both are gone."""
        if self._process is not None:
            whole = psutil.Process(self._process.pid)
            processes = [whole, *whole.children(recursive=True)] if self._process.poll() is None else []
            for process in processes:
                with suppress(psutil.NoSuchProcess):
                    process.kill()
            self._process.wait()
            psutil.wait_procs(processes[1:], timeout=10)
            self._process = None

    def answers(self) -> bool:
        """Return whether the page is served."""
        return is_serving(self._port)


class Later:
    """What is to be undone after a while; a thread does it, since whoever does the acts may be waiting for just that."""

    def __init__(self) -> None:
        self._due: list[tuple[float, Callable[[], object]]] = []
        self._lock = threading.Lock()
        self._is_over = threading.Event()
        self._thread = threading.Thread(target=self._work, daemon=True)
        self._thread.start()

    def add(self, after_s: float, undo: Callable[[], object]) -> None:
        with self._lock:
            self._due.append((monotonic_s() + after_s, undo))

    def finish(self) -> None:
        """Undo everything now."""
        self._is_over.set()
        self._thread.join()
        self._undo(float("inf"))

    def _work(self) -> None:
        while not self._is_over.wait(0.05):
            self._undo(monotonic_s())

    def _undo(self, until_s: float) -> None:
        with self._lock:
            due = [undo for at_s, undo in self._due if at_s <= until_s]
            self._due = [(at_s, undo) for at_s, undo in self._due if at_s > until_s]
        for undo in due:
            undo()


def mount_disk(workspace: Workspace) -> bool:
    """Put the workspace's database on a small disk, which this process and its descendants see; False where that may not be done.

    To be called while this process has one thread only.
    """
    folder = workspace.root / "database"
    folder.mkdir(parents=True)
    try:
        small_disk._own_mounts()
        small_disk._mount(folder, options=f"size={_DISK},mode=755")
    except OSError:
        return False
    return True


def _minutes(first: pd.Timestamp, rows: int) -> pd.DataFrame:
    index = pd.date_range(first, periods=rows, freq="min", unit="us", name="open_time")
    close = np.round(100 + np.sin(np.arange(rows) / 3), 2)
    values = {"open": close, "high": close + 0.2, "low": close - 0.2, "close": close, "volume": np.full(rows, 3.0)}
    return pd.DataFrame(values, index=index)
