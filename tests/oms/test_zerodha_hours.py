"""When NSE takes which orders: asked of each share's own calendar, in both eras of the closing auction and before."""

from __future__ import annotations

from datetime import datetime
from decimal import Decimal

import pytest

from algo_py.clock import FrozenClock
from algo_py.errors import NotNow, Rejected, RuleBroken, VenueDown
from algo_py.market import get_market
from algo_py.oms.zerodha.hours import Hours
from algo_py.orders.model import Leg, OrderRequest, OrderType, Side, client_order_id
from algo_py.orders.timing import Wait

MARKET = get_market("indian_equity")
# One that has derivatives, and one that has none.
AUCTIONED, PLAIN = "INFY", "SMALLCO"
LAST = Decimal(1500)
MONDAY, NEXT_ERA = "2026-08-10", "2026-12-14"


def at(text: str) -> datetime:
    return datetime.fromisoformat(text).replace(tzinfo=MARKET.time_zone)


def hours_at(moment: str, *, auction_fills: bool = False, last: Decimal | None = LAST) -> Hours:
    def last_price(_symbol: str) -> Decimal | None:
        if last is None:
            raise VenueDown("Kite cannot be reached")
        return last

    return Hours(MARKET, FrozenClock(at(moment)), last_price=last_price, auction_fills=auction_fills)


def order(leg: Leg, symbol: str = AUCTIONED, *, limit: str | None = None, side: Side | None = None) -> OrderRequest:
    side = side or (Side.SELL if leg is Leg.EXIT else Side.BUY)
    return OrderRequest(
        client_order_id=client_order_id("d1", at(MONDAY), symbol, side, leg),
        symbol=symbol,
        side=side,
        leg=leg,
        quantity=Decimal(10),
        bar_time=at(MONDAY),
        reference_price=Decimal(1400),
        type=OrderType.MARKET if limit is None else OrderType.LIMIT,
        limit_price=None if limit is None else Decimal(limit),
        reason="exit",
    )


def told(hours: Hours, request: OrderRequest, moment: str) -> str:
    """Write down what becomes of an exit: how it is sent, or for what it waits."""
    fitted = hours.fitted(request)
    if isinstance(fitted, Wait):
        return fitted.told(at(moment))
    hours.refuse(fitted)
    return f"{fitted.type}" if fitted.limit_price is None else f"{fitted.type} {fitted.limit_price.normalize():f}"


ERAS = {
    # day, time, a share with derivatives, one without
    "before: the last minute": ("2026-07-31T15:29:59", "MARKET", "MARKET"),
    "before: the end": ("2026-07-31T15:30:00",) + ("waits for 2026-08-03 09:15, continuous trading",) * 2,
    "first: continuous": (f"{MONDAY}T15:14:59", "MARKET", "MARKET"),
    "first: reference price": (f"{MONDAY}T15:15:00", "waits for 15:20, closing auction", "MARKET"),
    "first: limit and market": (f"{MONDAY}T15:20:00", "MARKET", "MARKET"),
    "first: limit": (f"{MONDAY}T15:25:00", "LIMIT 1485", "MARKET"),
    "first: matching": (
        f"{MONDAY}T15:30:00",
        "waits for 2026-08-11 09:15, continuous trading",
        "waits for 2026-08-11 09:15, continuous trading",
    ),
    "first: post-close": (f"{MONDAY}T15:55:00",) + ("waits for 2026-08-11 09:15, continuous trading",) * 2,
    "first: pre-open": (f"{MONDAY}T09:03:00",) + ("waits for 09:15, continuous trading",) * 2,
    "second: continuous": (f"{NEXT_ERA}T15:29:59", "MARKET", "MARKET"),
    "second: reference price": (
        f"{NEXT_ERA}T15:30:00",
        "waits for 15:31, closing auction",
        "waits for 2026-12-15 09:15, continuous trading",
    ),
    "second: limit and market": (f"{NEXT_ERA}T15:31:00", "MARKET", "waits for 2026-12-15 09:15, continuous trading"),
    "second: limit": (f"{NEXT_ERA}T15:36:00", "LIMIT 1485", "waits for 2026-12-15 09:15, continuous trading"),
    "second: matching": (f"{NEXT_ERA}T15:40:00",) + ("waits for 2026-12-15 09:15, continuous trading",) * 2,
    "a Friday evening": ("2026-12-04T18:00:00",) + ("waits for 2026-12-07 09:15, continuous trading",) * 2,
}


@pytest.mark.parametrize(("moment", "auctioned", "plain"), ERAS.values(), ids=ERAS)
def test_an_exit_goes_as_the_phase_takes_it_or_waits(moment: str, auctioned: str, plain: str) -> None:
    hours = hours_at(moment)
    assert told(hours, order(Leg.EXIT, AUCTIONED), moment) == auctioned
    assert told(hours, order(Leg.EXIT, PLAIN), moment) == plain


