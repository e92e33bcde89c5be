"""What a person reads in the chat. HTML, escaped, within Telegram's 4,096 characters."""

from __future__ import annotations

from decimal import Decimal
from html import escape

from algo_py.amounts import distance, plain
from algo_py.formatting import with_currency
from algo_py.market import Market
from algo_py.orders.model import OrderRequest, OrderType

# Telegram's bound for a message, after entities are parsed; an entity such as &lt; counts as one, so escaping stays within.
_REASON_MOST = 500
_NAME_MOST = 100
FILL, ASK, SKIP = "d", "p", "s"


def order_text(order: OrderRequest, *, deployment_name: str, market: Market) -> str:
    """Return the message of an order."""
    zone, quote = market.time_zone, market.quote_of(order.symbol)
    lines = [
        f"<b>{order.side} {escape(order.symbol)}</b>",
        f"Quantity: <b>{plain(order.quantity)}</b>",
        f"Reference price: {plain(order.reference_price)} {quote}",
        f"Value: {with_currency(order.notional, quote)}",
    ]
    if order.type is OrderType.LIMIT and order.limit_price is not None:
        lines.append(f"Limit: <b>{plain(order.limit_price)}</b> {quote}")
    lines += [
        f"Why: {escape(shortened(order.reason, _REASON_MOST))}",
        f"Bar: {order.bar_time.astimezone(zone):%Y-%m-%d %H:%M} {zone.key}",
        f"Deployment: {escape(shortened(deployment_name, _NAME_MOST))}",
        f"<code>{order.client_order_id}</code>",
    ]
    return "\n".join(lines)


def settled_text(text: str, outcome: str) -> str:
    """Return an order's message with what became of it."""
    return f"{text}\n\n<b>{escape(outcome)}</b>"


def question_text(client_order_id: str, symbol: str, side: str) -> str:
    """Return the message that asks for a price."""
    return f"At which price was {side} {escape(symbol)} done? Answer this message with a number. <code>{client_order_id}</code>"


def far_price_text(client_order_id: str, price: Decimal, reference: Decimal) -> str:
    """Return the message that asks whether a price far from the reference is meant."""
    return (
        f"{plain(price)} is {distance(price, reference)}: answer this message again with the same number to confirm it, "
        f"or with the right one. <code>{client_order_id}</code>"
    )


def no_price_text(given: str, why: str) -> str:
    """Return the answer to a reply that is no price."""
    return f"{escape(shortened(given, 50))!r} is not a price. {escape(why)}"


def no_more_questions_text(client_order_id: str) -> str:
    """Return the answer to a reply to the last of too many questions."""
    return (
        f"That was asked too often, so nothing is booked. Press Done or Skipped at the order, or settle it with "
        f"<code>algo-py settle</code>. <code>{client_order_id}</code>"
    )


def shortened(text: str, most: int) -> str:
    """Return a text of at most so many characters."""
    return text if len(text) <= most else f"{text[: most - 1]}…"
