"""Orders: what they are, and which status may follow which.

Needs only the standard library. Quantities, prices and fees are Decimal; moments are aware datetimes in UTC.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from enum import StrEnum


class Side(StrEnum):
    BUY = "BUY"
    SELL = "SELL"


class Leg(StrEnum):
    """What an order does to a position. A reversal is two orders: its exit, then its entry."""

    EXIT = "exit"
    ENTRY = "entry"


class OrderType(StrEnum):
    MARKET = "MARKET"
    LIMIT = "LIMIT"
    STOP = "STOP"
    STOP_LIMIT = "STOP_LIMIT"


class TimeInForce(StrEnum):
    GTC = "GTC"
    IOC = "IOC"
    FOK = "FOK"
    DAY = "DAY"


class OrderStatus(StrEnum):
    """Where an order stands. DENIED is our own risk check's no, REJECTED the venue's."""

    PLANNED = "PLANNED"
    SUBMITTING = "SUBMITTING"
    UNKNOWN = "UNKNOWN"
    ACCEPTED = "ACCEPTED"
    PARTIALLY_FILLED = "PARTIALLY_FILLED"
    FILLED = "FILLED"
    CANCELED = "CANCELED"
    EXPIRED = "EXPIRED"
    REJECTED = "REJECTED"
    DENIED = "DENIED"

    @property
    def is_open(self) -> bool:
        """Whether more may still happen to it."""
        return self in _OPEN


_S = OrderStatus
_OPEN = frozenset({_S.PLANNED, _S.SUBMITTING, _S.UNKNOWN, _S.ACCEPTED, _S.PARTIALLY_FILLED})
_VENUE_SAYS = frozenset({_S.ACCEPTED, _S.PARTIALLY_FILLED, _S.FILLED, _S.CANCELED, _S.EXPIRED, _S.REJECTED})

# The one table of legal transitions. Every write of a status goes through `may_become`.
TRANSITIONS: dict[OrderStatus, frozenset[OrderStatus]] = {
    # EXPIRED: the intent grew stale before it was sent.
    _S.PLANNED: frozenset({_S.SUBMITTING, _S.DENIED, _S.EXPIRED}),
    # Anything the venue may answer, or no usable answer at all. Back to PLANNED only once the venue has said that it does not
    # know the id: that is what permits a second submit.
    _S.SUBMITTING: _VENUE_SAYS | {_S.UNKNOWN, _S.PLANNED},
    _S.UNKNOWN: _VENUE_SAYS | {_S.PLANNED},
    # UNKNOWN: the venue says of it what cannot be, so nobody knows where it stands.
    _S.ACCEPTED: frozenset({_S.PARTIALLY_FILLED, _S.FILLED, _S.CANCELED, _S.EXPIRED, _S.REJECTED, _S.UNKNOWN}),
    _S.PARTIALLY_FILLED: frozenset({_S.FILLED, _S.CANCELED, _S.EXPIRED, _S.UNKNOWN}),
    # A cancel and a fill can cross on their way: the fill is what happened.
    _S.CANCELED: frozenset({_S.PARTIALLY_FILLED, _S.FILLED}),
    _S.EXPIRED: frozenset({_S.PARTIALLY_FILLED, _S.FILLED}),
    _S.FILLED: frozenset(),
    _S.REJECTED: frozenset(),
    _S.DENIED: frozenset(),
}


def may_become(current: OrderStatus, following: OrderStatus) -> bool:
    """Return whether `following` may be recorded over `current`; the same status again is always allowed."""
    return following is current or following in TRANSITIONS[current]


@dataclass(frozen=True, slots=True, kw_only=True)
class OrderRequest:
    """An order that we mean to send.

    `bar_time` is the open time of the bar on which it was decided, `reference_price` that bar's close. An exit never opens a
    position the other way round. A LIMIT order has a limit_price. A STOP order rests until the market reaches its stop_price, or
    its target_price on the good side, whichever is first (one of them may be None); then it closes at the market.
    """

    client_order_id: str
    symbol: str
    side: Side
    leg: Leg
    quantity: Decimal
    bar_time: datetime
    reference_price: Decimal
    type: OrderType = OrderType.MARKET
    time_in_force: TimeInForce = TimeInForce.GTC
    limit_price: Decimal | None = None
    stop_price: Decimal | None = None
    target_price: Decimal | None = None
    reason: str

    @property
    def notional(self) -> Decimal:
        """Its value at the reference price, in quote currency."""
        return self.quantity * self.reference_price


@dataclass(frozen=True, slots=True, kw_only=True)
class Fill:
    """One execution. `time` is when it happened at the venue; `fee` is in quote currency, 0 or more (a rebate is below 0).

    `quantity` is what reached or left the account: where the venue keeps its fee back from what was bought, it is less than what
    was traded, and `fee` is the value of what was kept. So cash changes by quantity * price and the fee, on every venue.
    A fee that was charged in another asset (BNB) names it: `fee_quantity` units of `fee_asset` left the account.
    """

    trade_id: str
    client_order_id: str
    symbol: str
    side: Side
    quantity: Decimal
    price: Decimal
    fee: Decimal
    time: datetime
    fee_asset: str | None = None
    fee_quantity: Decimal | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class OrderReport:
    """What a venue knows of one order. `fills` are all fills so far, oldest first.

    `traded` is the quantity that changed hands, before a fee was kept back from it; None where the fills say it.
    `is_complete` is False for an order that has certainly ended, but of which the venue does not tell any more whether it filled.
    """

    client_order_id: str
    venue_order_id: str
    status: OrderStatus
    reason: str = ""
    fills: tuple[Fill, ...] = ()
    traded: Decimal | None = None
    is_complete: bool = True


_ALPHABET = "0123456789abcdefghijklmnopqrstuvwxyz"
_ID_LENGTH = 20


def client_order_id(deployment_id: str, bar_time: datetime, symbol: str, side: Side, leg: Leg, *, kind: str = "") -> str:
    """Return our id of an intent: 20 lower-case alphanumerics that depend on these alone.

    `kind` tells apart intents of one leg: a resting stop, the rest of a limit order that is sent to the market. The length is
    Kite's limit for a tag; 20 characters of base 36 hold 103 bits, so two intents never meet by chance.
    """
    text = "\x1f".join((deployment_id, bar_time.isoformat(), symbol, side, leg, *([kind] if kind else [])))
    number = int.from_bytes(hashlib.sha256(text.encode()).digest(), "big")
    digits = []
    for _ in range(_ID_LENGTH):
        number, digit = divmod(number, len(_ALPHABET))
        digits.append(_ALPHABET[digit])
    return "".join(digits)


def from_float(value: float) -> Decimal:
    """Cross from the engine's float to an amount; `float()` of the result gives the same bits back."""
    return Decimal(repr(float(value)))
