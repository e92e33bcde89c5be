"""Kite Connect v3 as far as trading needs it: a session, an order book, trades, holdings and positions, with real state.

What it does follows Kite's documentation and the notes of its staff (kite.trade/docs/connect/v3: user, orders, portfolio,
exceptions; kite.trade/forum/discussion/15912 on the rules since 2026-04); the shapes of its answers are those of Kite's own
samples. Its day is that of the clock that it is given, so that a test can let a night pass.
"""

from __future__ import annotations

import hashlib
import itertools
import json
import re
from collections.abc import Callable, Mapping
from datetime import datetime, time, timedelta
from decimal import Decimal
from typing import Any
from urllib.parse import parse_qsl, urlencode

from algo_py.clock import Clock, monotonic_s

from .kite import INDIA, KiteServer, error
from .kite_books import (
    INTERIM,
    Day,
    Holding,
    Order,
    Trade,
    contract_note,
    holding_row,
    order_row,
    position_row,
    stamp,
    trade_row,
)
from .server import Reply, Request

_NO_PROTECTION = (
    "Market orders without market protection are not allowed via API. Please set market protection or use a Limit order."
)


class KiteTradingServer(KiteServer):
    """Kite Connect on loopback, for one account.

    interim_looks: how often an order shows on its way before it is judged. refuses_at_entry: a lack of funds or shares is said at
    once, else only in the order book. depth: shares on the other side, by symbol; unlimited where none is named. repeats_trades:
    each trade is listed twice. shows_sold_as_held: a holding keeps its quantity on the day of its sale. hides_tag: the tag shows
    among the tags only. The limits are requests within any second, None is any number.
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
        self._request_tokens: set[str] = set()
        self._numbers = itertools.count(1)
        self._trade_numbers = itertools.count(10_000_001)
        self._seen_at: dict[str, list[float]] = {}

    # What a person, the exchange and the night do.

    def log_in(self) -> str:
        """Log the user in on Kite's page; return the request token, good for one exchange."""
        token = f"request{next(self._numbers)}"
        self._request_tokens.add(token)
        return token

    def set_price(self, symbol: str, price: str) -> None:
        """Let a share trade at a price; resting orders that it reaches fill."""
        self.prices[symbol] = Decimal(price)
        for order in list(self.orders.values()):
            if order.symbol == symbol and order.status == "OPEN":
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

    # What it answers.

    def respond(self, request: Request) -> Reply:
        if request.path == "/connect/login":
            return self._login_page(request)
        if request.headers.get("x-kite-version") != "3":
            return error(400, "InputException", "Missing or wrong X-Kite-Version.")
        if request.path == "/session/token" and request.method == "POST":
            return self._exchange(request)
        header = f"token {self.api_key}:{self.access_token}"
        if not self.access_token or request.headers.get("authorization") != header:
            return error(403, "TokenException", "Incorrect `api_key` or `access_token`.")
        if self.clock.now() >= self.token_ends_at:
            return error(403, "TokenException", "Token is invalid or has expired.")
        for method, pattern, answer in self._routes():
            found = re.fullmatch(pattern, request.path)
            if found and method == request.method:
                return self._limited(request) or answer(request, *found.groups())
        return super().respond(request)

    def _routes(self) -> tuple[tuple[str, str, Callable[..., Reply]], ...]:
        return (
            ("DELETE", r"/session/token", self._log_out),
            ("GET", r"/user/profile", self._profile),
            ("GET", r"/user/margins(/equity)?", self._margins),
            ("POST", r"/orders/(\w+)", self._place),
            ("PUT", r"/orders/regular/(\d+)", self._modify),
            ("DELETE", r"/orders/regular/(\d+)", self._cancel),
            ("GET", r"/orders", self._book),
            ("GET", r"/orders/(\d+)", self._history),
            ("GET", r"/trades", self._trades),
            ("GET", r"/orders/(\d+)/trades", self._trades),
            ("GET", r"/portfolio/holdings", self._holdings),
            ("GET", r"/portfolio/positions", self._positions),
            ("GET", r"/quote/ltp", self._last_prices),
            ("POST", r"/charges/orders", self._contract_note),
        )

    def _limited(self, request: Request) -> Reply | None:
        kind = "quote" if request.path.startswith("/quote") else "order" if request.method in ("POST", "PUT") else ""
        most = {"quote": self.quotes_per_s, "order": self.orders_per_s}.get(kind)
        seen = [moment for moment in self._seen_at.get(kind, []) if moment > monotonic_s() - 1]
        self._seen_at[kind] = [*seen, monotonic_s()]
        return error(429, "NetworkException", "Too many requests") if most is not None and len(seen) >= most else None

    def _login_page(self, request: Request) -> Reply:
        if request.values.get("v") != "3" or request.values.get("api_key") != self.api_key:
            return error(400, "InputException", "Invalid `api_key`.")
        extra = dict(parse_qsl(request.values.get("redirect_params", "")))
        query = urlencode({"action": "login", "type": "login", "status": "success", "request_token": self.log_in(), **extra})
        return Reply(status=302, headers={"Location": f"{self.redirect_url}?{query}"})

    def _exchange(self, request: Request) -> Reply:
        values = request.values
        if values.get("api_key") != self.api_key:
            return error(403, "TokenException", "Invalid `api_key`.")
        token = values.get("request_token", "")
        if values.get("checksum") != hashlib.sha256(f"{self.api_key}{token}{self.api_secret}".encode()).hexdigest():
            return error(403, "TokenException", "Invalid `checksum`.")
        if token not in self._request_tokens:
            return error(403, "TokenException", "Token is invalid or has expired.")
        self._request_tokens.remove(token)
        self.access_token = f"access{next(self._numbers)}"
        self.token_ends_at = next_morning(self.clock.now())
        session = {"user_id": self.user_id, "api_key": self.api_key, "access_token": self.access_token, "refresh_token": ""}
        return done(self._who() | session | {"login_time": stamp(self.clock.now())})

    def _log_out(self, _request: Request) -> Reply:
        self.access_token = ""
        return done(data=True)

    def _who(self) -> dict[str, Any]:
        return {
            "user_type": "individual",
            "email": "someone@example.com",
            "user_name": "Some One",
            "broker": "ZERODHA",
            "exchanges": self.profile["exchanges"],
            "products": self.profile["products"],
            "order_types": ["MARKET", "LIMIT", "SL", "SL-M"],
            "meta": {"demat_consent": self.profile["consent"]},
        }

    def _profile(self, _request: Request) -> Reply:
        return done(self._who() | {"user_id": self.user_id})

    def _margins(self, _request: Request, segment: str | None) -> Reply:
        blocked = self._blocked()
        equity = {
            "enabled": True,
            "net": float(self.cash - blocked),
            "available": {"cash": float(self.cash), "live_balance": float(self.cash - blocked), "collateral": 0},
            "utilised": {"debits": float(blocked), "delivery": 0},
        }
        return done(equity if segment else {"equity": equity, "commodity": {"enabled": False, "net": 0}})

    def _place(self, request: Request, variety: str) -> Reply:
        values = request.values
        problem = self._input_problem(values, variety)
        if problem:
            return error(400, "InputException", problem)
        if not self.is_open:
            return error(400, "OrderException", "Markets are closed right now. Use after-market orders (AMO).")
        order = Order(
            order_id=f"{self.clock.now().astimezone(INDIA):%y%m%d}{next(self._numbers):09d}",
            symbol=values["tradingsymbol"],
            side=values["transaction_type"],
            type=values["order_type"],
            product=values["product"],
            validity=values.get("validity", "DAY"),
            quantity=int(values["quantity"]),
            price=Decimal(values.get("price", "0")),
            tag=values.get("tag"),
            placed_at=self.clock.now(),
            looks=self.interim_looks,
        )
        shortage = self._shortage(order)
        if shortage and self.refuses_at_entry:
            return error(400, *shortage)
        self.orders[order.order_id] = order
        self._set(order, INTERIM[0])
        if not order.looks:
            self._judge(order)
        return done({"order_id": order.order_id})

    def _input_problem(self, values: Mapping[str, str], variety: str) -> str | None:
        share, quantity = self.shares.get(values.get("tradingsymbol", "")), values.get("quantity", "")
        price, tag = values.get("price", "0"), values.get("tag")
        rules: tuple[tuple[bool, str], ...] = (
            (variety == "regular", "Invalid `variety`."),
            (values.get("exchange") == "NSE" and share is not None, "The instrument has expired or does not exist."),
            (values.get("transaction_type") in ("BUY", "SELL"), "Invalid `transaction_type`."),
            (values.get("product") in ("CNC", "MIS"), "Invalid `product`."),
            (values.get("order_type") in ("MARKET", "LIMIT"), "Invalid `order_type`."),
            (values.get("validity", "DAY") in ("DAY", "IOC"), "Invalid `validity`."),
            (quantity.isdigit() and int(quantity) > 0, "Invalid `quantity`."),
            (tag is None or bool(re.fullmatch(r"[A-Za-z0-9]{1,20}", tag)), "Invalid `tag`."),
        )
        for holds, message in rules:
            if not holds:
                return message
        if int(quantity) > self.freeze_quantity:
            return f"Maximum quantity per order for Equity is {self.freeze_quantity}."
        if values["order_type"] == "MARKET":
            return None if values.get("market_protection") not in (None, "0") else _NO_PROTECTION
        tick = Decimal(share.tick_size) if share else Decimal(1)
        if not re.fullmatch(r"\d+(\.\d+)?", price) or Decimal(price) <= 0 or Decimal(price) % tick:
            return f"Tick size for this script is {tick}. Kindly enter price in the multiple of tick size for this script."
        return None

    def _modify(self, request: Request, order_id: str) -> Reply:
        order = self.orders.get(order_id)
        if order is None or order.has_ended:
            return error(400, "OrderException", "Order cannot be modified as it is being processed.")
        order.quantity = int(request.values.get("quantity", order.quantity))
        order.price = Decimal(request.values.get("price", str(order.price)))
        for status in ("MODIFY VALIDATION PENDING", "MODIFY PENDING", "OPEN"):
            self._set(order, status)
        self._match(order)
        return done({"order_id": order_id})

    def _cancel(self, _request: Request, order_id: str) -> Reply:
        order = self.orders.get(order_id)
        if order is None:
            return error(404, "OrderException", "Couldn't find that `order_id`.")
        if order.has_ended:
            return error(400, "OrderException", "Order cannot be cancelled as it is already processed.")
        order.cancelled = order.pending
        self._set(order, "CANCELLED")
        return done({"order_id": order_id})

    def _book(self, _request: Request) -> Reply:
        for order in self.orders.values():
            self._advance(order)
        return done([self._row(order) for order in self.orders.values()])

    def _history(self, _request: Request, order_id: str) -> Reply:
        if order_id not in self.orders:
            return error(404, "OrderException", "Couldn't find that `order_id`.")
        self._advance(self.orders[order_id])
        return done(self.orders[order_id].history)

    def _trades(self, _request: Request, order_id: str | None = None) -> Reply:
        found = [trade for trade in self.trades if order_id in (None, trade.order.order_id)]
        return done(
            [
                trade_row(trade, token=self.shares[trade.order.symbol].token)
                for trade in found
                for _ in range(2 if self.repeats_trades else 1)
            ]
        )

    def _holdings(self, _request: Request) -> Reply:
        return done(
            [
                holding_row(
                    symbol,
                    holding,
                    self.days.get((symbol, "CNC"), Day()),
                    token=self.shares[symbol].token,
                    last_price=self.prices.get(symbol, holding.price),
                    shows_sold_as_held=self.shows_sold_as_held,
                )
                for symbol, holding in self.holdings.items()
            ]
        )

    def _positions(self, _request: Request) -> Reply:
        rows = [
            position_row(symbol, product, day, token=self.shares[symbol].token, last_price=self.prices[symbol])
            for (symbol, product), day in self.days.items()
        ]
        return done({"net": rows, "day": rows})

    def _last_prices(self, request: Request) -> Reply:
        asked = [value.removeprefix("NSE:") for name, value in request.query if name == "i"]
        return done(
            {
                f"NSE:{symbol}": {"instrument_token": self.shares[symbol].token, "last_price": float(self.prices[symbol])}
                for symbol in asked
                if symbol in self.prices
            }
        )

    def _contract_note(self, request: Request) -> Reply:
        return done([one | {"charges": contract_note(one)} for one in json.loads(request.body)])

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
        else:
            self._set(order, "OPEN")
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
        reaches = order.type == "MARKET" or (price <= order.price if order.side == "BUY" else price >= order.price)
        available = self.depth.get(order.symbol, order.pending)
        quantity = min(order.pending, available)
        if reaches and quantity:
            self.depth = {**self.depth, order.symbol: available - quantity} if order.symbol in self.depth else self.depth
            self._trade(order, quantity, price)
        if order.pending and order.validity == "IOC":
            order.cancelled = order.pending
            self._set(order, "CANCELLED")

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


def done(data: Any) -> Reply:
    """Answer as Kite does when all went well."""
    return Reply(body=json.dumps({"status": "success", "data": data}).encode())


def next_morning(moment: datetime) -> datetime:
    """Return when an access token made at `moment` ends: 06:00 in India."""
    today = datetime.combine(moment.astimezone(INDIA).date(), time(6), INDIA)
    return today if moment < today else today + timedelta(days=1)


def placing(request: Request) -> bool:
    """Whether a request places an order."""
    return request.method == "POST" and request.path.startswith("/orders/")
