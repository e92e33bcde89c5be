"""From the kernel's records to the frames that people read."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

from algo_py.engine import kernel
from algo_py.engine.config import PortfolioConfig
from algo_py.engine.inputs import reason_name
from algo_py.strategy import Bars

if TYPE_CHECKING:
    from algo_py.engine.portfolio import Records

_STOPS = (kernel.BY_STOP_LOSS, kernel.BY_TRAILING_STOP, kernel.BY_TAKE_PROFIT)


def orders_frame(bars: Bars, config: PortfolioConfig, records: Records) -> pd.DataFrame:
    """Build `Portfolio.orders`."""
    rows = _in_time_order(records.orders, config)
    reasons = rows[:, kernel.REASON]
    return pd.DataFrame(
        {
            "time": _fill_times(bars, config, rows),
            "symbol": _symbols(bars, rows),
            "side": np.where(rows[:, kernel.SIDE] > 0, "BUY", "SELL"),
            "quantity": rows[:, kernel.QUANTITY],
            "price": rows[:, kernel.PRICE],
            "fee": rows[:, kernel.FEE],
            "status": np.where(reasons >= kernel.DENIED, "DENIED", "FILLED"),
            "reason": _reasons(reasons),
            "bar_time": bars.index[rows[:, kernel.DECIDED].astype(np.int64)],
        }
    )


def trades_frame(bars: Bars, config: PortfolioConfig, records: Records) -> pd.DataFrame:
    """Build `Portfolio.trades`: the filled orders of a symbol alternate between entry and exit."""
    entries, exits = _round_trips(records.orders)
    entries = entries[: len(exits)]
    order = np.argsort(exits[:, kernel.ROW], kind="stable")
    entries, exits = entries[order], exits[order]
    sign = entries[:, kernel.SIDE]
    fees = entries[:, kernel.FEE] + exits[:, kernel.FEE] + exits[:, kernel.ORDER_BORROWED]
    quantity, entry_price, exit_price = exits[:, kernel.QUANTITY], entries[:, kernel.PRICE], exits[:, kernel.PRICE]
    profit = sign * quantity * (exit_price - entry_price) - fees
    return pd.DataFrame(
        {
            "symbol": _symbols(bars, exits),
            "direction": np.where(sign > 0, "long", "short"),
            "entry_time": _fill_times(bars, config, entries),
            "exit_time": _fill_times(bars, config, exits),
            "quantity": quantity,
            "entry_price": entry_price,
            "exit_price": exit_price,
            "fees": fees,
            "profit": profit,
            "return_fraction": profit / (quantity * entry_price),
            "bars_held": exits[:, kernel.ORDER_HELD].astype(np.int64),
            "exit_reason": _reasons(exits[:, kernel.REASON]),
        }
    )


def open_positions_frame(bars: Bars, config: PortfolioConfig, records: Records) -> pd.DataFrame:
    """Build `Portfolio.open_positions`, in the universe's order."""
    entries, exits = _round_trips(records.orders)
    entries = entries[len(exits) :]
    book = records.book[entries[:, kernel.SYMBOL].astype(np.int64)]
    sign, quantity, price, last = (
        np.sign(book[:, kernel.UNITS]),
        np.abs(book[:, kernel.UNITS]),
        book[:, kernel.ENTRY_PRICE],
        book[:, kernel.LAST],
    )
    fees = book[:, kernel.ENTRY_FEES] + book[:, kernel.BORROWED]
    profit = sign * quantity * (last - price) - fees
    return pd.DataFrame(
        {
            "symbol": _symbols(bars, entries),
            "direction": np.where(sign > 0, "long", "short"),
            "entry_time": _fill_times(bars, config, entries),
            "quantity": quantity,
            "entry_price": price,
            "last_price": last,
            "fees": fees,
            "profit": profit,
            "return_fraction": profit / (quantity * price),
            "bars_held": book[:, kernel.HELD].astype(np.int64),
        }
    )


def _round_trips(orders: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return the filled entries and exits of each round trip, row by row, those of open positions last and without an exit."""
    filled = orders[orders[:, kernel.REASON] < kernel.DENIED]
    filled = filled[np.argsort(filled[:, kernel.SYMBOL], kind="stable")]
    is_entry = filled[:, kernel.REASON] == kernel.ENTRY
    entries, exits = filled[is_entry], filled[~is_entry]
    followed = np.append(~is_entry[1:], False)[is_entry]  # an entry without its exit is the last order of its symbol
    return np.concatenate([entries[followed], entries[~followed]]), exits


def _in_time_order(orders: np.ndarray, config: PortfolioConfig) -> np.ndarray:
    """Sort by bar and, within it, as the rules execute; separate pools were lived one after the other."""
    reasons = orders[:, kernel.REASON]
    stage = np.where((reasons == kernel.ENTRY) | (reasons >= kernel.DENIED), 2, 1)
    stage[np.isin(reasons, _STOPS)] = 0 if config.execution == "close" else 3
    return orders[np.lexsort((orders[:, kernel.SYMBOL], stage, orders[:, kernel.ROW]))]


def _fill_times(bars: Bars, config: PortfolioConfig, rows: np.ndarray) -> pd.DatetimeIndex:
    places = rows[:, kernel.ROW].astype(np.int64)
    times = bars.index[places]
    if config.execution == "close" and len(rows):
        at_close = ~np.isin(rows[:, kernel.REASON], _STOPS)
        closes = bars.close_times()[places]
        times = pd.DatetimeIndex(np.where(at_close, closes.asi8, times.asi8).view(f"M8[{times.unit}]"), tz="UTC")
    return times


def _symbols(bars: Bars, rows: np.ndarray) -> np.ndarray:
    return np.array(bars.symbols, dtype=object)[rows[:, kernel.SYMBOL].astype(np.int64)]


def _reasons(codes: np.ndarray) -> np.ndarray:
    return np.array([reason_name(code) for code in codes.tolist()], dtype=object)
