"""The paper OMS: its venue is a table in the database, so nothing can go wrong on the way to it."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any

import sqlalchemy as sa

from algo_py.clock import FrozenClock
from algo_py.database import Database
from algo_py.engine import PortfolioConfig
from algo_py.market import get_market
from algo_py.oms import OMS, PaperOMS
from algo_py.oms.tables import paper_orders
from algo_py.orders.model import Leg, OrderRequest, Side, client_order_id
from tests.databases import with_tables
from tests.oms.contract.harness import Build, Harness, Lack, Trouble

_BAR = datetime(2025, 1, 1, tzinfo=UTC)
_PRICED, _UNPRICED = "BTC/USDT", "ETH/USDT"


class _Prices:
    """A feed that knows the price of what is to fill."""

    def __init__(self) -> None:
        self.known: dict[str, tuple[datetime, float]] = {}

    def fill_price(self, symbol: str, bar_time: datetime, submitted_at: datetime) -> tuple[datetime, float] | None:
        return self.known.get(symbol)

    def bars_since(self, symbol: str, submitted_at: datetime) -> Iterable[Any]:
        return ()


class PaperHarness:
    """A paper account of 1,000. Orders of one symbol fill, those of the other wait for a price that does not come."""

    symbols: Sequence[str] = (_PRICED, _UNPRICED)
    secrets: Collection[str] = ()
    troubles: Collection[Trouble] = ()
    lacks: Mapping[Lack, str] = {
        Lack.CREDENTIALS: "it is nobody's account",
        Lack.RULES: "those of the backtest hold",
        Lack.RULE_CHANGES: "those of the backtest hold",
        Lack.JUDGED_STOPS: "it rests until the next bar",
        Lack.PARTIAL_FILLS: "its bars have no volume to run out of",
        Lack.REPEATED_TRADES: "its fills have one row each",
    }

    def __init__(self, folder: Path) -> None:
        self._database = Database(with_tables(folder / "algo.db"))
        self._clock = FrozenClock(_BAR + timedelta(hours=1))
        self._prices = _Prices()
        self._prices.known[_PRICED] = (self._clock.now(), 100.0)
        self._made = 0
        market = get_market("crypto_binance")
        self._oms = PaperOMS(
            self._database,
            self._clock,
            account="d1",
            market=market,
            symbols=self.symbols,
            config=PortfolioConfig(
                initial_cash=1000.0, fees=0.001, instruments={symbol: market.instrument(symbol) for symbol in self.symbols}
            ),
            feed=self._prices,
        )
        self._oms.connect()

    def oms(self) -> OMS:
        return self._oms

    def stranger(self) -> OMS:
        raise NotImplementedError

    def now(self) -> datetime:
        return self._clock.now()

    def filling(self) -> OrderRequest:
        return self._order(_PRICED)

    def resting(self) -> OrderRequest:
        return self._order(_UNPRICED)

    def refused(self) -> OrderRequest:
        return self._order("DOGE/USDT")

    def passed(self) -> OrderRequest:
        raise NotImplementedError

    def change_rules(self) -> None:
        raise NotImplementedError

    def fill(self, order: OrderRequest, quantity: Decimal) -> None:
        self._prices.known[order.symbol] = (self._clock.now(), 100.0)

    def repeat_trades(self) -> None:
        raise NotImplementedError

    def cause(self, trouble: Trouble) -> None:
        raise NotImplementedError

    def settle(self) -> None:
        """What is not in its table will not be."""

    def asked(self) -> int:
        return self.taken()

    def taken(self) -> int:
        with self._database.read() as connection:
            return int(connection.execute(sa.select(sa.func.count()).select_from(paper_orders)).scalar_one())

    def _order(self, symbol: str) -> OrderRequest:
        bar_time = _BAR + timedelta(hours=self._made)
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
    yield PaperHarness(folder)


HARNESSES: Mapping[str, Build] = {"paper": _build}
