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
    sa.Column("account", sa.String(64)),  # the account at its venue that it is bound to; null until it has first connected
    sa.Column("code_hashes", sa.Text),  # of every file that it may execute or read; null where an earlier version made it
    sa.Column("condition", sa.String(16), nullable=False, server_default=""),  # why the last run could not do its work
    sa.Column("condition_reason", sa.Text, nullable=False, server_default=""),
    sa.Column("condition_since", Moment),
    sa.Column("good_run_at", Moment),  # when a run last could do its work
    sa.Column("failed_runs", sa.Integer, nullable=False, server_default="0"),
    sa.Column("bad_runs", sa.Integer, nullable=False, server_default="0"),  # runs since, that could not
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

# What protects each held position now, as its worker last saw it.
protection = sa.Table(
    "protection",
    metadata,
    sa.Column("deployment_id", sa.String(32), primary_key=True),
    sa.Column("symbol", sa.String(32), primary_key=True),
    sa.Column("quantity", Amount, nullable=False),
    sa.Column("by", sa.String(16), nullable=False),
    sa.Column("is_wanted", sa.Boolean, nullable=False),
    sa.Column("stop_price", Amount),
    sa.Column("reason", sa.Text, nullable=False),
    sa.Column("since", Moment, nullable=False),
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
