"""An account at a local Binance, and the adapter that trades on it; for the contract and for the adapter's own tests."""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from pathlib import Path

from algo_py.clock import SystemClock
from algo_py.credentials import Credentials
from algo_py.finstore.sources.limits import SharedLimit
from algo_py.market import get_market
from algo_py.oms.binance import BinanceOMS
from algo_py.orders.model import Leg, OrderReport, OrderRequest, Side, client_order_id
from tests.venues.binance_trading import BinanceTradingServer

KEY, SECRET = "thekeyofthisaccount", "thesecretofthisaccount"
SETTLED = timedelta(seconds=16)  # recvWindow, what the engine may need, and a second
REQUEST_S = 0.7
_BAR = datetime(2025, 1, 1, tzinfo=UTC)


class ShiftedClock(SystemClock):
    """The machine's clock, set wrong by `shift`."""

    def __init__(self) -> None:
        self.shift = timedelta()

    def now(self) -> datetime:
        return super().now() + self.shift


class Desk:
    """BTC and ETH at 100, 10,000 USDT to pay with, fees in USDT. Adapters that it opens share a limit of their own."""

    def __init__(self, server: BinanceTradingServer, folder: Path) -> None:
        self.server = server
        self.clock = ShiftedClock()
        self.limit = SharedLimit("binance test", per_s=1_000, burst=3_000, folder=folder)
        self._hours = itertools.count()
        for symbol in ("BTC/USDT", "ETH/USDT"):
            server.list_symbol(symbol, "100")
        server.deposit("USDT", "10000")
        server.matching.fee_asset = "USDT"
        server.matching.pieces = 3

    def open(
        self,
        *,
        key: str = KEY,
        secret: str = SECRET,
        exchange_id: str = "binance",
        limit: SharedLimit | None = None,
        symbols: Sequence[str] = (),
        **more: str,
    ) -> BinanceOMS:
        """Build an adapter for a universe; `more` stands in config/.env besides the key."""
        name = exchange_id.upper()
        return BinanceOMS(
            Credentials({f"{name}_API_KEY": key, f"{name}_API_SECRET": secret, f"{name}_BASE_URL": self.server.url, **more}),
            market=get_market("crypto_binance"),
            clock=self.clock,
            exchange_id=exchange_id,
            symbols=symbols,
            limit=limit or self.limit,
            request_s=REQUEST_S,
        )

    def connected(self) -> BinanceOMS:
        """Build an adapter and connect it."""
        oms = self.open()
        oms.connect()
        return oms

    def order(self, symbol: str = "BTC/USDT", *, side: Side = Side.BUY, quantity: str = "0.5", **more: object) -> OrderRequest:
        """Make a market order with an id of its own, or what `more` makes of it."""
        bar_time = _BAR + timedelta(hours=next(self._hours))
        leg = Leg.ENTRY if side is Side.BUY else Leg.EXIT
        order = OrderRequest(
            client_order_id=client_order_id("d1", bar_time, symbol, side, leg),
            symbol=symbol,
            side=side,
            leg=leg,
            quantity=Decimal(quantity),
            bar_time=bar_time,
            reference_price=Decimal(100),
            reason="entry",
        )
        return replace(order, **more)  # type: ignore[arg-type]

    def pass_time(self, span: timedelta = SETTLED) -> None:
        """Let time pass, here and at the exchange."""
        self.clock.shift += span
        self.server.clock_offset_s += span.total_seconds()

    def found(self, oms: BinanceOMS, order: OrderRequest) -> OrderReport:
        """Look an order up that must be there."""
        report = oms.find(order, self.clock.now())
        assert report is not None
        return report


@contextmanager
def desk_in(folder: Path) -> Iterator[Desk]:
    """Open the exchange for a while."""
    with BinanceTradingServer(key=KEY, secret=SECRET) as server:
        yield Desk(server, folder / "limits")
