"""Binance spot on loopback with an account that can trade, and everything that may go wrong with an order on its way."""

from __future__ import annotations

import threading
import time
from dataclasses import replace
from decimal import Decimal

from .binance import BinanceServer, Rules, error, too_many_requests, unavailable
from .binance_matching import Matching, Order
from .binance_signed import OCO, ORDER, Key, Trading
from .server import Fault, Reply, Request

_HELD_UP_MOST_S = 20.0


class BinanceTradingServer(BinanceServer):
    """Binance spot with one account and one key. Symbols are spelled `BTC/USDT` here, as everywhere in the project."""

    def __init__(self, *, key: str = "thekeyofthisaccount", secret: str = "thesecretofthisaccount") -> None:
        super().__init__()
        self.matching = Matching(rules=self.market.rules, now_ms=self.now_ms)
        self.trading = Trading(self.matching, Key(name=key, secret=secret), self.now_ms)
        self.pieces.append(self.trading)
        self.keeps_connections = True
        self.judged = 0  # orders that were taken or refused
        self._way_is_free = threading.Event()
        self._way_is_free.set()

    def answer(self, request: Request) -> Reply | None:
        if not is_order(request):
            return super().answer(request)
        self._way_is_free.wait(_HELD_UP_MOST_S)
        reply = super().answer(request)
        self.judged += 1
        return reply

    def hold_orders_up(self) -> None:
        """Keep orders on their way, until they are let through; they are judged when they arrive."""
        self._way_is_free.clear()

    def let_orders_through(self) -> None:
        """Have the orders arrive that are on their way, and wait until one has been judged."""
        before, until = self.judged, time.monotonic() + _HELD_UP_MOST_S
        self._way_is_free.set()
        while self.judged == before and time.monotonic() < until:
            self.pause(0.01)

    def respond(self, request: Request) -> Reply:
        reply = super().respond(request)
        return reply if self.keeps_connections else replace(reply, headers={**reply.headers, "Connection": "close"})

    def list_symbol(self, symbol: str, price: str, **rules: str) -> None:
        """Trade a symbol, by Binance's usual filters but for `rules`."""
        base, quote = symbol.split("/")
        self.market.list_symbol(Rules(base=base, quote=quote, **rules))
        self.set_price(symbol, price)

    def stop_listening(self) -> None:
        """Be gone: from now on connections are refused. Those that stand must have been closed before."""
        self._http.shutdown()
        self._http.server_close()

    def deposit(self, asset: str, amount: str) -> None:
        """Add to the account's balance."""
        self.matching.balance(asset).free += Decimal(amount)

    def set_price(self, symbol: str, price: str) -> None:
        """Move the market of a listed symbol."""
        self.matching.set_price(symbol.replace("/", ""), Decimal(price))

    def set_depth(self, symbol: str, quantity: str) -> None:
        """Leave so much of a symbol for orders that take."""
        self.matching.depth[symbol.replace("/", "")] = Decimal(quantity)

    def fill(self, client_id: str, quantity: Decimal) -> None:
        """Fill so much of an open limit order."""
        self.matching.fill(next(o for o in self.matching.orders if o.client_id == client_id and o.is_open), quantity)

    def change_key(self, **rights: bool) -> None:
        """Give the key other rights."""
        self.trading.key = replace(self.trading.key, **rights)  # type: ignore[arg-type]

    def orders_of(self, client_id: str) -> list[Order]:
        """Return the orders that were taken under this id."""
        return [order for order in self.matching.orders if order.client_id == client_id]

    # What goes wrong with the next order

    def lose(self, delay_s: float) -> Fault:
        """The order never arrives, and the client waits."""
        return Fault(applies=is_order, delay_s=delay_s, drop=True)

    def answer_late(self, delay_s: float) -> Fault:
        """The order is taken, and the answer takes so long."""

        def later(reply: Reply) -> Reply:
            self.pause(delay_s)
            return reply

        return Fault(applies=is_order, change=later)

    def drop(self, *, taken: bool) -> Fault:
        """The connection breaks, with the order taken or not."""
        return Fault(applies=is_order, drop=True, late=taken)

    def server_error(self, *, taken: bool, status: int = 503) -> Fault:
        """5xx: the status of the order is unknown."""
        return Fault(applies=is_order, reply=unavailable(status), late=taken)

    def nonsense(self) -> Fault:
        """The order is taken, and the answer is a page for people."""
        page = Reply(body=b"<html><h1>Welcome</h1></html>", content_type="text/html")
        return Fault(applies=is_order, reply=page, late=True)

    def too_many(self, retry_after_s: int | None) -> Fault:
        """429: the order is not looked at."""
        return Fault(applies=is_order, reply=too_many_requests(retry_after_s))

    def refuse(self, code: int, message: str, *, status: int = 400) -> Fault:
        """The order is refused in these words."""
        return Fault(applies=is_order, reply=error(code, message, status=status))


def is_order(request: Request) -> bool:
    """Return whether a request wants an order to be taken."""
    return request.method == "POST" and request.path in (ORDER, OCO)
