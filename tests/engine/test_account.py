"""The live account folded bar by bar gives the backtest's orders bit for bit."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from algo_py.engine import Account, Decision, PortfolioConfig, simulate
from algo_py.errors import InvalidInput
from algo_py.strategy import Bars, Signals

NAMES = ("entries", "exits", "short_entries", "short_exits")


def random_bars(generator: np.random.Generator, symbols: int, rows: int, missing: float) -> Bars:
    """Build random walks from which some bars are missing."""
    index = pd.date_range("2024-01-01", periods=rows, freq="h", tz="UTC", unit="us")
    frames = {}
    for place in range(symbols):
        close = 50 * np.exp(np.cumsum(generator.normal(0, 0.02, rows)))
        opens = np.append(close[0], close[:-1]) * np.exp(generator.normal(0, 0.005, rows))
        high = np.maximum(opens, close) * (1 + generator.uniform(0, 0.01, rows))
        low = np.minimum(opens, close) * (1 - generator.uniform(0, 0.01, rows))
        frame = pd.DataFrame({"open": opens, "high": high, "low": low, "close": close, "volume": 1.0}, index=index)
        kept = generator.random(rows) >= missing
        kept[generator.integers(rows)] = True
        frames[f"S{place}"] = frame[kept]
    return Bars.from_frames(frames)


def random_signals(generator: np.random.Generator, bars: Bars, share: float) -> Signals:
    """Draw each signal independently."""
    shape = (len(bars.index), len(bars.symbols))
    frames = [pd.DataFrame(generator.random(shape) < share, index=bars.index, columns=list(bars.symbols)) for _ in NAMES]
    return Signals(*frames)


def fold(bars: Bars, signals: Signals, config: PortfolioConfig) -> tuple[list[tuple[object, ...]], Account, list[float]]:
    """Live the bars through an Account as the worker and the paper venue do; return its orders and equities."""
    account = Account(bars.symbols, config)
    flags = [signals.array(name, bars) for name in NAMES]
    opens, highs, lows, closes = (bars.array(name) for name in ("open", "high", "low", "close"))
    due: list[tuple[Decision, int]] = []
    orders: list[tuple[object, ...]] = []
    equities: list[float] = []

    def execute(row: int, prices: np.ndarray) -> list[tuple[Decision, int]]:
        waiting = []
        for leg in ("exit", "entry"):
            for decision, decided in due:
                place = bars.symbols.index(decision.symbol)
                if decision.leg != leg:
                    continue
                if np.isnan(prices[row, place]):
                    waiting.append((decision, decided))
                    continue
                done = account.execute(
                    decision.symbol, decision.side, decision.leg, decision.quantity, prices[row, place], reason=decision.reason
                )
                orders.append((row, decision.symbol, decision.side, done, decision.reason, decided))
        return waiting

    for row in range(len(bars.index)):
        if config.execution == "next_open":
            due = execute(row, opens)
        for place, symbol in enumerate(bars.symbols):
            if not np.isnan(closes[row, place]):
                hit = account.stop_hit(symbol, opens[row, place], highs[row, place], lows[row, place])
                if hit is not None:
                    done = account.execute(symbol, hit.side, "exit", hit.quantity, hit.raw_price, reason=hit.reason)
                    orders.append((row, symbol, hit.side, done, hit.reason, row))
        account.mark(closes[row], highs[row], lows[row])
        made = account.decide(closes[row], *(None if flag is None else flag[row] for flag in flags))  # type: ignore[arg-type]
        due += [(decision, row) for decision in made]
        due.sort(key=lambda item: (item[0].leg == "entry", bars.symbols.index(item[0].symbol)))
        if config.execution == "close":
            due = execute(row, closes)
        equities.append(account.equity)
    return orders, account, equities


def simulated(bars: Bars, signals: Signals, config: PortfolioConfig) -> list[tuple[object, ...]]:
    """Return the backtest's orders in the form of `fold`."""
    frame = simulate(bars, signals, config).orders
    rows = bars.index.get_indexer(pd.DatetimeIndex(frame["bar_time"]))
    return [
        (order.symbol, order.side, order.quantity, order.price, order.fee, order.status, order.reason, row)
        for order, row in zip(frame.itertuples(), rows, strict=True)
    ]


