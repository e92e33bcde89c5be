"""Positions that are never left alone: what protects them, halts of a symbol, entries that are no fills, what a run could do.

Only additions, so that what an earlier version wrote is read as before.
"""

import sqlalchemy as sa
from alembic import op

revision = "0005"
down_revision = "0004"
branch_labels = None
depends_on = None

_MOMENT = sa.String(32)
_AMOUNT = sa.String(64)


def upgrade() -> None:
    """Add the columns, the tables and the indexes."""
    for column in (
        sa.Column("account", sa.String(64)),
        sa.Column("code_hashes", sa.Text),
        sa.Column("condition", sa.String(16), nullable=False, server_default=""),
        sa.Column("condition_reason", sa.Text, nullable=False, server_default=""),
        sa.Column("condition_since", _MOMENT),
        sa.Column("good_run_at", _MOMENT),
        sa.Column("failed_runs", sa.Integer, nullable=False, server_default="0"),
        sa.Column("bad_runs", sa.Integer, nullable=False, server_default="0"),
    ):
        op.add_column("deployments", column)
    op.add_column("fills", sa.Column("fee_asset", sa.String(16)))
    op.add_column("fills", sa.Column("fee_quantity", _AMOUNT))
    op.create_table(
        "ledger_entries",
        sa.Column("id", sa.Integer, primary_key=True, autoincrement=True),
        sa.Column("entry_id", sa.String(64), nullable=False),
        sa.Column("deployment_id", sa.String(32), nullable=False, index=True),
        sa.Column("symbol", sa.String(32), nullable=False),
        sa.Column("kind", sa.String(16), nullable=False),
        sa.Column("quantity", _AMOUNT, nullable=False),
        sa.Column("cash", _AMOUNT, nullable=False),
        sa.Column("price", _AMOUNT),
        sa.Column("ratio", _AMOUNT),
        sa.Column("reverses", sa.String(64)),
        sa.Column("note", sa.Text, nullable=False),
        sa.Column("by", sa.String(32), nullable=False),
        sa.Column("after_fill_id", sa.Integer, nullable=False),
        sa.Column("time", _MOMENT, nullable=False),
        sa.Column("recorded_at", _MOMENT, nullable=False),
        sa.UniqueConstraint("entry_id"),
    )
    op.create_table(
        "symbol_halts",
        sa.Column("deployment_id", sa.String(32), primary_key=True),
        sa.Column("symbol", sa.String(32), primary_key=True),
        sa.Column("reason", sa.Text, nullable=False),
        sa.Column("by", sa.String(32), nullable=False),
        sa.Column("at", _MOMENT, nullable=False),
    )
    op.create_table(
        "protection",
        sa.Column("deployment_id", sa.String(32), primary_key=True),
        sa.Column("symbol", sa.String(32), primary_key=True),
        sa.Column("quantity", _AMOUNT, nullable=False),
        sa.Column("by", sa.String(16), nullable=False),
        sa.Column("is_wanted", sa.Boolean, nullable=False),
        sa.Column("stop_price", _AMOUNT),
        sa.Column("reason", sa.Text, nullable=False),
        sa.Column("since", _MOMENT, nullable=False),
    )
    op.create_table(
        "telegram_chats",
        sa.Column("bot", sa.String(32), primary_key=True),
        sa.Column("chat_id", sa.String(64), primary_key=True),
        sa.Column("moved_to", sa.String(64), nullable=False),
        sa.Column("at", _MOMENT, nullable=False),
    )
    op.add_column("telegram_orders", sa.Column("chat_id", sa.String(64)))
    op.add_column("telegram_orders", sa.Column("questions", sa.Integer, nullable=False, server_default="0"))
    op.add_column("telegram_orders", sa.Column("asked_price", _AMOUNT))
    op.add_column("telegram_orders", sa.Column("is_shown", sa.Boolean, nullable=False, server_default=sa.true()))
    op.create_index("ix_telegram_orders_is_shown", "telegram_orders", ["is_shown"])
    op.create_index("ix_telegram_orders_question_id", "telegram_orders", ["question_id"])
    op.create_index("ix_orders_deployment_status", "orders", ["deployment_id", "status"])
    op.create_index("ix_orders_deployment_updated", "orders", ["deployment_id", "updated_at"])
    op.create_index("ix_orders_deployment_bar_time", "orders", ["deployment_id", "bar_time"])
    op.create_index("ix_orders_status", "orders", ["status"])
    op.create_index("ix_fills_deployment_id_id", "fills", ["deployment_id", "id"])
    op.create_index("ix_paper_orders_account_status", "paper_orders", ["account", "status"])
