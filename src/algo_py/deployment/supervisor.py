"""The supervisor: makes the actual state of every deployment equal to the wanted one.

One process a workspace, started on demand, parent of no screen and child of none. What people want stands in the database; it
forks deployments, notices their ends, restarts crashed ones after a pause, gives up after too many crashes, and ends those that
should stop. After its own death its successor adopts what still runs.
"""

from __future__ import annotations

import signal
import sys
import traceback
from dataclasses import dataclass, field
from pathlib import Path

from algo_py.clock import SystemClock, monotonic_s
from algo_py.database import Database
from algo_py.deployment.config import LiveClock
from algo_py.deployment.launcher import ForkLauncher, Launcher
from algo_py.deployment.logs import tail_log
from algo_py.deployment.processes import ProcessLock, is_locked, is_same_process, is_suspended, signal_process
from algo_py.deployment.status import State, Wanted
from algo_py.deployment.store import DeploymentRow, DeploymentStore
from algo_py.errors import Conflict
from algo_py.settings import SupervisorSettings, Workspace
from algo_py.workspace_database import open_workspace_database

LOCK_FILE = "supervisor.lock"
_POLL_S = 0.1
_PAUSE_AFTER_ERROR_S = 1.0
_CLIENTS_AFTER_S = 2.0
_BACK_OFF_S = (0.5, 1.0, 2.0, 5.0, 10.0, 30.0)
_EXIT_ALREADY_RUNNING = 75


def lock_path(workspace: Workspace) -> Path:
    """Return the file that a running supervisor holds locked."""
    return workspace.root / "database" / LOCK_FILE


@dataclass(slots=True)
class _Care:
    """What the supervisor remembers of one deployment while it lives."""

    launched: bool = False
    crashes_s: list[float] = field(default_factory=list)
    not_before_s: float = 0.0
    asked_to_stop_s: float | None = None


