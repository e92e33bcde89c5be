"""Brokerage that is a fraction, and at most an amount: what is charged, and how much a budget buys."""

from __future__ import annotations

from datetime import date

import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from algo_py.engine import PortfolioConfig
from algo_py.engine.costs import cost_table
from algo_py.engine.kernel import Rates, affordable, fee_of
from algo_py.market.charges import NSE_DELIVERY, NSE_INTRADAY
from tests.engine.tables import fills, trade

CAPPED = Rates(*cost_table(PortfolioConfig(cost_schedule="nse_intraday")).rates[-1].tolist())


@given(st.floats(1.0, 1e7), st.floats(0.05, 1e5))
def test_a_budget_buys_as_much_as_it_pays_for(budget: float, price: float) -> None:
    quantity = affordable(CAPPED, 1.0, budget, price)
    assert quantity * price + fee_of(CAPPED, 1.0, False, quantity * price) <= budget
    more = quantity * (1 + 1e-9)
    assert more * price + fee_of(CAPPED, 1.0, False, more * price) > budget * (1 - 1e-12)


@pytest.mark.parametrize(("value", "brokerage"), [(10_000.0, 3.0), (66_666.0, 19.9998), (66_667.0, 20.0), (5_000_000.0, 20.0)])
def test_the_lower_of_both_counts(value: float, brokerage: float) -> None:
    charges = NSE_INTRADAY[-1].value
    expected = value * charges.rate(buys=False) + 1.18 * brokerage
    assert fee_of(CAPPED, -1.0, False, value) == pytest.approx(expected, rel=1e-12)


def test_an_entry_of_the_whole_equity_is_never_short_of_cash() -> None:
    for cash in (5_000.0, 66_690.0, 70_000.0, 3_000_000.0):
        (order,) = fills(trade("100 E\n100\n100", initial_cash=cash, cost_schedule="nse_intraday"))
        assert 0.999 * cash < order[3] * 100 < cash


def test_both_schedules_begin_together_and_have_sources() -> None:
    assert [record.valid_from for record in NSE_DELIVERY] == [record.valid_from for record in NSE_INTRADAY]
    assert NSE_DELIVERY[0].valid_from == date(2020, 7, 1)
    assert all(record.source for record in (*NSE_DELIVERY, *NSE_INTRADAY))
    assert pd.Series([record.valid_from for record in NSE_DELIVERY]).is_monotonic_increasing
