"""Money neither appears nor vanishes, whatever the rules do."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

import numpy as np
import pandas as pd
from hypothesis import given, settings
from hypothesis import strategies as st

from algo_py.engine import PortfolioConfig, simulate
from algo_py.market import Instrument

from .markets import Walk, random_signals

CONFIGS = st.fixed_dictionaries(
    {
        "execution": st.sampled_from(["next_open", "close"]),
        "cash_sharing": st.booleans(),
        "allow_partial": st.booleans(),
        "direction": st.sampled_from(["long", "short", "both"]),
        "fees": st.sampled_from([0.0, 0.001, 0.05]),
        "fixed_fees": st.sampled_from([0.0, 3.0]),
        "slippage": st.sampled_from([0.0, 0.002]),
        "stop_loss": st.sampled_from([None, 0.03]),
        "take_profit": st.sampled_from([None, 0.04]),
        "trailing_stop": st.sampled_from([None, 0.05]),
        "max_hold_bars": st.sampled_from([None, 5]),
        "instruments": st.sampled_from(
            [None, Instrument(symbol="*", lot_size=Decimal("0.7"), notional_min=Decimal(50), quantity_min=Decimal(2))]
        ),
    }
)
SIZES = st.sampled_from([("percent", 1.0), ("percent", 0.37), ("value", 4000.0), ("amount", 60.0)])


@given(
    seed=st.integers(0, 2**32 - 1),
    config=CONFIGS,
    size=SIZES,
    share=st.sampled_from([0.03, 0.3]),
    missing=st.sampled_from([0, 0.2]),
)
@settings(max_examples=250, derandomize=True, deadline=None)
def test_the_orders_explain_the_equity(seed: int, config: Any, size: Any, share: float, missing: float) -> None:
    bars = Walk(seed=seed, symbols=3, rows=90, gaps=True, missing=missing).bars()
    signals = random_signals(bars, seed=seed, share=share, short=True)
    portfolio = simulate(bars, signals, PortfolioConfig(size_type=size[0], size=size[1], **config))
    equity, orders = portfolio.equity, portfolio.orders
    assert np.isfinite(equity).all()
    filled = orders[orders["status"] == "FILLED"]
    assert (filled["quantity"] > 0).all()

    shared = config["cash_sharing"]
    pool = dict.fromkeys(bars.symbols, "all") if shared else {symbol: symbol for symbol in bars.symbols}
    cash = dict.fromkeys(pool.values(), 10_000 / len(set(pool.values())))
    units = dict.fromkeys(bars.symbols, 0.0)
    closes = bars.close.ffill()
    is_stop = filled["reason"].isin(["stop_loss", "take_profit", "trailing_stop"])
    fill_times = filled["time"].where(is_stop | (config["execution"] == "next_open"), filled["bar_time"])
    fill_rows = bars.index.get_indexer(pd.DatetimeIndex(fill_times))
    place = 0
    records: list[Any] = list(filled.itertuples())
    for row in range(len(bars.index)):
        while place < len(records) and fill_rows[place] == row:
            order = records[place]
            sign = 1 if order.side == "BUY" else -1
            cash[pool[order.symbol]] -= sign * order.quantity * order.price + order.fee
            units[order.symbol] += sign * order.quantity
            if abs(units[order.symbol]) < 1e-9:
                units[order.symbol] = 0.0
            if config["direction"] == "long":
                assert cash[pool[order.symbol]] >= -1e-9, "an order spent more than there was"
            if order.reason == "entry":
                assert cash[pool[order.symbol]] >= -1e-9
            place += 1
        value = sum(cash.values()) + sum(units[symbol] * closes[symbol].iloc[row] for symbol in bars.symbols if units[symbol])
        np.testing.assert_allclose(equity.iloc[row], value, rtol=1e-9, atol=1e-7)
    assert place == len(records)

    earned = portfolio.trades["profit"].sum() + portfolio.open_positions["profit"].sum()
    np.testing.assert_allclose(10_000 + earned, equity.iloc[-1], rtol=1e-9, atol=1e-6)
    for symbol in bars.symbols:
        held = portfolio.open_positions.set_index("symbol")["quantity"].get(symbol, 0.0)
        np.testing.assert_allclose(abs(units[symbol]), held, rtol=1e-9)


@given(seed=st.integers(0, 2**32 - 1), rate=st.sampled_from([0.1, 3.0]), stop=st.sampled_from([None, 0.03]))
@settings(max_examples=40, derandomize=True, deadline=None)
def test_borrowing_is_in_the_trades_too(seed: int, rate: float, stop: float | None) -> None:
    bars = Walk(seed=seed, symbols=2, rows=120, missing=0.1).bars()
    signals = random_signals(bars, seed=seed, share=0.1, short=True)
    config = PortfolioConfig(
        size=0.4, direction="both", borrow_rate_annual=rate, periods_per_year=365, fees=0.001, stop_loss=stop
    )
    portfolio = simulate(bars, signals, config)
    earned = portfolio.trades["profit"].sum() + portfolio.open_positions["profit"].sum()
    np.testing.assert_allclose(10_000 + earned, portfolio.equity.iloc[-1], rtol=1e-9)
    paid = portfolio.trades["fees"].sum() + portfolio.open_positions["fees"].sum()
    np.testing.assert_allclose(paid, portfolio.metrics["fees_paid"], rtol=1e-9)  # type: ignore[arg-type]
