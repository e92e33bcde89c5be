"""Each limit holds back the entry that breaks it, names itself with value and bound, and never holds an exit back."""

from __future__ import annotations

from decimal import Decimal

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st
from pydantic import ValidationError

from algo_py.market import Instrument
from algo_py.orders.model import Leg, OrderRequest, Side
from algo_py.orders.risk import Exposure, Limits, affordable, below_minimum, check, in_lots, in_parts, in_ticks, loss_breach
from tests.orders.making import request

HELD = {"BTC/USDT": Decimal(30), "ETH/USDT": Decimal(40)}
RULES = Instrument(
    symbol="BTC/USDT",
    tick_size=Decimal("0.05"),
    lot_size=Decimal("0.001"),
    quantity_min=Decimal("0.01"),
    notional_min=Decimal(5),
)


def leaving() -> OrderRequest:
    return request(side=Side.SELL, leg=Leg.EXIT)


@pytest.mark.parametrize(
    ("limits", "exposure", "told"),
    [
        (Limits(max_order_notional=Decimal(49)), Exposure(), "max_order_notional: 50 breaks the bound 49"),
        (Limits(max_position_notional=Decimal(79)), Exposure(positions=HELD), "max_position_notional: 80 breaks the bound 79"),
        (Limits(max_gross_exposure=Decimal(119)), Exposure(positions=HELD), "max_gross_exposure: 120 breaks the bound 119"),
        (
            Limits(max_open_positions=1),
            Exposure(positions={"ETH/USDT": Decimal(1)}),
            "max_open_positions: 2 breaks the bound 1",
        ),
        (Limits(max_orders_per_day=3), Exposure(entries_today=3), "max_orders_per_day: 4 breaks the bound 3"),
        (
            Limits(price_collar_fraction=Decimal("0.02")),
            Exposure(live_price=Decimal(97)),
            "price_collar_fraction: 0.03 breaks the bound 0.02",
        ),
    ],
)
def test_an_entry_beyond_a_limit_is_denied_and_an_exit_is_not(limits: Limits, exposure: Exposure, told: str) -> None:
    assert str(check(request(), limits, exposure)) == told
    assert check(leaving(), limits, exposure) is None


@pytest.mark.parametrize(
    ("limits", "exposure"),
    [
        (Limits(max_order_notional=Decimal(50)), Exposure()),
        (Limits(max_position_notional=Decimal(80)), Exposure(positions=HELD)),
        (Limits(max_gross_exposure=Decimal(120)), Exposure(positions=HELD)),
        (Limits(max_open_positions=2), Exposure(positions=HELD)),
        (Limits(max_orders_per_day=3), Exposure(entries_today=2)),
        (Limits(price_collar_fraction=Decimal("0.02")), Exposure(live_price=Decimal(102))),
        (Limits(price_collar_fraction=Decimal("0.02")), Exposure(live_price=None)),
        (Limits(price_collar_fraction=None), Exposure(positions=HELD, entries_today=99, live_price=Decimal(1))),
    ],
)
def test_what_just_keeps_a_limit_is_let_through(limits: Limits, exposure: Exposure) -> None:
    assert check(request(), limits, exposure) is None


@pytest.mark.parametrize(
    ("quantity", "told"),
    [
        ("0", "quantity_above: 0 breaks the bound 0"),
        ("0.005", "quantity_min: 0.005 breaks the bound 0.01"),
        ("0.01", "notional_min: 1 breaks the bound 5"),
    ],
)
def test_what_the_venue_would_refuse_is_denied_entry_or_exit(quantity: str, told: str) -> None:
    for order in (request(quantity=quantity), request(quantity=quantity, side=Side.SELL, leg=Leg.EXIT)):
        assert str(check(order, Limits(), Exposure(rules=RULES))) == told
    assert check(request(quantity="0.05"), Limits(), Exposure(rules=RULES)) is None
    assert below_minimum(Decimal("0.05"), Decimal(100), RULES) is None


@pytest.mark.parametrize(
    ("quantity", "lots"),
    [("0.0129", "0.012"), ("0.0129999999999", "0.013"), ("0.012999", "0.012"), ("0.0005", "0.000"), ("3", "3.000")],
)
def test_quantities_are_rounded_down_with_the_engines_tolerance(quantity: str, lots: str) -> None:
    assert in_lots(Decimal(quantity), RULES) == Decimal(lots)
    assert in_lots(Decimal(quantity), Instrument(symbol="X")) == Decimal(quantity)


