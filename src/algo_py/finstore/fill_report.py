"""What came of filling gaps, symbol by symbol."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class SymbolFill:
    """What became of one symbol. Counts are bars, but for `requests`.

    missing: lacked at the beginning, and not known to be absent. fetched: stored now. absent: the source does not have them.
    awaited: the source does not have them yet, or not as final ones. revised: stored before, and the source now says otherwise
    (what is stored was kept). settled: stored before as provisional, and replaced by final ones. seems_closed: of the absent ones
    those of assumed days without any bar, on which the market seems to be closed. unexpected: from the source, but the calendar
    has no such bar (left out). problem: why it is not complete, else empty.
    """

    missing: int = 0
    fetched: int = 0
    absent: int = 0
    awaited: int = 0
    revised: int = 0
    settled: int = 0
    seems_closed: int = 0
    unexpected: int = 0
    requests: int = 0
    problem: str = ""

    @property
    def is_complete(self) -> bool:
        """Whether every closed bar is stored, or known to be absent."""
        return not self.problem and not self.awaited


@dataclass(frozen=True, slots=True)
class FillReport:
    """What came of one call, by symbol."""

    by_symbol: Mapping[str, SymbolFill]

    @property
    def is_complete(self) -> bool:
        """Whether every symbol is complete."""
        return all(fill.is_complete for fill in self.by_symbol.values())

    @property
    def fetched(self) -> int:
        return sum(fill.fetched for fill in self.by_symbol.values())

    @property
    def absent(self) -> int:
        return sum(fill.absent for fill in self.by_symbol.values())

    @property
    def revised(self) -> int:
        return sum(fill.revised for fill in self.by_symbol.values())

    @property
    def settled(self) -> int:
        return sum(fill.settled for fill in self.by_symbol.values())

    @property
    def seems_closed(self) -> bool:
        """Whether nothing has come for any symbol on assumed days: the market seems to be closed."""
        return bool(self.by_symbol) and all(fill.seems_closed and not fill.problem for fill in self.by_symbol.values())

    @property
    def requests(self) -> int:
        return sum(fill.requests for fill in self.by_symbol.values())

    @property
    def problems(self) -> tuple[str, ...]:
        """Why it is not complete, a line a cause; empty when it is."""
        causes: dict[str, list[str]] = {}
        for symbol, fill in self.by_symbol.items():
            if fill.problem:
                causes.setdefault(fill.problem, []).append(symbol)
            elif fill.awaited:
                causes.setdefault("the newest bar is not there yet", []).append(symbol)
        return tuple(f"{_listed(symbols)}: {problem}" for problem, symbols in causes.items())


@dataclass(frozen=True, slots=True, kw_only=True)
class FillProgress:
    """How far a fill is: bars that are done of those that lacked, and requests so far."""

    done: int
    total: int
    requests: int


_SHOWN = 5


def _listed(symbols: list[str]) -> str:
    more = f" and {len(symbols) - _SHOWN} more" if len(symbols) > _SHOWN else ""
    return f"{', '.join(symbols[:_SHOWN])}{more}"
