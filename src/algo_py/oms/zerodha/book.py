"""Kite's order book and trades, as reports of orders and fills. Pure functions on what its client returns.

They raise ValueError, LookupError or TypeError when the rows are not what Kite documents (kite.trade/docs/connect/v3/orders), and
OutcomeUnknown for a number that cannot be booked, by name.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any, Final

from algo_py.amounts import read_amount
from algo_py.errors import InvalidInput, OutcomeUnknown
from algo_py.oms.zerodha.access import INDIA
from algo_py.orders.model import Fill, OrderReport, OrderStatus, Side

_ENDS: Final = {
    "COMPLETE": OrderStatus.FILLED,
    "CANCELLED": OrderStatus.CANCELED,
    "CANCELLED AMO": OrderStatus.CANCELED,
    "REJECTED": OrderStatus.REJECTED,
}

_BY_HAND: Final = "Look at it in Kite, and settle it by hand."

Fee = Callable[[Side, Decimal, datetime], Decimal]


@dataclass(frozen=True, slots=True, kw_only=True)
class Entry:
    """An order of the book."""

    order_id: str
    status: str
    message: str
    quantity: Decimal
    filled: Decimal

    @property
    def has_ended(self) -> bool:
        return self.status in _ENDS


def entries(rows: Iterable[Mapping[str, Any]], *, tag: str) -> list[Entry]:
    """Return the orders of the book that carry a tag."""
    return [
        Entry(
            order_id=_text(row["order_id"]),
            status=_text(row["status"]),
            message=str(row["status_message"] or ""),
            quantity=_whole(row, "quantity"),
            filled=_whole(row, "filled_quantity", allow_zero=True),
        )
        for row in rows
        if tag in _tags(row)
    ]


def own_ids(rows: Iterable[Mapping[str, Any]]) -> dict[str, str]:
    """Return our id of each order of the book that carries one, by Kite's: 20 lower-case alphanumerics."""
    return {_text(row["order_id"]): tag for row in rows for tag in _tags(row) if re.fullmatch(r"[a-z0-9]{20}", tag)}


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
        side, quantity = Side(row["transaction_type"]), _whole(row, "quantity")
        price, at = _amount(row, "average_price"), _moment(row["fill_timestamp"])
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


def _tags(row: Mapping[str, Any]) -> set[str]:
    """Return all that an order carries: the tag that was given, and those that Kite adds to it.

    A row without the field is no row of an order book: an order must not seem to be absent because its tag is.
    """
    return {str(tag) for tag in (row["tag"], *(row.get("tags") or ())) if tag}


def _text(value: object) -> str:
    if not isinstance(value, (str, int)) or not str(value):
        raise TypeError("a text is missing")
    return str(value)


def _whole(row: Mapping[str, Any], name: str, *, allow_zero: bool = False) -> Decimal:
    number = _amount(row, name, allow_zero=allow_zero)
    if number != number.to_integral_value():
        raise OutcomeUnknown(f"{name} of order {_text(row['order_id'])} is not whole shares (was {number:f})", remedy=_BY_HAND)
    return number


def _amount(row: Mapping[str, Any], name: str, *, allow_zero: bool = False) -> Decimal:
    try:
        return read_amount(row[name], name=f"{name} of order {_text(row['order_id'])}", allow_zero=allow_zero)
    except InvalidInput as error:
        raise OutcomeUnknown(error.message, remedy=_BY_HAND) from None


def _moment(value: object) -> datetime:
    """Return a time of Kite, which is India's without saying so, in UTC."""
    if not isinstance(value, datetime):
        raise TypeError("a time is missing")
    return (value if value.tzinfo else value.replace(tzinfo=INDIA)).astimezone(UTC)
