"""Zerodha: the real kiteconnect client against a local Kite."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import replace
from datetime import datetime, timedelta
from decimal import Decimal
from pathlib import Path

from algo_py.clock import FrozenClock
from algo_py.credentials import Credentials
from algo_py.market import get_market
from algo_py.oms import OMS
from algo_py.oms.zerodha import ZerodhaOMS
from algo_py.orders.model import Leg, OrderRequest, OrderType, Side, TimeInForce, client_order_id
from tests.oms.contract.harness import RETRY_AFTER_S, Build, Harness, Lack, Trouble
from tests.oms.zerodha_desk import API_KEY, API_SECRET, NOON, TOKEN, quick_limits
from tests.venues.kite import Share, error
from tests.venues.kite_trading import KiteTradingServer, placing
from tests.venues.server import Fault, Reply

_FILLING, _RESTING = "RELIANCE", "TCS"
_TIMEOUT_S = 1.0
_UNAVAILABLE = error(503, "NetworkException", "Gateway timed out")

_FAULTS: Mapping[Trouble, Callable[[], Fault]] = {
    Trouble.TIME_OUT_BEFORE: lambda: Fault(applies=placing, delay_s=_TIMEOUT_S * 1.5, drop=True),
    Trouble.TIME_OUT_AFTER: lambda: Fault(applies=placing, change=lambda reply: replace(reply, trickle_s=_TIMEOUT_S * 1.5)),
    Trouble.DROPPED_BEFORE: lambda: Fault(applies=placing, drop=True),
    Trouble.DROPPED_AFTER: lambda: Fault(applies=placing, drop=True, late=True),
    Trouble.SERVER_ERROR_BEFORE: lambda: Fault(applies=placing, reply=_UNAVAILABLE),
    Trouble.SERVER_ERROR_AFTER: lambda: Fault(applies=placing, reply=_UNAVAILABLE, late=True),
    Trouble.NONSENSE_AFTER: lambda: Fault(applies=placing, reply=Reply(body=b"<html>", content_type="text/html"), late=True),
    Trouble.TOO_MANY: lambda: Fault(
        applies=placing,
        reply=replace(error(429, "NetworkException", "Too many requests"), headers={"Retry-After": str(RETRY_AFTER_S)}),
    ),
}


class ZerodhaHarness:
    """An account with a million rupees. Orders of one share meet the market, those of the other have a limit far below it."""

    symbols: Sequence[str] = (_FILLING, _RESTING)
    secrets: Collection[str] = (API_SECRET, TOKEN)
    lacks: Mapping[Lack, str] = {}
    troubles: Collection[Trouble] = (*_FAULTS, Trouble.CONNECTION_REFUSED)

    def __init__(self, server: KiteTradingServer, clock: FrozenClock, folder: Path) -> None:
        self.server = server
        self._clock = clock
        self._folder = folder
        self._made = itertools.count()
        self._oms = self._build(TOKEN)
        self._oms.connect()

    def _build(self, token: str) -> ZerodhaOMS:
        values = {"ZERODHA_API_KEY": API_KEY, "ZERODHA_API_SECRET": API_SECRET, "ZERODHA_ACCESS_TOKEN": token}
        return ZerodhaOMS(
            Credentials(values),
            market=get_market("indian_equity"),
            clock=self._clock,
            folder=self._folder / "kite",
            base_url=self.server.url,
            limits=quick_limits(self._folder / "limits"),
            timeout_s=_TIMEOUT_S,
        )

    def oms(self) -> OMS:
        return self._oms

    def stranger(self) -> OMS:
        return self._build("token4yesterday")

    def now(self) -> datetime:
        return self._clock.now()

    def filling(self) -> OrderRequest:
        return self._order(_FILLING, quantity=10)

    def resting(self) -> OrderRequest:
        order = self._order(_RESTING, quantity=10)
        return replace(order, type=OrderType.LIMIT, limit_price=order.reference_price / 2, time_in_force=TimeInForce.DAY)

    def refused(self) -> OrderRequest:
        return self._order(_FILLING, quantity=90_000)

    def passed(self) -> OrderRequest:
        raise NotImplementedError

    def change_rules(self) -> None:
        self.server.shares[_FILLING] = replace(self.server.shares[_FILLING], tick_size="0.5")
        self._clock.sleep(601)

    def fill(self, order: OrderRequest, quantity: Decimal) -> None:
        (found,) = (one for one in self.server.orders.values() if one.tag == order.client_order_id)
        self.server.trade(found.order_id, int(quantity), str(order.limit_price))

    def repeat_trades(self) -> None:
        self.server.repeats_trades = True

    def cause(self, trouble: Trouble) -> None:
        if trouble is Trouble.CONNECTION_REFUSED:
            self.server.stop_listening()
        else:
            self.server.fail(_FAULTS[trouble]())

    def settle(self) -> None:
        self._clock.sleep(61)

    def asked(self) -> int:
        return sum(placing(request) for request in self.server.requests)

    def taken(self) -> int:
        return len(self.server.orders)

    def _order(self, symbol: str, *, quantity: int) -> OrderRequest:
        bar_time = NOON - timedelta(days=1, minutes=next(self._made))
        return OrderRequest(
            client_order_id=client_order_id("d1", bar_time, symbol, Side.BUY, Leg.ENTRY),
            symbol=symbol,
            side=Side.BUY,
            leg=Leg.ENTRY,
            quantity=Decimal(quantity),
            bar_time=bar_time,
            reference_price=self.server.prices[symbol],
            reason="entry",
        )


@contextmanager
def build(folder: Path) -> Iterator[Harness]:
    clock = FrozenClock(NOON)
    with KiteTradingServer(clock, api_key=API_KEY, api_secret=API_SECRET, access_token=TOKEN) as server:
        server.shares = {_FILLING: Share(token=738561, tick_size="0.1"), _RESTING: Share(token=2953217)}
        server.prices = {_FILLING: Decimal("1424.9"), _RESTING: Decimal("3400.0")}
        server.refuses_at_entry = True
        yield ZerodhaHarness(server, clock, folder)


HARNESSES: Mapping[str, Build] = {"zerodha": build}
