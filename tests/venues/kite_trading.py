"""Kite Connect v3 as far as trading needs it: a session, an order book, trades, holdings and positions, with real state.

What it does follows Kite's documentation and the notes of its staff (kite.trade/docs/connect/v3: user, orders, portfolio,
exceptions; kite.trade/forum/discussion/15912 on the rules since 2026-04); the shapes of its answers are those of Kite's own
samples. Its day is that of the clock that it is given, so that a test can let a night pass.
"""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Callable, Mapping
from decimal import Decimal
from typing import Any
from urllib.parse import parse_qsl, urlencode

from algo_py.clock import monotonic_s

from .kite import error
from .kite_books import (
    INTERIM,
    Day,
    Order,
    contract_note,
    holding_row,
    position_row,
    stamp,
    trade_row,
)
from .kite_floor import KiteFloor
from .server import Reply, Request

_NO_PROTECTION = (
    "Market orders without market protection are not allowed via API. Please set market protection or use a Limit order."
)


class KiteTradingServer(KiteFloor):
    """Kite Connect on loopback, for one account.

    interim_looks: how often an order shows on its way before it is judged. refuses_at_entry: a lack of funds or shares is said at
    once, else only in the order book. depth: shares on the other side, by symbol; unlimited where none is named. repeats_trades:
    each trade is listed twice. shows_sold_as_held: a holding keeps its quantity on the day of its sale. hides_tag: the tag shows
    among the tags only. The limits are requests within any second, None is any number.
    """

    # What it answers.

    def respond(self, request: Request) -> Reply:
        if request.path == "/connect/login":
            return self._login_page(request)
        if request.headers.get("x-kite-version") != "3":
            return error(400, "InputException", "Missing or wrong X-Kite-Version.")
        if request.path == "/session/token" and request.method == "POST":
            return self._exchange(request)
        self.keep_hours()
        given = request.headers.get("authorization", "").removeprefix(f"token {self.api_key}:")
        if given in self.other_tokens:
            return self._of_stranger(request, self.other_tokens[given])
        if not self.access_token or given != self.access_token:
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

    def _of_stranger(self, request: Request, user_id: str) -> Reply:
        """Answer another user, whose account is empty; what they order is noted, and goes nowhere."""
        if request.path == "/user/profile":
            return done(self._who() | {"user_id": user_id})
        if placing(request):
            self.strangers_orders.append(dict(request.values))
            return done({"order_id": self._next_order_id()})
        if request.path == "/portfolio/positions":
            return done({"net": [], "day": []})
        return done([])

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
        user_id = self._request_tokens.pop(token)
        session = {"user_id": user_id, "api_key": self.api_key, "access_token": self.issue_token(user_id), "refresh_token": ""}
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
            order_id=self._next_order_id(),
            symbol=values["tradingsymbol"],
            side=values["transaction_type"],
            type=values["order_type"],
            product=values["product"],
            validity=values.get("validity", "DAY"),
            quantity=int(values["quantity"]),
            price=Decimal(values.get("price", "0")),
            tag=values.get("tag"),
            placed_at=self.clock.now(),
            trigger=Decimal(values.get("trigger_price", "0")),
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
            (values.get("order_type") in ("MARKET", "LIMIT", "SL", "SL-M"), "Invalid `order_type`."),
            (values.get("validity", "DAY") in ("DAY", "IOC"), "Invalid `validity`."),
            (quantity.isdigit() and int(quantity) > 0, "Invalid `quantity`."),
            (tag is None or bool(re.fullmatch(r"[A-Za-z0-9]{1,20}", tag)), "Invalid `tag`."),
        )
        for holds, message in rules:
            if not holds:
                return message
        if int(quantity) > self.freeze_quantity:
            return f"Maximum quantity per order for Equity is {self.freeze_quantity}."
        if values["order_type"] in ("SL", "SL-M") and not re.fullmatch(r"\d+(\.\d+)?", values.get("trigger_price", "")):
            return "Invalid `trigger_price`."
        if values["order_type"] in ("MARKET", "SL-M"):
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
        self._cancel_rest(order)
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


def done(data: Any) -> Reply:
    """Answer as Kite does when all went well."""
    return Reply(body=json.dumps({"status": "success", "data": data}).encode())


def placing(request: Request) -> bool:
    """Whether a request places an order."""
    return request.method == "POST" and request.path.startswith("/orders/")
