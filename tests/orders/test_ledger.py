from __future__ import annotations

from decimal import Decimal

from hypothesis import given
from hypothesis import strategies as st

from algo_py.orders.ledger import fold
from algo_py.orders.model import Fill, Side
from tests.orders.making import BAR


def trade(side: Side, quantity: str, price: str, fee: str = "0", symbol: str = "A") -> Fill:
    return Fill(
        trade_id="t",
        client_order_id="c",
        symbol=symbol,
        side=side,
        quantity=Decimal(quantity),
        price=Decimal(price),
        fee=Decimal(fee),
        time=BAR,
    )


def test_buying_and_selling() -> None:
    ledger = fold(Decimal(1000), [trade(Side.BUY, "2", "100", "1"), trade(Side.SELL, "0.5", "120", "0.5")])
    assert ledger.cash == Decimal("858.5")
    assert ledger.fees_paid == Decimal("1.5")
    assert ledger.positions["A"].quantity == Decimal("1.5")
    assert ledger.positions["A"].average_price == Decimal(100)


def test_adding_to_a_position_averages_its_price() -> None:
    ledger = fold(Decimal(1000), [trade(Side.BUY, "1", "100"), trade(Side.BUY, "3", "120")])
    assert ledger.positions["A"].average_price == Decimal(115)


def test_a_closed_position_is_gone() -> None:
    assert not fold(Decimal(1000), [trade(Side.BUY, "1", "100"), trade(Side.SELL, "1", "90")]).positions


def test_a_position_that_turns_around_begins_at_the_new_price() -> None:
    ledger = fold(Decimal(1000), [trade(Side.BUY, "1", "100"), trade(Side.SELL, "3", "90")])
    assert ledger.positions["A"].quantity == Decimal(-2)
    assert ledger.positions["A"].average_price == Decimal(90)


amounts = st.decimals(Decimal("0.00001"), Decimal(1000), places=5)
fills = st.lists(st.tuples(st.sampled_from(Side), amounts, amounts, amounts, st.sampled_from("AB")), max_size=30)


@given(fills)
def test_nothing_is_lost(trades: list[tuple[Side, Decimal, Decimal, Decimal, str]]) -> None:
    """Cash plus what was bought minus what was sold at the fills' own prices, plus fees, is the initial cash, exactly."""
    given_fills = [trade(side, str(q), str(p), str(f), symbol) for side, q, p, f, symbol in trades]
    ledger = fold(Decimal(10_000), given_fills)
    spent = sum(((f.quantity if f.side is Side.BUY else -f.quantity) * f.price for f in given_fills), Decimal(0))
    assert ledger.cash + spent + ledger.fees_paid == Decimal(10_000)
    for symbol in "AB":
        held = sum((f.quantity if f.side is Side.BUY else -f.quantity for f in given_fills if f.symbol == symbol), Decimal(0))
        assert (ledger.positions[symbol].quantity if symbol in ledger.positions else 0) == held
