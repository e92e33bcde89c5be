"""What Binance says of an order, taken apart: where it stands and what it traded. Nothing is asked here.

Reading raises what a missing or malformed part raises; the caller decides what an answer that cannot be read means. A number of
an order or a trade that cannot be booked is OutcomeUnknown and named: something happened, and nobody can say what.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any, Final

from algo_py.amounts import read_amount
from algo_py.errors import InvalidInput, OutcomeUnknown
from algo_py.orders.model import OrderRequest, OrderStatus, OrderType, Side

_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
_NO_LIST: Final = -1
_ASSET: Final = re.compile(r"\w{1,16}")
_BY_HAND: Final = "Look at it in the account, and settle it by hand."
TARGET_TYPE: Final = "TAKE_PROFIT"

_STATUS: Final = {
    "NEW": OrderStatus.ACCEPTED,
    "PENDING_NEW": OrderStatus.ACCEPTED,
    "PARTIALLY_FILLED": OrderStatus.PARTIALLY_FILLED,
    "FILLED": OrderStatus.FILLED,
    "CANCELED": OrderStatus.CANCELED,
    "PENDING_CANCEL": OrderStatus.ACCEPTED,  # asked to end, but not ended; Binance says that it does not use it
    "REJECTED": OrderStatus.REJECTED,
    "EXPIRED": OrderStatus.EXPIRED,
    "EXPIRED_IN_MATCH": OrderStatus.EXPIRED,
}


@dataclass(frozen=True, slots=True, kw_only=True)
class VenueOrder:
    """An order as Binance knows it; `executed` is how much of `quantity` has traded. `list_id` None: it is on no list."""

    id: int
    list_id: int | None
    side: Side
    type: str
    venue_status: str
    quantity: Decimal
    executed: Decimal

    @classmethod
    def read(cls, entry: Mapping[str, Any]) -> VenueOrder:
        """Read an order from the answer to placing it, or to asking for it."""
        list_id = int(entry["orderListId"])
        return cls(
            id=int(entry["orderId"]),
            list_id=None if list_id == _NO_LIST else list_id,
            side=Side(entry["side"]),
            type=str(entry["type"]),
            venue_status=str(entry["status"]),
            quantity=_amount(entry, "origQty", of="an order"),
            executed=_amount(entry, "executedQty", of="an order", allow_zero=True),
        )

    @property
    def status(self) -> OrderStatus:
        """Where it stands in our words; one that we have no word for raises KeyError."""
        status = _STATUS[self.venue_status]
        return OrderStatus.PARTIALLY_FILLED if status is OrderStatus.ACCEPTED and self.executed else status

    @property
    def reason(self) -> str:
        """Why it ended, where that is not plain from its being filled."""
        done = f"{self.executed.normalize():f} of {self.quantity.normalize():f} filled"
        match self.venue_status:
            case "EXPIRED" if self.type == "MARKET":
                return f"nobody to trade with any more: {done}"
            case "EXPIRED":
                return f"expired: {done}"
            case "EXPIRED_IN_MATCH":
                return f"it would have traded with an order of the same account: {done}"
            case "CANCELED":
                return f"canceled: {done}"
            case "REJECTED":
                return "rejected after it was taken"
        return ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Trade:
    """One execution of an order: `commission` was charged in units of `commission_asset`."""

    id: int
    order_id: int
    side: Side
    price: Decimal
    quantity: Decimal
    commission: Decimal
    commission_asset: str
    time: datetime

    @classmethod
    def listed(cls, entry: Mapping[str, Any]) -> Trade:
        """Read an entry of the account's list of trades."""
        if not isinstance(entry["isBuyer"], bool):
            raise TypeError("isBuyer is neither true nor false")
        side = Side.BUY if entry["isBuyer"] else Side.SELL
        return cls._read(entry, id=int(entry["id"]), order_id=int(entry["orderId"]), side=side, time_ms=int(entry["time"]))

    @classmethod
    def answered(cls, fill: Mapping[str, Any], order: VenueOrder, time_ms: int) -> Trade:
        """Read an entry of the `fills` in the answer to placing an order."""
        return cls._read(fill, id=int(fill["tradeId"]), order_id=order.id, side=order.side, time_ms=time_ms)

    @classmethod
    def _read(cls, entry: Mapping[str, Any], *, id: int, order_id: int, side: Side, time_ms: int) -> Trade:  # noqa: A002
        of = f"trade {id}"
        asset = entry["commissionAsset"]
        commission = _amount(entry, "commission", of=of, allow_zero=True)
        if not isinstance(asset, str) or (commission and not _ASSET.fullmatch(asset)):
            raise OutcomeUnknown(f"commissionAsset of {of} is no asset (was {str(asset)[:20]!r})", remedy=_BY_HAND)
        return cls(
            id=id,
            order_id=order_id,
            side=side,
            price=_amount(entry, "price", of=of),
            quantity=_amount(entry, "qty", of=of),
            commission=commission,
            commission_asset=asset,
            time=moment_of(time_ms),
        )


def each_once(trades: Iterable[Trade]) -> list[Trade]:
    """Return the trades oldest first, and each of them once however often it is listed."""
    return sorted({trade.id: trade for trade in trades}.values(), key=lambda trade: (trade.time, trade.id))


def whole_status(orders: Sequence[VenueOrder], traded: Decimal) -> tuple[OrderStatus, str]:
    """Return where an order of ours stands, given all that Binance knows of it and how much is listed as traded; and why.

    While trades are missing from the list it is not over, whatever else Binance says: they would never be asked for again.
    """
    if traded < sum(order.executed for order in orders):
        return (OrderStatus.PARTIALLY_FILLED if traded else OrderStatus.ACCEPTED), "not all of its trades are listed yet"
    statuses = {order.status for order in orders}
    for status in (OrderStatus.FILLED, OrderStatus.PARTIALLY_FILLED):
        if status in statuses:
            return status, ""
    if OrderStatus.ACCEPTED in statuses:
        return (OrderStatus.PARTIALLY_FILLED if traded else OrderStatus.ACCEPTED), ""
    # Of a pair one always expires: what matters is how the one ended that traded, or was canceled.
    telling = max(orders, key=lambda order: (order.executed, order.status is not OrderStatus.EXPIRED))
    return telling.status, telling.reason


def is_same(order: OrderRequest, known: Sequence[VenueOrder]) -> bool:
    """Return whether what Binance found under our ids is what we asked for."""
    if not all(one.side is order.side and one.quantity == order.quantity for one in known):
        return False
    if order.type is OrderType.STOP:
        return all(one.type in ("STOP_LOSS", TARGET_TYPE) for one in known)
    return all(one.type == order.type.value for one in known)


def moment_of(time_ms: int) -> datetime:
    """Return a time of Binance's, milliseconds since 1970."""
    return _EPOCH + timedelta(milliseconds=time_ms)


def _amount(entry: Mapping[str, Any], name: str, *, of: str, allow_zero: bool = False) -> Decimal:
    try:
        return read_amount(entry[name], name=f"{name} of {of}", allow_zero=allow_zero)
    except InvalidInput as error:
        raise OutcomeUnknown(error.message, remedy=_BY_HAND) from None
