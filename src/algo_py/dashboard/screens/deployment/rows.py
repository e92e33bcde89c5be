"""A deployment as a line of the table: pure functions from what is known to what is written."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from algo_py.dashboard.components.table import Cell, Column, Row, Tone
from algo_py.dashboard.format import DASH, listed, moment, money
from algo_py.deployment import Deployment
from algo_py.deployment.config import Replay
from algo_py.deployment.status import Status

TONES: Final[Mapping[Status, Tone]] = {
    Status.STARTING: "busy",
    Status.WAITING: "busy",
    Status.RUNNING: "good",
    Status.PAUSED: "busy",
    Status.UNPROTECTED: "bad",
    Status.HALTED: "bad",
    Status.FAILING: "bad",
    Status.NO_DATA: "bad",
    Status.ASSUMED_DAYS: "busy",
    Status.WATCHING: "busy",
    Status.LATE: "bad",
    Status.STALLED: "bad",
    Status.RESTARTING: "bad",
    Status.STOPPING: "busy",
    Status.STOPPED: "quiet",
    Status.FINISHED: "quiet",
    Status.ERROR: "bad",
}

COLUMNS: Final = (
    Column("Deployment"),
    Column("Status"),
    Column("PID", is_number=True),
    Column("Start time"),
    Column("Strategy"),
    Column("OMS"),
    Column("Runs", is_number=True),
    Column("Next run"),
    Column("Cash", is_number=True),
    Column("Equity", is_number=True),
)


def row_of(deployment: Deployment) -> Row:
    """Return the line; what is not known yet is a dash."""
    row, config = deployment.row, deployment.config
    backtest = config.backtest
    makes_no_runs = row.state.has_ended or deployment.status is Status.WATCHING
    counts = (("missed", row.missed_runs), ("failed", row.failed_runs))
    bad = ", ".join(f"{count:,} {what}" for what, count in counts if count)
    return Row(
        deployment.id,
        (
            Cell(deployment.name, note=deployment.id),
            status_cell(deployment),
            Cell(DASH if deployment.pid is None else str(deployment.pid)),
            Cell(moment(row.started_at)),
            Cell(backtest.strategy, note=f"{backtest.timeframe.value} {listed(backtest.symbols, 2)}"),
            Cell(config.oms),
            Cell(f"{row.runs:,}", note=bad),
            Cell(DASH if makes_no_runs else moment(row.next_run_at), note=clock_of(deployment)),
            Cell(money(row.cash, backtest.quote_label), note=backtest.quote_label),
            Cell(money(row.equity, backtest.quote_label), note=backtest.quote_label),
        ),
    )


def status_cell(deployment: Deployment) -> Cell:
    """Return the status as a badge, with its reason and since when under it."""
    since = f"since {moment(deployment.since)}"
    parts = [deployment.reason, since] if deployment.reason else [since]
    if deployment.status in (Status.FAILING, Status.NO_DATA):
        good_at = deployment.row.good_run_at
        parts.append("no run was good yet" if good_at is None else f"last good run {moment(good_at)}")
    note = "; ".join(parts)
    return Cell(deployment.status.value, note=note, tone=TONES[deployment.status])


def clock_of(deployment: Deployment) -> str:
    """Return `live`, `replay, 60 bars/s` or `replay, full speed`."""
    clock = deployment.config.clock
    if not isinstance(clock, Replay):
        return "live"
    return "replay, full speed" if clock.bars_per_s is None else f"replay, {clock.bars_per_s:g} bars/s"