def test_prices_are_rounded_to_the_nearest_tick() -> None:
    assert in_ticks(Decimal("100.07"), RULES) == Decimal("100.05")
    assert in_ticks(Decimal("100.08"), RULES) == Decimal("100.10")
    assert in_ticks(Decimal("100.08"), None) == Decimal("100.08")


def test_losses_that_reach_a_limit_are_a_breach() -> None:
    day, drawdown = Limits(max_daily_loss=Decimal(100)), Limits(max_drawdown_fraction=Decimal("0.1"))

    def seen(limits: Limits, equity: str) -> str:
        breach = loss_breach(limits, equity=Decimal(equity), equity_at_day_start=Decimal(1000), highest_equity=Decimal(1200))
        return "" if breach is None else str(breach)

    assert (seen(day, "900.01"), seen(day, "900")) == ("", "max_daily_loss: 100 breaks the bound 100")
    assert (seen(drawdown, "1080.1"), seen(drawdown, "1080")) == ("", "max_drawdown_fraction: 0.1 breaks the bound 0.1")
    assert seen(Limits(), "0") == ""


@pytest.mark.parametrize(
    "values", [{"max_order_notional": -1}, {"max_open_positions": 0}, {"max_drawdown_fraction": 1}, {"max_order_notional": "NaN"}]
)
def test_limits_that_cannot_be_are_refused(values: dict[str, object]) -> None:
    with pytest.raises(ValidationError):
        Limits.model_validate(values)


lots = st.sampled_from([Decimal("0.00001"), Decimal("0.001"), Decimal("0.25"), Decimal(1), Decimal(75)])
numbers = st.integers(1, 10_000)


@given(lots, numbers, st.integers(1, 500), st.integers(1, 500), st.booleans())
def test_parts_are_orders_that_the_venue_takes_and_the_whole_together(
    lot: Decimal, count: int, most: int, most_at_market: int, is_market: bool
) -> None:
    rules = Instrument(symbol="X", lot_size=lot, quantity_max=lot * most, market_quantity_max=lot * most_at_market)
    bound = lot * (min(most, most_at_market) if is_market else most)
    quantity = lot * count
    parts = in_parts(quantity, rules, is_market=is_market)
    assert sum(parts) == quantity
    assert all(0 < part <= bound for part in parts)
    assert all(part % lot == 0 for part in parts)
    assert max(parts) - min(parts) <= lot, "as equal as lots allow"
    assert len(parts) == -(-count // int(bound / lot)), "no more than it takes"


def test_what_has_no_bound_goes_out_whole() -> None:
    assert in_parts(Decimal(5), None, is_market=True) == [Decimal(5)]
    assert in_parts(Decimal(5), Instrument(symbol="X"), is_market=True) == [Decimal(5)]
    bound = Instrument(symbol="X", lot_size=Decimal(10), quantity_max=Decimal(5))
    assert in_parts(Decimal(20), bound, is_market=True) == [Decimal(20)], "a bound below a lot cannot be meant"


money = st.decimals(Decimal(0), Decimal(100_000), places=2)


@given(lots, numbers, st.decimals(Decimal("0.01"), Decimal(100_000), places=4), money)
def test_what_cash_pays_is_paid_and_a_lot_more_is_not(lot: Decimal, count: int, unit_cost: Decimal, cash: Decimal) -> None:
    rules, quantity = Instrument(symbol="X", lot_size=lot), lot * count
    found = affordable(quantity, unit_cost, cash, rules)
    assert 0 <= found <= quantity
    assert found % lot == 0
    assert found * unit_cost <= cash * (1 + Decimal("1e-9")) + lot * unit_cost * Decimal("1e-9")
    assert found == quantity or (found + lot) * unit_cost > cash


@given(numbers, st.decimals(Decimal("0.01"), Decimal(1000), places=4), money)
def test_without_lots_as_much_as_cash_pays_is_left(count: int, unit_cost: Decimal, cash: Decimal) -> None:
    assume(count * unit_cost > cash)
    found = affordable(Decimal(count), unit_cost, cash, None)
    assert cash - unit_cost * Decimal("2e-8") <= found * unit_cost <= cash


def test_nothing_is_affordable_without_cash() -> None:
    for cash in (Decimal(0), Decimal(-5)):
        assert affordable(Decimal(3), Decimal(10), cash, RULES) == 0