CONFIGS = [
    PortfolioConfig(fees=0.001, slippage=0.0005),
    PortfolioConfig(cash_sharing=False, fees=0.001, fixed_fees=1.0, direction="both"),
    PortfolioConfig(execution="close", size=0.3, direction="both", borrow_rate_annual=0.2, periods_per_year=8760),
    PortfolioConfig(
        size=0.4, direction="both", stop_loss=0.03, take_profit=0.05, trailing_stop=0.04, max_hold_bars=7,
        borrow_rate_annual=0.5, periods_per_year=8760, maker_fees=0.0001, fees=0.002, slippage=0.001,
    ),
    PortfolioConfig(size_type="value", size=3000, direction="short", stop_loss=0.05, allow_partial=False, fees=0.001),
    PortfolioConfig(size_type="amount", size=70, trailing_stop=0.05, cash_sharing=False, execution="close"),
]  # fmt: skip


@pytest.mark.parametrize("config", CONFIGS)
@pytest.mark.parametrize("seed", range(4))
def test_folded_bar_by_bar_it_gives_the_same_orders(config: PortfolioConfig, seed: int) -> None:
    generator = np.random.default_rng(seed)
    bars = random_bars(generator, symbols=4, rows=300, missing=0.1)
    signals = random_signals(generator, bars, 0.1)
    orders, _, equities = fold(bars, signals, config)
    folded = []
    for _, symbol, side, done, reason, decided in orders:
        status, why = ("FILLED", reason) if done.denied is None else ("DENIED", done.denied)  # type: ignore[attr-defined]
        folded.append((symbol, side, done.quantity, done.price, done.fee, status, why, decided))  # type: ignore[attr-defined]
    assert folded == simulated(bars, signals, config)
    assert len(folded) > 50
    portfolio = simulate(bars, signals, config)
    if config.cash_sharing:
        assert equities == portfolio.equity.tolist()
    assert equities == pytest.approx(portfolio.equity.tolist(), rel=1e-12)


@pytest.mark.parametrize("seed", range(3))
def test_applying_the_fills_gives_the_same_state(seed: int) -> None:
    generator = np.random.default_rng(seed)
    bars = random_bars(generator, symbols=3, rows=200, missing=0.0)
    config = PortfolioConfig(size=0.3, fees=0.001, direction="both")
    orders, lived, _ = fold(bars, random_signals(generator, bars, 0.1), config)
    told = Account(bars.symbols, config)
    for _, symbol, side, done, _, _ in orders:
        if done.denied is None:  # type: ignore[attr-defined]
            told.apply(symbol, side, done.quantity, done.price, done.fee)  # type: ignore[arg-type, attr-defined]
    assert told.cash == lived.cash
    assert [told.position(s) for s in bars.symbols] == [lived.position(s) for s in bars.symbols]


def test_parts_of_a_fill_leave_no_dust() -> None:
    account = Account(["A"], PortfolioConfig())
    for quantity in (0.1, 0.2):
        account.apply("A", "BUY", quantity, 10.0, 0.0)
    account.apply("A", "SELL", 0.3, 11.0, 0.0)
    assert account.position("A") == 0.0


def test_unusable_values_are_refused_by_name() -> None:
    account = Account(["A"], PortfolioConfig(trailing_stop=0.1))
    with pytest.raises(InvalidInput, match="price"):
        account.apply("A", "BUY", 1.0, float("nan"), 0.0)
    with pytest.raises(InvalidInput, match="quantity"):
        account.apply("A", "BUY", 0.0, 1.0, 0.0)
    with pytest.raises(InvalidInput, match="symbol"):
        account.position("B")
    with pytest.raises(InvalidInput, match="closes"):
        account.mark(np.array([1.0, 2.0]), np.array([1.0]), np.array([1.0]))
    with pytest.raises(InvalidInput, match="highs"):
        account.mark(np.array([1.0]))
    with pytest.raises(InvalidInput, match="entries"):
        account.decide(np.array([1.0]), np.array([1]), np.array([False]))
    with pytest.raises(InvalidInput, match="raw_price"):
        account.execute("A", "BUY", "entry", 1.0, 0.0)
    assert account.execute("A", "SELL", "entry", 1.0, 10.0).denied == "direction_not_allowed"
    assert account.execute("A", "SELL", "exit", 1.0, 10.0).denied == "no_position"


