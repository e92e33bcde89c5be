"""The process that sends alerts: short-lived, one at a time, with the addresses in its own memory alone.

The supervisor starts it when something waits. It sends what waits, oldest first, marks each message once it has been taken, and
ends. A death between the two repeats that one message: a person is told at least once.
"""

from __future__ import annotations

import os
import signal
import sys
import traceback
from collections import deque
from collections.abc import Callable, Sequence
from datetime import datetime, timedelta
from pathlib import Path

from algo_py.clock import Clock, SystemClock, monotonic_s
from algo_py.credentials import Credentials
from algo_py.database import Database
from algo_py.deployment.alert_addresses import ALERT_URLS, Addresses, Delivery
from algo_py.deployment.alerts import Alert, give_up, mark_failed, mark_sent, postpone, sent_messages, waiting_alerts
from algo_py.deployment.processes import ProcessLock
from algo_py.errors import AlgoPyError, Conflict
from algo_py.market.own_facts import use_files
from algo_py.settings import AlertSettings, Workspace
from algo_py.workspace_database import open_workspace_database

LIFE_S = 60
_WORK_S = 40.0  # no message is begun after that; the next sender goes on
_BACK_OFF_S = (60, 300, 900, 3600)  # from the second failure on; after the first it is settings.retry_after_s
_FAILURES = 2  # so many messages in a row that nobody took: it is the way that is blocked, not a message
_DIGEST_EVERY = timedelta(minutes=10)
_LISTED = 20
_BODY_MOST = 3_500  # Telegram takes 4,096 characters

Send = Callable[[str, str], Sequence[Delivery]]


def send_waiting(database: Database, settings: AlertSettings, send: Send, *, clock: Clock, work_s: float = _WORK_S) -> None:
    """Send what is due, oldest first, and after what is due whatever else waits: the way is open then.

    Up to `most_per_hour` messages an hour go out one by one; the last of them, and from then on one in ten minutes, tells all
    that waits. After two failures in a row the rest waits as long as they do, so that alerts arrive in their order.
    """
    began_s, failures = monotonic_s(), 0
    oldest = clock.now() - timedelta(seconds=settings.give_up_after_s)
    give_up(database, raised_before=oldest, kinds=settings.kinds)
    waiting = waiting_alerts(database)
    if not any(_is_due(alert, clock.now()) for alert in waiting):
        return
    queue = deque(waiting)
    while queue and monotonic_s() - began_s < work_s:
        room = _room(database, settings, clock.now(), waiting=len(queue))
        if isinstance(room, datetime):
            postpone(database, [alert.id for alert in queue], until=room)
            return
        batch = [queue.popleft() for _ in range(room)]
        again_at = _send_batch(database, settings, batch, send, clock)
        failures = 0 if again_at is None else failures + 1
        if again_at is not None and failures == _FAILURES:
            postpone(database, [alert.id for alert in queue], until=again_at)
            return


def _room(database: Database, settings: AlertSettings, now: datetime, *, waiting: int) -> int | datetime:
    """Return how many of the waiting alerts the next message tells, or until when there is room for none."""
    sent = sent_messages(database, since=now - timedelta(hours=1))
    if len(sent) < settings.most_per_hour - 1:
        return 1
    if len(sent) >= settings.most_per_hour and now - sent[-1] < _DIGEST_EVERY:
        return sent[-1] + _DIGEST_EVERY
    return waiting


def _send_batch(database: Database, settings: AlertSettings, batch: Sequence[Alert], send: Send, clock: Clock) -> datetime | None:
    """Send one message about these alerts; None when it was taken, else when it is tried again.

    Taken means: by at least one address. A person has been told then, and repeating it until a dead second address comes back
    would tell the same person the same thing for a day. Who did not take it is kept with the alert, for the list to show.
    """
    deliveries = send(*(_message(batch[0]) if len(batch) == 1 else _digest(batch)))
    told = "; ".join(f"{one.address}: {one.problem}" for one in deliveries if one.problem)
    now = clock.now()
    if any(not one.problem for one in deliveries):
        mark_sent(database, [alert.id for alert in batch], at=now, note=told)
        return None
    again_at = now
    for alert in batch:
        if _is_due(alert, now):  # what was tried ahead of its time keeps its time
            pause_s = (settings.retry_after_s, *_BACK_OFF_S)[min(alert.attempts, len(_BACK_OFF_S))]
            again_at = max(again_at, now + timedelta(seconds=pause_s))
            mark_failed(database, alert.id, error=told, next_attempt_at=now + timedelta(seconds=pause_s))
        elif alert.next_attempt_at is not None:
            again_at = max(again_at, alert.next_attempt_at)
    return again_at


def _is_due(alert: Alert, now: datetime) -> bool:
    return alert.next_attempt_at is not None and alert.next_attempt_at <= now


def _message(alert: Alert) -> tuple[str, str]:
    return f"Algo.Py: {alert.title}", f"{_cut(alert.body)}\n{alert.raised_at:%Y-%m-%d %H:%M:%S} UTC"


def _digest(batch: Sequence[Alert]) -> tuple[str, str]:
    lines = [f"{alert.raised_at:%H:%M:%S} {alert.title}" for alert in batch[:_LISTED]]
    if len(batch) > _LISTED:
        lines.append(f"and {len(batch) - _LISTED} more; see all with: algo-py alerts")
    return f"Algo.Py: {len(batch)} more alerts", _cut("\n".join(lines))


def _cut(text: str) -> str:
    return text if len(text) <= _BODY_MOST else f"{text[: _BODY_MOST - 1]}…"


def sender_lock(workspace: Workspace) -> Path:
    """Return the file that a running sender holds locked."""
    return workspace.root / "database" / "alert_sender.lock"


def main(arguments: list[str]) -> int:
    """Send what waits in a workspace, in this process; at once 0 when another one does already."""
    signal.alarm(LIFE_S)  # whatever hangs, the process does not
    workspace, clock = Workspace(Path(arguments[0])), SystemClock()
    use_files(workspace.calendar_file, workspace.derivatives_file)
    try:
        with ProcessLock(sender_lock(workspace)):
            credentials = Credentials.of(workspace)
            if not credentials.has(ALERT_URLS):
                return 0
            settings, database = workspace.settings().alerts, open_workspace_database(workspace)
            from algo_py.deployment.alert_summary import raise_summary

            raise_summary(workspace, database, settings, now=clock.now())
            send_waiting(database, settings, Addresses.of(credentials).send, clock=clock)
    except Conflict:
        return 0
    except AlgoPyError as error:
        print(f"alerts are not sent: {error}", file=sys.stderr)  # noqa: T201  the supervisor's log
        return 1
    except Exception as error:  # noqa: BLE001  the process's own border; the message may hold an address, where it came from does not
        traceback.print_tb(error.__traceback__)
        print(f"alerts are not sent: {type(error).__name__}", file=sys.stderr)  # noqa: T201
        return 1
    return 0


if __name__ == "__main__":
    code = main(sys.argv[1:])
    sys.stderr.flush()
    os._exit(code)  # a thread that still waits for an address that has been given up must not keep the process
