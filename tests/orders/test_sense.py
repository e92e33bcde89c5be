"""What a venue says of an order and cannot be is never booked: its outcome is unknown, its symbol halted, a person called."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from decimal import Decimal

import pytest

from algo_py.clock import FrozenClock
from algo_py.database import Database
from algo_py.orders import execution
from algo_py.orders.execution import Executor, NoAccountView
from algo_py.orders.guard import Guard
from algo_py.orders.journal import Journal
from algo_py.orders.model import Fill, OrderReport, OrderRequest, OrderStatus, OrderType, Side
from tests.orders.making import BAR, Notebook, fill_of, filled, request

Spoil = Callable[[OrderReport], OrderReport]


def _fill(**changes: object) -> Spoil:
    """Change the report's fill."""
    return lambda report: replace(report, fills=(replace(report.fills[0], **changes),))  # type: ignore[arg-type]


NONSENSE: dict[str, Spoil] = {
    "price 0": _fill(price=Decimal(0)),
    "price NaN": _fill(price=Decimal("NaN")),
    "price infinite": _fill(price=Decimal("Infinity")),
    "price 1e400": _fill(price=Decimal("1e400")),
    "price -100": _fill(price=Decimal(-100)),
    "price a comma away": _fill(price=Decimal(10_125)),
    "price a tenth of a percent": _fill(price=Decimal("0.1")),
    "a million units": _fill(quantity=Decimal(1_000_000)),
    "a bit more than ordered": _fill(quantity=Decimal("0.50001")),
    "no units": _fill(quantity=Decimal(0)),
    "units NaN": _fill(quantity=Decimal("NaN")),
    "units below 0": _fill(quantity=Decimal("-0.5")),
    "the other side": _fill(side=Side.SELL),
    "another symbol": _fill(symbol="ETH/USDT"),
    "another order's fill": _fill(client_order_id="x" * 20),
    "another order's report": lambda report: replace(report, client_order_id="x" * 20),
    "fee NaN": _fill(fee=Decimal("NaN")),
    "fee infinite": _fill(fee=Decimal("-Infinity")),
    "fee above the value": _fill(fee=Decimal(51)),
    "year 9999": _fill(time=datetime(9999, 12, 31, tzinfo=UTC)),
    "year 1970": _fill(time=datetime(1970, 1, 1, tzinfo=UTC)),
    "traded NaN": lambda report: replace(report, traded=Decimal("NaN")),
    "traded more than ordered": lambda report: replace(report, traded=Decimal(1)),
    "filled by nothing": lambda report: replace(report, fills=()),
    "one good fill and one bad": lambda report: replace(
        report,
        fills=(
            replace(report.fills[0], quantity=Decimal("0.1")),
            replace(report.fills[0], trade_id="t2", quantity=Decimal("0.1"), price=Decimal(0)),
        ),
    ),
    "fills that are too much together": lambda report: replace(report, fills=(report.fills[0], _second(report.fills[0]))),
}


def _second(fill: Fill) -> Fill:
    return replace(fill, trade_id="t2")


@dataclass
class Liar:
    """A venue that answers with a report that was spoiled, to the submit or only to later look-ups."""

    spoil: Spoil
    at_submit: bool
    reports: list[OrderReport] = field(default_factory=list)

    def submit(self, order: OrderRequest) -> OrderReport:
        accepted = OrderReport(client_order_id=order.client_order_id, venue_order_id="v1", status=OrderStatus.ACCEPTED)
        return self.spoil(filled(order)) if self.at_submit else accepted

    def find(self, order: OrderRequest, planned_at: datetime) -> OrderReport | None:
        return self.spoil(filled(order))

    def cancel(self, order: OrderRequest, planned_at: datetime) -> None:
        return


@dataclass
class Caller(NoAccountView):
    """An account view that remembers what it was told."""

    told: dict[str, str] = field(default_factory=dict)

    def distrust(self, symbol: str, reason: str) -> None:
        self.told.setdefault(symbol, reason)


def _trade(database: Database, journal: Journal, venue: Liar, order: OrderRequest) -> tuple[Executor, Caller]:
    caller, clock = Caller(), FrozenClock(BAR)
    guard = Guard(journal=journal, clock=clock)
    executor = Executor(journal, venue, guard, Notebook(), deployment_id="d1", clock=clock, account=caller)
    with database.write() as connection:
        journal.plan(connection, [order])
    executor.place([order])
    executor.follow()
    return executor, caller