def holding(units: float = 10.0, price: float = 100.0, *, trailing: float = 0.1) -> Account:
    """An account of 10,000 with stops that has bought `units` of A, and seen a high of 120."""
    account = Account(["A", "B"], PortfolioConfig(initial_cash=10_000.0, stop_loss=0.2, trailing_stop=trailing))
    account.apply("A", "BUY", units, price, 0.0)
    account.mark(np.array([110.0, 50.0]), np.array([120.0, 50.0]), np.array([99.0, 50.0]))
    return account


def test_a_split_divides_the_levels_and_leaves_the_worth() -> None:
    account = holding()
    assert account.stop_levels("A").stop == pytest.approx(108.0)  # 10 % below the highest price
    account.adjust("A", units=10.0, cash=0.0, ratio=2.0)
    assert account.position("A") == 20.0
    assert account.stop_levels("A").stop == pytest.approx(54.0)
    account.mark(np.array([55.0, 50.0]), np.array([56.0, 50.0]), np.array([54.5, 50.0]))
    assert account.equity == pytest.approx(9_000.0 + 20 * 55.0)


def test_a_consolidation_pays_for_the_fraction() -> None:
    account = holding(units=15.0)
    account.adjust("A", units=1.0 - 15.0, cash=5 * 110.0, ratio=0.1)
    assert account.position("A") == 1.0
    assert account.cash == pytest.approx(10_000.0 - 1_500.0 + 550.0)
    assert account.stop_levels("A").stop == pytest.approx(1_080.0)


def test_a_transfer_enlarges_at_its_price_and_leaves_at_none() -> None:
    account = holding(trailing=0.5)
    account.adjust("A", units=10.0, cash=0.0, price=200.0)
    assert account.stop_levels("A").stop == pytest.approx(0.8 * 150.0)  # the stop of the average price
    account.adjust("A", units=-5.0, cash=0.0)
    assert account.position("A") == 15.0
    assert account.stop_levels("A").stop == pytest.approx(0.8 * 150.0)
    assert account.cash == pytest.approx(9_000.0)


def test_units_that_come_in_open_a_position_with_stops() -> None:
    account = holding()
    account.adjust("B", units=4.0, cash=0.0, price=60.0)
    assert account.position("B") == 4.0
    assert account.stop_levels("B").stop == pytest.approx(54.0)
    assert account.equity == pytest.approx(9_000.0 + 10 * 110.0 + 4 * 50.0)


def test_fees_taken_in_units_are_given_back_in_cash() -> None:
    account = holding()
    before = account.equity
    account.adjust("A", units=-0.5, cash=0.5 * 110.0)
    assert account.position("A") == 9.5
    assert account.equity == pytest.approx(before)


@pytest.mark.parametrize("units", [-10.0, -11.0])
def test_what_ends_a_position_ends_its_stops(units: float) -> None:
    account = holding()
    account.adjust("A", units=units, cash=0.0)
    assert account.position("A") == 0.0
    assert account.stop_levels("A").stop is None


def test_an_adjustment_that_cannot_be_is_refused() -> None:
    account = holding()
    for name, values in (
        ("units", {"units": float("nan"), "cash": 0.0}),
        ("cash", {"units": 0.0, "cash": float("inf")}),
        ("ratio", {"units": 0.0, "cash": 0.0, "ratio": 0.0}),
        ("ratio", {"units": 0.0, "cash": 0.0, "ratio": float("nan")}),
    ):
        with pytest.raises(InvalidInput, match=name):
            account.adjust("A", **values)
    assert account.position("A") == 10.0
