"""Rules 1, 3, 4, 5, 6, 9: when and how much, on hand-made candles."""

from __future__ import annotations

from decimal import Decimal

import numpy as np
import pytest

from algo_py.engine import simulate
from algo_py.engine.config import PortfolioConfig
from algo_py.market import Instrument

from .tables import day, denials, fills, read_tables, trade

TEN = {"size_type": "amount", "size": 10}


def test_an_exit_pays_for_an_entry_of_the_same_open() -> None:
    portfolio = trade({"A": "100\n100 E\n100\n100", "B": "50 E\n50 X\n50\n50"})
    assert fills(portfolio) == [
        (1, "B", "BUY", 200, 50, "entry"),
        (2, "B", "SELL", 200, 50, "exit"),
        (2, "A", "BUY", 100, 100, "entry"),
    ]


def test_an_order_waits_for_the_symbols_next_bar() -> None:
    portfolio = trade({"A": "100 E\n-\n-\n130\n130", "B": "1\n1\n1\n1\n1"}, **TEN)
    assert fills(portfolio) == [(3, "A", "BUY", 10, 130, "entry")]
    assert portfolio.orders["bar_time"].tolist() == [day(0)]


def test_an_exit_waits_too_and_the_position_keeps_its_last_price() -> None:
    portfolio = trade({"A": "100 E\n100 X\n-\n150", "B": "1\n1\n1\n1"}, **TEN)
    assert fills(portfolio)[1] == (3, "A", "SELL", 10, 150, "exit")
    assert portfolio.equity.tolist() == [10_000, 10_000, 10_000, 10_500]


def test_an_entry_that_waits_is_filled_before_entries_decided_later_in_universe_order() -> None:
    portfolio = trade({"A": "100\n100 E\n100\n100", "B": "100 E\n-\n100\n100"}, size=0.6, size_type="percent")
    assert [order[:5] for order in fills(portfolio)] == [(2, "A", "BUY", 60, 100), (2, "B", "BUY", 40, 100)]


def test_signals_on_missing_bars_do_not_exist() -> None:
    assert trade({"A": "100\n- E\n100\n100", "B": "1\n1\n1\n1"}).orders.empty


def test_a_symbol_that_is_listed_late_or_delisted_has_its_own_bars_only() -> None:
    portfolio = trade({"A": "100 E\n100\n120\n-\n-", "B": "-\n-\n10 E\n10\n11"}, size=0.5)
    assert [order[:5] for order in fills(portfolio)] == [(1, "A", "BUY", 50, 100), (3, "B", "BUY", 500, 10)]  # all that is left
    assert portfolio.equity.tolist() == [10_000, 10_000, 11_000, 11_000, 11_500]
    assert portfolio.open_positions["bars_held"].tolist() == [2, 2]


def test_the_last_bars_signals_do_not_fill() -> None:
    assert trade("100\n100 E").orders.empty


def test_an_entry_in_the_open_direction_is_ignored() -> None:
    assert len(trade("100 E\n100 E\n100 E\n100", **TEN).orders) == 1


def test_in_position_is_judged_at_the_close_after_a_stop() -> None:
    portfolio = trade("100 E\n100 100 80 80 E\n80\n80", stop_loss=0.1, **TEN)
    assert [order[:3] + order[5:] for order in fills(portfolio)] == [
        (1, "A", "BUY", "entry"),
        (1, "A", "SELL", "stop_loss"),
        (2, "A", "BUY", "entry"),
    ]


@pytest.mark.parametrize(
    ("signals", "expected"),
    [
        ("E", ["BUY"]),
        ("S", ["SELL"]),
        ("EX", []),
        ("SC", []),
        ("ES", []),
        ("EXS", ["SELL"]),  # the long pair goes first, then the short entry is alone
        ("ESC", ["BUY"]),
        ("EXSC", []),
        ("X", []),
        ("C", []),
    ],
)
def test_conflicts_when_flat(signals: str, expected: list[str]) -> None:
    assert trade(f"100 {signals}\n100", direction="both", **TEN).orders["side"].tolist() == expected


@pytest.mark.parametrize(
    ("signals", "expected"),
    [
        ("X", [("SELL", "exit")]),
        ("XS", [("SELL", "exit"), ("SELL", "entry")]),
        ("S", []),
        ("SC", []),
        ("XSC", [("SELL", "exit")]),
        ("EX", []),
        ("EXS", []),  # the exit is cancelled, so the short entry is an opposite entry without its exit
        ("ES", []),
        ("C", []),
    ],
)
def test_conflicts_when_long(signals: str, expected: list[tuple[str, str]]) -> None:
    portfolio = trade(f"100 E\n100 {signals}\n100", direction="both", **TEN)
    assert [(side, reason) for _, _, side, _, _, reason in fills(portfolio)[1:]] == expected