@pytest.mark.parametrize("auction_fills", [False, True])
@pytest.mark.parametrize(("moment", "auctioned", "plain"), ERAS.values(), ids=ERAS)
def test_an_entry_is_sent_in_continuous_trading_else_only_where_the_auction_may_fill_it(
    moment: str, auctioned: str, plain: str, auction_fills: bool
) -> None:
    hours = hours_at(moment, auction_fills=auction_fills)
    for symbol, expected in ((AUCTIONED, auctioned), (PLAIN, plain)):
        is_continuous = hours.trades_continuously(symbol)
        entry = order(Leg.ENTRY, symbol)
        assert hours.fitted(entry) is entry
        if is_continuous or (auction_fills and expected == "MARKET"):
            hours.refuse(entry)
        else:
            with pytest.raises(NotNow, match=r"until 2026-\d\d-\d\d \d\d:\d\d \(Asia/Kolkata\), so the order was not sent"):
                hours.refuse(entry)


def test_an_entry_is_told_the_moment_that_works() -> None:
    moments = {False: "2026-08-11 09:15", True: "2026-08-10 15:20"}
    for auction_fills, moment in moments.items():
        with pytest.raises(NotNow, match=rf"reference price: no MARKET order of this kind is taken until {moment}"):
            hours_at(f"{MONDAY}T15:16:00", auction_fills=auction_fills).refuse(order(Leg.ENTRY))


def test_in_the_auction_a_limit_that_its_band_may_not_take_waits_for_the_open() -> None:
    hours = hours_at(f"{MONDAY}T15:26:00")
    assert told(hours, order(Leg.EXIT, limit="1499"), f"{MONDAY}T15:26:00") == "LIMIT 1499"
    assert told(hours, order(Leg.EXIT, limit="1560"), f"{MONDAY}T15:26:00") == "waits for 2026-08-11 09:15, continuous trading"
    assert told(hours, order(Leg.EXIT, side=Side.BUY), f"{MONDAY}T15:26:00") == "LIMIT 1515"


def test_without_a_price_the_limit_stands_on_the_one_it_was_decided_on() -> None:
    assert told(hours_at(f"{MONDAY}T15:26:00", last=None), order(Leg.EXIT), f"{MONDAY}T15:26:00") == "LIMIT 1386"


BEYOND = {"a Saturday": "2045-06-03T11:00:00", "an evening": "2045-06-05T20:00:00"}


@pytest.mark.parametrize("moment", BEYOND.values(), ids=BEYOND)
def test_closed_by_the_weekly_rule_is_not_known_beyond_the_known_days(moment: str) -> None:
    hours = hours_at(moment)
    assert told(hours, order(Leg.EXIT), moment) == "MARKET"
    with pytest.raises(NotNow, match="closed, as far as anybody knows, until 2045-06-0"):
        hours.refuse(order(Leg.ENTRY))


def test_on_an_assumed_day_the_phases_are_those_of_a_trading_day() -> None:
    assert told(hours_at("2045-06-05T11:00:00"), order(Leg.EXIT), "2045-06-05T11:00:00") == "MARKET"
    hours_at("2045-06-05T11:00:00").refuse(order(Leg.ENTRY))
    waits = told(hours_at("2045-06-05T15:30:30"), order(Leg.EXIT), "2045-06-05T15:30:30")
    assert waits == "waits for 15:31, closing auction"


CLOSED = Rejected("Kite says to an order of INFY: Markets are closed right now. Use after-market orders (AMO)")
OTHER = Rejected("Kite says to an order of INFY: the order could not be placed")
READ: dict[str, tuple[str, Rejected, str | None]] = {
    "closed in continuous trading": (f"{MONDAY}T11:00:00", CLOSED, f"{MONDAY}T11:05:00"),
    "other in continuous trading": (f"{MONDAY}T11:00:00", OTHER, None),
    "a rule in the random end": (f"{MONDAY}T15:28:30", RuleBroken("the price is outside of its band"), None),
    "other in the random end": (f"{MONDAY}T15:28:30", OTHER, "2026-08-11T09:15:00"),
    "closed in the auction": (f"{MONDAY}T15:26:00", CLOSED, "2026-08-11T09:15:00"),
    "other before the random end": (f"{MONDAY}T15:27:00", OTHER, None),
    "the exchange's clock is behind at the open": (f"{MONDAY}T09:15:00", CLOSED, f"{MONDAY}T09:15:05"),
    "market orders have ended a moment ago": (f"{MONDAY}T15:24:59", OTHER, f"{MONDAY}T15:25:04"),
    "closed on a Saturday that nobody knows": ("2045-06-03T11:00:00", CLOSED, "2045-06-03T12:00:00"),
    "closed on a morning that nobody knows": ("2045-06-05T08:50:00", CLOSED, "2045-06-05T09:15:00"),
}


@pytest.mark.parametrize(("moment", "refusal", "until"), READ.values(), ids=READ)
def test_what_a_refusal_means(moment: str, refusal: Rejected, until: str | None) -> None:
    read = hours_at(moment).read(refusal, order(Leg.EXIT))
    if until is None:
        assert read is refusal
    else:
        assert isinstance(read, NotNow)
        assert read.until == at(until)
