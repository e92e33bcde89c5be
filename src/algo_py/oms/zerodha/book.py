"""Kite's order book and trades, as reports of orders and fills. Pure functions on what its client returns.

They raise ValueError, LookupError or TypeError when the rows are not what Kite documents (kite.trade/docs/connect/v3/orders).
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any, Final

from algo_py.oms.zerodha.access import INDIA
from algo_py.orders.model import Fill, OrderReport, OrderStatus, Side

_ENDS: Final = {
    "COMPLETE": OrderStatus.FILLED,
    "CANCELLED": OrderStatus.CANCELED,
    "CANCELLED AMO": OrderStatus.CANCELED,
    "REJECTED": OrderStatus.REJECTED,
}

Fee = Callable[[Side, Decimal, datetime], Decimal]


@dataclass(frozen=True, slots=True, kw_only=True)
class Entry:
    """An order of the book. `tags` are all that it carries: ours, and those that Kite adds itself."""

    order_id: str
    tags: frozenset[str]
    status: str
    message: str
    quantity: Decimal
    filled: Decimal

    @property
    def has_ended(self) -> bool:
        return self.status in _ENDS


def entries(rows: Iterable[Mapping[str, Any]]) -> list[Entry]:
    """Read the order book."""
    return [
        Entry(
            order_id=_text(row["order_id"]),
            tags=frozenset(filter(None, (row["tag"], *(row.get("tags") or ())))),
            status=_text(row["status"]),
            message=str(row["status_message"] or ""),
            quantity=_whole(row["quantity"]),
            filled=_whole(row["filled_quantity"]),
        )
        for row in rows
    ]


def fills(rows: Iterable[Mapping[str, Any]], *, ids: Mapping[str, str], fee: Fee) -> list[Fill]:
    """Read trades, oldest first, each once; `ids` gives our id for Kite's, and trades of other orders are left out.

    NSE counts its trades anew each day: the order's number, which holds the day, goes in front.
    """
    found: dict[str, Fill] = {}
    for row in rows:
        order_id = _text(row["order_id"])
        if order_id not in ids:
            continue
        trade_id = f"{order_id}-{_text(row['trade_id'])}"
        side, quantity = Side(row["transaction_type"]), _whole(row["quantity"])
        price, at = Decimal(str(row["average_price"])), _moment(row["fill_timestamp"])
        found[trade_id] = Fill(
            trade_id=trade_id,
            client_order_id=ids[order_id],
            symbol=_text(row["tradingsymbol"]),
            side=side,
            quantity=quantity,
            price=price,
            fee=fee(side, quantity * price, at),
            time=at,
        )
    return sorted(found.values(), key=lambda fill: fill.time)


def report(client_order_id: str, entry: Entry, fills: Sequence[Fill]) -> OrderReport:
    """Return an order as it stands.

    Book and trades are two answers, and one may be behind the other: an order has ended only when all its trades are there.
    """
    filled = sum((fill.quantity for fill in fills), Decimal(0))
    ended = _ENDS.get(entry.status)
    if filled >= entry.quantity:
        status = OrderStatus.FILLED
    elif ended is not None and ended is not OrderStatus.FILLED and filled >= entry.filled:
        status = ended
    else:
        status = OrderStatus.PARTIALLY_FILLED if filled else OrderStatus.ACCEPTED
    return OrderReport(
        client_order_id=client_order_id,
        venue_order_id=entry.order_id,
        status=status,
        reason=entry.message or ("" if entry.has_ended else entry.status.capitalize()),
        fills=tuple(fills),
    )


def is_own(tag: str) -> bool:
    """Return whether a tag may be one of ours: 20 lower-case alphanumerics."""
    return re.fullmatch(r"[a-z0-9]{20}", tag) is not None


def _text(value: object) -> str:
    if not isinstance(value, (str, int)) or not str(value):
        raise TypeError("a text is missing")
    return str(value)


def _whole(value: object) -> Decimal:
    number = Decimal(str(value))
    if number != number.to_integral_value() or number < 0:
        raise ValueError("a number of shares is not whole")
    return number


def _moment(value: object) -> datetime:
    """Return a time of Kite, which is India's without saying so, in UTC."""
    if not isinstance(value, datetime):
        raise TypeError("a time is missing")
    return (value if value.tzinfo else value.replace(tzinfo=INDIA)).astimezone(UTC)
