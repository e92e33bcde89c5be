"""What a person books: trades made by hand or by the broker, transfers, splits, cash, and corrections of what was booked wrong.

A deployment's ledger knows only what it has done itself. What happens to its account besides (a sale in the broker's app, a
square-off, a bonus) is booked here, as an entry of its own; nothing that stands there is edited. A deployment that lives takes
it over within seconds.
"""

from __future__ import annotations

import secrets
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal

from algo_py.amounts import distance, far_from, plain
from algo_py.clock import Clock
from algo_py.database import Database
from algo_py.deployment.config import Replay
from algo_py.deployment.store import DeploymentRow
from algo_py.errors import InvalidInput, NotFound, Refused
from algo_py.formatting import with_currency
from algo_py.orders.entries import EntryKind, LedgerEntry
from algo_py.orders.journal import Journal
from algo_py.orders.model import Fill, Leg, OrderRequest, OrderType, Side, client_order_id, from_float
from algo_py.orders.records import entries_of, events_of, fills_of, newest_of, venue_of

BY_PERSON = "a person"
_BOOKED = "-booked"
_SAY_SO = "If it is right, say so: --far-price."


class FarPrice(Refused):
    """A price far from what is known of its symbol: it is booked once somebody says that it is meant."""


@dataclass(frozen=True, slots=True, kw_only=True)
class TradeMade:
    """Units that were bought or sold for this ledger, not by it. price and fee in quote currency."""

    symbol: str
    side: Side
    quantity: Decimal
    price: Decimal
    fee: Decimal = Decimal(0)
    note: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Transfer:
    """Units that came in (above 0) or went out (below 0) without a trade; price: what one that came in was worth."""

    symbol: str
    quantity: Decimal
    price: Decimal | None = None
    note: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Split:
    """`ratio` new units for an old one: 2 for a split 2:1, 1.5 for a bonus 1:2, 0.1 for a consolidation 10:1.

    Fractions are not held: `cash` is what was paid for them. `quantity` is what is held afterwards, where it is not the whole
    part.
    """

    symbol: str
    ratio: Decimal
    cash: Decimal = Decimal(0)
    quantity: Decimal | None = None
    note: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class CashMoved:
    """Quote currency that was paid into the ledger (above 0) or out of it (below 0)."""

    amount: Decimal
    note: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Correction:
    """The counter-entry of a fill (by its trade id) or of an entry (by its id) that was booked wrong."""

    of: str
    note: str = ""


Booking = TradeMade | Transfer | Split | CashMoved | Correction


def book(
    database: Database, clock: Clock, row: DeploymentRow, booking: Booking, *, by: str = BY_PERSON, far_price: bool = False
) -> str:
    """Book what happened to a deployment's ledger, durably; return what was booked, in words.

    Raises InvalidInput for numbers that cannot be, Refused for more than is held, FarPrice for a price far from what is known of
    the symbol unless `far_price` says that it is meant, NotFound for what is to be corrected.
    """
    journal = _journal_of(database, clock, row)
    # In a replay what is booked happens when the replay is, not today.
    is_replay = isinstance(row.config.clock, Replay)
    now = row.clock_at if is_replay and row.clock_at is not None else clock.now()
    if isinstance(booking, (TradeMade, Transfer)) and booking.price is not None and not far_price:
        _check_symbol(row, booking.symbol)
        _check_finite(quantity=booking.quantity)  # what cannot be is no question of saying that it is meant
        _check_above_0(price=booking.price)
        _refuse_far_price(database, row, booking.symbol, booking.price)
    if isinstance(booking, TradeMade):
        return _book_trade(journal, row, booking, now)
    if isinstance(booking, Correction):
        entry = _counter_entry(database, row, booking, by=by, at=now)
        left = journal.held(entry.symbol) + entry.quantity
        if left < 0:
            raise Refused(
                f"without {booking.of} the ledger would hold {plain(left)} {entry.symbol}",
                remedy="Correct first what was sold of it.",
            )
    else:
        entry = _entry(journal, row, booking, by=by, at=now)
    if not journal.book(entry):
        raise Refused(f"{entry.entry_id} is booked already", remedy="See it: algo-py show")
    parts = [f"{entry.quantity.normalize():+f} {entry.symbol}"] if entry.quantity else []
    parts += [f"{entry.cash.normalize():+f} {row.config.backtest.quote_label}"] if entry.cash else []
    return f"{entry.kind} {', '.join(parts) or entry.symbol} ({entry.entry_id})"


def booked_trades(fills: Iterable[Fill]) -> list[Fill]:
    """Return those of a deployment's fills that were booked by hand."""
    return [fill for fill in fills if fill.trade_id.endswith(_BOOKED)]


