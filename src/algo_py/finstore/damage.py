"""What was lost with damaged files that were set aside: their notes, and which of those bars are still missing.

    _damaged/market=<m>/timeframe=<t>/<time>-<token>/note.json             what the file was, and the bars lost with it
    _damaged/market=<m>/timeframe=<t>/<time>-<token>/<its name>.damaged    the file as it was found

A note without its file says nothing: delete the folder of one that nobody needs any more.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from pydantic import AwareDatetime, BaseModel, ConfigDict, ValidationError

from algo_py.errors import Damaged, InvalidInput, Refused
from algo_py.finstore.bartimes import expected_opens
from algo_py.finstore.durable import remove_leftovers, write_durably
from algo_py.finstore.frames import from_us, to_us
from algo_py.finstore.layout import Layout, folder_names
from algo_py.finstore.parquet import Signature, signature_of
from algo_py.finstore.reports import LostBars, SetAside
from algo_py.market import Calendar, Market, Timeframe

FORMAT = 1

_NOTE = "note.json"
_SUFFIX = ".damaged"
# No calendar is closed for longer than this.
_LONGEST_BREAK = timedelta(days=35)

Times = NDArray[np.int64]


class Lost(BaseModel):
    """Bars of one symbol that are gone, or may be: those that open from `first` (None: not known) to `last`, both included.

    bars: how many, None when not known. whole: how many the range holds when all are back, None when the calendar has to tell.
    settled_at: when somebody said that everything that can be had of them is stored again.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    symbol: str
    first: AwareDatetime | None
    last: AwareDatetime
    bars: int | None = None
    whole: int | None = None
    settled_at: AwareDatetime | None = None


