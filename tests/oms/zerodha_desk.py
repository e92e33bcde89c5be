"""An account at the local Kite and the adapter that trades on it."""

from __future__ import annotations

import warnings
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from pathlib import Path

from algo_py.clock import FrozenClock
from algo_py.credentials import Credentials
from algo_py.finstore.sources.limits import SharedLimit
from algo_py.market import get_market
from algo_py.oms.zerodha import KiteLimits, ZerodhaOMS
from algo_py.orders.model import Leg, OrderReport, OrderRequest, OrderType, Side, client_order_id
from tests.venues.kite import Share
from tests.venues.kite_trading import KiteTradingServer

with warnings.catch_warnings():
    # Adapters import it when they first ask. Here they ask with short time-outs, which loading it would take up.
    warnings.simplefilter("ignore")
    import kiteconnect  # noqa: F401

API_KEY, API_SECRET, TOKEN = "kitekey", "hush4secret", "token4today"
# A Monday on which NSE trades, 11:30 in India.
NOON = datetime(2025, 6, 2, 6, 0, tzinfo=UTC)
INFY, SBIN = "INFY", "SBIN"


def quick_limits(folder: Path) -> KiteLimits:
    """Limits that hold nobody up."""

    def limit(name: str) -> SharedLimit:
        return SharedLimit(name, per_s=1_000.0, burst=100, folder=folder)

    return KiteLimits(
        orders=limit("orders"), orders_by_minute=limit("orders-by-minute"), quotes=limit("quotes"), reads=limit("reads")
    )


class Desk:
    """What a test needs: the server, the clock that both sides read, and as many adapters as there are processes."""

    def __init__(self, server: KiteTradingServer, clock: FrozenClock, folder: Path) -> None:
        server.shares = {INFY: Share(token=408065), SBIN: Share(token=779521)}
        server.prices = {INFY: Decimal("1500.0"), SBIN: Decimal("800.0")}
        self.server, self.clock, self.folder = server, clock, folder
        self.values = {"ZERODHA_API_KEY": API_KEY, "ZERODHA_API_SECRET": API_SECRET, "ZERODHA_ACCESS_TOKEN": TOKEN}
        self.oms = self.open()

    def open(
        self, *, product: str = "CNC", timeout_s: float = 2.0, settling_s: float = 60.0, auction_fills: bool = False
    ) -> ZerodhaOMS:
        """Build an adapter, as a process does that starts now."""
        return ZerodhaOMS(
            lambda: Credentials(self.values),
            market=get_market("indian_equity"),
            clock=self.clock,
            folder=self.folder / "kite",
            base_url=self.server.url,
            product=product,
            limits=quick_limits(self.folder / "limits"),
            timeout_s=timeout_s,
            settling_s=settling_s,
            auction_fills=auction_fills,
        )

    def order(
        self, symbol: str = INFY, *, side: Side = Side.BUY, quantity: str = "10", limit: str | None = None, number: int = 0
    ) -> OrderRequest:
        bar_time = NOON - timedelta(days=1, minutes=number)
        leg = Leg.ENTRY if side is Side.BUY else Leg.EXIT
        order = OrderRequest(
            client_order_id=client_order_id("d1", bar_time, symbol, side, leg),
            symbol=symbol,
            side=side,
            leg=leg,
            quantity=Decimal(quantity),
            bar_time=bar_time,
            reference_price=self.server.prices.get(symbol, Decimal(100)),
            reason="entry" if side is Side.BUY else "exit",
        )
        return order if limit is None else replace(order, type=OrderType.LIMIT, limit_price=Decimal(limit))

    def find(self, order: OrderRequest) -> OrderReport:
        report = self.oms.find(order, self.clock.now())
        assert report is not None
        return report

    def deal(self, symbol: str, side: Side, quantity: int) -> None:
        """Trade at the market, through the adapter."""
        number = len(self.server.requests)
        self.oms.submit(self.order(symbol, side=side, quantity=str(quantity), number=number))

    def held(self) -> dict[str, int]:
        return {position.symbol: int(position.quantity) for position in self.oms.positions()}

    def next_day(self) -> None:
        """Let the night pass, and log in anew."""
        self.server.new_day(keeps_token=True)
        self.clock.sleep(86_400)
        self.server.token_ends_at = self.clock.now() + timedelta(hours=12)
