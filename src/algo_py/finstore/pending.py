"""Bars that were appended but do not yet stand in their symbol's own file."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from algo_py.errors import Conflict
from algo_py.finstore.files import read_delta
from algo_py.finstore.frames import Block, union
from algo_py.finstore.layout import Layout, data_files

_ATTEMPTS = 50


@dataclass(frozen=True, slots=True, eq=False)
class PendingFile:
    """The bars of one delta or merged file; first and last are the earliest and the latest open time in it, in microseconds."""

    file: Path
    blocks: Mapping[str, Block]
    first: int
    last: int

    @classmethod
    def read(cls, file: Path) -> PendingFile:
        blocks = read_delta(file)
        first = min(int(block.times[0]) for block in blocks.values())
        return cls(file, blocks, first, max(int(block.times[-1]) for block in blocks.values()))


class Pending:
    """What all delta and merged files of a market and timeframe held at one moment. Never changes."""

    def __init__(self, merged: Mapping[str, PendingFile], deltas: Mapping[str, PendingFile]) -> None:
        """Take both levels, each by file name, oldest first."""
        self.merged = merged
        self.deltas = deltas
        self._known: dict[str, Block] = {}

    @property
    def files(self) -> list[PendingFile]:
        """All files, oldest first."""
        return [*self.merged.values(), *self.deltas.values()]

    def of(self, symbol: str) -> Block:
        """Return the symbol's pending bars."""
        block = self._known.get(symbol)
        if block is None:
            block = self._known[symbol] = gathered(self.files, symbol)
        return block

    def symbols(self) -> set[str]:
        """Return the symbols that have pending bars."""
        return set().union(*(file.blocks for file in self.files))

    def within(self, first_us: int, last_us: int) -> list[PendingFile]:
        """Return the files that may hold a bar that opens from `first_us` to `last_us`, both included."""
        return [file for file in self.files if file.first <= last_us and file.last >= first_us]


def gathered(files: list[PendingFile], symbol: str) -> Block:
    """Return the symbol's bars in these files."""
    return union(file.blocks[symbol] for file in files if symbol in file.blocks)


def load_pending(layout: Layout, known: Pending) -> Pending:
    """Return what is pending now; files that `known` holds are not read again, since a name never changes its content.

    Deltas are listed before merged files: a delta that has just been merged is then met in one of the two. When a listed file
    has gone, its bars have moved down, perhaps to a file that was not listed yet: so the listing starts again.
    """
    for _ in range(_ATTEMPTS):
        deltas = data_files(layout.deltas)
        merged = data_files(layout.merged)
        if deltas == list(known.deltas) and merged == list(known.merged):
            return known
        try:
            return Pending(
                {name: known.merged.get(name) or PendingFile.read(layout.merged / name) for name in merged},
                {name: known.deltas.get(name) or PendingFile.read(layout.deltas / name) for name in deltas},
            )
        except FileNotFoundError:
            continue
    raise Conflict(f"the files in {layout.folder} kept changing while they were read", remedy="Repeat.")
