"""Binance spot on loopback with an account that can trade, and everything that may go wrong with an order on its way."""

from __future__ import annotations

import threading
import time
from dataclasses import replace
from decimal import Decimal
from typing import Any

from .binance import BinanceServer, error, too_many_requests, unavailable
from .binance_books import Order
from .binance_faults import Kind, is_order
from .binance_matching import Matching
from .binance_rules import Rules
from .binance_signed import Key, Trading
from .server import Fault, Reply, Request

__all__ = ["BinanceTradingServer", "is_order"]

_HELD_UP_MOST_S = 20.0


class BinanceTradingServer(BinanceServer):
    """Binance spot with one account and one key, and as many more as are added.

    `account`, `matching` and what is said here without an account are the first one's. Symbols are spelled `BTC/USDT` here, as
    everywhere in the project.
    """

    def __init__(self, *, key: str = "thekeyofthisaccount", secret: str = "thesecretofthisaccount") -> None:
        super().__init__()
        self.matching = Matching(rules=self.market.rules, now_ms=self.now_ms)
        self.trading = Trading(self.matching, Key(name=key, secret=secret), self.now_ms)
        self.accounts = [self.trading]
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

    @property
    def account(self) -> Trading:
        return self.trading

    def add_account(self, *, key: str, secret: str, uid: int) -> Trading:
        """Open one more account on the same market, with a key of its own and nothing in it."""
        first = self.matching
        matching = Matching(rules=first.rules, now_ms=self.now_ms, prices=first.prices, history=first.history)
        account = Trading(matching, Key(name=key, secret=secret), self.now_ms, uid=uid, answers_strangers=False)
        self.accounts.append(account)
        self.pieces.insert(0, account)
        return account

    def list_symbol(self, symbol: str, price: str, **rules: Any) -> None:
        """Trade a symbol, by Binance's usual filters but for `rules`."""
        base, quote = symbol.split("/")
        self.market.list_symbol(Rules(base=base, quote=quote, **rules))
        self.set_price(symbol, price)

    def set_filter(self, symbol: str, **rules: Any) -> None:
        """Change some of a symbol's rules, or its status, from now on. What rests stays."""
        symbol_id = symbol.replace("/", "")
        self.market.list_symbol(replace(self.market.rules[symbol_id], **rules))

    def delist(self, symbol: str) -> None:
        """Cancel what rests in a symbol and know it no longer (-1121). What is held of it stays in the account."""
        symbol_id = symbol.replace("/", "")
        with self._lock:
            for account in self.accounts:
                for order in account.matching.orders:
                    if order.symbol == symbol_id and order.is_open:
                        account.matching.cancel(order)
            self.market.delist(symbol_id)
            self.matching.prices.pop(symbol_id)

    def begin_anew(self, **balances: str) -> None:
        """Forget all orders, trades and balances, as test networks do about monthly; all numbers begin anew, keys stay valid.

        Each account then has `balances`, by asset.
        """
        with self._lock:
            for account in self.accounts:
                account.matching.begin_anew()
                for asset, amount in balances.items():
                    account.matching.balance(asset).free = Decimal(amount)

    def stop_listening(self) -> None:
        """Be gone: from now on connections are refused. Those that stand must have been closed before."""
        self._http.shutdown()
        self._http.server_close()

    def deposit(self, asset: str, amount: str) -> None:
        """Add to the account's balance; what is below 0 is taken from it, as by a withdrawal or a sale by hand."""
        self.matching.balance(asset).free += Decimal(amount)

    def set_price(self, symbol: str, price: str, quantity: str | None = None) -> None:
        """Move the market of a listed symbol; of an account's resting limit orders that are met at most `quantity` fills."""
        with self._lock:
            for account in self.accounts:
                most = None if quantity is None else Decimal(quantity)
                account.matching.set_price(symbol.replace("/", ""), Decimal(price), most)

    def rest_at_best(self, symbol: str) -> None:
        """Have the account's own resting limit orders be the best of the book: what would trade with them ends them instead."""
        self.matching.at_best.add(symbol.replace("/", ""))

    def set_depth(self, symbol: str, quantity: str) -> None:
        """Leave so much of a symbol for orders that take."""
        self.matching.depth[symbol.replace("/", "")] = Decimal(quantity)

    def fill(self, client_id: str, quantity: Decimal) -> None:
        """Fill so much of an open limit order."""
        self.matching.fill(next(o for o in self.matching.orders if o.client_id == client_id and o.is_open), quantity)

    def change_key(self, **change: Any) -> None:
        """Give the key other rights, or the account another key (`name`, `secret`)."""
        self.trading.key = replace(self.trading.key, **change)

    def revoke_key(self) -> None:
        """Have the key be refused (-2015) until it is restored."""
        self.change_key(is_revoked=True)

    def restore_key(self) -> None:
        """Accept the key again."""
        self.change_key(is_revoked=False)

    def orders_of(self, client_id: str) -> list[Order]:
        """Return the orders that were taken under this id."""
        return [order for order in self.matching.orders if order.client_id == client_id]

    # What goes wrong with the next order, or with the next request of another kind (see binance_faults)

    def lose(self, delay_s: float, applies: Kind = is_order) -> Fault:
        """The order never arrives, and the client waits."""
        return Fault(applies=applies, delay_s=delay_s, drop=True)

    def answer_late(self, delay_s: float, applies: Kind = is_order) -> Fault:
        """The order is taken, and the answer takes so long."""

        def later(reply: Reply) -> Reply:
            self.pause(delay_s)
            return reply

        return Fault(applies=applies, change=later)

    def drop(self, *, taken: bool, applies: Kind = is_order) -> Fault:
        """The connection breaks, with the order taken or not."""
        return Fault(applies=applies, drop=True, late=taken)

    def server_error(self, *, taken: bool, status: int = 503, applies: Kind = is_order) -> Fault:
        """5xx: the status of the order is unknown."""
        return Fault(applies=applies, reply=unavailable(status), late=taken)

    def nonsense(self, applies: Kind = is_order) -> Fault:
        """The order is taken, and the answer is a page for people."""
        page = Reply(body=b"<html><h1>Welcome</h1></html>", content_type="text/html")
        return Fault(applies=applies, reply=page, late=True)

    def too_many(self, retry_after_s: int | None, applies: Kind = is_order) -> Fault:
        """429: the order is not looked at."""
        return Fault(applies=applies, reply=too_many_requests(retry_after_s))

    def refuse(self, code: int, message: str, *, status: int = 400, applies: Kind = is_order) -> Fault:
        """The order is refused in these words."""
        return Fault(applies=applies, reply=error(code, message, status=status))

    def moves_before(self, symbol: str, price: str, applies: Kind = is_order) -> Fault:
        """The market moves while the order is on its way."""
        return Fault(applies=applies, before=lambda: self.set_price(symbol, price))

    def moves_after(self, symbol: str, price: str, applies: Kind = is_order) -> Fault:
        """The market moves between the order being taken and its answer, which tells how it was before."""

        def moved(reply: Reply) -> Reply:
            self.set_price(symbol, price)
            return reply

        return Fault(applies=applies, change=moved)
