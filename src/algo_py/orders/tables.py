"""The tables of orders: the orders themselves, every status they had, their fills, and what is halted."""

from __future__ import annotations

import sqlalchemy as sa

from algo_py.database import Amount, Moment, metadata

orders = sa.Table(
    "orders",
    metadata,
    sa.Column("client_order_id", sa.String(20), primary_key=True),
    sa.Column("sequence", sa.Integer, nullable=False),
    sa.Column("deployment_id", sa.String(32), nullable=False, index=True),
    sa.Column("venue", sa.String(32), nullable=False),
    sa.Column("account", sa.String(64), nullable=False, server_default=""),
    sa.Column("venue_order_id", sa.String(64), nullable=False),
    sa.Column("bar_time", Moment, nullable=False),
    sa.Column("symbol", sa.String(32), nullable=False),
    sa.Column("side", sa.String(4), nullable=False),
    sa.Column("leg", sa.String(8), nullable=False),
    sa.Column("type", sa.String(16), nullable=False),
    sa.Column("time_in_force", sa.String(4), nullable=False),
    sa.Column("quantity", Amount, nullable=False),
    sa.Column("reference_price", Amount, nullable=False),
    sa.Column("limit_price", Amount),
    sa.Column("stop_price", Amount),
    sa.Column("target_price", Amount),
    sa.Column("intent_reason", sa.String(64), nullable=False),
    sa.Column("status", sa.String(16), nullable=False),
    sa.Column("reason", sa.Text, nullable=False),
    sa.Column("planned_at", Moment, nullable=False),
    sa.Column("updated_at", Moment, nullable=False),
    sa.UniqueConstraint("deployment_id", "sequence"),
)

order_events = sa.Table(
    "order_events",
    metadata,
    sa.Column("id", sa.Integer, primary_key=True, autoincrement=True),
    sa.Column("client_order_id", sa.String(20), sa.ForeignKey("orders.client_order_id"), nullable=False, index=True),
    sa.Column("at", Moment, nullable=False),
    sa.Column("status", sa.String(16), nullable=False),
    sa.Column("reason", sa.Text, nullable=False),
)

fills = sa.Table(
    "fills",
    metadata,
    sa.Column("id", sa.Integer, primary_key=True, autoincrement=True),
    sa.Column("venue", sa.String(32), nullable=False),
    sa.Column("symbol", sa.String(32), nullable=False),
    sa.Column("trade_id", sa.String(64), nullable=False),
    sa.Column("client_order_id", sa.String(20), sa.ForeignKey("orders.client_order_id"), nullable=False, index=True),
    sa.Column("deployment_id", sa.String(32), nullable=False, index=True),
    sa.Column("side", sa.String(4), nullable=False),
    sa.Column("quantity", Amount, nullable=False),
    sa.Column("price", Amount, nullable=False),
    sa.Column("fee", Amount, nullable=False),
    sa.Column("time", Moment, nullable=False),
    sa.Column("recorded_at", Moment, nullable=False),
    sa.UniqueConstraint("venue", "symbol", "trade_id"),
)

# `scope` is a deployment's id, or `all`.
halts = sa.Table(
    "halts",
    metadata,
    sa.Column("scope", sa.String(32), primary_key=True),
    sa.Column("reason", sa.Text, nullable=False),
    sa.Column("by", sa.String(32), nullable=False),
    sa.Column("at", Moment, nullable=False),
)
