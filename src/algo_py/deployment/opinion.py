"""What a strategy's signals mean at a run that may come late: pure functions on arrays.

Entries are of the moment, exits are not: who was away takes an entry only when it is of the newest bar, or when late ones are
wanted, but leaves every position that the strategy has wanted to leave since it was entered.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace

import numpy as np

from algo_py.engine.windows import Windows
from algo_py.strategy import Bars, Signals


@dataclass(frozen=True, slots=True, kw_only=True)
class Opinion:
    """What is wanted now, one boolean per symbol in the universe's order. square_off: the time of day asks for an exit."""

    entries: np.ndarray
    exits: np.ndarray
    short_entries: np.ndarray
    short_exits: np.ndarray
    square_off: np.ndarray


def opinion_of(
    signals: Signals,
    bars: Bars,
    *,
    first_new: int,
    held_since: Mapping[str, int],
    is_short: Mapping[str, bool],
    late_entries: bool = False,
    open_already: frozenset[str] = frozenset(),
) -> Opinion:
    """Return what is wanted after the newest bar.

    first_new: the first row that no run has handled. held_since: by held symbol, the first row after the bar that decided its
    entry; is_short says of each whether it is short. late_entries: entries of all new rows count, as far as no exit followed.
    open_already: symbols that are to be entered (long) although their entry is past, unless the newest bar leaves them.
    An entry and an exit of one direction on one bar cancel each other, as in the engine (rule 3).
    """
    symbols = bars.symbols
    told = {name: _array(signals, name, bars) for name in ("entries", "exits", "short_entries", "short_exits")}
    found: list[np.ndarray] = []
    for enter_name, leave_name, short in (("entries", "exits", False), ("short_entries", "short_exits", True)):
        enter, leave = told[enter_name] & ~told[leave_name], told[leave_name] & ~told[enter_name]
        wanted = _wanted(enter[first_new:], leave[first_new:]) if late_entries else enter[-1].copy()
        if not short and open_already:
            wanted |= np.array([symbol in open_already for symbol in symbols]) & ~leave[-1]
        left = np.zeros(len(symbols), dtype=np.bool_)
        for symbol, row in held_since.items():
            if is_short[symbol] is short:
                column = symbols.index(symbol)
                left[column] = leave[row:, column].any() and not wanted[column]
        found += [wanted, left]
    nothing = np.zeros(len(symbols), dtype=np.bool_)
    return Opinion(entries=found[0], exits=found[1], short_entries=found[2], short_exits=found[3], square_off=nothing)


def within_windows(
    found: Opinion,
    bars: Bars,
    windows: Windows | None,
    *,
    first_new: int,
    held_since: Mapping[str, int],
    needs_bar: bool,
) -> Opinion:
    """Return what the times of day leave of an opinion, and whom they ask to leave. `windows` begin with the row `first_new`.

    Like any exit, a square-off that no run has seen is made up for. needs_bar: only a bar of the symbol's own asks for it, as in
    a backtest; else a bar that is missing does as well, for no position is to wait for data.
    """
    if windows is None:
        return found
    square_off = np.zeros(len(bars.symbols), dtype=np.bool_)
    if windows.square_off is not None:
        asked = windows.square_off
        if needs_bar:
            asked = asked & ~np.isnan(bars.array("close")[first_new:])
        for symbol, row in held_since.items():
            column = bars.symbols.index(symbol)
            square_off[column] = asked[max(row - first_new, 0) :, column].any()
    allowed = ~windows.no_entry[-1]
    return replace(
        found,
        entries=found.entries & allowed,
        short_entries=found.short_entries & allowed,
        square_off=square_off & ~found.exits & ~found.short_exits,
    )


def _array(signals: Signals, name: str, bars: Bars) -> np.ndarray:
    values = signals.array(name, bars)
    return np.zeros((len(bars.index), len(bars.symbols)), dtype=np.bool_) if values is None else values


def _wanted(enter: np.ndarray, leave: np.ndarray) -> np.ndarray:
    """Return where the last word over these rows was an entry."""
    rows = np.arange(1, len(enter) + 1)[:, np.newaxis]
    wanted: np.ndarray = (enter * rows).max(axis=0, initial=0) > (leave * rows).max(axis=0, initial=0)
    return wanted