def reference_price(database: Database, deployment_id: str, symbol: str) -> Decimal | None:
    """Return the newest price that a deployment knows of a symbol, in units of today: of a fill, an entry, or an order decided.

    None where it knows none.
    """
    known: Decimal | None = None
    known_at: datetime | None = None
    for event in events_of(database, deployment_id):
        if event.symbol != symbol:
            continue
        if isinstance(event, LedgerEntry) and event.kind is EntryKind.SPLIT and event.ratio:
            known = None if known is None else known / event.ratio
            known_at = event.time
        elif event.price is not None:
            known, known_at = event.price, event.time
    newest = newest_of(database, deployment_id, symbol)
    if newest is not None and newest.request.reference_price > 0 and (known_at is None or newest.planned_at > known_at):
        return newest.request.reference_price
    return known


def _refuse_far_price(database: Database, row: DeploymentRow, symbol: str, price: Decimal) -> None:
    known = reference_price(database, row.id, symbol)
    if known is None:
        raise FarPrice(f"no price of {symbol} is known here that {plain(price)} could be compared with", remedy=_SAY_SO)
    if far_from(price, known):
        raise FarPrice(f"price {plain(price)} is {distance(price, known)}", remedy=_SAY_SO)


def _journal_of(database: Database, clock: Clock, row: DeploymentRow) -> Journal:
    venue, account = venue_of(database, row.id) or (row.config.oms, row.account or "")
    return Journal(
        database,
        clock,
        deployment_id=row.id,
        venue=venue,
        account=account,
        initial_cash=from_float(row.config.backtest.initial_cash),
    )


def _book_trade(journal: Journal, row: DeploymentRow, trade: TradeMade, now: datetime) -> str:
    _check_symbol(row, trade.symbol)
    _check_above_0(quantity=trade.quantity, price=trade.price)
    if not trade.fee.is_finite() or abs(trade.fee) > trade.quantity * trade.price:
        raise InvalidInput(f"fee must be at most the trade's value (was {trade.fee})")
    held = journal.held(trade.symbol)
    if trade.side is Side.SELL and trade.quantity > held:
        raise Refused(
            f"{row.name} holds {held.normalize():f} {trade.symbol}, not {trade.quantity.normalize():f}",
            remedy="Book what was sold of its own position; the rest was not its.",
        )
    if trade.side is Side.SELL:
        _refuse_under_way(journal, row, trade.symbol, trade.quantity)
    own_id = client_order_id(
        row.id, now, trade.symbol, trade.side, Leg.EXIT, kind=f"booked {journal.next_number()} {secrets.token_hex(4)}"
    )
    request = OrderRequest(
        client_order_id=own_id,
        symbol=trade.symbol,
        side=trade.side,
        leg=Leg.EXIT if trade.side is Side.SELL else Leg.ENTRY,
        quantity=trade.quantity,
        bar_time=now,
        reference_price=trade.price,
        reason=f"booked by hand{f': {trade.note}' if trade.note else ''}"[:64],
    )
    fill = Fill(
        trade_id=f"{own_id}{_BOOKED}",
        client_order_id=own_id,
        symbol=trade.symbol,
        side=trade.side,
        quantity=trade.quantity,
        price=trade.price,
        fee=trade.fee,
        time=now,
    )
    journal.book_trade(request, fill)
    return f"{trade.side} {trade.quantity.normalize():f} {trade.symbol} at {trade.price.normalize():f} ({fill.trade_id})"


def _entry(journal: Journal, row: DeploymentRow, booking: Transfer | Split | CashMoved, *, by: str, at: datetime) -> LedgerEntry:
    entry_id = f"book-{row.id}-{secrets.token_hex(4)}"
    if isinstance(booking, CashMoved):
        _check_finite(amount=booking.amount)
        if booking.amount + journal.ledger.cash < 0:
            raise Refused(
                f"{row.name} has {with_currency(journal.ledger.cash, row.config.backtest.quote_label)} in cash",
                remedy="No more than that can be paid out.",
            )
        symbol = row.config.backtest.symbols[0]  # with separate cash, the first symbol's pool
        return LedgerEntry(
            entry_id=entry_id,
            symbol=symbol,
            kind=EntryKind.CASH,
            quantity=Decimal(0),
            cash=booking.amount,
            note=booking.note,
            by=by,
            time=at,
        )
    _check_symbol(row, booking.symbol)
    held = journal.held(booking.symbol)
    if isinstance(booking, Transfer):
        _check_finite(quantity=booking.quantity)
        if booking.price is not None:
            _check_above_0(price=booking.price)
        if held + booking.quantity < 0:
            raise Refused(f"{row.name} holds {held.normalize():f} {booking.symbol}", remedy="No more than that can go out.")
        if booking.quantity < 0:
            _refuse_under_way(journal, row, booking.symbol, -booking.quantity)
        if booking.quantity > 0 and not held and booking.price is None:
            raise InvalidInput("price is missing: what a unit that came in was worth")
        return LedgerEntry(
            entry_id=entry_id,
            symbol=booking.symbol,
            kind=EntryKind.TRANSFER,
            quantity=booking.quantity,
            price=booking.price,
            note=booking.note,
            by=by,
            time=at,
        )
    return _split_entry(entry_id, row, booking, held, by=by, at=at)


