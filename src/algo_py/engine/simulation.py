"""Run bars and signals through the kernel."""

from __future__ import annotations

import numpy as np

from algo_py.engine.auctions import traded_bars
from algo_py.engine.config import PortfolioConfig
from algo_py.engine.costs import cost_table
from algo_py.engine.periods import periods_per_year
from algo_py.engine.portfolio import Portfolio, Records
from algo_py.engine.windows import windows_of
from algo_py.errors import InvalidInput
from algo_py.strategy import Bars, Signals


def simulate(bars: Bars, signals: Signals, config: PortfolioConfig | None = None) -> Portfolio:
    """Trade `signals` on `bars` by the rules of docs/engine.md and return the portfolio.

    The same input gives the same result to the last bit. Nothing is changed and nothing is kept. Raises InvalidInput for
    signals that are not boolean or do not fit the bars, and for a configuration that does not fit either.
    """
    from algo_py.engine import inputs, kernel  # here, because importing numba costs more than a whole simulation

    if not isinstance(bars, Bars):
        raise InvalidInput(f"bars must be Bars (was {type(bars).__name__})", remedy="Build them with Bars.from_frames.")
    if not isinstance(signals, Signals):
        raise InvalidInput(f"signals must be Signals (was {type(signals).__name__})")
    config = config or PortfolioConfig()
    costs = cost_table(config)
    options = inputs.options_of(config, periods_per_year(bars, config) if config.borrow_rate_annual else None)
    book, pools = inputs.book_of(bars.symbols, config.instruments), inputs.pools_of(bars.symbols, config)
    windows, traded = windows_of(bars, config), traded_bars(bars, config)
    tape = inputs.tape_of(traded, signals, config, costs, windows)
    rows = len(bars.index)
    equity, exposed = np.empty(rows), np.zeros(rows, dtype=np.uint8)
    orders, count = np.empty((inputs.room_for_orders(tape), kernel.ORDER_COLUMNS)), 0
    groups = [(0, len(bars.symbols), 0)] if config.cash_sharing else [(s, s + 1, s) for s in range(len(bars.symbols))]
    for first, last, pool in groups:
        row, curve = 0, equity if pool == 0 else np.empty(rows)
        while True:
            row, count = kernel.run(book, pools, options, tape, first, last, pool, row, rows, orders, count, curve, exposed)
            if row == rows:
                break
            orders = np.concatenate([orders, np.empty_like(orders)])
        if pool > 0:
            equity += curve
    inputs.tell_square_offs(orders[:count], bars, signals, config, windows)
    return Portfolio(bars, config, Records(orders[:count], book, pools, equity, exposed))