@pytest.mark.parametrize(
    ("signals", "expected"),
    [("C", [("BUY", "exit")]), ("CE", [("BUY", "exit"), ("BUY", "entry")]), ("E", []), ("X", []), ("SC", []), ("S", [])],
)
def test_conflicts_when_short(signals: str, expected: list[tuple[str, str]]) -> None:
    portfolio = trade(f"100 S\n100 {signals}\n100", direction="both", **TEN)
    assert [(side, reason) for _, _, side, _, _, reason in fills(portfolio)[1:]] == expected


def test_direction_leaves_the_other_sides_signals_out() -> None:
    table = "100 ES\n100\n100"
    assert [order[2] for order in fills(trade(table, direction="long", **TEN))] == ["BUY"]
    assert [order[2] for order in fills(trade(table, direction="short", **TEN))] == ["SELL"]


@pytest.mark.parametrize("short", [False, True])
def test_percent_pays_slippage_and_fees_out_of_its_fraction(short: bool) -> None:
    config = {"fees": 0.01, "slippage": 0.02, "fixed_fees": 3.0, "direction": "both"}
    order = trade(f"10 {'S' if short else 'E'}\n10", **config).orders.iloc[0]
    assert order["quantity"] * order["price"] + order["fee"] == pytest.approx(10_000, abs=1e-9)
    assert order["price"] == pytest.approx(9.8 if short else 10.2)
    half = trade(f"10 {'S' if short else 'E'}\n10", size=0.5, **config).orders.iloc[0]
    assert half["quantity"] * half["price"] + half["fee"] == pytest.approx(5_000, abs=1e-9)


def test_value_is_the_notional_at_the_close_with_costs_on_top() -> None:
    order = trade("100 E\n110", size_type="value", size=1000, fees=0.01, slippage=0.1).orders.iloc[0]
    assert (order["quantity"], order["price"]) == (10, pytest.approx(121))
    assert order["fee"] == pytest.approx(12.1)


def test_percent_is_of_the_equity_not_of_the_cash() -> None:
    portfolio = trade({"A": "100 E\n100\n100\n100", "B": "100\n100\n100 E\n100"}, size=0.4)
    assert portfolio.orders["quantity"].tolist() == [40, 40]


def test_a_lack_of_cash_shrinks_or_denies() -> None:
    portfolio = trade("100 E\n125", fees=0.25)
    assert fills(portfolio) == [(1, "A", "BUY", 64, 125, "entry")]
    assert portfolio.orders["fee"].tolist() == [2000]
    assert denials(trade("100 E\n125", fees=0.25, allow_partial=False)) == [(1, "A", "BUY", 80, "insufficient_cash")]


def test_an_all_in_order_is_not_denied_for_a_bit_of_rounding() -> None:
    for price in np.random.default_rng(1).uniform(0.001, 1000, 300):
        config = {"execution": "close", "allow_partial": False, "fees": 0.001, "slippage": 0.0007, "fixed_fees": 0.3}
        order = trade(f"{price!r} E\n{price!r}".replace("np.float64(", "").replace(")", ""), **config).orders.iloc[0]
        assert order["status"] == "FILLED"
        assert order["quantity"] * order["price"] + order["fee"] <= 10_000


def test_crumbs_of_cash_do_not_become_orders() -> None:
    portfolio = trade({"A": "3.3 E\n3.3", "B": "7.7 E\n7.7"}, fees=0.001)
    assert [order[1] for order in fills(portfolio)] == ["A"]
    assert [denial[1::3] for denial in denials(portfolio)] == [("B", "insufficient_cash")]


def test_a_fixed_fee_beyond_the_cash_denies() -> None:
    assert denials(trade("100 E\n100", fixed_fees=20_000.0)) == [(1, "A", "BUY", 0, "insufficient_cash")]


def test_quantities_are_rounded_down_to_lots() -> None:
    lots = Instrument(symbol="A", lot_size=Decimal("0.1"))
    order = trade("300 E\n300", instruments=lots).orders.iloc[0]
    assert order["quantity"] == 33.3


def test_a_billionth_of_a_lot_is_rounding() -> None:
    cash = 0.1 * 3  # 0.30000000000000004: 2.9999999999999996 or 3.0000000000000004 lots, by the way it is divided
    lots = Instrument(symbol="A", lot_size=Decimal("0.1"))
    assert trade("1 E\n1", initial_cash=cash, instruments=lots).orders["quantity"].tolist() == [0.3]
    assert trade("1 E\n1", size_type="amount", size=0.7 - 0.4, instruments=lots).orders["quantity"].tolist() == [0.3]


