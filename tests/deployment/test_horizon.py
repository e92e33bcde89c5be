"""A deployment beyond the known trading days: it goes on, says so, is told of once, and all of that goes away by itself."""

from __future__ import annotations

import os
from collections.abc import Iterator
from datetime import UTC, datetime, time, timedelta
from pathlib import Path

import pytest

from algo_py.clock import FrozenClock, SystemClock
from algo_py.deployment import DeploymentManager, DeploymentRequest
from algo_py.deployment.alerting import AlertingLog
from algo_py.deployment.alerts import AlertKind, newest_alerts
from algo_py.deployment.horizon import HorizonWatch
from algo_py.deployment.report import deployment_json
from algo_py.deployment.schedule import AtTime, EveryInterval
from algo_py.deployment.status import Condition, Observation, State, Status, Trouble, Wanted, judge
from algo_py.deployment.store import DeploymentStore, RunCondition, RunRow
from algo_py.market.nse import nse_calendar
from algo_py.market.own_facts import use_files
from algo_py.orders.model import from_float
from algo_py.settings import Workspace
from algo_py.workspace_database import open_workspace_database
from tests.deployment.moved_days import IN, NSE, SHARE, prepare, store_bars
from tests.deployment.test_lives import kill, reach
from tests.orders.making import Notebook
from tests.processes import supervisors

MORNING = AtTime(at=time(9, 30), tz="Asia/Kolkata")
LAST = nse_calendar().last_day
KNOWN = "[indian_equity]\nknown_through = {}\n"
SHIFTED = Path(__file__).parents[1] / "shifted"


def noon(days: int) -> datetime:
    """Return noon in India, so many days after the last known one."""
    return datetime(LAST.year, LAST.month, LAST.day, 12, tzinfo=NSE.time_zone) + timedelta(days=days)


class Ahead:
    """A deployment's look ahead, with its log and the alerts."""

    def __init__(self, workspace: Workspace, days: int) -> None:
        self.clock = FrozenClock(noon(days))
        prepare(workspace, self.clock.now())
        self.config, _ = DeploymentManager(workspace, clock=self.clock).configure(
            DeploymentRequest(backtest="saved", schedule=MORNING)
        )
        self.database = open_workspace_database(workspace)
        self.store = DeploymentStore(self.database)
        self.store.add(self.config, created_at=self.clock.now())
        self.begin_anew()

    def begin_anew(self) -> None:
        """Be another process of the same deployment."""
        self.log = Notebook()
        told = AlertingLog(self.log, self.database, deployment_id=self.config.id, name=self.config.name)
        self.watch = HorizonWatch(self.config, self.store, told)

    def look(self, days: int | None = None) -> None:
        if days is not None:
            self.clock = FrozenClock(noon(days))
        self.watch.look(self.config.next_fire(self.clock.now()), self.clock.now())

    @property
    def told(self) -> list[str]:
        return [event for event, _ in self.log.events if event.startswith("calendar.")]

    @property
    def alerts(self) -> list[str]:
        return [alert.body for alert in reversed(newest_alerts(self.database, last=50)) if alert.kind is AlertKind.CALENDAR]

    @property
    def condition(self) -> Condition | None:
        return self.store.get(self.config.id).condition


@pytest.fixture
def file(workspace: Workspace) -> Iterator[Path]:
    use_files(workspace.calendar_file, workspace.derivatives_file)
    yield workspace.calendar_file
    use_files(None, None)


def test_it_is_told_three_times_ahead_and_once_beyond_whoever_looks(workspace: Workspace, file: Path) -> None:
    ahead = Ahead(workspace, -90)
    for days, told in ((-90, 0), (-61, 0), (-60, 1), (-45, 1), (-30, 2), (-29, 2), (-7, 3), (-5, 3), (0, 4), (30, 4)):
        for _ in range(2):
            ahead.look(days)
        assert len(ahead.alerts) == told, days
        ahead.begin_anew()  # a restart tells nothing twice
    assert ahead.condition is Condition.ASSUMED_DAYS
    assert "30 days from now" in ahead.alerts[1]
    assert all("algo-py calendar import" in body for body in ahead.alerts)


def test_the_mark_goes_away_as_the_days_arrive(workspace: Workspace, file: Path) -> None:
    ahead = Ahead(workspace, 5)
    ahead.look()
    row = ahead.store.get(ahead.config.id)
    assert row.condition is Condition.ASSUMED_DAYS
    assert row.condition_reason.startswith("its next run is on a day that is assumed")
    assert not ahead.watch.has_news()
    file.write_text(KNOWN.format(LAST + timedelta(days=365)))
    assert ahead.watch.has_news()
    ahead.look()
    assert not ahead.watch.has_news()
    assert ahead.condition is None