@pytest.mark.parametrize("at_submit", [True, False], ids=["at the submit", "later"])
@pytest.mark.parametrize("kind", list(NONSENSE))
def test_nonsense_is_not_booked(database: Database, journal: Journal, kind: str, at_submit: bool) -> None:
    order = request()
    executor, caller = _trade(database, journal, Liar(NONSENSE[kind], at_submit), order)
    for _ in range(2):
        executor.recover(lambda _bar_time: False)
        executor.follow()
    found = journal.order(order.client_order_id)
    assert found is not None
    assert (journal.fills(), journal.ledger.cash, dict(journal.positions())) == ([], Decimal(0), {})
    assert found.status is OrderStatus.UNKNOWN, found.reason
    assert "makes no sense" in found.reason
    assert list(caller.told) == [order.symbol]


@pytest.mark.parametrize("at_submit", [True, False], ids=["at the submit", "later"])
def test_once_the_venue_talks_sense_the_order_is_settled(database: Database, journal: Journal, at_submit: bool) -> None:
    order, venue = request(), Liar(NONSENSE["price 0"], at_submit)
    executor, _ = _trade(database, journal, venue, order)
    venue.spoil = lambda report: report
    executor.recover(lambda _bar_time: False)
    assert [fill.price for fill in journal.fills()] == [Decimal(101)]
    assert journal.held(order.symbol) == order.quantity


@pytest.fixture
def without_sense(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(execution, "nonsense", lambda *_, **__: "")


@pytest.mark.usefixtures("without_sense")
@pytest.mark.parametrize("kind", ["price 0", "price -100", "a million units", "the other side", "year 1970", "price 1e400"])
def test_without_the_gate_it_would_be_booked(database: Database, journal: Journal, kind: str) -> None:
    """The negative control."""
    _trade(database, journal, Liar(NONSENSE[kind], True), request())
    assert len(journal.fills()) == 1


@pytest.mark.parametrize(
    ("side", "price", "is_booked"),
    [
        (Side.BUY, "100", True),
        (Side.BUY, "99", True),
        (Side.BUY, "100.01", False),
        (Side.SELL, "99.99", False),
        (Side.SELL, "101", True),
    ],
)
def test_a_limit_order_fills_at_its_limit_or_better(
    database: Database, journal: Journal, side: Side, price: str, is_booked: bool
) -> None:
    order = replace(request(side=side), type=OrderType.LIMIT, limit_price=Decimal(100))
    _trade(database, journal, Liar(_fill(price=Decimal(price)), True), order)
    assert bool(journal.fills()) is is_booked


@pytest.mark.parametrize(
    "sense",
    [
        _fill(price=Decimal("10.1")),
        _fill(price=Decimal(990)),
        _fill(fee=Decimal(-1)),
        _fill(fee=Decimal(0)),
        _fill(quantity=Decimal("0.00001"), fee=Decimal(0)),
        _fill(time=datetime(2021, 1, 1, tzinfo=UTC)),
        _fill(time=datetime(2029, 1, 1, tzinfo=UTC)),
    ],
)
def test_what_is_odd_and_possible_is_booked(database: Database, journal: Journal, sense: Spoil) -> None:
    _trade(database, journal, Liar(sense, True), request())
    assert len(journal.fills()) == 1


def test_a_number_of_another_trade_belongs_to_a_venue_that_began_anew(database: Database, journal: Journal) -> None:
    """Test networks begin anew about monthly, and count their trades from 1 again."""
    first, second = request(), request(symbol="BTC/USDT", bar_time=datetime(2025, 2, 1, tzinfo=UTC))
    with database.write() as connection:
        journal.plan(connection, [first, second])
    for order in (first, second):
        journal.mark(order.client_order_id, OrderStatus.SUBMITTING)
    for order in (first, second, first, second):
        journal.record(filled(order, trade_id="1"))
    assert [fill.trade_id for fill in journal.fills()] == ["1", f"1@{second.client_order_id}"]
    assert journal.held("BTC/USDT") == Decimal(1)
    assert fill_of(second).client_order_id == journal.fills()[1].client_order_id
