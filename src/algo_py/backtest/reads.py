"""What a strategy read that will not be there when its backtest is deployed."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

from algo_py.strategy.reads import Reads, foreign_files
from algo_py.strategy.registry import StrategyEntry

_NAMED_MOST = 5


def reads_warnings(entry: StrategyEntry, reads: Sequence[Reads], *, assets: Mapping[str, str]) -> Iterator[str]:
    """Yield a line for each file that a strategy read and that is neither its source nor one of its assets, for at most five.

    A deployment has no such file, or whatever it holds that day. `assets` are those that the strategy declares, by path.
    """
    own = frozenset(entry.root / path for path in (*entry.sources, *assets))
    files = list(dict.fromkeys(file for one in reads for file in foreign_files(one, own=own, root=entry.root)))
    for file in files[:_NAMED_MOST]:
        yield f"it read {file}, which is not frozen with it: {_remedy(file, entry)}"
    if len(files) > _NAMED_MOST:
        yield f"it read {len(files) - _NAMED_MOST} more files that are not frozen with it"


def _remedy(file: Path, entry: StrategyEntry) -> str:
    if file.suffix == ".py":
        where = "" if file.is_relative_to(entry.root) else f"put it beside {entry.file.name} and "
        return f"{where}import it by an import statement"
    if file.is_relative_to(entry.root):
        return f"declare {file.relative_to(entry.root).as_posix()!r} in `assets` and read it by self.asset"
    return f"put a copy beside {entry.file.name}, declare it in `assets` and read it by self.asset"