def test_a_run_that_went_well_leaves_the_mark_and_one_without_data_is_worse(workspace: Workspace, file: Path) -> None:
    ahead = Ahead(workspace, 5)
    ahead.look()
    since = ahead.store.get(ahead.config.id).condition_since

    def record(condition: RunCondition, minute: int) -> None:
        at = ahead.clock.now() + timedelta(minutes=minute)
        run = RunRow(scheduled_at=at, started_at=at, duration_s=0.1, outcome="ok", detail={})
        cash = from_float(1.0)
        ahead.store.add_run(
            ahead.config.id, run, reason="", missed=0, cash=cash, equity=cash, heartbeat_at=at, condition=condition
        )

    record(RunCondition(), 1)
    row = ahead.store.get(ahead.config.id)
    assert (row.condition, row.condition_since, row.bad_runs) == (Condition.ASSUMED_DAYS, since, 0)
    record(RunCondition(condition=Condition.NO_DATA, reason="no bars"), 2)
    ahead.look(6)
    assert str(ahead.condition) == Condition.NO_DATA
    record(RunCondition(), 3)
    ahead.look(7)
    assert ahead.condition is Condition.ASSUMED_DAYS


def test_a_broken_file_is_told_once_and_takes_nothing_away(workspace: Workspace, file: Path) -> None:
    file.write_text(KNOWN.format(LAST + timedelta(days=365)))
    ahead = Ahead(workspace, 5)
    ahead.look()
    assert ahead.told == []
    file.write_text("[indian_equity\n")
    for _ in range(3):
        ahead.look()
    assert ahead.told == ["calendar.unreadable"]
    assert ahead.condition is None
    assert ahead.alerts == []


def test_assumed_days_are_less_than_any_trouble_and_more_than_running() -> None:
    now = datetime(2027, 1, 5, 6, tzinfo=UTC)

    def status(state: State, condition: Condition = Condition.ASSUMED_DAYS, overdue_s: float = -60.0) -> Status:
        return judge(
            Observation(
                wanted=Wanted.RUNNING,
                state=state,
                reason="",
                since=now,
                process_is_alive=True,
                supervisor_is_alive=True,
                heartbeat_at=now,
                run_due_at=now - timedelta(seconds=overdue_s),
                now=now,
                stalled_after=timedelta(seconds=30),
                late_after=timedelta(seconds=15),
                condition=condition,
                trouble=Trouble(reason="why", at=now),
            )
        ).status

    assert status(State.RUNNING) is Status.ASSUMED_DAYS
    assert status(State.WAITING) is Status.ASSUMED_DAYS
    assert status(State.RUNNING, overdue_s=60.0) is Status.LATE
    assert status(State.RUNNING, Condition.NO_DATA) is Status.NO_DATA
    assert status(State.NEW) is Status.STARTING


def test_beyond_the_known_days_a_deployment_runs_dies_restarts_and_keeps_what_it_holds(
    workspace: Workspace, manager: DeploymentManager, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    moment = noon(1)
    while not NSE.calendar.is_trading_day(moment):
        moment += timedelta(days=1)
    moment = moment.astimezone(UTC)
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join(filter(None, (str(SHIFTED), os.environ.get("PYTHONPATH")))))
    shift = tmp_path / "shift"
    monkeypatch.setenv("TEST_CLOCK_SHIFT_FILE", str(shift))

    def stand_at(moment: datetime) -> None:
        """Set the clock of all processes, this one too."""
        ahead = moment - datetime.now(UTC)
        shift.write_text(str(ahead.total_seconds()))
        monkeypatch.setattr(SystemClock, "now", lambda _clock: datetime.now(UTC) + ahead)

    stand_at(moment)
    prepare(workspace, moment)
    deployment = manager.deploy(DeploymentRequest(backtest="saved", schedule=EveryInterval(every_s=1)))
    running = reach(manager, deployment, "assumed days")
    assert "are known to" in running.reason
    assert deployment_json(running)["calendar"]["next_run_is_assumed"] is True
    following = next(day for day in (moment + timedelta(days=n) for n in range(1, 6)) if NSE.calendar.is_trading_day(day))
    bars = list(NSE.calendar.bar_opens(running.config.timeframe, moment - timedelta(days=1), moment))
    store_bars(workspace, following, {bars[-1]: IN})
    stand_at(following)
    held = manager.wait_until(deployment.id, lambda _d: bool(manager.ledger(deployment.id).positions), timeout_s=40)
    assert SHARE in manager.ledger(held.id).positions, manager.logs(held.id, last=8)
    before = manager.show(deployment.id)
    kill(before)
    again = manager.wait_until(deployment.id, lambda d: d.status == "assumed days" and d.pid != before.pid, timeout_s=40)
    assert (again.status, again.pid != before.pid) == ("assumed days", True), again.reason
    assert SHARE in manager.ledger(again.id).positions
    more = manager.wait_until(deployment.id, lambda d: d.row.runs > again.row.runs + 1, timeout_s=30)
    assert more.row.runs > again.row.runs + 1
    assert [alert.kind for alert in manager.alerts() if alert.kind is AlertKind.CALENDAR] == [AlertKind.CALENDAR]
    workspace.calendar_file.write_text(KNOWN.format(LAST + timedelta(days=365)))
    known = reach(manager, deployment, "running")
    assert known.pid == again.pid
    assert supervisors(workspace)
