"""The adapter's own books: Telegram cannot be asked what was sent, so it is written down before."""

from __future__ import annotations

import sqlalchemy as sa

from algo_py.database import Amount, Moment, metadata

# outcome: empty while nobody has answered; filled, or canceled with its reason. message_id: empty while it is not certain that
# the message was sent. chat_id: where it was sent to. question_id: the message that asks for a price, the last of `questions`.
# asked_price: a price far from the reference, until it is confirmed. is_shown: False while the chat does not show the outcome.
telegram_orders = sa.Table(
    "telegram_orders",
    metadata,
    sa.Column("client_order_id", sa.String(20), primary_key=True),
    sa.Column("account", sa.String(64), nullable=False, index=True),
    sa.Column("symbol", sa.String(32), nullable=False),
    sa.Column("side", sa.String(4), nullable=False),
    sa.Column("quantity", Amount, nullable=False),
    sa.Column("reference_price", Amount, nullable=False),
    sa.Column("text", sa.Text, nullable=False),
    sa.Column("message_id", sa.BigInteger),
    sa.Column("question_id", sa.BigInteger),
    sa.Column("sent_at", Moment, nullable=False),
    sa.Column("outcome", sa.String(16), nullable=False),
    sa.Column("reason", sa.Text, nullable=False),
    sa.Column("price", Amount),
    sa.Column("settled_at", Moment),
    sa.Column("chat_id", sa.String(64)),
    sa.Column("questions", sa.Integer, nullable=False, server_default="0"),
    sa.Column("asked_price", Amount),
    sa.Column("is_shown", sa.Boolean, nullable=False, server_default=sa.true()),
    sa.Index("ix_telegram_orders_is_shown", "is_shown"),
    sa.Index("ix_telegram_orders_question_id", "question_id"),
)

# What the bot was told, by all processes that use it; `bot` is its public number.
telegram_updates = sa.Table(
    "telegram_updates",
    metadata,
    sa.Column("bot", sa.String(32), primary_key=True),
    sa.Column("update_id", sa.BigInteger, primary_key=True, autoincrement=False),
    sa.Column("received_at", Moment, nullable=False),
    sa.Column("content", sa.Text, nullable=False),
    sa.Column("is_handled", sa.Boolean, nullable=False),
)

# A group that became a supergroup has another id from then on.
telegram_chats = sa.Table(
    "telegram_chats",
    metadata,
    sa.Column("bot", sa.String(32), primary_key=True),
    sa.Column("chat_id", sa.String(64), primary_key=True),
    sa.Column("moved_to", sa.String(64), nullable=False),
    sa.Column("at", Moment, nullable=False),
)
