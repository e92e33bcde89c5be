"""Binance's spot market as an OMS.

When "the venue does not know it" is certain. A signed request carries a time, and Binance does not pass it on to its matching
engine once `recvWindow` is over; the engine's answer is waited for no more than 10 s (-1007 then). So an order that a look-up
does not find can still come into being until the time of its request, plus recvWindow, plus those 10 s, on Binance's clock. Only
a look-up that began later than that permits "not known"; before, `find` raises OutcomeUnknown. The time of a request is known
while this object lives; what another process sent, it sent before this one connected. This is what makes sending again safe.

Of several orders with one client id Binance finds one of its own choice: an id is free again once its order has ended. Ours
depend on the intent and are sent again only after the above, so there is one. What is found is compared with what was asked for:
an order of another side, quantity or type is not ours, and ends in OutcomeUnknown, for a person to look at.

Sources: Binance Spot API, REST, "Timing security", "General API Information", "New order", "Query order", "Account trade list".
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta
from decimal import Decimal
from typing import Any, Final

from algo_py.clock import Clock
from algo_py.credentials import Credentials
from algo_py.errors import AuthFailed, InvalidInput, OutcomeUnknown, Refused, VenueDown, VenueError
from algo_py.finstore.sources.answers import base_and_host
from algo_py.finstore.sources.binance_spot import BinanceSpot
from algo_py.finstore.sources.limits import SharedLimit
from algo_py.market import Instrument, Market
from algo_py.oms.binance import account as accounts
from algo_py.oms.binance.answers import Trade, VenueOrder, each_once
from algo_py.oms.binance.connection import Access, Connection, call
from algo_py.oms.binance.exchanges import TESTNET_HOST, Exchange, exchange_of
from algo_py.oms.binance.failures import BAD_SYMBOL, CANCEL_REJECTED, Failure, of_order, of_read
from algo_py.oms.binance.fees import Fees
from algo_py.oms.binance.lookups import MISREAD, Lookups
from algo_py.oms.binance.placing import Placing, is_of, is_pair, placing_of, replacing, symbol_id, venue_ids
from algo_py.oms.binance.prices import last_prices
from algo_py.oms.protocol import AccountSummary, Capabilities, PositionReport
from algo_py.orders.model import Fill, Leg, OrderReport, OrderRequest, OrderType

_RECV_WINDOW: Final = timedelta(seconds=5)
_RECV_WINDOW_MOST: Final = timedelta(seconds=60)
_ENGINE_MS: Final = 10_000  # how long the API waits for its matching engine
_REQUEST_S: Final = 10.0
_ACCOUNT_WEIGHT, _RIGHTS_WEIGHT, _ORDER_WEIGHT, _RULES_WEIGHT = 20.0, 1.0, 1.0, 20.0
_SYMBOLS_AT_ONCE: Final = 100


class BinanceOMS:
    """One account at Binance's spot market, for one thread. Long only: what is not held cannot be sold.

    Keys in config/.env: BINANCE_API_KEY, BINANCE_API_SECRET; BINANCE_TESTNET=true trades on the test network, and
    BINANCE_ALLOW_WITHDRAWALS=true accepts a key that may withdraw. For another exchange its ccxt id stands where BINANCE does.
    """

    def __init__(
        self,
        credentials: Credentials,
        *,
        market: Market,
        clock: Clock,
        exchange_id: str = "binance",
        base_url: str | None = None,
        symbols: Sequence[str] = (),
        limit: SharedLimit | None = None,
        recv_window: timedelta = _RECV_WINDOW,
        request_s: float = _REQUEST_S,
    ) -> None:
        """Name the exchange by its ccxt id; nothing is asked yet.

        `base_url` None is that of the credentials, else the exchange's own. `symbols` are those of `fills_since`, besides what is
        ordered or asked about here; what they are quoted in is the cash, of none the market's own currency. `limit` None is the
        one that all processes of this host share. `request_s` bounds each wait. Raises Refused for an exchange that cannot be
        traded on, AuthFailed when a key is missing, InvalidInput.
        """
        if not timedelta() < recv_window <= _RECV_WINDOW_MOST:
            raise InvalidInput(f"recv_window must be above 0 and at most 60 s (was {recv_window.total_seconds():g} s)")
        self._exchange: Exchange = exchange_of(exchange_id)
        keys = self._exchange.keys
        self._is_testnet = accounts.flag(credentials, f"{keys}_TESTNET")
        self._may_withdraw = accounts.flag(credentials, f"{keys}_ALLOW_WITHDRAWALS")
        self._name = f"{exchange_id}-testnet" if self._is_testnet else exchange_id
        base_url, host = self._address(base_url or credentials.base_url(exchange_id))
        self._access = Access(
            name=self._name,
            exchange_id=exchange_id,
            base_url=base_url,
            is_testnet=self._is_testnet,
            key=credentials.secret(f"{keys}_API_KEY"),
            secret=credentials.secret(f"{keys}_API_SECRET"),
            recv_window_ms=int(recv_window.total_seconds() * 1_000),
            request_s=request_s,
        )
        self._market = market
        quotes = market.quotes_of(symbols)
        self._quote = quotes[0] if len(quotes) == 1 else market.quote_currency  # several: as an earlier version deployed them
        self._connection = Connection(self._access, clock, limit or self._exchange.limit(host))
        self._lookups = Lookups(self._connection, Fees(self._connection, market))
        self._symbols = dict.fromkeys(symbols)
        self._is_checked = False
        self._account_id: str | None = None
        self._connected_ms: int | None = None
        self._sent_ms: dict[str, int] = {}  # by our id, the time that the request of an order carried, until the order is found

    def __repr__(self) -> str:
        return f"BinanceOMS({self._name})"

    @property
    def name(self) -> str:
        return self._name

    @property
    def capabilities(self) -> Capabilities:
        return Capabilities(
            order_types=self._exchange.order_types,
            can_short=False,
            can_look_up_by_client_id=True,
            accepts_replay_clock=False,
            holds_targets=self._exchange.holds_targets,
            replaces_stops=OrderType.STOP in self._exchange.order_types,
            tells_prices=True,
        )

    def connect(self) -> AccountSummary:
        """Ask Binance's clock, the account and what the key may do. Raises AuthFailed, VenueDown, RateLimited.

        The key is read once, when this object is built: another one in config/.env means another object. A second call checks the
        same key again, may find its rights changed, and must find the same account.
        """
        self._is_checked = False
        connected_ms = self._connection.synchronise(urgent=True)
        account = self._account()
        warnings: list[str] = []
        try:
            accounts.check_account(account, self._name)
            if self._is_testnet:
                warnings.append("this is the test network: no real money, and it begins anew about every month")
            elif self._exchange.can_tell_rights:
                warnings += accounts.check_rights(
                    self._rights(), name=self._name, keys=self._exchange.keys, may_withdraw=self._may_withdraw
                )
            else:
                warnings.append(f"{self._name} does not tell whether the key may withdraw funds")
            summary = AccountSummary(
                account=accounts.account_id(self._name, account, self._access.key),
                cash=accounts.free_cash(account, self._quote),
                warnings=tuple(warnings),
            )
        except MISREAD:
            raise self._misread("the account") from None
        if self._account_id not in (None, summary.account):
            raise AuthFailed(
                f"the key opens the account {summary.account}, and not {self._account_id} as before",
                remedy=f"Put the key of {self._account_id} back into {self._exchange.keys}_API_KEY.",
            )
        self._account_id = summary.account
        self._is_checked, self._connected_ms = True, connected_ms
        return summary

    def instruments(self, symbols: Sequence[str]) -> Mapping[str, Instrument]:
        """Return the order rules of these symbols, without those that Binance does not trade. Raises VenueDown, RateLimited."""
        wanted = [symbol for symbol in dict.fromkeys(symbols) if is_of(symbol, self._market)]
        known: dict[str, Instrument] = {}
        for first in range(0, len(wanted), _SYMBOLS_AT_ONCE):
            known |= self._rules(wanted[first : first + _SYMBOLS_AT_ONCE])
        self._symbols |= dict.fromkeys(known)
        return {symbol: known[symbol] for symbol in wanted if symbol in known}

    def submit(self, order: OrderRequest) -> OrderReport:
        """Send an order, once.

        A market order's answer brings its fills. Raises Rejected and its kinds, OutcomeUnknown; RateLimited, VenueDown and
        AuthFailed when it was not executed.
        """
        self._refuse_unconnected()
        placing = placing_of(order, self._market, self.capabilities, name=self._name)
        return self._sent(order, placing, subject=f"the order for {order.symbol}")

    def replace(self, old: OrderRequest, new: OrderRequest, planned_at: datetime) -> OrderReport:
        """Cancel the single stop `old` and place the single stop `new` in one request; see StopReplacer. A pair is Rejected.

        Binance judges the symbol's filters, the number of resting stops too, before it cancels: what they refuse leaves the old
        one. What the matching engine refuses, such as a price that is passed already, it refuses after the cancel: then there is
        none. Where the old one could not be canceled the new one was not tried.
        """
        self._refuse_unconnected()
        placing = replacing(old, new, self._market, self.capabilities, name=self._name)
        return self._sent(new, placing, subject=f"replacing the stop of {new.symbol}")

    def find(self, order: OrderRequest, planned_at: datetime) -> OrderReport | None:
        """Look an order up by its id; None only once it certainly is not there and never will be, see above.

        Raises OutcomeUnknown before that; VenueDown, RateLimited, AuthFailed.
        """
        report = self._lookups.report(order)
        if report is None:
            until_ms = self._may_arrive_until_ms(order, planned_at)
            left_s = (until_ms - self._connection.synchronise(urgent=True)) / 1_000
            if left_s >= 0:
                raise OutcomeUnknown(
                    f"{self._name} does not show the order for {order.symbol}, but may yet receive it",
                    remedy=f"In {left_s:.0f} s it can be told for certain.",
                )
            report = self._lookups.report(order)  # this one began when nothing could arrive any more
        self._symbols.setdefault(order.symbol)
        self._sent_ms.pop(order.client_order_id, None)
        return report

    def cancel(self, order: OrderRequest, planned_at: datetime) -> None:
        """Cancel what is left of an order; of a pair, both. One that has ended, or is not there, stays as it is.

        Raises OutcomeUnknown when nobody answered; VenueDown when it was not sent; RateLimited, AuthFailed.
        """
        for venue_client_id in venue_ids(order):
            content = self._connection.attempt(
                call("private_delete_order", symbol=symbol_id(order.symbol), origClientOrderId=venue_client_id),
                weight=_ORDER_WEIGHT,
                urgent=True,
            )
            if not isinstance(content, Failure):
                return  # Binance cancels both orders of a list when one of them is canceled
            if not (content.is_refusal and content.code == CANCEL_REJECTED):
                raise self._not_canceled(content, order)

    def fills_since(self, moment: datetime) -> Sequence[Fill]:
        """Return the fills at or after `moment`, oldest first, of all symbols that were named, ordered or asked about here.

        Those of orders that somebody else placed in this account are among them, under the id which that order has.
        """
        fills = [fill for symbol in self._symbols for fill in self._lookups.fills_since(symbol, moment)]
        return sorted(fills, key=lambda fill: fill.time)

    def positions(self) -> Sequence[PositionReport]:
        """Return what the account holds but for the quote currency, free and locked in orders."""
        account = self._account()
        try:
            return list(accounts.holdings(account, self._market, self._quote))
        except MISREAD:
            raise self._misread("the account") from None

    def last_prices(self, symbols: Sequence[str], *, urgent: bool = False) -> Mapping[str, Decimal]:
        """Return the price of the latest trade of each symbol that is traded here; one that makes no sense is left out."""
        return last_prices(self._connection, [symbol for symbol in symbols if is_of(symbol, self._market)], urgent=urgent)

    def free_cash(self) -> Decimal:
        """Return how much quote currency is free: not locked by an order. Raises VenueDown, RateLimited, AuthFailed."""
        account = self._account()
        try:
            return accounts.free_cash(account, self._quote)
        except MISREAD:
            raise self._misread("the account") from None

    def _refuse_unconnected(self) -> None:
        if not self._is_checked:
            raise Refused(f"{self._name} is not connected, so its key has not been checked", remedy="Connect first.")

    def _sent(self, order: OrderRequest, placing: Placing, *, subject: str) -> OrderReport:
        """Send the request by which an order comes into being, once, and return what became of the order."""
        own_id = order.client_order_id
        earlier_ms = self._sent_ms.get(own_id)

        def remember(timestamp_ms: int) -> None:
            self._sent_ms[own_id] = timestamp_ms

        content = self._connection.place(
            call(placing.method, **placing.parameters),
            weight=_ORDER_WEIGHT,
            on_timestamp=remember,
            urgent=order.leg is Leg.EXIT,
        )
        if isinstance(content, Failure):
            error = of_order(content, name=self._name, subject=subject)
            if not isinstance(error, OutcomeUnknown):
                self._forget(own_id, earlier_ms)
            raise error
        self._symbols.setdefault(order.symbol)
        try:
            return self._placed(order, content.get("newOrderResponse", content))
        except MISREAD:
            raise OutcomeUnknown(
                f"{self._name} answered {subject} with what cannot be understood", remedy="Look it up."
            ) from None

    def _placed(self, order: OrderRequest, content: Any) -> OrderReport:
        if is_pair(order):
            known = [VenueOrder.read(entry) for entry in content["orderReports"]]
            return self._lookups.described(order, known, [])
        known = [VenueOrder.read(content)]
        trades = each_once(Trade.answered(fill, known[0], int(content["transactTime"])) for fill in content.get("fills", ()))
        return self._lookups.described(order, known, trades)

    def _may_arrive_until_ms(self, order: OrderRequest, planned_at: datetime) -> int:
        """Return the last moment, on Binance's clock, at which an order of ours may come into being."""
        sent_ms = max(
            self._connection.at_venue_ms(planned_at),
            self._sent_ms.get(order.client_order_id, 0),
            self._connected_ms or self._connection.synchronise(urgent=True),
        )
        return sent_ms + self._access.recv_window_ms + _ENGINE_MS

    def _forget(self, own_id: str, earlier_ms: int | None) -> None:
        """Take back that an order was sent: it certainly was not executed. What was sent before it stays in question."""
        if earlier_ms is None:
            self._sent_ms.pop(own_id, None)
        else:
            self._sent_ms[own_id] = earlier_ms

    def _account(self) -> Any:
        return self._connection.read(
            call("private_get_account", omitZeroBalances="true"), weight=_ACCOUNT_WEIGHT, subject="the account", urgent=True
        )

    def _rights(self) -> Any:
        return self._connection.read(
            call("sapi_get_account_apirestrictions"), weight=_RIGHTS_WEIGHT, subject="the rights of the key", urgent=True
        )

    def _rules(self, symbols: list[str]) -> Mapping[str, Instrument]:
        """Ask for all at once; when one of them is unknown Binance answers for none, so the halves are asked."""
        content = self._connection.attempt(
            lambda client: BinanceSpot(self._name).rules(client, symbols), weight=_RULES_WEIGHT, urgent=True
        )
        if not isinstance(content, Failure):
            return content  # type: ignore[no-any-return]
        if not (content.is_refusal and content.code == BAD_SYMBOL):
            raise of_read(content, name=self._name, subject="order rules")
        half = len(symbols) // 2
        return {**self._rules(symbols[:half]), **self._rules(symbols[half:])} if half else {}

    def _not_canceled(self, failure: Failure, order: OrderRequest) -> VenueError:
        subject = f"canceling the order for {order.symbol}"
        error = of_read(failure, name=self._name, subject=subject)
        if isinstance(error, VenueDown) and failure.was_sent:
            return OutcomeUnknown(f"{self._name} did not say what became of {subject}: {failure.words}", remedy="Look it up.")
        return error

    def _misread(self, subject: str) -> VenueDown:
        return VenueDown(f"{self._name} says of {subject} what cannot be understood", remedy="It is asked again later.")

    def _address(self, base_url: str | None) -> tuple[str | None, str]:
        """Return where the exchange is asked instead of its own address, and the host for which limits are kept."""
        if base_url is not None:
            return base_and_host(base_url)
        if self._is_testnet and self._exchange.id != "binance":
            raise Refused(f"{self._exchange.id} has no test network", remedy=f"Remove {self._exchange.keys}_TESTNET.")
        return None, TESTNET_HOST if self._is_testnet else self._exchange.host
