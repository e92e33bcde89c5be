"""What signals mean at a run that comes on time, late, or first; each case a small table of bars by symbol A."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from algo_py.deployment.opinion import Opinion, opinion_of
from algo_py.strategy import Bars, Signals

ROWS = 6
INDEX = pd.date_range("2025-01-01", periods=ROWS, freq="h", tz="UTC", unit="us", name="open_time")


def bars() -> Bars:
    frame = pd.DataFrame({name: np.ones(ROWS) for name in ("open", "high", "low", "close", "volume")}, index=INDEX)
    return Bars.from_frames({"A": frame, "B": frame}, market="crypto_binance", timeframe="1h")


def signals(entries: str, exits: str, *, short: bool = False) -> Signals:
    """Build signals of A from one character a bar, `x` where it is set; B has none."""

    def frame(marks: str) -> pd.DataFrame:
        return pd.DataFrame({"A": [mark == "x" for mark in marks], "B": False}, index=INDEX)

    none = frame("." * ROWS)
    if short:
        return Signals(entries=none, exits=none, short_entries=frame(entries), short_exits=frame(exits))
    return Signals(entries=frame(entries), exits=frame(exits))


def found(
    entries: str,
    exits: str,
    *,
    first_new: int = ROWS - 1,
    held_since: int | None = None,
    late_entries: bool = False,
    open_already: frozenset[str] = frozenset(),
    short: bool = False,
) -> tuple[bool, bool]:
    opinion: Opinion = opinion_of(
        signals(entries, exits, short=short),
        bars(),
        first_new=first_new,
        held_since={} if held_since is None else {"A": held_since},
        is_short={"A": short},
        late_entries=late_entries,
        open_already=open_already,
    )
    sides = (opinion.short_entries, opinion.short_exits) if short else (opinion.entries, opinion.exits)
    others = (opinion.entries, opinion.exits) if short else (opinion.short_entries, opinion.short_exits)
    assert not any(other.any() for other in others)
    assert not any(side[1] for side in sides), "B has no signals"
    return bool(sides[0][0]), bool(sides[1][0])


@pytest.mark.parametrize("short", [False, True])
@pytest.mark.parametrize(
    ("entries", "exits", "held_since", "expected"),
    [
        (".....x", "......", None, (True, False)),
        (".....x", ".....x", None, (False, False)),  # they cancel each other
        (".....x", ".....x", 0, (False, False)),
        ("......", ".....x", 0, (False, True)),
        ("......", ".....x", None, (False, False)),
        ("....x.", "......", None, (False, False)),  # that moment has passed
    ],
)
def test_on_time_it_is_what_the_engine_does(
    entries: str, exits: str, held_since: int | None, expected: tuple[bool, bool], short: bool
) -> None:
    assert found(entries, exits, held_since=held_since, short=short) == expected


@pytest.mark.parametrize(
    ("entries", "exits", "held_since", "expected"),
    [
        ("......", "..x...", 1, (False, True)),
        ("......", "x.....", 1, (False, False)),  # it asked to leave what was held before
        ("......", ".x....", 1, (False, True)),  # asked for, but not done: refused, halted, or its order was still open
        ("..x...", "..x...", 1, (False, False)),
        (".....x", "..x...", 1, (True, False)),  # out and in again: it stays
        (".....x", "..x...", None, (True, False)),  # what was left before is no reason not to enter now
        ("...x..", "..x...", 1, (False, True)),  # the way back in has passed
    ],
)
def test_a_late_exit_is_always_taken(entries: str, exits: str, held_since: int | None, expected: tuple[bool, bool]) -> None:
    assert found(entries, exits, first_new=2, held_since=held_since) == expected


@pytest.mark.parametrize(
    ("entries", "exits", "held_since", "expected"),
    [
        ("...x..", "......", None, (True, False)),
        ("...x..", "....x.", None, (False, False)),
        ("...x..", "....x.", 1, (False, True)),
        ("...x..", "..x...", 1, (True, False)),
        ("..x...", "..x...", None, (False, False)),
        (".x....", "......", None, (False, False)),  # that one was handled
    ],
)
def test_late_entries_count_when_asked_for_unless_an_exit_followed(
    entries: str, exits: str, held_since: int | None, expected: tuple[bool, bool]
) -> None:
    assert found(entries, exits, first_new=2, held_since=held_since, late_entries=True) == expected


def test_what_is_open_already_is_entered_unless_the_newest_bar_leaves_it() -> None:
    already = frozenset({"A"})
    assert found("x.....", "......", open_already=already) == (True, False)
    assert found("x.....", ".....x", open_already=already) == (False, False)