def _split_entry(entry_id: str, row: DeploymentRow, split: Split, held: Decimal, *, by: str, at: datetime) -> LedgerEntry:
    _check_above_0(ratio=split.ratio)
    _check_finite(cash=split.cash)
    if not held:
        raise Refused(f"{row.name} holds no {split.symbol}", remedy="A split changes only what is held.")
    exact = held * split.ratio
    lot = row.config.market.instrument(split.symbol).lot_size
    after = split.quantity if split.quantity is not None else (exact // lot * lot if lot else exact)
    if not after.is_finite() or not 0 < after <= exact:
        raise InvalidInput(f"quantity must be above 0 and at most {exact.normalize():f} (was {after})")
    return LedgerEntry(
        entry_id=entry_id,
        symbol=split.symbol,
        kind=EntryKind.SPLIT,
        quantity=after - held,
        cash=split.cash,
        ratio=split.ratio,
        note=split.note,
        by=by,
        time=at,
    )


def _counter_entry(database: Database, row: DeploymentRow, booking: Correction, *, by: str, at: datetime) -> LedgerEntry:
    entry_id = f"undo-{booking.of}"
    for entry in entries_of(database, row.id):
        if entry.entry_id == booking.of:
            is_split = entry.kind is EntryKind.SPLIT and entry.ratio is not None
            return LedgerEntry(
                entry_id=entry_id,
                symbol=entry.symbol,
                kind=entry.kind if is_split or entry.kind is EntryKind.WRITE_OFF else EntryKind.CORRECTION,
                quantity=-entry.quantity,
                cash=-entry.cash,
                price=entry.price,
                ratio=1 / entry.ratio if is_split and entry.ratio else None,
                reverses=entry.entry_id,
                note=booking.note,
                by=by,
                time=at,
            )
    for fill in fills_of(database, row.id):
        if fill.trade_id == booking.of:
            signed = fill.quantity if fill.side is Side.BUY else -fill.quantity
            return LedgerEntry(
                entry_id=entry_id,
                symbol=fill.symbol,
                kind=EntryKind.CORRECTION,
                quantity=-signed,
                cash=signed * fill.price + fill.fee,
                price=fill.price,
                reverses=fill.trade_id,
                note=booking.note,
                by=by,
                time=at,
            )
    raise NotFound(f"{row.name} has no fill and no entry {booking.of!r}", remedy=f"See them: algo-py show {row.id}")


def _refuse_under_way(journal: Journal, row: DeploymentRow, symbol: str, quantity: Decimal) -> None:
    """Refuse what an exit may be selling at this moment: its fill would be booked besides, and the same units be sold twice."""
    exits = [
        order
        for order in journal.orders(only_open=True)
        if (order.request.symbol, order.request.side) == (symbol, Side.SELL) and order.request.type is not OrderType.STOP
    ]
    leaving = sum((order.request.quantity - order.filled_quantity for order in exits), Decimal(0))
    if leaving and quantity > journal.held(symbol) - leaving:
        raise Refused(
            f"{row.name} is selling {plain(leaving)} {symbol} itself: {'; '.join(str(order) for order in exits)}",
            remedy="Wait until that order has ended, or say what became of it: algo-py settle",
        )


def _check_symbol(row: DeploymentRow, symbol: str) -> None:
    if symbol not in row.config.backtest.symbols:
        raise InvalidInput(
            f"{symbol!r} is none of the symbols of {row.name}", remedy=f"Use one of {', '.join(row.config.backtest.symbols)}."
        )


def _check_above_0(**values: Decimal) -> None:
    for name, value in values.items():
        if not value.is_finite() or value <= 0:
            raise InvalidInput(f"{name} must be above 0 (was {value})")


def _check_finite(**values: Decimal) -> None:
    for name, value in values.items():
        if not value.is_finite():
            raise InvalidInput(f"{name} must be a number (was {value})")
