"""The supervisor: makes the actual state of every deployment equal to the wanted one.

One process a workspace, started on demand, parent of no screen and child of none. What people want stands in the database; it
has deployments started, notices their ends, restarts crashed ones after a pause, gives up after too many crashes, and ends those
that should stop. After its own death its successor adopts what still runs.
"""

from __future__ import annotations

import os
import signal
import sys
import traceback
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path

from algo_py.deployment.launcher import EXIT_ALREADY_RUNNING, EXIT_DONE, EXIT_INTERRUPTED, ForkServerLauncher, Launcher

if __name__ == "__main__":
    signal.signal(signal.SIGINT, signal.SIG_DFL)  # while it loads it ends at once, as on SIGTERM, and leaves no traceback behind

LOCK_FILE = "supervisor.lock"
LOCK_HANDLE = "--lock-handle="


def _workspace_of(arguments: list[str]) -> Path:
    return Path(arguments[-1]).resolve()


def _is_handed_over(arguments: list[str]) -> bool:
    """Return whether whoever started this process holds the lock for it."""
    return any(argument.startswith(LOCK_HANDLE) for argument in arguments)


# Before the imports below, which take a while: the fork server, which takes longer, loads at the same time.
_early = ForkServerLauncher(_workspace_of(sys.argv)) if __name__ == "__main__" and _is_handed_over(sys.argv) else None

from algo_py.clock import SystemClock, monotonic_s
from algo_py.database import Database
from algo_py.deployment.alert_watch import AlertWatch
from algo_py.deployment.awake import AwakeClock
from algo_py.deployment.complaints import Complaints
from algo_py.deployment.logs import tail_log
from algo_py.deployment.processes import ProcessLock, is_locked, is_same_process, is_suspended, signal_process
from algo_py.deployment.status import State, Wanted
from algo_py.deployment.store import DeploymentRow, DeploymentStore
from algo_py.errors import Conflict, DatabaseReplaced
from algo_py.market.own_facts import use_files
from algo_py.orders.records import has_open_orders
from algo_py.settings import SupervisorSettings, Workspace
from algo_py.workspace_database import open_workspace_database

_POLL_S = 0.1
_LONGEST_LOOK_S = 1.0  # a pass over all deployments is shorter, unless it waits for what they wait for, too
_PAUSE_AFTER_ERROR_S = 1.0
_WAIT_FOR_OTHER_S = 1.0
_STAY = "--stay"
_CLIENTS_AFTER_S = 2.0
_CLIENT = "algo_py.finstore.sources.exchange_client"
_BACK_OFF_S = (0.5, 1.0, 2.0, 5.0, 10.0, 30.0)


def lock_path(workspace: Workspace) -> Path:
    """Return the file that a running supervisor holds locked."""
    return workspace.root / "database" / LOCK_FILE


@dataclass(slots=True)
class _Care:
    """What the supervisor remembers of one deployment while it lives."""

    launched: bool = False
    exit_code: int | None = None  # how it ended, until that is recorded
    crashes_s: list[float] = field(default_factory=list)
    not_before_s: float = 0.0
    asked_to_stop_s: float | None = None
    heartbeat_at: datetime | None = None
    heard_s: float | None = None  # on the clock of waking hours; None: not listened to yet


