"""The paper venue: orders fill by the engine's own rules, at prices that a feed knows.

It keeps its own books in the database, so that after a crash it can be asked like any other venue. On the replay clock an
order fills at the open of the first bar that begins after its decision (the engine's rule 1); on the live clock at the last
known price. A STOP order rests, and fires inside a bar by the engine's rule 2, once that bar has closed.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from datetime import datetime, timedelta
from decimal import Decimal
from typing import Any, Protocol

import sqlalchemy as sa
from sqlalchemy.engine import Connection

from algo_py.clock import Clock
from algo_py.database import Database
from algo_py.engine import Account, PortfolioConfig
from algo_py.errors import Rejected
from algo_py.market import Instrument, Market
from algo_py.oms.protocol import AccountSummary, Capabilities, PositionReport
from algo_py.oms.tables import paper_fills, paper_orders
from algo_py.oms.triggers import PriceBar, trigger
from algo_py.orders.ledger import apply_fill, fold
from algo_py.orders.model import Fill, Leg, OrderReport, OrderRequest, OrderStatus, OrderType, Side, from_float

# The turns of a bar: what is due at its open, exits first, then what fires inside it.
_EXIT, _ENTRY, _INSIDE = range(3)


class PriceFeed(Protocol):
    """Prices at which the paper venue fills."""

    def fill_price(self, symbol: str, bar_time: datetime, submitted_at: datetime) -> tuple[datetime, float] | None:
        """Return when and at what raw price an order decided on the bar `bar_time` fills; None as long as that is not known."""

    def bars_since(self, symbol: str, submitted_at: datetime) -> Iterable[PriceBar]:
        """Yield the closed bars that began when an order of `submitted_at` was resting already, ascending."""


class PaperOMS:
    """One paper account. Its cash starts at `config.initial_cash`; `symbols` is the universe's order."""

    name = "paper"
    capabilities = Capabilities(
        order_types=frozenset({OrderType.MARKET, OrderType.STOP}),
        can_short=False,
        can_look_up_by_client_id=True,
        accepts_replay_clock=True,
        holds_targets=True,
    )

    def __init__(
        self,
        database: Database,
        clock: Clock,
        *,
        account: str,
        market: Market,
        symbols: Sequence[str],
        config: PortfolioConfig,
        feed: PriceFeed,
        latency: timedelta = timedelta(),
    ) -> None:
        """Open nothing yet. `latency` is how long a market order is under way before it fills; none on the replay clock."""
        self._latency = latency
        self._database = database
        self._clock = clock
        self._account = account
        self._market = market
        self._rank = {symbol: position for position, symbol in enumerate(symbols)}
        self._config = config
        self._feed = feed
        self._books: Account | None = None

    def connect(self) -> AccountSummary:
        """Open the account: its state is the fold of its fills."""
        with self._database.read() as connection:
            fills = self._fills(connection)
        self._books = self._fold(fills)
        return AccountSummary(account=self._account, cash=fold(from_float(self._config.initial_cash), fills).cash)

    def instruments(self, symbols: Sequence[str]) -> Mapping[str, Instrument]:
        """Return none: the paper venue has no rules but those of the backtest, which the engine keeps."""
        return {}

    def submit(self, order: OrderRequest) -> OrderReport:
        """Accept an order durably; it fills once the feed knows its price."""
        if order.symbol not in self._rank:
            raise Rejected(f"{order.symbol} is not traded on this paper account")
        if order.type not in self.capabilities.order_types:
            raise Rejected(f"the paper venue has no {order.type} orders")
        with self._database.write() as connection:
            known = self._order_row(connection, order.client_order_id)
            if known is not None:
                raise Rejected(f"the client order id {order.client_order_id} is already used")
            connection.execute(
                paper_orders.insert().values(
                    client_order_id=order.client_order_id,
                    account=self._account,
                    symbol=order.symbol,
                    side=order.side,
                    leg=order.leg,
                    type=order.type,
                    quantity=order.quantity,
                    stop_price=order.stop_price,
                    target_price=order.target_price,
                    intent_reason=order.reason,
                    bar_time=order.bar_time,
                    submitted_at=self._clock.now(),
                    status=OrderStatus.ACCEPTED,
                    reason="",
                )
            )
        return OrderReport(
            client_order_id=order.client_order_id, venue_order_id=f"paper-{order.client_order_id}", status=OrderStatus.ACCEPTED
        )

    def find(self, order: OrderRequest, planned_at: datetime) -> OrderReport | None:
        """Fill what is due by now, then report the order."""
        client_order_id = order.client_order_id
        self._match()
        with self._database.read() as connection:
            row = self._order_row(connection, client_order_id)
            fills = self._fills(connection, paper_fills.c.client_order_id == client_order_id)
        if row is None:
            return None
        return OrderReport(
            client_order_id=client_order_id,
            venue_order_id=f"paper-{client_order_id}",
            status=OrderStatus(row.status),
            reason=row.reason,
            fills=tuple(fills),
        )

    def cancel(self, order: OrderRequest, planned_at: datetime) -> None:
        """Cancel an order that has not filled; one that has ended already stays as it ended."""
        with self._database.write() as connection:
            self._end(connection, order.client_order_id, OrderStatus.CANCELED, "canceled on request", only_open=True)

    def fills_since(self, moment: datetime) -> Sequence[Fill]:
        """Return the fills at or after `moment`, oldest first."""
        with self._database.read() as connection:
            return self._fills(connection, paper_fills.c.time >= moment)

    def positions(self) -> Sequence[PositionReport]:
        """Return what the account holds, by the fold of its fills."""
        with self._database.read() as connection:
            ledger = fold(Decimal(0), self._fills(connection))
        return [PositionReport(symbol=p.symbol, quantity=p.quantity) for p in ledger.positions.values()]

    def last_prices(self, symbols: Sequence[str], *, urgent: bool = False) -> Mapping[str, Decimal]:
        """Return none: the paper venue knows no price but those at which it fills."""
        return {}

    def free_cash(self) -> Decimal:
        """Return the cash of the fold of its fills, never below 0; what waits to fill has taken none of it yet."""
        return max(self._cash(), Decimal(0))

    def _cash(self) -> Decimal:
        with self._database.read() as connection:
            fills = self._fills(connection)
        return fold(from_float(self._config.initial_cash), fills).cash

    def _match(self) -> None:
        """Fill every order whose price is known, in the engine's order: by time, exits first, then the universe's order."""
        with self._database.read() as connection:
            rows = connection.execute(
                sa.select(paper_orders).where(
                    paper_orders.c.account == self._account, paper_orders.c.status == OrderStatus.ACCEPTED
                )
            ).all()
        due = [entry for row in rows for entry in self._due(row)]
        for time, _, _, row, raw_price, reason in sorted(due, key=lambda entry: entry[:3]):
            self._fill(row, time, raw_price, reason)

    def _due(self, row: Any) -> Iterator[tuple[datetime, int, int, Any, float, str]]:
        """Yield when, in which turn of that bar, at what raw price and why an order fills, if it does."""
        rank = self._rank[row.symbol]
        if row.type == OrderType.STOP:
            for bar in self._feed.bars_since(row.symbol, row.submitted_at):
                fired = trigger(Side(row.side), row.stop_price, row.target_price, bar)
                if fired is not None:
                    reason = "take_profit" if fired.is_target else row.intent_reason
                    yield fired.time, _INSIDE, rank, row, fired.raw_price, reason
                    return
            return
        if self._clock.now() - row.submitted_at < self._latency:
            return
        priced = self._feed.fill_price(row.symbol, row.bar_time, row.submitted_at)
        if priced is not None:
            yield priced[0], _EXIT if row.leg == Leg.EXIT else _ENTRY, rank, row, priced[1], "exit"

    def _fill(self, row: Any, time: datetime, raw_price: float, reason: str) -> None:
        books, self._books = self._current_books(), None  # None until committed: an error on the way means reading them again
        result = books.execute(row.symbol, row.side, row.leg, float(row.quantity), raw_price, reason=reason, moment=time)
        told = reason if row.type == OrderType.STOP else ""
        with self._database.write() as connection:
            if result.denied is not None:
                self._end(connection, row.client_order_id, OrderStatus.REJECTED, result.denied)
            else:
                quantity = from_float(result.quantity)
                connection.execute(
                    paper_fills.insert().values(
                        account=self._account,
                        client_order_id=row.client_order_id,
                        symbol=row.symbol,
                        side=row.side,
                        quantity=quantity,
                        price=from_float(result.price),
                        fee=from_float(result.fee),
                        time=time,
                    )
                )
                if quantity < row.quantity:
                    self._end(connection, row.client_order_id, OrderStatus.CANCELED, f"cash covered {quantity} of {row.quantity}")
                else:
                    self._end(connection, row.client_order_id, OrderStatus.FILLED, told)
        self._books = books

    def _end(
        self, connection: Connection, client_order_id: str, status: OrderStatus, reason: str, *, only_open: bool = False
    ) -> None:
        update = paper_orders.update().where(paper_orders.c.client_order_id == client_order_id)
        if only_open:
            update = update.where(paper_orders.c.status == OrderStatus.ACCEPTED)
        connection.execute(update.values(status=status, reason=reason))

    def _order_row(self, connection: Connection, client_order_id: str) -> Any:
        return connection.execute(sa.select(paper_orders).where(paper_orders.c.client_order_id == client_order_id)).one_or_none()

    def _current_books(self) -> Account:
        if self._books is None:
            with self._database.read() as connection:
                self._books = self._fold(self._fills(connection))
        return self._books

    def _fold(self, fills: Sequence[Fill]) -> Account:
        books = Account(tuple(self._rank), self._config)
        for fill in fills:
            apply_fill(books, fill)
        return books

    def _fills(self, connection: Connection, *conditions: sa.ColumnElement[bool]) -> list[Fill]:
        query = sa.select(paper_fills).where(paper_fills.c.account == self._account, *conditions).order_by(paper_fills.c.id)
        return [
            Fill(
                trade_id=f"{row.client_order_id}-1",
                client_order_id=row.client_order_id,
                symbol=row.symbol,
                side=Side(row.side),
                quantity=row.quantity,
                price=row.price,
                fee=row.fee,
                time=row.time,
            )
            for row in connection.execute(query)
        ]
