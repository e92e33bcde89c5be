"""Rules 1, 3, 4, 5, 9 and the metrics on hand-made candles."""

from __future__ import annotations

import pytest

from algo_py.engine import PortfolioConfig

from .tables import candles, day, flat, trade


def test_an_entry_fills_at_the_next_open() -> None:
    portfolio = trade({"A": candles((10, 12, 9, 11), (20, 22, 19, 21), (30, 33, 29, 31))}, A="E")
    order = portfolio.orders.iloc[0]
    assert (order["time"], order["bar_time"], order["price"], order["side"]) == (day(1), day(0), 20.0, "BUY")
    assert order["status"] == "FILLED"


def test_an_open_position_is_marked_and_not_closed_at_the_end() -> None:
    portfolio = trade({"A": flat(10, 10, 20, 30)}, A="E..X")
    assert portfolio.trades.empty
    assert portfolio.open_positions["profit"].tolist() == [20_000.0]
    assert portfolio.equity.tolist() == [10_000.0, 10_000.0, 20_000.0, 30_000.0]


def test_percent_is_all_in_with_costs_inside() -> None:
    portfolio = trade({"A": flat(10, 10, 10)}, PortfolioConfig(fees=0.01, slippage=0.02), A="E")
    order = portfolio.orders.iloc[0]
    assert order["quantity"] * order["price"] + order["fee"] == pytest.approx(10_000, abs=1e-9)
    assert order["price"] == pytest.approx(10.2)


def test_entry_and_exit_on_one_bar_cancel() -> None:
    assert trade({"A": flat(10, 10, 10)}, A="B").orders.empty


def test_split_cash_keeps_symbols_apart() -> None:
    config = PortfolioConfig(cash_sharing=False)
    portfolio = trade({"A": flat(10, 10, 20), "B": flat(10, 10, 5)}, config, A="E", B="E")
    assert portfolio.orders["quantity"].tolist() == [500.0, 500.0]
    assert portfolio.equity.tolist() == [10_000.0, 10_000.0, 12_500.0]


def test_metrics_have_the_agreed_names() -> None:
    metrics = trade({"A": flat(10, 10, 20, 10, 10)}, A="E.X").metrics
    assert metrics["trades"] == 1
    assert metrics["win_rate_fraction"] == 1.0
    assert metrics["profit_factor"] is None
    assert metrics["expectancy"] == 10_000.0
    assert metrics["exposure_fraction"] == pytest.approx(2 / 5)
