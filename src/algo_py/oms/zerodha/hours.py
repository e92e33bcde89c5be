"""Whether the exchange takes orders now."""

from __future__ import annotations

from datetime import datetime

from algo_py.errors import InvalidInput, Rejected
from algo_py.market import Market
from algo_py.orders.model import Leg


def refuse_closed(market: Market, now: datetime, leg: Leg) -> None:
    """Raise Rejected while the market is closed: there a regular order is refused, and another one would wait unseen.

    Only the session that is on, or else the next one, is looked for: how far the calendar is known beyond it does not matter.
    Where it is not known an entry is refused, and an exit is tried: Kite says itself whether it is closed.
    """
    try:
        opens = market.calendar.first_open(now)
    except InvalidInput as error:
        if leg is Leg.EXIT:
            return
        raise Rejected(f"whether the market is open is not known: {error.message}", remedy=error.remedy) from None
    if opens > now:
        at = f"{opens.astimezone(market.time_zone):%Y-%m-%d %H:%M}"
        raise Rejected(f"the market is closed until {at} ({market.time_zone.key}), so the order was not sent")
