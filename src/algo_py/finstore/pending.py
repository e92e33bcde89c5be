"""Bars that were appended but do not yet stand in their symbol's own file."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from algo_py.errors import Conflict
from algo_py.finstore.files import read_delta
from algo_py.finstore.frames import Block, union
from algo_py.finstore.layout import Layout, data_files

_ATTEMPTS = 50


@dataclass(frozen=True, slots=True, eq=False)
class Pending:
    """The contents of all delta and merged files of a market and timeframe at one moment, oldest first."""

    files: Mapping[Path, Mapping[str, Block]] = field(default_factory=dict)

    def of(self, symbol: str) -> Block:
        """Return the symbol's pending bars."""
        return union(blocks[symbol] for blocks in self.files.values() if symbol in blocks)

    def symbols(self) -> set[str]:
        return set().union(*self.files.values())

    def within(self, folder: Path) -> list[Path]:
        """Return the files of one level, oldest first."""
        return [file for file in self.files if file.parent == folder]


def load_pending(layout: Layout, known: Pending) -> Pending:
    """Return what is pending now; files that `known` holds are not read again, since a name never changes its content.

    Deltas are listed before merged files: a delta that has just been merged is then met in one of the two. When a listed file
    has gone, its bars have moved down, perhaps to a file that was not listed yet: so the listing starts again.
    """
    for _ in range(_ATTEMPTS):
        deltas = [layout.deltas / name for name in data_files(layout.deltas)]
        merged = [layout.merged / name for name in data_files(layout.merged)]
        wanted = [*merged, *deltas]
        if wanted == list(known.files):
            return known
        try:
            return Pending({file: known.files[file] if file in known.files else read_delta(file) for file in wanted})
        except FileNotFoundError:
            continue
    raise Conflict(f"the files in {layout.folder} kept changing while they were read", remedy="Repeat.")