class Supervisor:
    """One pass of care over all deployments is `step`; `run` repeats it until nothing is left to do for long."""

    def __init__(self, workspace: Workspace, database: Database, launcher: Launcher) -> None:
        self._workspace = workspace
        self._settings: SupervisorSettings = workspace.settings().supervisor
        self._store = DeploymentStore(database)
        self._launcher = launcher
        self._clock = SystemClock()
        self._care: dict[str, _Care] = {}
        self._stopping = False
        self._has_clients = False

    def run(self) -> None:
        """Care until asked to stop, idle for long, or left without a workspace."""
        signal.signal(signal.SIGTERM, self._on_stop)
        idle_since_s = began_s = monotonic_s()
        while not self._stopping and lock_path(self._workspace).exists():
            try:
                busy = self.step()
            except Exception:  # noqa: BLE001  the supervisor's own border: a full disk today must not leave nobody to care tomorrow
                traceback.print_exc()
                self._clock.sleep(_PAUSE_AFTER_ERROR_S)
                continue
            if busy:
                idle_since_s = monotonic_s()
            elif monotonic_s() - idle_since_s > self._settings.idle_exit_s:
                break
            if not self._has_clients and monotonic_s() - began_s > _CLIENTS_AFTER_S:
                self._load_clients()
            self._clock.sleep(_POLL_S)

    def step(self) -> bool:
        """Look at every deployment once; True when any of them runs or should run."""
        rows = self._store.all()
        exit_codes = self._launcher.ended()
        for deployment_id in exit_codes:
            self._care_of(deployment_id).launched = False
        live = sum(isinstance(row.config.clock, LiveClock) and not row.state.has_ended for row in rows)
        if live > 1 and not self._has_clients:
            self._load_clients()
        busy = False
        for row in rows:
            alive = self._is_alive(row)
            if not alive and not row.state.has_ended:
                row = self._store.get(row.id)  # its last words may have come since the rows were read
            if row.wanted.is_an_end:
                self._see_to_stop(row, alive=alive)
            elif not alive and not row.state.has_ended:
                self._see_to_start(row, exit_code=exit_codes.get(row.id))
            elif alive:
                self._see_to_suspension(row)
            busy = busy or alive or (row.wanted is Wanted.RUNNING and not row.state.has_ended)
        return busy

    def _is_alive(self, row: DeploymentRow) -> bool:
        """Whether a process lives this deployment: one that we launched, or one that holds its lock."""
        return self._care_of(row.id).launched or is_locked(self._workspace.deployments / row.id / "lock")

    def _see_to_start(self, row: DeploymentRow, *, exit_code: int | None) -> None:
        care = self._care_of(row.id)
        if exit_code == _EXIT_ALREADY_RUNNING:
            return
        has_crashed = exit_code is not None or (row.pid is not None and row.state not in (State.NEW, State.RESTARTING))
        if has_crashed and not self._allow_restart(row, care, exit_code):
            return
        if monotonic_s() < care.not_before_s:
            return
        care.asked_to_stop_s = None
        care.launched = True
        self._launcher.start(row.id)

    def _allow_restart(self, row: DeploymentRow, care: _Care, exit_code: int | None) -> bool:
        now_s = monotonic_s()
        care.crashes_s = [at for at in care.crashes_s if now_s - at < self._settings.restart_window_s] + [now_s]
        reason = self._how_it_died(row, exit_code)
        if len(care.crashes_s) > self._settings.restart_limit:
            times = f"{len(care.crashes_s)} times within {self._settings.restart_window_s:.0f} s"
            self._store.set_state(row.id, State.ERROR, reason=f"crashed {times}; last: {reason}", at=self._clock.now())
            return False
        pause_s = _BACK_OFF_S[min(len(care.crashes_s), len(_BACK_OFF_S)) - 1]
        care.not_before_s = now_s + pause_s
        self._store.set_state(row.id, State.RESTARTING, reason=f"{reason}; restarting in {pause_s:g} s", at=self._clock.now())
        return False

    def _how_it_died(self, row: DeploymentRow, exit_code: int | None) -> str:
        if exit_code is not None and exit_code < 0:
            return f"its process was killed by {signal.Signals(-exit_code).name}"
        last = [e for e in tail_log(self._workspace.deployments / row.id, lines=3) if e.get("event") == "deployment.crashed"]
        if last:
            return str(last[-1].get("reason", ""))
        return "its process ended" if exit_code is None else f"its process ended with exit code {exit_code}"

    def _see_to_stop(self, row: DeploymentRow, *, alive: bool) -> None:
        care = self._care_of(row.id)
        if not alive:
            care.asked_to_stop_s = None
            if not row.state.has_ended:
                self._store.set_state(row.id, State.STOPPED, reason="stopped by request", at=self._clock.now())
            return
        if row.pid is None or row.pid_created_s is None or not is_same_process(row.pid, row.pid_created_s):
            return  # it is just starting and has not written yet who it is
        now_s = monotonic_s()
        if care.asked_to_stop_s is None:
            care.asked_to_stop_s = now_s
            signal_process(row.pid, row.pid_created_s, signal.SIGTERM)
        elif now_s - care.asked_to_stop_s > self._settings.stop_grace_s:
            signal_process(row.pid, row.pid_created_s, signal.SIGKILL)

    def _see_to_suspension(self, row: DeploymentRow) -> None:
        """Kill a process that somebody has stopped for long: it may hold the database's write lock, and then nobody can write.

        It is restarted like any that died. One that is merely slow is left alone.
        """
        if row.heartbeat_at is None or row.pid is None or row.pid_created_s is None:
            return
        silence_s = (self._clock.now() - row.heartbeat_at).total_seconds()
        if silence_s > 2 * self._settings.stalled_after_s and is_suspended(row.pid, row.pid_created_s):
            signal_process(row.pid, row.pid_created_s, signal.SIGKILL)

    def _load_clients(self) -> None:
        """Import the exchanges' client once, before live deployments are forked: each would need the memory for itself.

        A replay needs none, and a single first deployment does not wait for it either.
        """
        self._has_clients = True
        sources = self._workspace.settings().data.sources.values()
        if any(source == "binance" or source.startswith("ccxt:") for source in sources):
            import algo_py.finstore.sources.exchange_client  # noqa: F401

    def _care_of(self, deployment_id: str) -> _Care:
        return self._care.setdefault(deployment_id, _Care())

    def _on_stop(self, _number: int, _frame: object) -> None:
        self._stopping = True


def main(arguments: list[str]) -> int:
    """Run the supervisor of a workspace in this process; at once 0 when another one does already."""
    workspace = Workspace(Path(arguments[0]).resolve())
    try:
        lock = ProcessLock(lock_path(workspace)).__enter__()
    except Conflict:
        return 0
    database = open_workspace_database(workspace)
    _load_libraries()

    def release() -> None:
        lock.drop()
        database.forget()

    try:
        Supervisor(workspace, database, ForkLauncher(workspace, release=release)).run()
    finally:
        lock.drop()
    return 0


def _load_libraries() -> None:
    """Import what every deployment needs, once, before the first fork; load the compiled step from its cache."""
    import algo_py.deployment.worker  # noqa: F401
    from algo_py.engine.warm_up import warm_up

    warm_up()


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
