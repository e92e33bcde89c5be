"""The ledger that runs along, the full fold and the engine's account come to the same, whatever was traded and booked."""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from dataclasses import replace
from datetime import timedelta
from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from algo_py.clock import FrozenClock
from algo_py.database import Database, open_database
from algo_py.deployment.account_fold import AccountFold
from algo_py.engine import PortfolioConfig
from algo_py.orders.entries import EntryKind, LedgerEntry
from algo_py.orders.journal import Journal
from algo_py.orders.ledger import fold
from algo_py.orders.model import Leg, OrderStatus, Side, from_float
from algo_py.orders.records import events_of
from tests.orders.making import BAR, filled, request

SYMBOLS = ("BTC/USDT", "ETH/USDT")
CASH = Decimal(1_000_000)
_numbers = itertools.count()


@pytest.fixture(scope="module")
def kept(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Database]:
    """One database for all examples: each has a deployment of its own in it."""
    database = open_database(f"sqlite:///{tmp_path_factory.mktemp('running') / 'algo.db'}")
    yield database
    database.close()


prices = st.decimals(Decimal("0.5"), Decimal(500), places=2)
shares = st.integers(1, 100)
symbols = st.sampled_from(SYMBOLS)
events = st.one_of(
    st.tuples(st.just("buy"), symbols, st.decimals(Decimal("0.001"), Decimal(50), places=3), prices),
    st.tuples(st.just("sell"), symbols, shares, prices),
    st.tuples(st.just("split"), symbols, st.sampled_from(["2", "3", "0.5", "0.1", "1.5"]), prices),
    st.tuples(st.just("write_off"), symbols, shares, prices),
    st.tuples(st.just("back"), symbols, shares, prices),
    st.tuples(st.just("fee"), symbols, shares, prices),
    st.tuples(st.just("transfer"), symbols, st.integers(-100, 100).filter(bool), prices),
    st.tuples(st.just("cash"), symbols, st.integers(-1_000, 1_000), prices),
    st.tuples(st.just("correct"), symbols, shares, prices),
)


class Life:
    """A deployment to which things happen; `numbers` tells it from all others."""

    def __init__(self, database: Database) -> None:
        self.id = f"p{next(_numbers)}"
        self.database = database
        self.journal = Journal(database, FrozenClock(BAR), deployment_id=self.id, venue="test", initial_cash=CASH)
        self.written_off = dict.fromkeys(SYMBOLS, Decimal(0))
        self.number = 0

    def happen(self, kind: str, symbol: str, amount: Any, price: Decimal) -> None:
        """Have one thing happen, as far as it can: what is sold or goes out is a share in percent of what is held."""
        self.number += 1
        held = self.journal.held(symbol)
        part = held * amount / 100 if isinstance(amount, int) else held
        if kind in ("buy", "sell"):
            self._trade(Side.BUY if kind == "buy" else Side.SELL, symbol, amount if kind == "buy" else part, price)
        elif kind == "cash":
            self._book(symbol, EntryKind.CASH, Decimal(0), cash=Decimal(amount))
        elif kind == "transfer":
            self._book(symbol, EntryKind.TRANSFER, Decimal(amount) if amount > 0 else part, price=price)
        elif kind == "back":
            self._book(symbol, EntryKind.WRITE_OFF, self.written_off[symbol], price=price)
            self.written_off[symbol] = Decimal(0)
        elif kind == "correct":
            self._correct()
        elif held:
            if kind == "split":
                self._book(symbol, EntryKind.SPLIT, held * Decimal(amount) - held, ratio=Decimal(amount), cash=price)
            elif kind == "write_off":
                self._book(symbol, EntryKind.WRITE_OFF, -part, price=price)
                self.written_off[symbol] += part
            else:
                self._book(symbol, EntryKind.FEE, -part, cash=part * price, price=price)

    def _trade(self, side: Side, symbol: str, quantity: Decimal, price: Decimal) -> None:
        if not quantity:
            return
        order = request(
            symbol=symbol,
            side=side,
            leg=Leg.ENTRY if side is Side.BUY else Leg.EXIT,
            quantity=str(quantity),
            bar_time=BAR + timedelta(minutes=self.number),
        )
        order = replace(order, client_order_id=f"{self.id}-{self.number}"[:20])
        report = filled(order, trade_id=f"{self.id}-{self.number}")
        report = replace(report, fills=(replace(report.fills[0], price=price, time=order.bar_time),))
        self.journal.plan_now(order)
        self.journal.mark(order.client_order_id, OrderStatus.SUBMITTING)
        self.journal.record(report)

    def _correct(self) -> None:
        """Book the counter-entry of the newest fill, where what it brought is still there."""
        fills = self.journal.fills()
        if not fills:
            return
        newest = fills[-1]
        signed = newest.quantity if newest.side is Side.BUY else -newest.quantity
        if self.journal.held(newest.symbol) - signed >= 0:
            cash = signed * newest.price + newest.fee
            self._book(newest.symbol, EntryKind.CORRECTION, -signed, cash=cash, price=newest.price)

    def _book(self, symbol: str, kind: EntryKind, quantity: Decimal, **more: Decimal) -> None:
        entry = LedgerEntry(
            entry_id=f"{self.id}-e{self.number}",
            symbol=symbol,
            kind=kind,
            quantity=quantity,
            note="",
            by="a test",
            time=BAR + timedelta(minutes=self.number),
            **more,  # type: ignore[arg-type]
        )
        assert self.journal.book(entry)
        assert not self.journal.book(entry), "the same is booked once"


@settings(max_examples=60, deadline=None)
@given(happening=st.lists(events, max_size=25))
def test_all_folds_come_to_the_same(kept: Database, happening: list[tuple[str, str, Any, Decimal]]) -> None:
    life = Life(kept)
    account = AccountFold(
        SYMBOLS, PortfolioConfig(initial_cash=float(CASH)), journal=life.journal, database=kept, deployment_id=life.id
    )
    for one in happening:
        life.happen(*one)  # the running ledger looks each time, as in a life
    whole, running = fold(CASH, events_of(kept, life.id)), life.journal.ledger
    assert running.cash == whole.cash
    assert dict(running.positions) == dict(whole.positions)
    assert running.count == len(events_of(kept, life.id))
    assert dict(running.written_off()) == {symbol: units for symbol, units in life.written_off.items() if units}
    assert account.is_behind is bool(running.count)
    account.rebuild(None, 0)
    assert not account.is_behind
    assert account.positions == {symbol: position.quantity for symbol, position in whole.positions.items()}
    assert account.account.cash == pytest.approx(float(whole.cash))
    for symbol in SYMBOLS:
        held = whole.positions[symbol].quantity if symbol in whole.positions else Decimal(0)
        assert account.account.position(symbol) == pytest.approx(float(held), abs=1e-9)
        assert bool(account.account.position(symbol)) is bool(held), "what is nothing by the ledger is nothing"
    assert from_float(float(CASH)) == CASH
    late = Journal(kept, FrozenClock(BAR), deployment_id=life.id, venue="test", initial_cash=CASH)
    assert (late.ledger.cash, dict(late.positions())) == (running.cash, dict(running.positions)), "and so does a later life"
