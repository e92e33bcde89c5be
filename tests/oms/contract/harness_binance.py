"""Binance through ccxt's own client, on a local server that keeps an account."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from contextlib import contextmanager
from datetime import datetime
from decimal import Decimal
from pathlib import Path

from algo_py.oms import OMS
from algo_py.orders.model import OrderRequest, OrderType, Side
from tests.oms.binance_desk import KEY, REQUEST_S, SECRET, Desk, desk_in
from tests.oms.contract.harness import RETRY_AFTER_S, Build, Harness, Lack, Trouble
from tests.venues.binance_trading import BinanceTradingServer, is_order
from tests.venues.server import Fault

_STRANGER = ("thekeyofastranger", "thesecretofastranger")
_TOO_LONG_S = REQUEST_S * 1.5
_FAULTS: Mapping[Trouble, Callable[[BinanceTradingServer], Fault]] = {
    Trouble.TIME_OUT_BEFORE: lambda server: server.lose(_TOO_LONG_S),
    Trouble.TIME_OUT_AFTER: lambda server: server.answer_late(_TOO_LONG_S),
    Trouble.DROPPED_BEFORE: lambda server: server.drop(taken=False),
    Trouble.DROPPED_AFTER: lambda server: server.drop(taken=True),
    Trouble.SERVER_ERROR_BEFORE: lambda server: server.server_error(taken=False),
    Trouble.SERVER_ERROR_AFTER: lambda server: server.server_error(taken=True),
    Trouble.NONSENSE_AFTER: lambda server: server.nonsense(),
    Trouble.TOO_MANY: lambda server: server.too_many(RETRY_AFTER_S),
}


class BinanceHarness:
    """An account at Binance. One exchange that speaks its protocol, `binanceus`, is held to the same contract."""

    symbols: Sequence[str] = ("BTC/USDT", "ETH/USDT")
    secrets: Collection[str] = (KEY, SECRET, *_STRANGER)
    lacks: Mapping[Lack, str] = {}
    troubles: Collection[Trouble] = tuple(Trouble)

    def __init__(self, desk: Desk, exchange_id: str) -> None:
        self._desk = desk
        self._exchange_id = exchange_id
        self._oms = desk.open(exchange_id=exchange_id)
        self._oms.connect()

    def oms(self) -> OMS:
        return self._oms

    def stranger(self) -> OMS:
        return self._desk.open(key=_STRANGER[0], secret=_STRANGER[1], exchange_id=self._exchange_id)

    def now(self) -> datetime:
        return self._desk.clock.now()

    def filling(self) -> OrderRequest:
        return self._desk.order()

    def resting(self) -> OrderRequest:
        return self._desk.order(type=OrderType.LIMIT, limit_price=Decimal(90))

    def refused(self) -> OrderRequest:
        return self._desk.order(quantity="110")

    def passed(self) -> OrderRequest:
        self._desk.server.deposit("BTC", "0.5")
        return self._desk.order(side=Side.SELL, type=OrderType.STOP, stop_price=Decimal(101))

    def change_rules(self) -> None:
        self._desk.server.set_filter(self.symbols[0], step_size="0.01000000", quantity_min="0.01000000")

    def fill(self, order: OrderRequest, quantity: Decimal) -> None:
        self._desk.server.fill(order.client_order_id, quantity)

    def repeat_trades(self) -> None:
        self._desk.server.trading.repeats_trades = True

    def cause(self, trouble: Trouble) -> None:
        server = self._desk.server
        if trouble is Trouble.CONNECTION_REFUSED:
            server.keeps_connections = False
            self._oms.last_prices([self.symbols[0]])
            server.stop_listening()
        else:
            server.fail(_FAULTS[trouble](server))

    def settle(self) -> None:
        self._desk.pass_time()

    def asked(self) -> int:
        return sum(is_order(request) for request in self._desk.server.asked())

    def taken(self) -> int:
        return len(self._desk.server.matching.orders)


def _build(exchange_id: str) -> Build:
    @contextmanager
    def build(folder: Path) -> Iterator[Harness]:
        with desk_in(folder) as desk:
            yield BinanceHarness(desk, exchange_id)

    return build


HARNESSES: Mapping[str, Build] = {"binance": _build("binance"), "binanceus": _build("binanceus")}
