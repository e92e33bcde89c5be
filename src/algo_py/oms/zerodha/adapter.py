"""Zerodha as a place where orders go, through Kite Connect.

Kite knows no id of ours but a tag in the order book of the day, and takes the same tag twice. So an order is looked up by its
tag, and that a tag is missing proves something only when the order was sent today (the book is empty each morning) and cannot be
on its way any more (`settling_s` after the request ended here; where that is not known, after this adapter was built: whatever
another process sent, it sent before). An order of an earlier day has certainly ended, since all of ours end with their day;
whether it filled Kite does not tell any more, and the report says so (`is_complete`). In every other case a look-up ends in
OutcomeUnknown, and several orders with one tag in Conflict.

The account is that of the user who was connected: an access token that is another user's is never used, see binding.py.

Only MARKET and LIMIT orders are offered. Kite has stop orders (SL, SL-M), but they end with the day, and its GTT orders neither
carry a tag nor are sure to be placed: a stop that is gone the next morning is worse than one that the worker looks at itself.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from datetime import datetime, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any, Final

from algo_py.amounts import read_amount
from algo_py.clock import Clock
from algo_py.credentials import Credentials
from algo_py.errors import Conflict, InvalidInput, OutcomeUnknown, RateLimited, Rejected, VenueDown
from algo_py.finstore.sources.answers import AGAIN_LATER
from algo_py.finstore.sources.kite_listing import KiteListing
from algo_py.market import Instrument, Market
from algo_py.oms.protocol import AccountSummary, Capabilities, PositionReport
from algo_py.oms.zerodha import book
from algo_py.oms.zerodha.access import INDIA, KiteAccess, KiteLimits
from algo_py.oms.zerodha.binding import Binding
from algo_py.oms.zerodha.charges import TradeCharges
from algo_py.oms.zerodha.hours import Hours
from algo_py.oms.zerodha.parameters import EXCHANGE, ORDER_TYPES, VARIETY, parameters
from algo_py.oms.zerodha.portfolio import DELIVERY, free_cash, held
from algo_py.oms.zerodha.profile import Profile
from algo_py.orders.model import Fill, Leg, OrderReport, OrderRequest, OrderStatus

_PRODUCTS: Final = (DELIVERY, "MIS")
_MARKET: Final = "indian_equity"
# Kite's gateway gives up after a minute; a request that has ended here 10 s after it was sent may live on there until then.
_SETTLING_S: Final = 60.0
_TIMEOUT_S: Final = 10.0
_RULES_AGE: Final = timedelta(minutes=10)  # the list is 1 MB, and a refusal may ask for it once a run


def zerodha_oms(
    credentials: Credentials | Callable[[], Credentials],
    *,
    market: Market,
    clock: Clock,
    folder: Path,
    product: str = DELIVERY,
    auction_fills: bool = False,
) -> ZerodhaOMS:
    """Return the OMS at the address in the credentials, if any, within the limits that all processes of this host share.

    A process that lives longer than a day gives a function that reads its credentials: the access token ends each morning.
    """
    given = credentials if isinstance(credentials, Credentials) else credentials()
    base_url = given.base_url("zerodha")
    return ZerodhaOMS(
        credentials,
        market=market,
        clock=clock,
        folder=folder,
        base_url=base_url,
        product=product,
        auction_fills=auction_fills,
    )


class ZerodhaOMS:
    """One account at Zerodha. Building it asks nothing; `folder` keeps the list of shares, which processes share.

    product: CNC (delivery), or MIS, whose positions Zerodha closes itself before the end of the day. base_url None is Kite's own.
    auction_fills: entries may be sent in the closing auction too; see hours.py.
    """

    name = "zerodha"
    capabilities = Capabilities(
        order_types=ORDER_TYPES,
        can_short=False,
        can_look_up_by_client_id=True,
        accepts_replay_clock=False,
        tells_prices=True,
    )

    def __init__(
        self,
        credentials: Credentials | Callable[[], Credentials],
        *,
        market: Market,
        clock: Clock,
        folder: Path,
        base_url: str | None = None,
        product: str = DELIVERY,
        limits: KiteLimits | None = None,
        timeout_s: float = _TIMEOUT_S,
        settling_s: float = _SETTLING_S,
        auction_fills: bool = False,
    ) -> None:
        if market.name != _MARKET:
            raise InvalidInput(f"Zerodha trades {_MARKET}, not {market.name}", remedy="Choose another OMS for this market.")
        if product not in _PRODUCTS:
            raise InvalidInput(f"product must be one of {', '.join(_PRODUCTS)} (was {product!r})")
        self._market = market
        self._clock = clock
        self._product = product
        self._settling = timedelta(seconds=settling_s)
        self._charges = TradeCharges(product)
        self._binding = Binding((lambda: credentials) if isinstance(credentials, Credentials) else credentials)
        self._kite = KiteAccess(
            self._binding.current,
            base_url=base_url,
            clock=clock,
            limits=KiteLimits.shared(base_url) if limits is None else limits,
            timeout_s=timeout_s,
        )
        self._listing = KiteListing(self._kite.reads, folder, clock)
        self._built_at = clock.now()
        self.times = Hours(market, clock, last_price=self._last_price, auction_fills=auction_fills)
        self._sent_at: dict[str, datetime] = {}

    def connect(self) -> AccountSummary:
        """Ask who the account belongs to, and what is free. Whoever it is the first time it must be ever after."""
        self._renew()
        profile = self._kite.read(Profile.read, subject="the profile", urgent=True)
        self._binding.bind(profile.user_id)
        return AccountSummary(account=profile.user_id, cash=self._funds(), warnings=profile.warnings(self._product))

    def instruments(self, symbols: Sequence[str]) -> Mapping[str, Instrument]:
        """Return the order rules of those symbols that NSE lists as shares, a few minutes old at most.

        While Kite does not give its list, which it makes anew each morning, that of the last 24 hours stands in.
        """
        self._renew()
        try:
            shares = self._listing.shares(deadline_s=self._kite.deadline_s, max_age=_RULES_AGE)
        except (VenueDown, RateLimited):
            shares = self._listing.shares(deadline_s=self._kite.deadline_s)
        return {symbol: shares[symbol].instrument(symbol) for symbol in symbols if symbol in shares}

    def submit(self, order: OrderRequest) -> OrderReport:
        """Send an order once. Its number means that Kite has registered it; what becomes of it stands in the order book."""
        placed = parameters(order, product=self._product)
        self.times.refuse(order)
        self._renew()
        try:
            order_id = self._kite.enter(
                lambda kite: _number(kite.place_order(**placed)),
                subject=f"an order of {order.symbol}",
                urgent=order.leg is Leg.EXIT,
            )
        except Rejected as error:
            raise self.times.read(error, order) from None
        finally:
            self._sent_at[order.client_order_id] = self._clock.now()
        return OrderReport(client_order_id=order.client_order_id, venue_order_id=order_id, status=OrderStatus.ACCEPTED)

    def find(self, order: OrderRequest, planned_at: datetime) -> OrderReport | None:
        """Look an order up in the book of the day, by its tag; of an earlier day only that it has ended can be told."""
        self._renew()
        asked_at = self._clock.now()
        entry = self._entry(order.client_order_id)
        if entry is None:
            return self._absent(order, planned_at, asked_at)
        fills: Sequence[Fill] = ()
        if entry.filled:
            fills = self._kite.read(
                lambda kite: book.fills(
                    kite.order_trades(entry.order_id), ids={entry.order_id: order.client_order_id}, fee=self._charges.fee
                ),
                subject=f"the trades of {order.symbol}",
                urgent=True,
            )
        return book.report(order.client_order_id, entry, fills)

    def cancel(self, order: OrderRequest, planned_at: datetime) -> None:
        """Ask Kite to cancel what is left of an order. Raises OutcomeUnknown when it is open still, and Kite refuses."""
        self._renew()
        entry = self._entry(order.client_order_id)
        if entry is None or entry.has_ended:
            return
        try:
            self._kite.enter(
                lambda kite: _number(kite.cancel_order(VARIETY, entry.order_id)),
                subject=f"canceling an order of {order.symbol}",
                urgent=True,
            )
        except Rejected as error:
            now = self._entry(order.client_order_id)
            if now is not None and not now.has_ended:
                raise OutcomeUnknown(error.message, remedy="The order is open still; cancel it again later.") from None

    def fills_since(self, moment: datetime) -> Sequence[Fill]:
        """Return the fills of tagged orders at or after `moment`, oldest first: of today, since Kite keeps no others."""
        self._renew()
        trades = self._kite.read(lambda kite: list(kite.trades()), subject="the trades")
        # The book is read after the trades: so it has every order of theirs.
        found = self._kite.read(
            lambda kite: book.fills(trades, ids=book.own_ids(kite.orders()), fee=self._charges.fee), subject="the order book"
        )
        return [fill for fill in found if fill.time >= moment]

    def positions(self) -> Sequence[PositionReport]:
        """Return what the account holds under this product, pledged shares left out."""
        self._renew()
        holdings = self._kite.read(lambda kite: list(kite.holdings()), subject="the holdings", urgent=True)
        return self._kite.read(
            lambda kite: held(holdings, kite.positions(), product=self._product, market=self._market),
            subject="the positions",
            urgent=True,
        )

    def last_prices(self, symbols: Sequence[str], *, urgent: bool = False) -> Mapping[str, Decimal]:
        """Return the price of the latest trade of each symbol that Kite knows; 0 and what is no price are left out."""
        self._renew()
        names = {symbol: f"{EXCHANGE}:{symbol}" for symbol in symbols}
        if not names:
            return {}

        def prices(kite: Any) -> Mapping[str, Decimal]:
            quotes = kite.ltp(list(names.values()))
            told: dict[str, Decimal] = {}
            for symbol, name in names.items():
                if name in quotes:
                    with suppress(InvalidInput):  # what can be no price is left out
                        told[symbol] = read_amount(quotes[name]["last_price"], name=f"the price of {symbol}")
            return told

        return self._kite.quote(prices, subject=f"the prices of {', '.join(names)}", urgent=urgent)

    def _last_price(self, symbol: str) -> Decimal | None:
        return self.last_prices([symbol], urgent=True).get(symbol)

    def free_cash(self) -> Decimal:
        """Return the rupees that can be spent now, 0 for an account in debit. Raises VenueDown, RateLimited, AuthFailed."""
        self._renew()
        return max(self._funds(), Decimal(0))

    def _funds(self) -> Decimal:
        return self._kite.read(lambda kite: free_cash(kite.margins("equity")), subject="the funds", urgent=True)

    def _renew(self) -> None:
        """Use today's access token, if it is the same user's. Raises AuthFailed for another's."""
        self._binding.renew(lambda: self._kite.read(Profile.read, subject="the profile", urgent=True).user_id)

    def _entry(self, client_order_id: str) -> book.Entry | None:
        found = self._kite.read(
            lambda kite: book.entries(kite.orders(), tag=client_order_id), subject="the order book", urgent=True
        )
        if len(found) > 1:
            numbers = ", ".join(entry.order_id for entry in found)
            raise Conflict(
                f"Kite has {len(found)} orders with the tag {client_order_id}: {numbers}",
                remedy="Only one of them was meant: look at them in Kite, and close what is too much.",
            )
        return found[0] if found else None

    def _absent(self, order: OrderRequest, planned_at: datetime, now: datetime) -> OrderReport | None:
        """Say what it means that an order was not in the book `now`: None only when it is certainly not at Kite.

        Raises OutcomeUnknown while it may be on its way.
        """
        own_id = order.client_order_id
        settled_at = max(self._sent_at.get(own_id, self._built_at), planned_at) + self._settling
        if now < settled_at:
            wait_s = (settled_at - now).total_seconds()
            raise OutcomeUnknown(
                f"Kite has no order of {order.symbol} with this tag, but for {wait_s:.0f} s one may still be on its way",
                remedy=AGAIN_LATER,
            )
        sent_on = self._sent_at.get(own_id, planned_at).astimezone(INDIA).date()
        if sent_on >= now.astimezone(INDIA).date():
            return None
        # Nothing of it can come any more: it is not in today's book, and what was in an earlier one ended with that day.
        reason = (
            f"it ended with {sent_on}, and Kite, which keeps its order book for a day, does not tell any more whether it filled; "
            "Zerodha's Console (Reports, Tradebook) does"
        )
        return OrderReport(
            client_order_id=own_id, venue_order_id="", status=OrderStatus.EXPIRED, reason=reason, is_complete=False
        )


def _number(order_id: object) -> str:
    """Return the order's number. Raises TypeError where the answer has none."""
    if not isinstance(order_id, str) or not order_id:
        raise TypeError("the answer has no order_id")
    return order_id
