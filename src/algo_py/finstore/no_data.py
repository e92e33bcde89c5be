"""What is said when there are no bars of a symbol: one line, and what to do."""

from __future__ import annotations

import difflib
from collections.abc import Sequence
from pathlib import Path
from typing import Protocol

from algo_py.clock import format_time
from algo_py.errors import NoData
from algo_py.finstore.damage import Case

_NAMES_SHOWN = 8


class _Keys(Protocol):
    folder: Path

    def keys(self) -> list[tuple[str, str, str]]: ...


def no_bars(store: _Keys, market: str, timeframe: str, symbol: str) -> NoData:
    """Return the error for a symbol that has no bars; it names what is stored and comes near."""
    message = f"there are no {timeframe} bars of {symbol!r} on {market}"
    keys = store.keys()
    others = [other for place, other, name in keys if place == market and name == symbol]
    if others:
        return NoData(message, remedy=f"{symbol} has {', '.join(others)} bars: use one of these, or store {timeframe} bars.")
    names = [name for place, other, name in keys if place == market and other == timeframe]
    if not names:
        if not keys:
            return NoData(message, remedy=f"No bars are stored in {store.folder}: `algo-py init` puts sample bars there.")
        pairs = sorted({f"{place} {other}" for place, other, _ in keys})
        return NoData(message, remedy=f"Stored are {', '.join(pairs)}.")
    spelled = {name.replace("/", "").upper(): name for name in names}
    close = difflib.get_close_matches(symbol.replace("/", "").upper(), spelled, n=1)
    if close:
        return NoData(message, remedy=f"Did you mean {spelled[close[0]]}?")
    more = f" and {len(names) - _NAMES_SHOWN} more" if len(names) > _NAMES_SHOWN else ""
    return NoData(message, remedy=f"Stored are {', '.join(names[:_NAMES_SHOWN])}{more}.")


def bars_set_aside(market: str, timeframe: str, symbol: str, cases: Sequence[Case]) -> NoData:
    """Return the error for a symbol of which nothing is left but a damaged file that was set aside."""
    note = cases[-1].note
    return NoData(
        f"the {timeframe} bars of {symbol} on {market} were in a damaged file that was set aside on "
        f"{format_time(note.set_aside_at)} ({note.problem})",
        remedy=f"Fetch them again, or restore {cases[-1].moved_to} from a backup.",
    )
