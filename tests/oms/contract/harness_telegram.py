"""Telegram: a chat, and a person in it who does what the test says."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, Sequence
from contextlib import contextmanager
from datetime import datetime, timedelta
from decimal import Decimal
from pathlib import Path

from algo_py.clock import FrozenClock
from algo_py.credentials import Credentials
from algo_py.database import Database
from algo_py.finstore.sources.limits import SharedLimit
from algo_py.market import get_market
from algo_py.oms import OMS
from algo_py.oms.telegram import TelegramOMS
from algo_py.orders.model import Leg, OrderRequest, Side, client_order_id
from tests.databases import with_tables
from tests.oms.contract.harness import RETRY_AFTER_S, Build, Harness, Lack, Trouble
from tests.venues.server import Fault, Reply
from tests.venues.telegram import CHAT, TOKEN, TelegramServer, is_sending, too_many

_NOW = datetime.fromisoformat("2025-06-02T06:00:00+00:00")
_STRANGER = "424242:the-token-of-a-stranger"
_FILLS, _RESTS = "BTC/USDT", "ETH/USDT"


class TelegramHarness:
    """A chat in which orders of one symbol are done at once, and those of the other wait for `fill`."""

    symbols: Sequence[str] = (_FILLS, _RESTS)
    secrets: Collection[str] = (TOKEN.partition(":")[2], _STRANGER.partition(":")[2])
    lacks: Mapping[Lack, str] = {
        Lack.PARTIAL_FILLS: "a person says done or skipped",
        Lack.REPEATED_TRADES: "an order has one answer",
        Lack.REFUSALS: "the chat takes every order",
        Lack.POSITIONS: "a chat does not say what is held",
        Lack.CASH: "a chat does not say what can be spent",
        Lack.RULE_CHANGES: "the market's usual ones hold",
    }
    troubles: Collection[Trouble] = (
        Trouble.DROPPED_AFTER,
        Trouble.SERVER_ERROR_AFTER,
        Trouble.CONNECTION_REFUSED,
        Trouble.TOO_MANY,
    )

    def __init__(self, server: TelegramServer, folder: Path) -> None:
        self._server = server
        self._database = Database(with_tables(folder / "algo.db"))
        self._limit = SharedLimit("telegram", per_s=1_000, burst=100, folder=folder)
        self._clock = FrozenClock(_NOW)
        self._made = 0
        self._oms = self._open(TOKEN)
        self._oms.connect()

    def oms(self) -> OMS:
        return self._oms

    def stranger(self) -> OMS:
        return self._open(_STRANGER)

    def now(self) -> datetime:
        return self._clock.now()

    def filling(self) -> OrderRequest:
        self._server.presses_at_once = _FILLS
        return self._order(_FILLS)

    def resting(self) -> OrderRequest:
        return self._order(_RESTS)

    def refused(self) -> OrderRequest:
        raise NotImplementedError

    def passed(self) -> OrderRequest:
        raise NotImplementedError

    def change_rules(self) -> None:
        raise NotImplementedError

    def fill(self, order: OrderRequest, quantity: Decimal) -> None:
        message = next(message for message in self._server.messages if order.client_order_id in message.text)
        self._server.press(message, "Done at")

    def repeat_trades(self) -> None:
        raise NotImplementedError

    def cause(self, trouble: Trouble) -> None:
        if trouble is Trouble.CONNECTION_REFUSED:
            self._server.stop_listening()
        elif trouble is Trouble.TOO_MANY:
            self._server.fail(Fault(applies=is_sending, reply=too_many(RETRY_AFTER_S)))
        elif trouble is Trouble.DROPPED_AFTER:
            self._server.lose_answer()
        else:
            self._server.fail(Fault(applies=is_sending, reply=Reply(status=502, body=b"{}"), late=True))

    def settle(self) -> None:
        """What is not in its books was never begun."""

    def asked(self) -> int:
        return len(self._server.asked("sendMessage"))

    def taken(self) -> int:
        return len(self._server.messages)

    def _open(self, token: str) -> TelegramOMS:
        values = {"TELEGRAM_BOT_TOKEN": token, "TELEGRAM_CHAT_ID": CHAT, "TELEGRAM_BASE_URL": self._server.url}
        return TelegramOMS(
            Credentials(values),
            self._database,
            self._clock,
            account="d1",
            deployment_name="mine",
            market=get_market("crypto_binance"),
            fees=0.001,
            limit=self._limit,
        )

    def _order(self, symbol: str) -> OrderRequest:
        bar_time = _NOW - timedelta(hours=self._made + 1)
        self._made += 1
        return OrderRequest(
            client_order_id=client_order_id("d1", bar_time, symbol, Side.BUY, Leg.ENTRY),
            symbol=symbol,
            side=Side.BUY,
            leg=Leg.ENTRY,
            quantity=Decimal("0.5"),
            bar_time=bar_time,
            reference_price=Decimal(100),
            reason="entry",
        )


@contextmanager
def _build(folder: Path) -> Iterator[Harness]:
    with TelegramServer() as server:
        yield TelegramHarness(server, folder)


HARNESSES: Mapping[str, Build] = {"telegram": _build}
