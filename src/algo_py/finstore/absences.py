"""What a source was asked for and did not have, so that it is not asked again and again.

    market=<m>/timeframe=<t>/_absent/<symbol>.json     {source: [[first, last, asked, is_final], ...]}, microseconds since 1970

An absence is final once the source, asked again, still lacked the bar although it had later ones: an outage of the exchange.
Before that it is provisional, since the bar may only be late. Losing this file costs requests and nothing else. One that was
noted later than now was noted by a clock that has been set back since: it is not believed.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import quote

import numpy as np
from numpy.typing import NDArray

from algo_py.finstore.durable import write_hint
from algo_py.finstore.layout import Layout

_FOLDER = "_absent"


@dataclass(frozen=True, slots=True)
class Absence:
    """A stretch that a source did not have when it was asked; first and last are included, all in microseconds since 1970."""

    first: int
    last: int
    asked: int
    is_final: bool


class AbsenceLog:
    """The absences of one market and timeframe. Whoever writes holds the symbol's fetch lock."""

    def __init__(self, layout: Layout) -> None:
        self._folder = layout.folder / _FOLDER

    def read(self, symbol: str, source: str, *, now_us: int) -> list[Absence]:
        """Return what is known of one source, ascending, without overlaps."""
        return _believed((Absence(*values) for values in self._content(symbol).get(source, [])), now_us)

    def sources(self, symbol: str) -> dict[str, list[Absence]]:
        """Return what is known of every source that was ever asked."""
        return {source: [Absence(*values) for values in rows] for source, rows in self._content(symbol).items()}

    def add(self, symbol: str, source: str, news: Sequence[Absence]) -> None:
        """Note newer answers; where they overlap what was known, they take its place."""
        if not news:
            return
        content = self._content(symbol)
        known = _believed((Absence(*values) for values in content.get(source, [])), max(one.asked for one in news))
        content[source] = [(one.first, one.last, one.asked, one.is_final) for one in merged(known, news)]
        self._folder.mkdir(parents=True, exist_ok=True)
        write_hint(self._file(symbol), json.dumps(content, separators=(",", ":")))

    def reasons(self, symbol: str, missing: NDArray[np.int64]) -> list[str]:
        """Return for each missing bar, by open time, which sources do not have it; empty where none is known to lack it."""
        lacking: list[list[str]] = [[] for _ in missing]
        for source, absences in sorted(self.sources(symbol).items()):
            for row, place in enumerate(covering(absences, missing).tolist()):
                if place >= 0:
                    lacking[row].append(source if absences[place].is_final else f"{source} (so far)")
        return [f"not at {', '.join(sources)}" if sources else "" for sources in lacking]

    def forget(self, symbol: str, source: str) -> None:
        """Forget what one source did not have, so that it is asked again."""
        content = self._content(symbol)
        if content.pop(source, None) is not None:
            write_hint(self._file(symbol), json.dumps(content, separators=(",", ":")))

    def _file(self, symbol: str) -> Path:
        return self._folder / f"{quote(symbol, safe='')}.json"

    def _content(self, symbol: str) -> dict[str, list[tuple[int, int, int, bool]]]:
        try:
            content: dict[str, list[tuple[int, int, int, bool]]] = json.loads(self._file(symbol).read_text(encoding="utf-8"))
            is_sound = all(len(row) == 4 and row[0] <= row[1] for rows in content.values() for row in rows)
        except (OSError, ValueError, TypeError, AttributeError):
            return {}
        return content if is_sound else {}


def _believed(absences: Iterable[Absence], now_us: int) -> list[Absence]:
    return [one for one in absences if one.is_final or one.asked <= now_us]


def merged(known: Iterable[Absence], news: Sequence[Absence]) -> list[Absence]:
    """Return all stretches in order; what is new cuts what was known, and final ones that touch become one."""
    pieces = list(known)
    for new in news:
        kept: list[Absence] = []
        for old in pieces:
            if old.last < new.first or old.first > new.last:
                kept.append(old)
                continue
            if old.first < new.first:
                kept.append(Absence(old.first, new.first - 1, old.asked, old.is_final))
            if old.last > new.last:
                kept.append(Absence(new.last + 1, old.last, old.asked, old.is_final))
        pieces = [*kept, new]
    together: list[Absence] = []
    for piece in sorted(pieces, key=lambda one: one.first):
        before = together[-1] if together else None
        if before is not None and before.is_final and piece.is_final and piece.first <= before.last + 1:
            together[-1] = Absence(before.first, max(before.last, piece.last), max(before.asked, piece.asked), True)
        else:
            together.append(piece)
    return together


def covering(absences: Sequence[Absence], times: NDArray[np.int64]) -> NDArray[np.int64]:
    """Return for each time the number of the absence that holds it, -1 for none."""
    if not absences:
        return np.full(len(times), -1, dtype=np.int64)
    firsts = np.array([one.first for one in absences], dtype=np.int64)
    lasts = np.array([one.last for one in absences], dtype=np.int64)
    place = np.searchsorted(firsts, times, side="right") - 1
    return np.asarray(np.where((place >= 0) & (times <= lasts[place]), place, -1))
