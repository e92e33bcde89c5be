"""Rule 2, and rule 7's borrowing and holding limit, on hand-made candles."""

from __future__ import annotations

from typing import Any

import pytest

from .tables import denials, fills, trade


def exits(table: str, **config: Any) -> list[tuple[Any, ...]]:
    """Return (line, price, reason) of every exit of one symbol traded in ten units."""
    portfolio = trade(table, size_type="amount", size=10, direction="both", **config)
    return [(line, price, reason) for line, _, _, _, price, reason in fills(portfolio) if reason != "entry"]


LONG, SHORT = "100 E\n", "100 S\n"
STOP, TARGET, TRAIL = {"stop_loss": 0.1}, {"take_profit": 0.1}, {"trailing_stop": 0.1}
BOTH = STOP | TARGET

CASES: list[tuple[str, str, dict[str, float], list[tuple[int, float, str]]]] = [
    # a long position from 100
    ("stop touched", LONG + "100 101 90 95", STOP, [(1, 90, "stop_loss")]),
    ("stop missed by a hair", LONG + "100 101 90.01 95", STOP, []),
    ("target touched", LONG + "100 110 99 105", TARGET, [(1, 110, "take_profit")]),
    ("target missed", LONG + "100 109.99 99 105", TARGET, []),
    ("both on the first bar", LONG + "100 110 90 105", BOTH, [(1, 90, "stop_loss")]),
    ("both on a later bar", LONG + "100\n100 111 89 105", BOTH, [(2, 90, "stop_loss")]),
    ("gap below the stop", LONG + "100\n85 120 80 100", BOTH, [(2, 85, "stop_loss")]),
    ("gap above the target", LONG + "100\n115 120 80 100", BOTH, [(2, 115, "take_profit")]),
    ("open at the stop", LONG + "100\n90 95 90 95", STOP, [(2, 90, "stop_loss")]),
    ("trail before any high is the fill price", LONG + "100 120 90 118", TRAIL, [(1, 90, "trailing_stop")]),
    ("trail follows the bars before", LONG + "100 120 95 118\n118 130 108 120", TRAIL, [(2, 108, "trailing_stop")]),
    ("trail ignores its own bar's high", LONG + "100\n100 120 95 118", TRAIL, []),
    ("trail never falls", LONG + "100 120 110 110\n110 112 109 110\n110 110 108 109", TRAIL, [(3, 108, "trailing_stop")]),
    ("the nearer is the stop-loss", LONG + "100 104 94 100", {"stop_loss": 0.05, **TRAIL}, [(1, 95, "stop_loss")]),
    ("the trail is nearer", LONG + "100 120 99 110\n110 110 100 105", {**TRAIL, "stop_loss": 0.05}, [(2, 108, "trailing_stop")]),
    ("a tie is the stop-loss", LONG + "100 100 90 95", {"stop_loss": 0.1, **TRAIL}, [(1, 90, "stop_loss")]),
    ("trail before target", LONG + "100 104 99 104\n104 121 93 100", {**TRAIL, "take_profit": 0.2}, [(2, 93.6, "trailing_stop")]),
    # a short position from 100
    ("short stop touched", SHORT + "100 110 99 105", STOP, [(1, 110, "stop_loss")]),
    ("short target touched", SHORT + "100 101 90 95", TARGET, [(1, 90, "take_profit")]),
    ("short both", SHORT + "100 110 90 95", BOTH, [(1, 110, "stop_loss")]),
    ("short gap above the stop", SHORT + "100\n115 120 80 90", BOTH, [(2, 115, "stop_loss")]),
    ("short gap below the target", SHORT + "100\n85 120 80 90", BOTH, [(2, 85, "take_profit")]),
    ("short trail", SHORT + "100 105 80 82\n82 88 81 85", TRAIL, [(2, 88, "trailing_stop")]),
    ("short trail on its first bar", SHORT + "100 110 80 82", TRAIL, [(1, 110, "trailing_stop")]),
]  # fmt: skip


@pytest.mark.parametrize(("table", "config", "expected"), [pytest.param(*case[1:], id=case[0]) for case in CASES])
def test_stops(table: str, config: dict[str, Any], expected: list[tuple[int, float, str]]) -> None:
    assert exits(table, **config) == expected


def test_levels_count_from_the_fill_price_with_its_slippage_and_pay_slippage() -> None:
    assert exits(LONG + "100 106 99 100\n100 100 90 95", stop_loss=0.1, slippage=0.05) == [
        (2, round(94.5 * 0.95, 9), "stop_loss")
    ]
    assert exits(LONG + "100 120 99 118", take_profit=0.1, slippage=0.05) == [(1, round(115.5 * 0.95, 9), "take_profit")]


def test_a_decided_exit_goes_before_the_stop_of_its_bar() -> None:
    assert exits(LONG + "100 X\n95 95 80 85", stop_loss=0.1) == [(2, 95, "exit")]


def test_a_stop_waits_for_the_symbols_next_bar() -> None:
    portfolio = trade({"A": "100 E\n100\n-\n80", "B": "1\n1\n1 1 0.1 1\n1"}, stop_loss=0.1, size=0.5)
    assert fills(portfolio)[1] == (3, "A", "SELL", 50, 80, "stop_loss")