class Note(BaseModel):
    """What is known of a file that was set aside. `file` is relative to the folder of its market and timeframe.

    kept: how many of its rows were sound and are still in the store. is_complete: whether `lost` names all that was lost.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    algo_py_damage: int = FORMAT
    file: str
    problem: str
    set_aside_at: AwareDatetime
    kept: int
    lost: tuple[Lost, ...]
    is_complete: bool


@dataclass(frozen=True, slots=True)
class Case:
    """A note and where it lies."""

    folder: Path
    note: Note

    @property
    def moved_to(self) -> Path:
        return self.folder / f"{Path(self.note.file).name}{_SUFFIX}"

    @property
    def reason(self) -> str:
        return f"set aside: {self.note.problem}"

    def write(self) -> None:
        """Put the note on the disk."""
        write_durably(self.folder / _NOTE, (self.note.model_dump_json(indent=1) + "\n").encode())


class Cases:
    """A reader of the notes of one market and timeframe. Threads may share it."""

    def __init__(self, layout: Layout) -> None:
        self._layout = layout
        self._known: dict[Path, tuple[Signature, Case]] = {}

    def all(self) -> list[Case]:
        """Return all cases that have happened, oldest first. Raises Damaged when a note cannot be read."""
        found = []
        for name in folder_names(self._layout.damaged):
            case = self._case(self._layout.damaged / name)
            if case is not None and case.moved_to.exists():
                found.append(case)
        return found

    def of(self, symbol: str) -> list[Case]:
        """Return the cases in which bars of a symbol were lost, or may have been, and nothing is settled."""
        return [case for case in self.all() if any(one.symbol == symbol and one.settled_at is None for one in case.note.lost)]

    def sweep(self) -> None:
        """Delete what writers that were killed have left: notes without a file, or whose file is still in its place.

        Only the holder of the lock may call this.
        """
        for name in folder_names(self._layout.damaged):
            folder = self._layout.damaged / name
            remove_leftovers(folder)
            case = self._case(folder)
            if case is not None and not self._has_happened(case):
                case.moved_to.unlink(missing_ok=True)  # first, since a note without it says nothing
                (folder / _NOTE).unlink(missing_ok=True)
            if not folder_names(folder):
                folder.rmdir()

    def _has_happened(self, case: Case) -> bool:
        original = self._layout.folder / case.note.file
        if not case.moved_to.exists():
            return False
        if not original.exists():
            return True
        if original.samefile(case.moved_to):
            return False
        same_size = original.stat().st_size == case.moved_to.stat().st_size
        return not (same_size and original.read_bytes() == case.moved_to.read_bytes())

    def _case(self, folder: Path) -> Case | None:
        file = folder / _NOTE
        signature = signature_of(file)
        if signature is None:
            return None
        known = self._known.get(file)
        if known is not None and known[0] == signature:
            return known[1]
        case = Case(folder, _read_note(file))
        self._known[file] = signature, case
        return case


def _read_note(file: Path) -> Note:
    try:
        note = Note.model_validate_json(file.read_bytes())
    except ValidationError as error:
        problem = error.errors()[0]["msg"]
        raise Damaged(
            f"the note {file} on a damaged file cannot be read: {problem}",
            remedy="Fetch the bars of that file again, then move the note's folder away.",
        ) from None
    if note.algo_py_damage > FORMAT:
        raise Refused(f"{file} has format {note.algo_py_damage}, this Algo.Py reads up to {FORMAT}", remedy="Upgrade Algo.Py.")
    return note


@dataclass(frozen=True, slots=True, eq=False)
class OpenLoss:
    """Lost bars that are not back. missing: the open times that the market has there and the store has not, as far as known."""

    reason: str
    first_us: int | None
    last_us: int
    missing: Times


def open_losses(cases: Sequence[Case], market: Market, timeframe: Timeframe, symbol: str, times: Times) -> list[OpenLoss]:
    """Return what is not back of a symbol, given the open times that are stored, ascending."""
    calendar = market.calendar_of(symbol)
    found = [
        _open_loss(case, lost, calendar, timeframe, times) for case in cases for lost in case.note.lost if lost.symbol == symbol
    ]
    return [loss for loss in found if loss is not None]


def _open_loss(case: Case, lost: Lost, calendar: Calendar, timeframe: Timeframe, times: Times) -> OpenLoss | None:
    if lost.settled_at is not None:
        return None
    last_us = to_us(lost.last)
    if lost.first is None:
        return OpenLoss(case.reason, None, last_us, _before(calendar, timeframe, times, last_us))
    first_us = to_us(lost.first)
    there = times[np.searchsorted(times, first_us) : np.searchsorted(times, last_us, side="right")]
    if lost.whole is not None and len(there) >= lost.whole:
        return None
    expected = expected_opens(calendar, timeframe, first_us, last_us)
    missing = expected[~np.isin(expected, there, assume_unique=True)]
    return OpenLoss(case.reason, first_us, last_us, missing) if len(missing) else None


def _before(calendar: Calendar, timeframe: Timeframe, times: Times, last_us: int) -> Times:
    """Return what is surely missing when it is not known where the lost bars began: one before the first stored, and holes."""
    if not len(times):
        return times
    start_us = to_us(from_us(times[0]) - _LONGEST_BREAK)
    try:
        earlier = expected_opens(calendar, timeframe, start_us, int(times[0]) - 1)[-1:]
    except InvalidInput:  # before the first day that the calendar knows
        earlier = times[:0]
    expected = expected_opens(calendar, timeframe, int(times[0]), last_us) if last_us >= times[0] else times[:0]
    return np.concatenate([earlier, expected[~np.isin(expected, times, assume_unique=True)]])


def settled(case: Case, symbol: str, now: datetime) -> Case:
    """Return the case in which nothing of a symbol is waited for any more."""
    lost = tuple(one.model_copy(update={"settled_at": now}) if one.symbol == symbol else one for one in case.note.lost)
    return Case(case.folder, case.note.model_copy(update={"lost": lost}))


def reported(case: Case, market: Market, layout: Layout, stored: Callable[[str], Times | None]) -> SetAside:
    """Return a case as the store shows it; `stored` gives a symbol's open times, None when they cannot be read."""
    note = case.note
    lost = tuple(
        LostBars(
            symbol=one.symbol,
            first=one.first,
            last=one.last,
            bars=one.bars,
            is_back=(times := stored(one.symbol)) is not None
            and _open_loss(case, one, market.calendar_of(one.symbol), layout.timeframe, times) is None,
        )
        for one in note.lost
    )
    is_back: bool | None = all(one.is_back for one in lost)
    return SetAside(
        market=market.name,
        timeframe=layout.timeframe.value,
        file=layout.folder / note.file,
        moved_to=case.moved_to,
        problem=note.problem,
        set_aside_at=note.set_aside_at,
        kept=note.kept,
        lost=lost,
        is_back=None if is_back and not note.is_complete else is_back,
    )
