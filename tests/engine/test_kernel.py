"""The loops of the kernel: listing signals, going on after a full buffer, and signals that are levels rather than moments."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from algo_py.engine import PortfolioConfig, inputs, kernel, simulate
from algo_py.engine.costs import cost_table
from algo_py.strategy import Signals

from .markets import Walk, random_signals


@pytest.mark.parametrize("size", [0, 1, 7, 8, 9, 64, 1000])
@pytest.mark.parametrize("share", [0.0, 0.01, 0.5, 1.0])
def test_rows_of_flags(size: int, share: float) -> None:
    flags = (np.random.default_rng(size).random(size) < share).astype(np.uint8)
    found = kernel.rows_of(inputs.frozen(flags), size)
    expected = np.flatnonzero(flags).tolist()
    assert found[: len(expected) + 1].tolist() == [*expected, size]


@pytest.mark.parametrize("short", [False, True])
def test_signals_are_listed_by_bar_in_the_universes_order(short: bool) -> None:
    bars = Walk(seed=3, symbols=5, rows=203).bars()
    signals = random_signals(bars, seed=3, share=0.1, short=short)
    config = PortfolioConfig(direction="both")
    tape = inputs.tape_of(bars, signals, config, cost_table(config))
    given = [
        None if frame is None else frame.to_numpy()
        for frame in (signals.entries, signals.exits, signals.short_entries, signals.short_exits)
    ]
    for row in range(len(bars.index)):
        expected = []
        for place in range(5):
            number = sum(int(flags[row, place]) << bit for bit, flags in enumerate(given) if flags is not None)
            expected += [16 * place + number] * (number > 0)
        assert tape.places[tape.starts[row] : tape.starts[row + 1]].tolist() == expected
        assert tape.active[row] == (len(expected) > 0)


@pytest.mark.parametrize("symbols", [1, 3])
@pytest.mark.parametrize("options", [{}, {"stop_loss": 0.02, "max_hold_bars": 4}, {"execution": "close"}])
def test_a_run_goes_on_where_its_buffer_was_full(symbols: int, options: dict[str, Any]) -> None:
    bars = Walk(seed=5, symbols=symbols, rows=400, missing=0.1).bars()
    signals = random_signals(bars, seed=5, share=0.3, short=True)
    config = PortfolioConfig(size=0.3, direction="both", fees=0.001, **options)
    whole = simulate(bars, signals, config)
    book, pools = inputs.book_of(bars.symbols, None), inputs.pools_of(bars.symbols, config)
    tape = inputs.tape_of(bars, signals, config, cost_table(config))
    rows = len(bars.index)
    equity, exposed, orders = np.empty(rows), np.zeros(rows, dtype=np.uint8), []
    row, room = 0, np.empty((3 * symbols + 5, kernel.ORDER_COLUMNS))
    calls = 0
    while row < rows:
        row, count = kernel.run(
            book, pools, inputs.options_of(config, None), tape, 0, symbols, 0, row, rows, room, 0, equity, exposed
        )
        orders.append(room[:count].copy())
        calls += 1
    assert calls > 10
    assert equity.tolist() == whole.equity.tolist()
    assert np.concatenate(orders)[:, kernel.PRICE].tolist() == whole.orders["price"].tolist()


def test_levels_and_moments_trade_alike() -> None:
    bars = Walk(seed=9, symbols=3, rows=500).bars()
    above = bars.close > bars.close.rolling(20).mean()
    levels = Signals(above, ~above)
    moments = Signals(above & ~above.shift(1, fill_value=False), ~above & above.shift(1, fill_value=False))
    for sharing in (True, False):
        config = PortfolioConfig(size_type="amount", size=5, cash_sharing=sharing)
        assert simulate(bars, levels, config).orders.equals(simulate(bars, moments, config).orders)
