"""Orders at real venues: accounts, prices of limit and stop orders, halts, resting orders on paper.

Orders of before were market orders on paper; their account is not known, and stays empty.
"""

import sqlalchemy as sa
from alembic import op

revision = "0002"
down_revision = "0001"
branch_labels = None
depends_on = None

_MOMENT = sa.String(32)
_AMOUNT = sa.String(64)


def upgrade() -> None:
    """Add the columns and the table."""
    with op.batch_alter_table("orders") as orders:
        orders.add_column(sa.Column("account", sa.String(64), nullable=False, server_default=""))
        orders.add_column(sa.Column("limit_price", _AMOUNT))
        orders.add_column(sa.Column("stop_price", _AMOUNT))
        orders.add_column(sa.Column("target_price", _AMOUNT))
    with op.batch_alter_table("paper_orders") as orders:
        orders.add_column(sa.Column("type", sa.String(16), nullable=False, server_default="MARKET"))
        orders.add_column(sa.Column("stop_price", _AMOUNT))
        orders.add_column(sa.Column("target_price", _AMOUNT))
        orders.add_column(sa.Column("intent_reason", sa.String(64), nullable=False, server_default=""))
    op.create_table(
        "halts",
        sa.Column("scope", sa.String(32), primary_key=True),
        sa.Column("reason", sa.Text, nullable=False),
        sa.Column("by", sa.String(32), nullable=False),
        sa.Column("at", _MOMENT, nullable=False),
    )
