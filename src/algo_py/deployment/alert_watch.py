"""What the supervisor does for alerts: it reads from the state of deployments what calls a person, and starts the sender.

It sends nothing itself and knows no address; what it does here is a few short questions to the database, once a second.
"""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Sequence
from datetime import datetime

from sqlalchemy.exc import SQLAlchemyError

from algo_py.clock import SystemClock, monotonic_s
from algo_py.credentials import Credentials
from algo_py.deployment.alert_addresses import ALERT_URLS
from algo_py.deployment.alert_summary import summary_key
from algo_py.deployment.alerting import Alarm
from algo_py.deployment.alerts import AlertKind, is_raised, next_attempt_at
from algo_py.deployment.complaints import Complaints
from algo_py.deployment.processes import is_same_process
from algo_py.deployment.status import State
from algo_py.deployment.store import DeploymentRow
from algo_py.errors import AlgoPyError, DatabaseReplaced, InvalidInput, Refused
from algo_py.orders.halts import ALL, all_halts
from algo_py.settings import AlertSettings, SupervisorSettings, Workspace
from algo_py.workspace_database import open_workspace_database

_LOOK_EVERY_S = 1.0
_LOCK_TIMEOUT_S = 0.2
_READ_SETTINGS_EVERY_S = 10.0
_SENDER_LIFE_S = 65.0
_PAUSE_S = 2.0
_PAUSE_AFTER_FAILURE_S = 30.0
_CRASHED = "crashed "  # how the supervisor's reason begins for what it gave up


