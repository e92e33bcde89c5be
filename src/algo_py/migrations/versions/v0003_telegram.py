"""The books of the Telegram OMS: each order's message and what was answered, and the inbox that its processes share."""

import sqlalchemy as sa
from alembic import op

revision = "0003"
down_revision = "0002"
branch_labels = None
depends_on = None

_MOMENT = sa.String(32)
_AMOUNT = sa.String(64)


def upgrade() -> None:
    """Create the two tables."""
    op.create_table(
        "telegram_orders",
        sa.Column("client_order_id", sa.String(20), primary_key=True),
        sa.Column("account", sa.String(64), nullable=False, index=True),
        sa.Column("symbol", sa.String(32), nullable=False),
        sa.Column("side", sa.String(4), nullable=False),
        sa.Column("quantity", _AMOUNT, nullable=False),
        sa.Column("reference_price", _AMOUNT, nullable=False),
        sa.Column("text", sa.Text, nullable=False),
        sa.Column("message_id", sa.BigInteger),
        sa.Column("question_id", sa.BigInteger),
        sa.Column("sent_at", _MOMENT, nullable=False),
        sa.Column("outcome", sa.String(16), nullable=False),
        sa.Column("reason", sa.Text, nullable=False),
        sa.Column("price", _AMOUNT),
        sa.Column("settled_at", _MOMENT),
    )
    op.create_table(
        "telegram_updates",
        sa.Column("bot", sa.String(32), primary_key=True),
        sa.Column("update_id", sa.BigInteger, primary_key=True, autoincrement=False),
        sa.Column("received_at", _MOMENT, nullable=False),
        sa.Column("content", sa.Text, nullable=False),
        sa.Column("is_handled", sa.Boolean, nullable=False),
    )
