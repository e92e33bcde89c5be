"""The life of orders, shares and days at the local Kite: what people, the exchange, the broker and the night do. No routes here.

It follows Kite's documentation (kite.trade/docs/connect/v3: orders, portfolio, user) and Zerodha's support pages: DAY orders end
with the session, positions of the product MIS are closed by the broker from 15:20 on after their waiting orders were canceled
(support.zerodha.com, "auto square-off"), shares show as T+1 on the day after, and a split multiplies what is held. The day is
that of the clock that it is given, so that a test can let a night pass.
"""

from __future__ import annotations

import itertools
from datetime import date, datetime, time, timedelta
from decimal import Decimal
from typing import Any

from algo_py.clock import Clock

from .kite import INDIA, KiteServer
from .kite_books import INTERIM, Day, Holding, Order, Trade, contract_note, order_row

_OPENS, _SQUARES_OFF, _CLOSES = time(9, 15), time(15, 20), time(15, 30)


class KiteFloor(KiteServer):
    """An account with its orders and shares, and the market that they meet.

    keeps_hours: the session is 09:15 to 15:30 in India on Monday to Friday, with the square-off and the end of DAY orders at
    their times; else `is_open`, `square_off` and `end_session` are the test's. stays_in: a status in which new orders stay, such
    as OPEN PENDING, until the test says more. Of orders and books see KiteTradingServer.
    """

    def __init__(
        self,
        clock: Clock,
        *,
        api_key: str = "key",
        api_secret: str = "hush",
        access_token: str = "today",
        cash: Decimal = Decimal(1_000_000),
        redirect_url: str = "http://127.0.0.1:1/zerodha",
    ) -> None:
        super().__init__(api_key=api_key, access_token=access_token)
        self.clock = clock
        self.api_secret = api_secret
        self.redirect_url = redirect_url
        self.user_id = "AB1234"
        self.cash = cash
        self.prices: dict[str, Decimal] = {}
        self.orders: dict[str, Order] = {}
        self.trades: list[Trade] = []
        self.holdings: dict[str, Holding] = {}
        self.days: dict[tuple[str, str], Day] = {}
        self.depth: dict[str, int] = {}
        self.profile: dict[str, Any] = {"exchanges": ["NSE", "BSE"], "products": ["CNC", "MIS"], "consent": "physical"}
        self.interim_looks = 0
        self.refuses_at_entry = False
        self.repeats_trades = False
        self.shows_sold_as_held = False
        self.hides_tag = False
        self.is_open = True
        self.freeze_quantity = 100_000
        self.orders_per_s: int | None = 10
        self.quotes_per_s: int | None = None
        self.token_ends_at = next_morning(clock.now())
        self.other_tokens: dict[str, str] = {}
        self.strangers_orders: list[dict[str, str]] = []
        self._request_tokens: dict[str, str] = {}
        self._numbers = itertools.count(1)
        self._trade_numbers = itertools.count(10_000_001)
        self._seen_at: dict[str, list[float]] = {}
        self.keeps_hours = False
        self.stays_in: str | None = None
        self._squared_off_on: date | None = None
        self._ended_on: date | None = None

    # What a person, the exchange and the night do.

    def log_in(self, user_id: str | None = None) -> str:
        """Log the user in on Kite's page, or another one; return the request token, good for one exchange."""
        token = f"request{next(self._numbers)}"
        self._request_tokens[token] = user_id or self.user_id
        return token

    def issue_token(self, user_id: str | None = None) -> str:
        """Return an access token as the login of a user gives it. Another user's opens another account, in which nothing is."""
        token = f"access{next(self._numbers)}"
        if user_id in (None, self.user_id):
            self.access_token, self.token_ends_at = token, next_morning(self.clock.now())
        else:
            self.other_tokens[token] = str(user_id)
        return token

    def by_hand(self, symbol: str, side: str, quantity: int, *, product: str = "CNC", price: str | None = None) -> Order:
        """Trade at the market in Kite's own app: an order without a tag of ours."""
        if price is not None:
            self.set_price(symbol, price)
        order = Order(
            order_id=self._next_order_id(),
            symbol=symbol,
            side=side,
            type="MARKET",
            product=product,
            validity="DAY",
            quantity=quantity,
            price=Decimal(0),
            tag=None,
            placed_at=self.clock.now(),
        )
        self.orders[order.order_id] = order
        self._set(order, INTERIM[0])
        self._judge(order)
        return order

    def transfer(self, symbol: str, quantity: int) -> None:
        """Add to the delivered shares without a trade, or take from them where `quantity` is below 0."""
        self.holdings.setdefault(symbol, Holding(price=self.prices[symbol])).settled += quantity

    def split(self, symbol: str, *, new: int, old: int = 1) -> None:
        """Make `new` shares of `old` ones over night: holdings are multiplied, prices divided. A bonus of 1:1 is 2 for 1."""
        ratio = Decimal(new) / old
        self.prices[symbol] /= ratio
        holding = self.holdings.get(symbol)
        if holding is not None:
            for name in ("settled", "t1", "pledged"):
                setattr(holding, name, int(getattr(holding, name) * ratio))
            holding.price /= ratio

    def square_off(self) -> None:
        """Have the broker close all that is open under MIS, at the market and without a tag, after canceling what waits there."""
        for order in list(self.orders.values()):
            if order.product == "MIS" and not order.has_ended:
                self._cancel_rest(order)
        for (symbol, product), day in list(self.days.items()):
            net = day.bought - day.sold
            if product == "MIS" and net:
                self.by_hand(symbol, "SELL" if net > 0 else "BUY", abs(net), product=product)

    def end_session(self) -> None:
        """End the day's session: what has not filled of any order is canceled, since none outlives the day."""
        for order in list(self.orders.values()):
            if not order.has_ended:
                self._cancel_rest(order)

    def let_go(self, status: str = "OPEN") -> None:
        """Have orders go on that stayed in `stays_in`."""
        stayed_in = self.stays_in
        self.stays_in = None
        for order in list(self.orders.values()):
            if order.status == stayed_in:
                self._set(order, status)
                self._match(order)

    def keep_hours(self) -> None:
        """Do what is due by now, where the server keeps the hours of the session."""
        if not self.keeps_hours:
            return
        now = self.clock.now().astimezone(INDIA)
        self.is_open = now.weekday() < 5 and _OPENS <= now.time() < _CLOSES
        if now.time() >= _SQUARES_OFF and self._squared_off_on != now.date():
            self._squared_off_on = now.date()
            self.square_off()
        if now.time() >= _CLOSES and self._ended_on != now.date():
            self._ended_on = now.date()
            self.end_session()

    def set_price(self, symbol: str, price: str) -> None:
        """Let a share trade at a price; resting orders that it reaches fill."""
        self.prices[symbol] = Decimal(price)
        for order in list(self.orders.values()):
            if order.symbol == symbol and order.status in ("OPEN", "TRIGGER PENDING"):
                self._match(order)

    def trade(self, order_id: str, quantity: int, price: str) -> None:
        """Fill a part of an order that is open."""
        self._trade(self.orders[order_id], quantity, Decimal(price))

    def reject(self, order_id: str, message: str) -> None:
        """Have the exchange refuse an order that was registered."""
        self._set(self.orders[order_id], "REJECTED", message)

    def new_day(self, *, keeps_token: bool = False) -> None:
        """Let the night pass: shares are delivered, the order book is empty, the access token has ended."""
        for holding in self.holdings.values():
            holding.settled, holding.t1 = holding.settled + holding.t1, 0
        for (symbol, product), day in self.days.items():
            if product != "CNC":
                continue
            holding = self.holdings.setdefault(symbol, Holding(price=self.prices[symbol]))
            net = day.bought - day.sold
            holding.t1 += max(net, 0)
            holding.settled += min(net, 0)
        self.holdings = {symbol: one for symbol, one in self.holdings.items() if one.settled or one.t1 or one.pledged}
        self.days, self.orders, self.trades = {}, {}, []
        self._trade_numbers = itertools.count(10_000_001)  # the exchange counts anew each day
        if not keeps_token:
            self.access_token = ""

    def stop_listening(self) -> None:
        """Be gone: whoever connects from now on is refused."""
        self._http.shutdown()
        self._http.server_close()

    # What happens to orders.

    def _advance(self, order: Order) -> None:
        """Take an order one step of its way, if it is still on it."""
        if order.looks:
            order.looks -= 1
            if order.looks:
                self._set(order, INTERIM[min(order.looks, 2)])
            else:
                self._judge(order)

    def _judge(self, order: Order) -> None:
        shortage = self._shortage(order)
        if shortage:
            self._set(order, "REJECTED", shortage[1])
        elif self.stays_in is not None and order.tag is not None:
            self._set(order, self.stays_in)
        else:
            self._set(order, "TRIGGER PENDING" if order.trigger else "OPEN")
            self._match(order)

    def _shortage(self, order: Order) -> tuple[str, str] | None:
        if order.side == "BUY":
            free = self.cash - self._blocked(but=order)
            needed = order.quantity * (order.price or self.prices[order.symbol])
            if needed <= free:
                return None
            text = f"Required margin is {needed:.2f} but available margin is {free:.2f}. Check the orderbook for open orders."
            return "MarginException", f"Insufficient funds. {text}"
        holding = self.holdings.get(order.symbol, Holding())
        day = self.days.get((order.symbol, order.product), Day())
        free_shares = holding.settled + holding.t1 + day.bought - day.sold
        if order.product != "CNC" or order.quantity <= free_shares:
            return None
        return "HoldingException", f"Insufficient stock holding. Holding quantity: {free_shares}, order: {order.quantity}."

    def _blocked(self, *, but: Order | None = None) -> Decimal:
        waiting = [order for order in self.orders.values() if order is not but and not order.has_ended and order.side == "BUY"]
        return sum((order.pending * (order.price or self.prices[order.symbol]) for order in waiting), Decimal(0))

    def _match(self, order: Order) -> None:
        price = self.prices[order.symbol]
        if order.status == "TRIGGER PENDING":
            if price < order.trigger if order.side == "BUY" else price > order.trigger:
                return
            self._set(order, "OPEN")
        at_market = order.type in ("MARKET", "SL-M")
        reaches = at_market or (price <= order.price if order.side == "BUY" else price >= order.price)
        available = self.depth.get(order.symbol, order.pending)
        quantity = min(order.pending, available)
        if reaches and quantity:
            self.depth = {**self.depth, order.symbol: available - quantity} if order.symbol in self.depth else self.depth
            self._trade(order, quantity, price)
        if order.pending and order.validity == "IOC":
            self._cancel_rest(order)

    def _cancel_rest(self, order: Order) -> None:
        order.cancelled = order.pending
        self._set(order, "CANCELLED")

    def _next_order_id(self) -> str:
        return f"{self.clock.now().astimezone(INDIA):%y%m%d}{next(self._numbers):09d}"

    def _trade(self, order: Order, quantity: int, price: Decimal) -> None:
        self.trades.append(
            Trade(trade_id=str(next(self._trade_numbers)), order=order, quantity=quantity, price=price, at=self.clock.now())
        )
        value = quantity * price
        order.filled, order.value = order.filled + quantity, order.value + value
        day = self.days.setdefault((order.symbol, order.product), Day())
        charges = contract_note({"transaction_type": order.side, "quantity": quantity, "price": price})["total"]
        if order.side == "BUY":
            day.bought, day.bought_value = day.bought + quantity, day.bought_value + value
        else:
            day.sold, day.sold_value = day.sold + quantity, day.sold_value + value
        self.cash -= (value if order.side == "BUY" else -value) + Decimal(repr(charges))
        self._set(order, "OPEN" if order.pending else "COMPLETE")

    def _row(self, order: Order) -> dict[str, Any]:
        token = self.shares[order.symbol].token
        return order_row(order, user_id=self.user_id, token=token, hides_tag=self.hides_tag, at=self.clock.now())

    def _set(self, order: Order, status: str, message: str | None = None) -> None:
        order.status, order.message = status, message
        order.history.append(self._row(order))


def next_morning(moment: datetime) -> datetime:
    """Return when an access token made at `moment` ends: 06:00 in India."""
    today = datetime.combine(moment.astimezone(INDIA).date(), time(6), INDIA)
    return today if moment < today else today + timedelta(days=1)
