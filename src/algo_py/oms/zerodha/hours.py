"""Whether the exchange takes orders now."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Final

from algo_py.errors import InvalidInput, Rejected
from algo_py.market import Market, Timeframe
from algo_py.orders.model import Leg

_MINUTE: Final = timedelta(minutes=1)
_AHEAD: Final = timedelta(days=14)


def next_opening(market: Market, now: datetime) -> datetime | None:
    """Return when the next session opens; None while one is on.

    Raises InvalidInput when the trading days around `now` are not known.
    """
    calendar = market.calendar
    for opens in calendar.bar_opens(Timeframe.M1, now - _MINUTE, now + _AHEAD):
        if calendar.bar_close(opens, Timeframe.M1) > now:
            return None if opens <= now else opens
    raise InvalidInput(f"{market.title} has no session in the {_AHEAD.days} days after {now.isoformat()}")


def refuse_closed(market: Market, now: datetime, leg: Leg) -> None:
    """Raise Rejected while the market is closed: there a regular order is refused, and another one would wait unseen.

    Where the trading days are not known an entry is refused, and an exit is tried: Kite says itself whether it is closed.
    """
    try:
        opens = next_opening(market, now)
    except InvalidInput as error:
        if leg is Leg.EXIT:
            return
        raise Rejected(f"whether the market is open is not known: {error.message}", remedy=error.remedy) from None
    if opens is not None:
        at = f"{opens.astimezone(market.time_zone):%Y-%m-%d %H:%M}"
        raise Rejected(f"the market is closed until {at} ({market.time_zone.key}), so the order was not sent")
