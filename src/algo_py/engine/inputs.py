"""From a configuration, bars and signals to the arrays that the compiled step reads. Decimal becomes float here and only here."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from decimal import Decimal

import numpy as np

from algo_py.engine import kernel
from algo_py.engine.config import PortfolioConfig
from algo_py.engine.costs import CostTable
from algo_py.errors import InvalidInput
from algo_py.market import Instrument
from algo_py.strategy import Bars, Signals

_SIZE_TYPES = {"percent": kernel.PERCENT, "value": kernel.VALUE, "amount": kernel.AMOUNT}
_REASONS = {
    kernel.ENTRY: "entry",
    kernel.EXIT: "exit",
    kernel.BY_STOP_LOSS: "stop_loss",
    kernel.BY_TRAILING_STOP: "trailing_stop",
    kernel.BY_TAKE_PROFIT: "take_profit",
    kernel.BY_MAX_HOLD: "max_hold_bars",
    kernel.NO_CASH: "insufficient_cash",
    kernel.BELOW_LOT: "below_lot_size",
    kernel.BELOW_QUANTITY_MIN: "below_quantity_min",
    kernel.BELOW_NOTIONAL_MIN: "below_notional_min",
}


def reason_name(code: int) -> str:
    """Return the name of the kernel's code of a reason."""
    return _REASONS[code]


def frozen(values: np.ndarray) -> np.ndarray:
    """Return a read-only view, so that compiled functions see one type of array whatever the caller's flags were."""
    view = values.view()
    view.flags.writeable = False
    return view


def options_of(config: PortfolioConfig, periods_per_year: float | None) -> np.ndarray:
    """Return the vector of options, in the order of the kernel's columns."""
    if config.borrow_rate_annual and periods_per_year is None:
        raise InvalidInput(
            "borrow_rate_annual needs periods_per_year, which one bar alone does not tell", remedy="Set periods_per_year."
        )
    options = np.zeros(kernel.OPTION_COLUMNS)
    options[kernel.SIZE] = config.size
    options[kernel.SIZE_TYPE] = _SIZE_TYPES[config.size_type]
    options[kernel.SLIPPAGE] = config.slippage
    options[kernel.ALLOW_PARTIAL] = config.allow_partial
    options[kernel.CLOSE_FILLS] = config.execution == "close"
    options[kernel.STOP_LOSS] = config.stop_loss or 0.0
    options[kernel.TAKE_PROFIT] = config.take_profit or 0.0
    options[kernel.TRAILING_STOP] = config.trailing_stop or 0.0
    options[kernel.MAX_HOLD] = config.max_hold_bars or 0
    if config.borrow_rate_annual and periods_per_year:
        options[kernel.BORROW_PER_BAR] = config.borrow_rate_annual / periods_per_year
    return frozen(options)


def instruments_of(symbols: Sequence[str], rules: Instrument | Mapping[str, Instrument] | None) -> np.ndarray:
    """Return lot size, lots per unit (0 where that is not whole), quantity_min and notional_min, a row per symbol."""
    table = np.zeros((len(symbols), kernel.INSTRUMENT_COLUMNS))
    if rules is not None:
        for row, symbol in enumerate(symbols):
            rule = rules if isinstance(rules, Instrument) else rules.get(symbol)
            if rule is None:
                raise InvalidInput(f"instruments must have an entry for {symbol}", remedy="Name it, or give one for all.")
            lots = Decimal(1) / rule.lot_size if rule.lot_size else Decimal(0)
            per_unit = float(lots) if lots == lots.to_integral_value() else 0.0
            table[row] = float(rule.lot_size), per_unit, float(rule.quantity_min), float(rule.notional_min)
    return frozen(table)


def pools_of(symbols: Sequence[str], config: PortfolioConfig) -> np.ndarray:
    """Return the pools of cash: one for all, or one for each symbol with an equal part."""
    count = 1 if config.cash_sharing else len(symbols)
    pools = np.zeros((count, kernel.POOL_COLUMNS))
    pools[:, kernel.CASH] = pools[:, kernel.INITIAL] = config.initial_cash / count
    return pools


def tape_of(bars: Bars, signals: Signals, config: PortfolioConfig, costs: CostTable) -> kernel.Tape:
    """Return bars and signals as the kernel reads them; signals that `direction` leaves out have no rows."""
    if config.direction == "short" and signals.short_entries is None:
        raise InvalidInput(
            "direction must be 'long' or 'both' for signals without short_entries (was 'short')",
            remedy="Give short_entries and short_exits in Signals.",
        )
    flags = {name: signals.array(name, bars) for name in ("entries", "exits", "short_entries", "short_exits")}
    if config.direction == "short":
        flags |= {"entries": None, "exits": None}
    if config.direction == "long":
        flags |= {"short_entries": None, "short_exits": None}
    return kernel.Tape(
        opens=_rows(bars.array("open")),
        highs=_rows(bars.array("high")),
        lows=_rows(bars.array("low")),
        closes=_rows(bars.array("close")),
        entries=_rows(flags["entries"]),
        exits=_rows(flags["exits"]),
        short_entries=_rows(flags["short_entries"]),
        short_exits=_rows(flags["short_exits"]),
        cost_rows=_cost_rows(bars, costs),
    )


def _rows(columns: np.ndarray | None) -> np.ndarray:
    """Turn time x symbol into symbol x time, contiguous and read-only; None becomes an array without rows."""
    return frozen(np.zeros((0, 0), dtype=np.bool_) if columns is None else np.ascontiguousarray(columns.T))


def _cost_rows(bars: Bars, costs: CostTable) -> np.ndarray:
    """Return the row of the first bar of each segment of the cost schedule."""
    if len(costs.starts) == 1:
        return frozen(np.zeros(1, dtype=np.int64))
    return frozen(np.asarray(bars.index.searchsorted(costs.starts_index()), dtype=np.int64))