class AlertWatch:
    """Call `step` often; it looks once a second."""

    def __init__(self, workspace: Workspace) -> None:
        self._workspace = workspace
        # Connections of its own, which hardly wait: a stalled process may hold the write lock, and the supervisor has to end it.
        self._database = database = open_workspace_database(workspace, lock_timeout_s=_LOCK_TIMEOUT_S)
        self._clock = SystemClock()
        self._complaints = Complaints()
        self._alarm = Alarm(database, complain=self._complain)
        self._limits: SupervisorSettings = workspace.settings().supervisor
        self._settings: AlertSettings = workspace.settings().alerts
        self._has_addresses = False
        self._silent: dict[str, tuple[datetime, float]] = {}
        self._summarised: str | None = None
        self._sender: subprocess.Popen[bytes] | None = None
        self._sender_began_s = 0.0
        self._not_before_s = 0.0
        self._next_look_s = self._next_read_s = 0.0
        self._is_busy = False

    def step(self, rows: Sequence[DeploymentRow]) -> bool:
        """Look at the deployments and at what waits; True as long as something is to be sent. What fails here is printed only."""
        if monotonic_s() >= self._next_look_s:
            self._next_look_s = monotonic_s() + _LOOK_EVERY_S
            try:
                self._call(rows)
                self._is_busy = self._see_to_sender()
            except DatabaseReplaced:
                raise
            except (AlgoPyError, SQLAlchemyError, OSError) as error:
                self._complain(f"alerts are not looked after: {error}")
        return self._is_busy

    def close(self) -> None:
        """Wait a moment for a sender that is at work, then end it. The next one finds what it has not sent."""
        if self._sender is not None:
            try:
                self._sender.wait(_PAUSE_S)
            except subprocess.TimeoutExpired:
                self._sender.kill()
                self._sender.wait()
            self._sender = None

    def _call(self, rows: Sequence[DeploymentRow]) -> None:
        """Raise what the recorded state asks for. Its moments are the keys, so that a successor raises nothing twice."""
        for row in rows:
            if row.state is State.ERROR:
                is_crash_loop = row.reason.startswith(_CRASHED)
                kind, what = (AlertKind.CRASH_LOOP, "given up") if is_crash_loop else (AlertKind.ERROR, "ended with an error")
                told = f"{row.reason}\nStart it again with: algo-py restart {row.id}"
                self._about(row, kind, row.since, what, told, at=row.since)
            elif self._is_silent(row):
                told = f"no heartbeat since {row.heartbeat_at:%Y-%m-%d %H:%M:%S} UTC\nLook at it with: algo-py show {row.id}"
                self._about(row, AlertKind.STALLED, row.heartbeat_at, "stalled", told)
        names = {row.id: row for row in rows}
        for scope, halt in all_halts(self._database).items():
            if scope != ALL and scope in names and halt.by != "a person":
                told = f"{halt.reason}\nIt enters nothing until: algo-py resume {scope}"
                self._about(names[scope], AlertKind.HALTED, halt.at, "halted", told)

    def _about(
        self, row: DeploymentRow, kind: AlertKind, moment: datetime | None, what: str, body: str, *, at: datetime | None = None
    ) -> None:
        about = (row.id, "" if moment is None else moment.isoformat())
        self._alarm.call(kind, *about, title=f"{row.name}: {what}", body=body, deployment_id=row.id, at=at)

    def _is_silent(self, row: DeploymentRow) -> bool:
        """Whether a living process has not beaten for long, and still has not after it could have: a machine that wakes up
        from sleep, or whose clock was set, sees old heartbeats everywhere for a moment."""
        heartbeat_at, now_s = row.heartbeat_at, monotonic_s()
        silent = (
            heartbeat_at is not None
            and not row.state.has_ended
            and not row.wanted.is_an_end
            and (self._clock.now() - heartbeat_at).total_seconds() > self._limits.stalled_after_s
            and is_same_process(row.pid, row.pid_created_s)
        )
        if not silent or heartbeat_at is None:
            self._silent.pop(row.id, None)
            return False
        seen_at, seen_s = self._silent.setdefault(row.id, (heartbeat_at, now_s))
        if seen_at != heartbeat_at:
            self._silent[row.id] = (heartbeat_at, now_s)
            return False
        return now_s - seen_s > 2 * self._limits.heartbeat_s

    def _see_to_sender(self) -> bool:
        """Start the sender when something is due and somebody can be told; one at a time, and none that lives too long."""
        now_s = monotonic_s()
        if self._sender is not None:
            if self._sender.poll() is None:
                if now_s - self._sender_began_s > _SENDER_LIFE_S:
                    self._sender.kill()  # our own child, not waited for yet: its pid is nobody else's
                return True
            self._not_before_s = now_s + (_PAUSE_S if self._sender.returncode == 0 else _PAUSE_AFTER_FAILURE_S)
            self._sender = None
        self._read_settings()
        if not self._has_addresses:
            return False
        due_at, now = next_attempt_at(self._database), self._clock.now()
        is_due = self._owes_summary(now) or (due_at is not None and due_at <= now)
        if is_due and now_s >= self._not_before_s:
            command = [sys.executable, "-m", "algo_py.deployment.alert_sender", str(self._workspace.root)]
            self._sender = subprocess.Popen(command, stdin=subprocess.DEVNULL, start_new_session=True, cwd="/")
            self._sender_began_s = now_s
        return is_due or due_at is not None

    def _owes_summary(self, now: datetime) -> bool:
        key = summary_key(self._settings, now)
        if key is None or key == self._summarised:
            return False
        if is_raised(self._database, key):
            self._summarised = key
            return False
        return True

    def _read_settings(self) -> None:
        """Read anew what a person may have changed; what cannot be read is as it was."""
        if monotonic_s() < self._next_read_s:
            return
        self._next_read_s = monotonic_s() + _READ_SETTINGS_EVERY_S
        try:
            self._settings = self._workspace.settings().alerts
            self._has_addresses = Credentials.of(self._workspace).has(ALERT_URLS)
        except (InvalidInput, Refused) as error:
            self._complain(str(error))

    def _complain(self, text: str) -> None:
        self._complaints.say(f"warning: {text}")
