"""Fills in the project's terms: what reached or left the account, and the fee in quote currency.

Binance charges in what is received: base units for a buy, quote currency for a sale; or in BNB, where the account pays so.

- Quote currency: it is the fee.
- Base units of a buy: they never reach the account, so the fill's quantity is less by them, and the fee is their value at the
  fill's price. Base units of a sale (BNB sold by an account that pays in BNB) come from what else is held: a fee by value, and
  the fill names them.
- Any other asset, BNB as a rule: by its price in quote currency in the minute of the fill (the close of its one-minute bar; while
  that has no trade, the latest price). The fill names the asset and how much of it has left the account.
- An asset whose price cannot be had, or makes no sense: the market's usual fee is taken for it, and the report says so. What a
  fee was worth never keeps a fill from being booked: without the fill there is no position, and no stop for it.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from typing import Any, Final

from algo_py.amounts import read_amount
from algo_py.errors import InvalidInput, OutcomeUnknown, VenueError
from algo_py.market import Market
from algo_py.oms.binance.answers import Trade
from algo_py.oms.binance.connection import Action, Connection, call
from algo_py.oms.binance.failures import BAD_SYMBOL, Failure, of_read
from algo_py.orders.model import Fill, Side, from_float

_WEIGHT: Final = 2.0
_MINUTE_MS: Final = 60_000
_PRICES_KEPT: Final = 512
_CLOSE: Final = 4
# A fee beyond this fraction of what was traded comes from a price that cannot be true.
_FEE_MOST_FRACTION: Final = Decimal("0.1")


@dataclass(frozen=True, slots=True)
class _Fee:
    """A fee by value, in quote currency. `note` is what is to be said of it."""

    value: Decimal
    note: str = ""


class Fees:
    """Turns trades into fills; asks for the price of an asset that is neither base nor quote."""

    def __init__(self, connection: Connection, market: Market) -> None:
        self._connection = connection
        self._market = market
        self._prices: dict[tuple[str, int], Decimal | None] = {}

    def fills(self, trades: Iterable[Trade], *, symbol: str, client_order_id: str) -> tuple[tuple[Fill, ...], str]:
        """Return a fill for each trade, and what is to be said of their fees, if anything.

        Raises OutcomeUnknown for a commission that is more than was traded.
        """
        made: list[Fill] = []
        notes: list[str] = []
        base, _, quote = symbol.partition("/")
        without_price: set[str] = set()  # asked for once in a call: each time-out keeps the fills waiting
        for trade in trades:
            asset, is_base = trade.commission_asset, trade.commission_asset == base
            _refuse_absurd(trade, base=base, quote=quote)
            is_kept = trade.side is Side.BUY and is_base
            fee = self._fee(trade, base=base, quote=quote, without_price=without_price)
            if fee.note:
                notes.append(fee.note)
            is_from_elsewhere = bool(trade.commission) and asset != quote and not is_kept
            made.append(
                Fill(
                    trade_id=str(trade.id),
                    client_order_id=client_order_id,
                    symbol=symbol,
                    side=trade.side,
                    quantity=trade.quantity - (trade.commission if is_kept else 0),
                    price=trade.price,
                    fee=fee.value,
                    time=trade.time,
                    fee_asset=asset if is_from_elsewhere else None,
                    fee_quantity=trade.commission if is_from_elsewhere else None,
                )
            )
        return tuple(made), "; ".join(notes)

    def _fee(self, trade: Trade, *, base: str, quote: str, without_price: set[str]) -> _Fee:
        asset = trade.commission_asset
        if asset == quote or not trade.commission:
            return _Fee(trade.commission)
        if asset == base:
            return _Fee(trade.commission * trade.price)
        price, why = None, ""
        if asset not in without_price:
            try:
                price = self._price(asset, quote, trade.time)
            except VenueError as error:  # whatever it is: the fill is worth more than its fee
                why = f" ({error.message})"
        notional = trade.price * trade.quantity
        if price is not None and trade.commission * price > _FEE_MOST_FRACTION * notional:
            price, why = None, f" (its price of {price:f} cannot be true)"
        if price is not None:
            return _Fee(trade.commission * price)
        without_price.add(asset)
        usual = notional * from_float(self._market.fees)
        return _Fee(usual, f"a fee of {trade.commission:f} {asset} was taken as {usual.normalize():f} {quote}{why}")

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
            return read_amount(rows["price"] if isinstance(rows, dict) else rows[0][_CLOSE], name=f"the price of {symbol_id}")
        except (LookupError, TypeError):
            raise OutcomeUnknown(f"the price of {symbol_id} makes no sense") from None
        except InvalidInput as error:
            raise OutcomeUnknown(error.message) from None

    def _read(self, action: Action, symbol_id: str) -> Any:
        content = self._connection.attempt(action, weight=_WEIGHT)
        if not isinstance(content, Failure):
            return content
        if content.is_refusal and content.code == BAD_SYMBOL:
            return None
        raise of_read(content, name=self._connection.name, subject=f"the price of {symbol_id}")


def _refuse_absurd(trade: Trade, *, base: str, quote: str) -> None:
    """Raise OutcomeUnknown where the commission is more than all that was traded: such a trade cannot be booked."""
    most = {base: trade.quantity, quote: trade.quantity * trade.price}.get(trade.commission_asset)
    if most is not None and (trade.commission > most or trade.commission == trade.quantity == most):
        raise OutcomeUnknown(
            f"commission of trade {trade.id} is more than was traded (was {trade.commission:f} {trade.commission_asset})",
            remedy="Look at it in the account, and settle it by hand.",
        )
