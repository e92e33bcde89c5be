"""Deployments that run for months: limits that were changed on the way, and alerts that wait to be sent."""

import sqlalchemy as sa
from alembic import op

revision = "0004"
down_revision = "0003"
branch_labels = None
depends_on = None

_MOMENT = sa.String(32)


def upgrade() -> None:
    """Add the column and the table."""
    op.add_column("deployments", sa.Column("limits", sa.Text))
    op.create_table(
        "alerts",
        sa.Column("id", sa.Integer, primary_key=True, autoincrement=True),
        sa.Column("key", sa.String(200), nullable=False),
        sa.Column("kind", sa.String(32), nullable=False),
        sa.Column("deployment_id", sa.String(32)),
        sa.Column("title", sa.Text, nullable=False),
        sa.Column("body", sa.Text, nullable=False),
        sa.Column("raised_at", _MOMENT, nullable=False),
        sa.Column("sent_at", _MOMENT),
        sa.Column("attempts", sa.Integer, nullable=False),
        sa.Column("next_attempt_at", _MOMENT),
        sa.Column("error", sa.Text, nullable=False),
        sa.UniqueConstraint("key"),
    )
