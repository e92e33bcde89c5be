"""The paper venue's own books. They stand apart from the journal, as any venue's do: after a crash one asks them."""

from __future__ import annotations

import sqlalchemy as sa

from algo_py.database import Amount, Moment, metadata

paper_orders = sa.Table(
    "paper_orders",
    metadata,
    sa.Column("client_order_id", sa.String(20), primary_key=True),
    sa.Column("account", sa.String(32), nullable=False, index=True),
    sa.Column("symbol", sa.String(32), nullable=False),
    sa.Column("side", sa.String(4), nullable=False),
    sa.Column("leg", sa.String(8), nullable=False),
    sa.Column("type", sa.String(16), nullable=False, server_default="MARKET"),
    sa.Column("quantity", Amount, nullable=False),
    sa.Column("stop_price", Amount),
    sa.Column("target_price", Amount),
    sa.Column("intent_reason", sa.String(64), nullable=False, server_default=""),
    sa.Column("bar_time", Moment, nullable=False),
    sa.Column("submitted_at", Moment, nullable=False),
    sa.Column("status", sa.String(16), nullable=False),
    sa.Column("reason", sa.Text, nullable=False),
    sa.Index("ix_paper_orders_account_status", "account", "status"),
)

paper_fills = sa.Table(
    "paper_fills",
    metadata,
    sa.Column("id", sa.Integer, primary_key=True, autoincrement=True),
    sa.Column("account", sa.String(32), nullable=False, index=True),
    sa.Column("client_order_id", sa.String(20), sa.ForeignKey("paper_orders.client_order_id"), nullable=False),
    sa.Column("symbol", sa.String(32), nullable=False),
    sa.Column("side", sa.String(4), nullable=False),
    sa.Column("quantity", Amount, nullable=False),
    sa.Column("price", Amount, nullable=False),
    sa.Column("fee", Amount, nullable=False),
    sa.Column("time", Moment, nullable=False),
)