def test_less_than_a_lot_is_denied() -> None:
    lots = Instrument(symbol="A", lot_size=Decimal(1))
    assert denials(trade("20000 E\n20000", instruments=lots)) == [(1, "A", "BUY", 0, "below_lot_size")]


def test_minimums_are_judged_at_the_fill() -> None:
    notional = Instrument(symbol="A", notional_min=Decimal(1000))
    table = "100 E\n90"
    assert denials(trade(table, instruments=notional, **TEN)) == [(1, "A", "BUY", 10, "below_notional_min")]
    assert fills(trade("90 E\n100", instruments=notional, **TEN)) == [(1, "A", "BUY", 10, 100, "entry")]
    quantity = Instrument(symbol="A", quantity_min=Decimal(11))
    assert denials(trade(table, instruments=quantity, **TEN)) == [(1, "A", "BUY", 10, "below_quantity_min")]


def test_an_exit_closes_everything_however_small() -> None:
    notional = Instrument(symbol="A", lot_size=Decimal(1), notional_min=Decimal(1000))
    portfolio = trade("100 E\n100\n0.01 X\n0.01", instruments=notional, **TEN)
    assert fills(portfolio)[1][3:] == (10, 0.01, "exit")
    assert portfolio.open_positions.empty


def test_split_cash_gives_each_symbol_its_own_equity() -> None:
    tables = {"A": "10 E\n10 X\n20 E\n20\n20", "B": "10\n10\n10 E\n10\n10"}
    portfolio = trade(tables, cash_sharing=False)
    assert [order[:4] for order in fills(portfolio)] == [
        (1, "A", "BUY", 500),
        (2, "A", "SELL", 500),
        (3, "A", "BUY", 500),
        (3, "B", "BUY", 500),
    ]


def test_close_fills_happen_on_the_deciding_bar() -> None:
    portfolio = trade("90 110 90 100 E\n100 130 100 120 X\n130", execution="close", slippage=0.1)
    assert [order[1:] for order in fills(portfolio)] == [
        ("A", "BUY", pytest.approx(90.909090909), pytest.approx(110), "entry"),
        ("A", "SELL", pytest.approx(90.909090909), pytest.approx(108), "exit"),
    ]
    assert portfolio.orders["time"].tolist() == [day(1), day(2)]
    assert portfolio.orders["bar_time"].tolist() == [day(0), day(1)]


def test_close_fills_look_at_stops_of_earlier_positions_first() -> None:
    portfolio = trade("100 120 80 100 E\n100 100 90 95 EX\n95 95 95 95 E\n95", execution="close", stop_loss=0.1, **TEN)
    assert [(*order[1:3], *order[4:]) for order in fills(portfolio)] == [
        ("A", "BUY", 100, "entry"),  # the 80 of its own bar came before it
        ("A", "SELL", 90, "stop_loss"),
        ("A", "BUY", 95, "entry"),
    ]
    assert portfolio.orders["time"].tolist() == [day(1), day(1), day(3)]  # a stop's time is its bar's open


def test_percent_of_a_close_reversal_is_read_before_its_exit() -> None:
    portfolio = trade("100 E\n110 XS", execution="close", direction="both", fees=0.1)
    exit_order, entry = portfolio.orders.iloc[1], portfolio.orders.iloc[2]
    cash = exit_order["quantity"] * 110 - exit_order["fee"]
    assert entry["quantity"] * 110 * 1.1 == pytest.approx(cash)  # wanted all of the equity before the exit's fee; shrunk


def test_more_orders_than_the_first_buffer_holds() -> None:
    table = "\n".join(f"100 {'E' if line % 2 == 0 else 'X'}" for line in range(6000))
    portfolio = trade({"A": table, "B": table}, size=0.1, cash_sharing=False)
    assert len(portfolio.orders) == 2 * 5999
    assert len(portfolio.trades) == 5998
    shared = trade({"A": table, "B": table}, size=0.1)
    assert len(shared.orders) == 2 * 5999


def test_the_same_input_gives_the_same_bits_and_is_not_changed() -> None:
    bars, signals = read_tables({"A": "100 E\n101\n99 X\n98", "B": "3 E\n4\n5\n6 X"})
    config = PortfolioConfig(fees=0.001)
    before = signals.entries.copy()
    first, second = simulate(bars, signals, config), simulate(bars, signals, config)
    assert first.equity.tolist() == second.equity.tolist()
    assert first.orders.equals(second.orders)
    assert signals.entries.equals(before)
