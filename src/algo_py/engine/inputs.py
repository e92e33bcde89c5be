"""From a configuration, bars and signals to the arrays that the compiled step reads. Decimal becomes float here and only here."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from decimal import Decimal

import numpy as np

from algo_py.engine import kernel
from algo_py.engine.config import PortfolioConfig
from algo_py.engine.costs import CostTable
from algo_py.engine.windows import SQUARE_OFF, Windows
from algo_py.errors import InvalidInput
from algo_py.market import Instrument
from algo_py.strategy import Bars, Signals

_MOST_ROOM = 1_000_000
_SIZE_TYPES = {"percent": kernel.PERCENT, "value": kernel.VALUE, "amount": kernel.AMOUNT}
_REASONS = {
    kernel.ENTRY: "entry",
    kernel.EXIT: "exit",
    kernel.BY_STOP_LOSS: "stop_loss",
    kernel.BY_TRAILING_STOP: "trailing_stop",
    kernel.BY_TAKE_PROFIT: "take_profit",
    kernel.BY_MAX_HOLD: "max_hold_bars",
    kernel.BY_SQUARE_OFF: SQUARE_OFF,
    kernel.NO_CASH: "insufficient_cash",
    kernel.BELOW_LOT: "below_lot_size",
    kernel.BELOW_QUANTITY_MIN: "below_quantity_min",
    kernel.BELOW_NOTIONAL_MIN: "below_notional_min",
}


def reason_name(code: float) -> str:
    """Return the name of the kernel's code of a reason."""
    return _REASONS[code]


def reason_code(name: str) -> float:
    """Return the kernel's code of a reason."""
    for code, known in _REASONS.items():
        if known == name:
            return code
    raise InvalidInput(f"reason must be one of {', '.join(_REASONS.values())} (was {name!r})")


def frozen(values: np.ndarray) -> np.ndarray:
    """Return a read-only view, so that compiled functions see one type of array whatever the caller's flags were."""
    view = values.view()
    view.flags.writeable = False
    return view


def options_of(config: PortfolioConfig, periods_per_year: float | None) -> kernel.Options:
    """Return what a run keeps constant; all floats, so that the compiled code knows one type."""
    if config.borrow_rate_annual and periods_per_year is None:
        raise InvalidInput("borrow_rate_annual needs periods_per_year, which is not known here", remedy="Set periods_per_year.")
    borrowing = config.borrow_rate_annual / periods_per_year if config.borrow_rate_annual and periods_per_year else 0.0
    return kernel.Options(
        size=float(config.size),
        size_type=_SIZE_TYPES[config.size_type],
        slippage=float(config.slippage),
        allow_partial=float(config.allow_partial),
        close_fills=float(config.execution == "close"),
        stop_loss=config.stop_loss or 0.0,
        take_profit=config.take_profit or 0.0,
        trailing_stop=config.trailing_stop or 0.0,
        max_hold=float(config.max_hold_bars or 0),
        borrow_per_bar=borrowing,
    )


def book_of(symbols: Sequence[str], rules: Instrument | Mapping[str, Instrument] | None) -> np.ndarray:
    """Return the empty book: no positions, and each symbol's lot size and minimums."""
    book = np.zeros((len(symbols), kernel.BOOK_COLUMNS))
    if rules is None:
        return book
    for row, symbol in enumerate(symbols):
        rule = rules if isinstance(rules, Instrument) else rules.get(symbol)
        if rule is None:
            raise InvalidInput(f"instruments must have an entry for {symbol}", remedy="Name it, or give one for all.")
        per_unit = Decimal(1) / rule.lot_size if rule.lot_size else Decimal(0)
        book[row, kernel.LOT] = float(rule.lot_size)
        book[row, kernel.LOTS_PER_UNIT] = float(per_unit) if per_unit == per_unit.to_integral_value() else 0.0
        book[row, kernel.QUANTITY_MIN] = float(rule.quantity_min)
        book[row, kernel.NOTIONAL_MIN] = float(rule.notional_min)
    return book


def pools_of(symbols: Sequence[str], config: PortfolioConfig) -> np.ndarray:
    """Return the pools of cash: one for all, or one for each symbol with an equal part."""
    count = 1 if config.cash_sharing else len(symbols)
    pools = np.zeros((count, kernel.POOL_COLUMNS))
    pools[:, kernel.CASH] = pools[:, kernel.INITIAL] = config.initial_cash / count
    return pools


def flags_of(bars: Bars, signals: Signals, config: PortfolioConfig) -> dict[str, np.ndarray | None]:
    """Return the signals that are followed, time x symbol; those that `direction` leaves out are as if not given."""
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
    return flags


def tape_of(
    bars: Bars, signals: Signals, config: PortfolioConfig, costs: CostTable, windows: Windows | None = None
) -> kernel.Tape:
    """Return bars, as `traded_bars` gives them, and signals as the kernel reads them."""
    flags = flags_of(bars, signals, config)
    if windows is not None:
        flags = windows.follow(flags)
    rows = {name: _rows(array) for name, array in flags.items()}
    is_shared = config.cash_sharing and len(bars.symbols) > 1
    active, places, starts = np.zeros(0, dtype=np.uint8), np.zeros(0, dtype=np.int64), np.zeros(0, dtype=np.int64)
    if is_shared:
        active = np.zeros(len(bars.index), dtype=np.uint8)
        places, starts = kernel.list_signals(
            rows["entries"], rows["exits"], rows["short_entries"], rows["short_exits"], len(bars.symbols), active
        )
    return kernel.Tape(
        opens=_rows(bars.array("open")),
        highs=_rows(bars.array("high")),
        lows=_rows(bars.array("low")),
        closes=_rows(bars.array("close")),
        **rows,
        active=frozen(active),
        places=frozen(places),
        starts=frozen(starts),
        costs=costs.rates,
        cost_rows=frozen(costs.first_rows(bars.index)),
    )


def tell_square_offs(orders: np.ndarray, bars: Bars, signals: Signals, config: PortfolioConfig, windows: Windows | None) -> None:
    """Write the reason of exits that the square-off and not the strategy decided."""
    if windows is None or windows.square_off is None:
        return
    exits = np.flatnonzero(orders[:, kernel.REASON] == kernel.EXIT)
    rows, places = (orders[exits, column].astype(np.int64) for column in (kernel.DECIDED, kernel.SYMBOL))
    flags = flags_of(bars, signals, config)
    is_square_off = windows.is_square_off(flags, rows, places, orders[exits, kernel.SIDE] < 0.0)
    orders[exits[is_square_off], kernel.REASON] = kernel.BY_SQUARE_OFF


def room_for_orders(tape: kernel.Tape) -> int:
    """Return how many orders a run can bring, but at most a million at first; memory that is not used costs nothing.

    Each flag brings one order at most, and each entry one exit more by a stop or by age.
    """
    flags = sum(
        int(np.count_nonzero(rows.view(np.bool_))) for rows in (tape.entries, tape.exits, tape.short_entries, tape.short_exits)
    )
    return 3 * len(tape.closes) + min(2 * flags, _MOST_ROOM)


def _rows(columns: np.ndarray | None) -> np.ndarray:
    """Turn time x symbol into symbol x time, contiguous and read-only, flags as bytes; None becomes one empty row."""
    if columns is None:
        return frozen(np.zeros((1, 0), dtype=np.uint8))
    rows = np.ascontiguousarray(columns.T)
    return frozen(rows.view(np.uint8) if rows.dtype == np.bool_ else rows)