class Supervisor:
    """One pass of care over all deployments is `step`; `run` repeats it until nothing is left to do for long."""

    def __init__(self, workspace: Workspace, database: Database, launcher: Launcher) -> None:
        self._workspace = workspace
        self._settings: SupervisorSettings = workspace.settings().supervisor
        self._database = database
        self._store = DeploymentStore(database)
        self._launcher = launcher
        self._complaints = Complaints()
        self._alerts = AlertWatch(workspace)
        self._clock = SystemClock()
        self._awake = AwakeClock(_LONGEST_LOOK_S)
        self._awake_s = 0.0
        self._care: dict[str, _Care] = {}
        self._stopping = False
        self._has_clients = False

    def run(self, *, stay: bool = False) -> None:
        """Care until asked to stop, left without a workspace, or (unless it is to `stay`) idle for long.

        Raises DatabaseReplaced: what this process knows is of another database then.
        """
        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, self._on_stop)
        idle_since_s = began_s = monotonic_s()
        while not self._stopping and lock_path(self._workspace).exists():
            try:
                busy = self.step()
            except DatabaseReplaced:
                raise
            except Exception:  # noqa: BLE001  the supervisor's own border: a full disk today must not leave nobody to care tomorrow
                self._complain()
                self._clock.sleep(_PAUSE_AFTER_ERROR_S)
                continue
            if busy or stay:
                idle_since_s = monotonic_s()
            elif monotonic_s() - idle_since_s > self._settings.idle_exit_s:
                break
            if not self._has_clients and monotonic_s() - began_s > _CLIENTS_AFTER_S:
                self._load_clients()
            self._clock.sleep(_POLL_S)

    def step(self) -> bool:
        """Look at every deployment once; True when any of them runs or should run."""
        self._awake_s = self._awake.look()
        rows = self._store.all()
        exit_codes = self._launcher.ended()
        for deployment_id, exit_code in exit_codes.items():
            care = self._care_of(deployment_id)
            care.launched, care.exit_code = False, exit_code
        live = sum(not row.is_replay and not row.state.has_ended for row in rows)
        if live > 1 and not self._has_clients:
            self._load_clients()
        busy = False
        for row in rows:
            try:
                busy = self._see_to(row) or busy
            except DatabaseReplaced:
                raise
            except Exception:  # noqa: BLE001  what goes wrong with one must not keep the others from being looked after
                self._complain()
                busy = True
        return self._alerts.step(rows) or busy

    def _see_to(self, row: DeploymentRow) -> bool:
        """Look at one deployment; True when it runs or should run."""
        alive = self._is_alive(row)
        if not alive and not row.state.has_ended:
            row = self._store.get(row.id)  # its last words may have come since the rows were read
        if self._goes_on_watching(row, alive=alive):
            self._see_to_silence(row) if alive else self._see_to_start(row)
            return True
        if row.wanted.is_an_end and (alive or row.wanted is Wanted.STOPPED):
            self._see_to_stop(row, alive=alive)
        elif not alive and not row.state.has_ended:
            self._see_to_start(row)
        elif alive:
            self._see_to_silence(row)
        return alive or (row.wanted is not Wanted.STOPPED and not row.state.has_ended)

    def _goes_on_watching(self, row: DeploymentRow, *, alive: bool) -> bool:
        """Whether a deployment that a person has stopped is to live until nothing of its orders is open any more."""
        if row.wanted is not Wanted.STOPPED or row.state.has_ended:
            return False
        return row.state is State.WATCHING if alive else has_open_orders(self._database, row.id)

    def _complain(self) -> None:
        """Write the error that is being handled down."""
        self._complaints.say(traceback.format_exc())

    def _is_alive(self, row: DeploymentRow) -> bool:
        """Whether a process lives this deployment: one that we launched, or one that holds its lock."""
        return self._care_of(row.id).launched or is_locked(self._workspace.deployments / row.id / "lock")

    def _see_to_start(self, row: DeploymentRow) -> None:
        care = self._care_of(row.id)
        exit_code = care.exit_code
        if exit_code == EXIT_ALREADY_RUNNING:
            care.exit_code = None
            return
        if exit_code == EXIT_DONE:  # it had ended as it should, and a person has started it again since
            care.exit_code = exit_code = None
        if exit_code == EXIT_INTERRUPTED:
            reason = "its process was told to end by somebody else"
            self._store.set_state(row.id, State.RESTARTING, reason=reason, at=self._clock.now())
            care.exit_code = None
            return
        has_crashed = exit_code is not None or (row.pid is not None and row.state not in (State.NEW, State.RESTARTING))
        if has_crashed:
            self._note_crash(row, care, exit_code)
            return
        if monotonic_s() < care.not_before_s:
            return
        care.not_before_s = monotonic_s() + _PAUSE_AFTER_ERROR_S  # should that fail
        if self._launcher.start(row.id) is None:
            care.not_before_s = 0.0  # it is not possible yet
            return
        care.not_before_s = 0.0
        care.asked_to_stop_s = None
        care.heard_s = self._awake_s
        care.launched = True

    def _note_crash(self, row: DeploymentRow, care: _Care, exit_code: int | None) -> None:
        now_s = monotonic_s()
        crashes_s = [at for at in care.crashes_s if now_s - at < self._settings.restart_window_s] + [now_s]
        reason = self._how_it_died(row, exit_code)
        pause_s = _BACK_OFF_S[min(len(crashes_s), len(_BACK_OFF_S)) - 1]
        if len(crashes_s) > self._settings.restart_limit:
            times = f"{len(crashes_s)} times within {self._settings.restart_window_s:.0f} s"
            self._store.set_state(row.id, State.ERROR, reason=f"crashed {times}; last: {reason}", at=self._clock.now())
        else:
            told = f"{reason}; restarting in {pause_s:g} s"
            self._store.set_state(row.id, State.RESTARTING, reason=told, at=self._clock.now())
        # Counted once it is recorded: what cannot be written (a full disk) is seen again at the next look, and is one crash.
        care.crashes_s, care.not_before_s, care.exit_code = crashes_s, now_s + pause_s, None

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
        elif now_s - care.asked_to_stop_s > self._stop_grace_s(row):
            signal_process(row.pid, row.pid_created_s, signal.SIGKILL)

    def _stop_grace_s(self, row: DeploymentRow) -> float:
        closing_s = self._settings.close_grace_s if row.wanted is Wanted.CLOSED else 0.0
        return self._settings.stop_grace_s + closing_s

    def _see_to_silence(self, row: DeploymentRow) -> None:
        """Kill a process that has not beaten for very long, or for long because somebody has stopped it: it may hold the
        database's write lock, and then nobody can write.

        It is restarted like any that died. Silence counts on a clock that is never set, and only while this process was awake: a
        machine that slept kept all of them from beating.
        """
        care = self._care_of(row.id)
        if care.heard_s is None or row.heartbeat_at != care.heartbeat_at or row.heartbeat_at is None:
            care.heartbeat_at, care.heard_s = row.heartbeat_at, self._awake_s
        if row.pid is None or row.pid_created_s is None:
            return
        silence_s = self._awake_s - care.heard_s
        is_hung = silence_s > self._settings.hung_after_s
        if is_hung or (silence_s > 2 * self._settings.stalled_after_s and is_suspended(row.pid, row.pid_created_s)):
            signal_process(row.pid, row.pid_created_s, signal.SIGKILL)

    def _load_clients(self) -> None:
        """Load the exchanges' client once, before live deployments are started: each would need the memory for itself.

        A replay needs none, and a single first deployment does not wait for it either.
        """
        self._has_clients = True
        sources = self._workspace.settings().data.sources.values()
        if any(source == "binance" or source.startswith("ccxt:") for source in sources):
            self._launcher.load(_CLIENT)

    def _care_of(self, deployment_id: str) -> _Care:
        return self._care.setdefault(deployment_id, _Care())

    def close(self) -> None:
        """End what this process has started but for deployments."""
        self._alerts.close()

    def _on_stop(self, _number: int, _frame: object) -> None:
        self._stopping = True


