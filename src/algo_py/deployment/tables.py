"""The tables of deployments: the wanted and the actual state, the runs, the equity over time, and the alerts."""

from __future__ import annotations

import sqlalchemy as sa

from algo_py.database import Amount, Moment, metadata

deployments = sa.Table(
    "deployments",
    metadata,
    sa.Column("id", sa.String(32), primary_key=True),
    sa.Column("name", sa.String(128), nullable=False),
    sa.Column("config", sa.Text, nullable=False),
    sa.Column("created_at", Moment, nullable=False),
    sa.Column("wanted", sa.String(16), nullable=False),
    sa.Column("state", sa.String(16), nullable=False),
    sa.Column("reason", sa.Text, nullable=False),
    sa.Column("since", Moment, nullable=False),
    sa.Column("pid", sa.Integer),
    sa.Column("pid_created_s", sa.Float),
    sa.Column("started_at", Moment),
    sa.Column("heartbeat_at", Moment),
    sa.Column("clock_at", Moment),
    sa.Column("last_bar_time", Moment),
    sa.Column("last_run_at", Moment),
    sa.Column("next_run_at", Moment),
    sa.Column("runs", sa.Integer, nullable=False),
    sa.Column("missed_runs", sa.Integer, nullable=False),
    sa.Column("cash", Amount),
    sa.Column("equity", Amount),
    sa.Column("cleared_at", Moment),
    sa.Column("limits", sa.Text),  # what replaces those of the configuration; null as long as nobody has changed them
)

runs = sa.Table(
    "runs",
    metadata,
    sa.Column("deployment_id", sa.String(32), sa.ForeignKey("deployments.id"), primary_key=True),
    sa.Column("scheduled_at", Moment, primary_key=True),
    sa.Column("started_at", Moment, nullable=False),
    sa.Column("duration_s", sa.Float, nullable=False),
    sa.Column("outcome", sa.String(16), nullable=False),
    sa.Column("detail", sa.Text, nullable=False),
)

equity_points = sa.Table(
    "equity_points",
    metadata,
    sa.Column("deployment_id", sa.String(32), sa.ForeignKey("deployments.id"), primary_key=True),
    sa.Column("time", Moment, primary_key=True),
    sa.Column("cash", Amount, nullable=False),
    sa.Column("equity", Amount, nullable=False),
)

alerts = sa.Table(
    "alerts",
    metadata,
    sa.Column("id", sa.Integer, primary_key=True, autoincrement=True),
    sa.Column("key", sa.String(200), nullable=False),
    sa.Column("kind", sa.String(32), nullable=False),
    sa.Column("deployment_id", sa.String(32)),
    sa.Column("title", sa.Text, nullable=False),
    sa.Column("body", sa.Text, nullable=False),
    sa.Column("raised_at", Moment, nullable=False),
    sa.Column("sent_at", Moment),
    sa.Column("attempts", sa.Integer, nullable=False),
    sa.Column("next_attempt_at", Moment),  # null: it is not tried any more, or was sent
    sa.Column("error", sa.Text, nullable=False),
    sa.UniqueConstraint("key"),
)
