"""The tables of orders: the orders, every status they had, their fills, what else changed a ledger, and what is halted."""

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
    sa.Index("ix_orders_deployment_status", "deployment_id", "status"),
    sa.Index("ix_orders_deployment_updated", "deployment_id", "updated_at"),
    sa.Index("ix_orders_deployment_bar_time", "deployment_id", "bar_time"),
    sa.Index("ix_orders_status", "status"),
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
    # What the venue charged the fee in, where that is neither quote currency nor kept back from what was bought.
    sa.Column("fee_asset", sa.String(16)),
    sa.Column("fee_quantity", Amount),
    sa.UniqueConstraint("venue", "symbol", "trade_id"),
    sa.Index("ix_fills_deployment_id_id", "deployment_id", "id"),
)

# What changed a ledger and was no fill: `orders.entries` says what each kind means. `after_fill_id`: the newest fill then, so
# that folding both tables has one order.
ledger_entries = sa.Table(
    "ledger_entries",
    metadata,
    sa.Column("id", sa.Integer, primary_key=True, autoincrement=True),
    sa.Column("entry_id", sa.String(64), nullable=False),
    sa.Column("deployment_id", sa.String(32), nullable=False, index=True),
    sa.Column("symbol", sa.String(32), nullable=False),
    sa.Column("kind", sa.String(16), nullable=False),
    sa.Column("quantity", Amount, nullable=False),
    sa.Column("cash", Amount, nullable=False),
    sa.Column("price", Amount),
    sa.Column("ratio", Amount),
    sa.Column("reverses", sa.String(64)),
    sa.Column("note", sa.Text, nullable=False),
    sa.Column("by", sa.String(32), nullable=False),
    sa.Column("after_fill_id", sa.Integer, nullable=False),
    sa.Column("time", Moment, nullable=False),
    sa.Column("recorded_at", Moment, nullable=False),
    sa.UniqueConstraint("entry_id"),
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

# What keeps a deployment from entering one symbol; everything else goes on.
symbol_halts = sa.Table(
    "symbol_halts",
    metadata,
    sa.Column("deployment_id", sa.String(32), primary_key=True),
    sa.Column("symbol", sa.String(32), primary_key=True),
    sa.Column("reason", sa.Text, nullable=False),
    sa.Column("by", sa.String(32), nullable=False),
    sa.Column("at", Moment, nullable=False),
)
