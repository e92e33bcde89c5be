"""The first schema: deployments, their runs and equity, orders, fills, and the paper venue.

Moments are ISO 8601 texts in UTC, amounts are decimal texts.
"""

import sqlalchemy as sa
from alembic import op

revision = "0001"
down_revision = None
branch_labels = None
depends_on = None

_MOMENT = sa.String(32)
_AMOUNT = sa.String(64)


def upgrade() -> None:
    """Create all tables."""
    op.create_table(
        "deployments",
        sa.Column("id", sa.String(32), primary_key=True),
        sa.Column("name", sa.String(128), nullable=False),
        sa.Column("config", sa.Text, nullable=False),
        sa.Column("created_at", _MOMENT, nullable=False),
        sa.Column("wanted", sa.String(16), nullable=False),
        sa.Column("state", sa.String(16), nullable=False),
        sa.Column("reason", sa.Text, nullable=False),
        sa.Column("since", _MOMENT, nullable=False),
        sa.Column("pid", sa.Integer),
        sa.Column("pid_created_s", sa.Float),
        sa.Column("started_at", _MOMENT),
        sa.Column("heartbeat_at", _MOMENT),
        sa.Column("clock_at", _MOMENT),
        sa.Column("last_bar_time", _MOMENT),
        sa.Column("last_run_at", _MOMENT),
        sa.Column("next_run_at", _MOMENT),
        sa.Column("runs", sa.Integer, nullable=False),
        sa.Column("missed_runs", sa.Integer, nullable=False),
        sa.Column("cash", _AMOUNT),
        sa.Column("equity", _AMOUNT),
        sa.Column("cleared_at", _MOMENT),
    )
    op.create_table(
        "runs",
        sa.Column("deployment_id", sa.String(32), sa.ForeignKey("deployments.id"), primary_key=True),
        sa.Column("scheduled_at", _MOMENT, primary_key=True),
        sa.Column("started_at", _MOMENT, nullable=False),
        sa.Column("duration_s", sa.Float, nullable=False),
        sa.Column("outcome", sa.String(16), nullable=False),
        sa.Column("detail", sa.Text, nullable=False),
    )
    op.create_table(
        "equity_points",
        sa.Column("deployment_id", sa.String(32), sa.ForeignKey("deployments.id"), primary_key=True),
        sa.Column("time", _MOMENT, primary_key=True),
        sa.Column("cash", _AMOUNT, nullable=False),
        sa.Column("equity", _AMOUNT, nullable=False),
    )
    op.create_table(
        "orders",
        sa.Column("client_order_id", sa.String(20), primary_key=True),
        sa.Column("sequence", sa.Integer, nullable=False),
        sa.Column("deployment_id", sa.String(32), nullable=False, index=True),
        sa.Column("venue", sa.String(32), nullable=False),
        sa.Column("venue_order_id", sa.String(64), nullable=False),
        sa.Column("bar_time", _MOMENT, nullable=False),
        sa.Column("symbol", sa.String(32), nullable=False),
        sa.Column("side", sa.String(4), nullable=False),
        sa.Column("leg", sa.String(8), nullable=False),
        sa.Column("type", sa.String(16), nullable=False),
        sa.Column("time_in_force", sa.String(4), nullable=False),
        sa.Column("quantity", _AMOUNT, nullable=False),
        sa.Column("reference_price", _AMOUNT, nullable=False),
        sa.Column("intent_reason", sa.String(64), nullable=False),
        sa.Column("status", sa.String(16), nullable=False),
        sa.Column("reason", sa.Text, nullable=False),
        sa.Column("planned_at", _MOMENT, nullable=False),
        sa.Column("updated_at", _MOMENT, nullable=False),
        sa.UniqueConstraint("deployment_id", "sequence"),
    )
    op.create_table(
        "order_events",
        sa.Column("id", sa.Integer, primary_key=True, autoincrement=True),
        sa.Column("client_order_id", sa.String(20), sa.ForeignKey("orders.client_order_id"), nullable=False, index=True),
        sa.Column("at", _MOMENT, nullable=False),
        sa.Column("status", sa.String(16), nullable=False),
        sa.Column("reason", sa.Text, nullable=False),
    )
    op.create_table(
        "fills",
        sa.Column("id", sa.Integer, primary_key=True, autoincrement=True),
        sa.Column("venue", sa.String(32), nullable=False),
        sa.Column("symbol", sa.String(32), nullable=False),
        sa.Column("trade_id", sa.String(64), nullable=False),
        sa.Column("client_order_id", sa.String(20), sa.ForeignKey("orders.client_order_id"), nullable=False, index=True),
        sa.Column("deployment_id", sa.String(32), nullable=False, index=True),
        sa.Column("side", sa.String(4), nullable=False),
        sa.Column("quantity", _AMOUNT, nullable=False),
        sa.Column("price", _AMOUNT, nullable=False),
        sa.Column("fee", _AMOUNT, nullable=False),
        sa.Column("time", _MOMENT, nullable=False),
        sa.Column("recorded_at", _MOMENT, nullable=False),
        sa.UniqueConstraint("venue", "symbol", "trade_id"),
    )
    op.create_table(
        "paper_orders",
        sa.Column("client_order_id", sa.String(20), primary_key=True),
        sa.Column("account", sa.String(32), nullable=False, index=True),
        sa.Column("symbol", sa.String(32), nullable=False),
        sa.Column("side", sa.String(4), nullable=False),
        sa.Column("leg", sa.String(8), nullable=False),
        sa.Column("quantity", _AMOUNT, nullable=False),
        sa.Column("bar_time", _MOMENT, nullable=False),
        sa.Column("submitted_at", _MOMENT, nullable=False),
        sa.Column("status", sa.String(16), nullable=False),
        sa.Column("reason", sa.Text, nullable=False),
    )
    op.create_table(
        "paper_fills",
        sa.Column("id", sa.Integer, primary_key=True, autoincrement=True),
        sa.Column("account", sa.String(32), nullable=False, index=True),
        sa.Column("client_order_id", sa.String(20), sa.ForeignKey("paper_orders.client_order_id"), nullable=False),
        sa.Column("symbol", sa.String(32), nullable=False),
        sa.Column("side", sa.String(4), nullable=False),
        sa.Column("quantity", _AMOUNT, nullable=False),
        sa.Column("price", _AMOUNT, nullable=False),
        sa.Column("fee", _AMOUNT, nullable=False),
        sa.Column("time", _MOMENT, nullable=False),
    )