def test_stops_fill_in_the_universes_order_after_the_open() -> None:
    table = "100 E\n100 100 90 95"
    portfolio = trade({"B": table, "A": table}, size=0.5, stop_loss=0.1)
    assert [order[1::4] for order in fills(portfolio)] == [("B", "entry"), ("A", "entry"), ("B", "stop_loss"), ("A", "stop_loss")]


def test_the_bar_of_a_stop_counts_as_held() -> None:
    portfolio = trade("100 E\n100\n100 100 80 85", stop_loss=0.1)
    assert portfolio.trades["bars_held"].tolist() == [2]
    assert portfolio.metrics["exposure_fraction"] == pytest.approx(2 / 3)


@pytest.mark.parametrize(("limit", "line"), [(1, 2), (2, 3), (3, 4)])
def test_the_holding_limit_counts_the_fills_bar_first(limit: int, line: int) -> None:
    assert exits(LONG + "100\n100\n100\n100\n100", max_hold_bars=limit)[0] == (line, 100, "max_hold_bars")


def test_the_holding_limit_does_not_count_missing_bars() -> None:
    portfolio = trade({"A": "100 E\n100\n-\n100\n100\n100", "B": "1\n1\n1\n1\n1\n1"}, max_hold_bars=2)
    assert fills(portfolio)[1][::5] == (4, "max_hold_bars")


def test_the_holding_limit_with_shared_cash_and_hardly_any_signals() -> None:
    portfolio = trade({"A": "100\n100\n100\n100\n100", "B": "50 E\n50\n50\n50\n50"}, max_hold_bars=2, size=0.5)
    assert [order[::5] for order in fills(portfolio)] == [(1, "entry"), (3, "max_hold_bars")]


def test_a_signalled_exit_names_itself_and_an_entry_then_reverses() -> None:
    assert exits(LONG + "100 X\n100", max_hold_bars=1) == [(2, 100, "exit")]
    portfolio = trade(LONG + "100 S\n100", max_hold_bars=1, direction="both", size_type="amount", size=10)
    assert [order[2::3] for order in fills(portfolio)[1:]] == [("SELL", "max_hold_bars"), ("SELL", "entry")]


def test_close_fills_age_from_the_bar_after() -> None:
    portfolio = trade(LONG + "100\n100\n100", max_hold_bars=2, execution="close")
    assert portfolio.orders["bar_time"].diff().dt.days.tolist()[1] == 1
    assert portfolio.trades["bars_held"].tolist() == [2]


def test_a_short_locks_twice_its_proceeds() -> None:
    portfolio = trade({"A": "100 S\n100\n100", "B": "100\n100 E\n100"}, size=0.6, direction="both")
    assert fills(portfolio) == [(1, "A", "SELL", 60, 100, "entry"), (2, "B", "BUY", 40, 100, "entry")]
    assert portfolio.open_positions["direction"].tolist() == ["short", "long"]


def test_a_covered_short_frees_its_cash() -> None:
    portfolio = trade({"A": "100 S\n100 C\n90", "B": "100\n100 E\n100"}, direction="both")
    assert fills(portfolio) == [
        (1, "A", "SELL", 100, 100, "entry"),
        (2, "A", "BUY", 100, 90, "exit"),
        (2, "B", "BUY", 100, 100, "entry"),
    ]


def test_a_short_beyond_all_cash_leaves_a_debt() -> None:
    portfolio = trade("100 S\n100\n300 C\n300 S\n300", direction="short")
    assert portfolio.equity.tolist() == [10_000, 10_000, -10_000, -10_000, -10_000]
    assert denials(portfolio) == [(4, "A", "SELL", 0, "insufficient_cash")]
    assert portfolio.metrics["sharpe_ratio"] is None
    assert portfolio.metrics["cagr_fraction"] is None
    assert portfolio.metrics["max_drawdown_fraction"] == -2


def test_borrowing_is_charged_for_each_bar_the_short_is_open_at_the_close() -> None:
    config = {"direction": "short", "borrow_rate_annual": 0.1, "periods_per_year": 10.0, "size_type": "amount", "size": 10}
    portfolio = trade("100 S\n100\n50 C\n50", **config)
    assert portfolio.trades["fees"].tolist() == [pytest.approx(10 * 100 * 0.01 + 10 * 50 * 0.01)]
    assert portfolio.metrics["fees_paid"] == pytest.approx(15)
    assert portfolio.orders["fee"].tolist() == [0, 0]
    stopped = trade("100 S\n100\n100 110 99 105", stop_loss=0.05, **config)
    assert stopped.trades["fees"].tolist() == [pytest.approx(10 * 100 * 0.01 + 10 * 105 * 0.01)]  # the stop's bar in full


def test_borrowing_goes_on_while_the_symbol_has_no_bar() -> None:
    config = {"direction": "short", "borrow_rate_annual": 0.1, "periods_per_year": 10.0, "size_type": "amount", "size": 10}
    portfolio = trade({"A": "100 S\n100\n-\n100", "B": "1\n1\n1\n1"}, **config)
    assert portfolio.equity.tolist() == pytest.approx([10_000, 9_990, 9_980, 9_970])