def main(arguments: list[str]) -> int:
    """Run the supervisor of a workspace in this process; at once 0 when another one does already.

    With `--stay` before the workspace it waits until that one has ended, and then stays even when nothing should run. With
    `--lock-handle=N` whoever started it holds the lock for it, as its open file N.
    """
    stay = _STAY in arguments
    workspace = Workspace(_workspace_of(arguments))
    use_files(workspace.calendar_file, workspace.derivatives_file)
    lock = _lock(lock_path(workspace), arguments, waits=stay)
    if lock is None:
        return 0
    launcher = _early or ForkServerLauncher(workspace.root)
    try:
        database = open_workspace_database(workspace)
        launcher.load(database.driver)
        supervisor = Supervisor(workspace, database, launcher)
        try:
            supervisor.run(stay=stay)
        except DatabaseReplaced as error:
            Complaints().say(f"warning: {error}")
            if lock_path(workspace).exists():
                launcher.close()
                supervisor.close()
                _begin_anew(lock, stay=stay, workspace=workspace)
        else:
            database.close()
    finally:
        launcher.close()
        lock.drop()
    return 0


def _begin_anew(lock: ProcessLock, *, stay: bool, workspace: Workspace) -> None:
    """Become a supervisor that has opened nothing yet, and keep the lock; never returns. Closing the old database properly would
    write to files that are others' by now."""
    os.set_inheritable(lock.handle, True)
    options = [_STAY] * stay + [f"{LOCK_HANDLE}{lock.handle}", str(workspace.root)]
    os.execv(sys.executable, [sys.executable, "-m", "algo_py.deployment.supervisor", *options])


def _lock(path: Path, arguments: list[str], *, waits: bool) -> ProcessLock | None:
    """Return the supervisor's lock, held; None when another process has it and nobody `waits` for that one's end."""
    handed_over = [int(argument.removeprefix(LOCK_HANDLE)) for argument in arguments if argument.startswith(LOCK_HANDLE)]
    if handed_over:
        return ProcessLock.handed_over(path, handed_over[0])
    while True:
        try:
            return ProcessLock(path).__enter__()
        except Conflict:
            if not waits:
                return None
            SystemClock().sleep(_WAIT_FOR_OTHER_S)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
