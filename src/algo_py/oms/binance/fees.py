"""Fills in the project's terms: what reached or left the account, and the fee in quote currency.

Binance charges in what is received: base units for a buy, quote currency for a sale; or in BNB, where the account pays so.

- Quote currency: it is the fee.
- Base units of a buy: they never reach the account, so the fill's quantity is less by them, and the fee is their value at the
  fill's price. Base units of a sale (BNB sold by an account that pays in BNB) come from what else is held: a fee by value.
- Any other asset, BNB as a rule: by its price in quote currency in the minute of the fill (the close of its one-minute bar; while
  that has no trade, the latest price). The asset itself is taken from what the account holds of it, which no ledger counts.
- An asset without a price in quote currency: nobody can say. The market's usual fee is taken for it, and the report says so.
"""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime
from decimal import Decimal
from typing import Any, Final

from algo_py.errors import VenueDown
from algo_py.market import Market
from algo_py.oms.binance.answers import Trade
from algo_py.oms.binance.connection import Action, Connection, call
from algo_py.oms.binance.failures import BAD_SYMBOL, Failure, of_read
from algo_py.orders.model import Fill, from_float

_WEIGHT: Final = 2.0
_MINUTE_MS: Final = 60_000
_PRICES_KEPT: Final = 512
_CLOSE: Final = 4


class Fees:
    """Turns trades into fills; asks for the price of an asset that is neither base nor quote."""

    def __init__(self, connection: Connection, market: Market) -> None:
        self._connection = connection
        self._market = market
        self._prices: dict[tuple[str, int], Decimal | None] = {}

    def fills(self, trades: Iterable[Trade], *, symbol: str, client_order_id: str) -> tuple[tuple[Fill, ...], str]:
        """Return a fill for each trade, and what is to be said of their fees, if anything.

        Raises VenueDown, RateLimited, AuthFailed when a price is needed and cannot be had now.
        """
        made: list[Fill] = []
        notes: list[str] = []
        base, _, quote = symbol.partition("/")
        for trade in trades:
            kept = trade.commission if trade.side == "BUY" and trade.commission_asset == base else Decimal(0)
            fee = self._fee(trade, base=base, quote=quote)
            if fee is None:
                fee = trade.price * trade.quantity * from_float(self._market.fees)
                notes.append(f"a fee of {trade.commission:f} {trade.commission_asset} was taken as {fee.normalize():f} {quote}")
            made.append(
                Fill(
                    trade_id=str(trade.id),
                    client_order_id=client_order_id,
                    symbol=symbol,
                    side=trade.side,
                    quantity=trade.quantity - kept,
                    price=trade.price,
                    fee=fee,
                    time=trade.time,
                )
            )
        return tuple(made), "; ".join(notes)

    def _fee(self, trade: Trade, *, base: str, quote: str) -> Decimal | None:
        if trade.commission_asset == quote or not trade.commission:
            return trade.commission
        if trade.commission_asset == base:
            return trade.commission * trade.price
        price = self._price(trade.commission_asset, quote, trade.time)
        return None if price is None else trade.commission * price

    def _price(self, asset: str, quote: str, moment: datetime) -> Decimal | None:
        """Return the price of an asset in the minute of `moment`, None when it is not traded against the quote currency."""
        opened_ms = int(moment.timestamp()) * 1_000 // _MINUTE_MS * _MINUTE_MS
        key = (asset + quote, opened_ms)
        if key not in self._prices:
            if len(self._prices) >= _PRICES_KEPT:
                self._prices.clear()
            self._prices[key] = self._asked(*key)
        return self._prices[key]

    def _asked(self, symbol_id: str, opened_ms: int) -> Decimal | None:
        minute = {"interval": "1m", "startTime": opened_ms, "endTime": opened_ms + _MINUTE_MS - 1, "limit": 1}
        rows = self._read(call("public_get_klines", symbol=symbol_id, **minute), symbol_id)
        if rows is None:
            return None
        if not rows:
            rows = self._read(call("public_get_ticker_price", symbol=symbol_id), symbol_id)
        try:
            return Decimal(rows["price"]) if isinstance(rows, dict) else Decimal(rows[0][_CLOSE])
        except (LookupError, TypeError, ArithmeticError):
            raise VenueDown(f"the price of {symbol_id} makes no sense", remedy="It is asked again later.") from None

    def _read(self, action: Action, symbol_id: str) -> Any:
        content = self._connection.attempt(action, weight=_WEIGHT)
        if not isinstance(content, Failure):
            return content
        if content.is_refusal and content.code == BAD_SYMBOL:
            return None
        raise of_read(content, name=self._connection.name, subject=f"the price of {symbol_id}")
