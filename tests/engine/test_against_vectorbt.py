"""Orders and equity equal vectorbt's where the rules coincide; where they do not, docs/engine.md says why."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import vectorbt
from hypothesis import HealthCheck, assume, given, settings
from hypothesis import strategies as st

from algo_py.engine import Portfolio, PortfolioConfig, simulate
from algo_py.strategy import Bars, Signals

from .markets import Walk, random_signals, real_bars
from .tables import read_tables

settings.register_profile("engine", derandomize=True, deadline=None, suppress_health_check=list(HealthCheck))
settings.load_profile("engine")

SEEDS = st.integers(0, 2**32 - 1)
SHARES = st.sampled_from([0.02, 0.1, 0.4])
COSTS = st.fixed_dictionaries(
    {
        "fees": st.sampled_from([0.0, 0.001, 0.01]),
        "fixed_fees": st.sampled_from([0.0, 0.5, 7.0]),
        "slippage": st.sampled_from([0.0, 0.0005, 0.01]),
    }
)
SIZES = st.sampled_from(
    [("amount", 3.0), ("amount", 500.0), ("value", 900.0), ("value", 1e6), ("percent", 1.0), ("percent", 0.3)]
)


def reference(bars: Bars, signals: Signals, config: PortfolioConfig) -> Any:
    """Run vectorbt with the settings that mean the same as ours."""
    sharing = config.cash_sharing and len(bars.symbols) > 1
    exits = signals.exits.to_numpy()
    options: dict[str, Any] = {}
    if signals.short_entries is not None and config.direction == "both":
        options = {"short_entries": signals.short_entries.to_numpy(), "short_exits": signals.short_exits.to_numpy()}  # type: ignore[union-attr]
    stop = config.stop_loss if config.stop_loss is not None else config.trailing_stop
    if stop is not None or config.take_profit is not None:
        options |= {name: bars.array(name) for name in ("open", "high", "low")}
        options |= {"sl_stop": np.nan if stop is None else stop, "sl_trail": config.trailing_stop is not None}
        options |= {"tp_stop": np.nan if config.take_profit is None else config.take_profit}
        options |= {"stop_entry_price": "fillprice", "stop_exit_price": "stopmarket"}
    if sharing:  # exits first, then the order of the universe
        options["call_seq"] = np.argsort(~exits, axis=1, kind="stable")
    return vectorbt.Portfolio.from_signals(
        pd.DataFrame(bars.array("close")),
        signals.entries.to_numpy(),
        exits,
        size=config.size,
        size_type=config.size_type,
        fees=config.fees,
        fixed_fees=config.fixed_fees,
        slippage=config.slippage,
        allow_partial=config.allow_partial,
        lock_cash=True,
        upon_opposite_entry="ignore",
        init_cash=config.initial_cash if sharing else config.initial_cash / len(bars.symbols),
        group_by=sharing,
        cash_sharing=sharing,
        freq="1h",
        **options,
    )


def assert_equal(portfolio: Portfolio, expected: Any, bars: Bars) -> int:
    """Compare filled orders and the equity curve; return how many orders there were."""
    orders = portfolio.orders
    ours = orders[orders["status"] == "FILLED"]
    theirs = expected.orders.records
    theirs = theirs.sort_values(["col", "idx", "id"], kind="stable")
    rows = bars.index.get_indexer(pd.DatetimeIndex(ours["bar_time"]))
    columns = ours["symbol"].map({symbol: place for place, symbol in enumerate(bars.symbols)}).to_numpy(dtype=np.int64)
    order = np.lexsort((np.arange(len(ours)), rows, columns))
    assert rows[order].tolist() == theirs["idx"].tolist()
    assert columns[order].tolist() == theirs["col"].tolist()
    assert (ours["side"].to_numpy()[order] == np.where(theirs["side"] == 0, "BUY", "SELL")).all()
    for name, their_name in (("quantity", "size"), ("price", "price"), ("fee", "fees")):
        np.testing.assert_allclose(ours[name].to_numpy()[order], theirs[their_name], rtol=1e-9, atol=1e-9)
    value = np.asarray(expected.value(), dtype=np.float64)
    np.testing.assert_allclose(portfolio.equity, value.sum(axis=1) if value.ndim == 2 else value, rtol=1e-9, atol=1e-9)
    return len(ours)


@given(seed=SEEDS, share=SHARES, size=SIZES, costs=COSTS, partial=st.booleans(), gaps=st.booleans())
@settings(max_examples=80)
def test_one_symbol_long(seed: int, share: float, size: tuple[str, float], costs: Any, partial: bool, gaps: bool) -> None:
    bars = Walk(seed=seed, gaps=gaps).bars()
    signals = random_signals(bars, seed=seed, share=share)
    config = PortfolioConfig(execution="close", size_type=size[0], size=size[1], allow_partial=partial, **costs)
    assert_equal(simulate(bars, signals, config), reference(bars, signals, config), bars)


@given(seed=SEEDS, share=SHARES, size=SIZES, costs=COSTS)
@settings(max_examples=80)
def test_one_symbol_long_and_short(seed: int, share: float, size: tuple[str, float], costs: Any) -> None:
    assume(size != ("percent", 0.3) or costs["fixed_fees"] == 0)  # see docs/engine.md: fixed fees of a share of the cash
    bars = Walk(seed=seed).bars()
    drawn = random_signals(bars, seed=seed, share=share, short=True)
    assert drawn.short_entries is not None
    assert drawn.short_exits is not None
    # An exit with an opposite entry is one order in vectorbt and two here.
    signals = replace(drawn, entries=drawn.entries & ~drawn.short_exits, short_entries=drawn.short_entries & ~drawn.exits)
    config = PortfolioConfig(execution="close", direction="both", size_type=size[0], size=size[1], **costs)
    portfolio = simulate(bars, signals, config)
    assume(portfolio.equity.min() > 3_000)  # vectorbt does not cover a short when the cash does not suffice
    assert_equal(portfolio, reference(bars, signals, config), bars)


@given(seed=SEEDS, share=SHARES, size=SIZES, costs=COSTS, symbols=st.integers(2, 4))
@settings(max_examples=50)
def test_split_cash(seed: int, share: float, size: tuple[str, float], costs: Any, symbols: int) -> None:
    bars = Walk(seed=seed, symbols=symbols).bars()
    signals = random_signals(bars, seed=seed, share=share)
    config = PortfolioConfig(execution="close", cash_sharing=False, size_type=size[0], size=size[1], **costs)
    assert_equal(simulate(bars, signals, config), reference(bars, signals, config), bars)


@given(
    seed=SEEDS,
    share=SHARES,
    size=st.sampled_from([("amount", 3.0), ("amount", 80.0), ("value", 900.0), ("value", 4500.0)]),
    costs=COSTS,
    symbols=st.integers(2, 4),
    partial=st.booleans(),
)
@settings(max_examples=80)
def test_shared_cash(seed: int, share: float, size: tuple[str, float], costs: Any, symbols: int, partial: bool) -> None:
    bars = Walk(seed=seed, symbols=symbols).bars()
    signals = random_signals(bars, seed=seed, share=share)
    config = PortfolioConfig(execution="close", size_type=size[0], size=size[1], allow_partial=partial, **costs)
    assert_equal(simulate(bars, signals, config), reference(bars, signals, config), bars)


@given(
    seed=SEEDS,
    share=SHARES,
    stops=st.sampled_from(
        [
            {"stop_loss": 0.02},
            {"take_profit": 0.03},
            {"stop_loss": 0.03, "take_profit": 0.02},
            {"trailing_stop": 0.03},
            {"trailing_stop": 0.04, "take_profit": 0.05},
        ]
    ),
    costs=COSTS,
    short=st.booleans(),
)
@settings(max_examples=100)
def test_stops_of_one_symbol(seed: int, share: float, stops: Any, costs: Any, short: bool) -> None:
    costs = costs | {"fixed_fees": 0.0}
    bars = Walk(seed=seed, gaps="take_profit" not in stops).bars()
    signals = random_signals(bars, seed=seed, share=share, short=short)
    if short:  # never both directions at once: see test_one_symbol_long_and_short
        assert signals.short_entries is not None
        assert signals.short_exits is not None
        signals = replace(
            signals, entries=signals.entries & ~signals.short_exits, short_entries=signals.short_entries & ~signals.exits
        )
    config = PortfolioConfig(
        execution="close", direction="both" if short else "long", size_type="value", size=900, **stops, **costs
    )
    for _ in range(len(bars.index)):  # vectorbt does not look at the signals of a stop's bar
        portfolio = simulate(bars, signals, config)
        orders = portfolio.orders
        hit = orders.loc[orders["reason"].isin(["stop_loss", "take_profit", "trailing_stop"]), "bar_time"]
        frames = {name: getattr(signals, name) for name in signals.__slots__ if getattr(signals, name) is not None}
        quiet = {name: frame & ~np.isin(bars.index, hit)[:, None] for name, frame in frames.items()}
        if all(quiet[name].equals(frame) for name, frame in frames.items()):
            break
        signals = Signals(**quiet)
    assert_equal(portfolio, reference(bars, signals, config), bars)


@pytest.mark.parametrize("config", [{"size": 1.0}, {"size_type": "value", "size": 2500.0}])
def test_real_bars(tmp_path: Path, config: dict[str, Any]) -> None:
    bars = real_bars(tmp_path, ("BTC/USDT", "ETH/USDT", "SOL/USDT"), 3000)
    signals = random_signals(bars, seed=7, share=0.05)
    settings_ = PortfolioConfig(execution="close", fees=0.001, slippage=0.0005, cash_sharing=config["size"] > 1, **config)
    assert assert_equal(simulate(bars, signals, settings_), reference(bars, signals, settings_), bars) > 400


class TestByDesign:
    """The differences that docs/engine.md lists."""

    def run(self, tables: dict[str, str], **config: Any) -> tuple[Portfolio, pd.DataFrame]:
        bars, signals = read_tables(tables)
        ours = PortfolioConfig(execution="close", **config)
        return simulate(bars, signals, ours), reference(bars, signals, ours).orders.records

    def test_a_reversal_is_two_orders(self) -> None:
        ours, theirs = self.run({"A": "100 E\n100 XS\n100"}, size_type="amount", size=10, direction="both")
        assert ours.orders["quantity"].tolist() == [10, 10, 10]
        assert theirs["size"].tolist() == [10, 10]  # the short entry is dropped, or one order of 20 with other settings

    def test_the_signals_of_a_stops_bar_count(self) -> None:
        ours, theirs = self.run({"A": "100 E\n100 100 80 80 E\n80"}, size_type="amount", size=10, stop_loss=0.1)
        assert ours.orders["reason"].tolist() == ["entry", "stop_loss", "entry"]
        assert len(theirs) == 2

    def test_an_open_beyond_the_target_comes_before_a_stop_later_in_the_bar(self) -> None:
        ours, theirs = self.run({"A": "100 E\n100\n120 125 80 100"}, size_type="amount", size=10, stop_loss=0.1, take_profit=0.1)
        assert ours.orders["price"].tolist() == [100, 120]
        assert theirs["price"].tolist() == [100, 90]

    def test_percent_is_of_the_equity(self) -> None:
        ours, theirs = self.run({"A": "100 E\n100\n100", "B": "100\n100 E\n100"}, size=0.5)
        assert ours.orders["quantity"].tolist() == [50, 50]
        assert theirs["size"].tolist() == [50, 25]  # half of the cash that is left

    def test_exits_come_before_entries(self) -> None:
        bars, signals = read_tables({"A": "100\n100 E\n100", "B": "100 E\n100 X\n100"})
        ours = simulate(bars, signals, PortfolioConfig(execution="close"))
        theirs = vectorbt.Portfolio.from_signals(
            pd.DataFrame(bars.array("close")), signals.entries.to_numpy(), signals.exits.to_numpy(),
            init_cash=10_000, group_by=True, cash_sharing=True, freq="1D",
        )  # fmt: skip
        assert len(ours.orders) == 3
        assert len(theirs.orders.records) == 2  # A's entry finds no cash: its column comes first

    def test_a_short_is_always_covered_in_full(self) -> None:
        ours, theirs = self.run({"A": "100 S\n250 C\n250"}, direction="both")
        assert ours.open_positions.empty
        assert ours.equity.iloc[-1] == -5_000
        assert theirs["size"].tolist() == [100]  # it stays short for ever

    def test_an_exit_closes_dust_that_size_granularity_leaves(self) -> None:
        theirs = vectorbt.Portfolio.from_signals(
            pd.Series([1.0, 1.0]), [True, False], [False, True], size=0.3, size_granularity=0.1, init_cash=100, freq="1D"
        )
        assert theirs.orders.records["size"].tolist() == [pytest.approx(0.2), pytest.approx(0.2)]  # 0.3 // 0.1 is 2

    def test_a_fixed_fee_is_paid_out_of_a_shorts_share(self) -> None:
        ours, theirs = self.run({"A": "100 S\n100"}, size=0.5, fixed_fees=100.0, direction="both")
        assert ours.orders["quantity"].tolist() == [49]  # 5000 less 100
        assert theirs["size"].tolist() == [49.5]  # half of 10000 less 100

    def test_crumbs_of_cash_buy_nothing(self) -> None:
        ours, theirs = self.run({"A": "0.001 E", "B": "100 E"}, size_type="amount", size=1e6, initial_cash=1000.01)
        assert ours.orders["reason"].tolist() == ["entry", "insufficient_cash"]
        assert theirs["size"].tolist() == [1e6, pytest.approx(1e-4)]
