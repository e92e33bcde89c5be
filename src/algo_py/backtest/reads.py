"""What a strategy read that will not be there when its backtest is deployed."""

from __future__ import annotations

import ast
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from algo_py.strategy.plain_files import shown
from algo_py.strategy.reads import Reads, foreign_files, named_files
from algo_py.strategy.registry import StrategyEntry

_TOLD_MOST = 5


def reads_warnings(
    entry: StrategyEntry, reads: Sequence[Reads], *, assets: Mapping[str, str], params: Mapping[str, Any]
) -> Iterator[str]:
    """Yield a line for each file that a strategy read or names, and that is neither its source nor an asset, for at most five.

    A deployment has no such file, or whatever it holds that day. `assets` are the declared ones, by path. A name is
    a text in the source or a parameter that is the path of a file: compiled libraries open files that nobody else notices.
    """
    own = frozenset(entry.root / path for path in (*entry.sources, *assets))
    folders = dict.fromkeys((entry.root / path).parent for path in entry.sources)
    opened = [file for one in reads for file in one.files()]
    named = named_files((*_texts(entry), *(value for value in params.values() if isinstance(value, str))), folders)
    root = entry.root if entry.origin == "workspace" else None
    found = dict.fromkeys(foreign_files(opened, own=own, root=root), "read")
    for file in foreign_files(named, own=own, root=root):
        found.setdefault(file, "names")
    for file, verb in list(found.items())[:_TOLD_MOST]:
        yield f"it {verb} {shown(str(file))}, which is not frozen with it: {_remedy(file, entry)}"
    if len(found) > _TOLD_MOST:
        yield f"it read or names {len(found) - _TOLD_MOST} more files that are not frozen with it"


def _texts(entry: StrategyEntry) -> Iterable[str]:
    for source in entry.sources.values():
        try:
            parsed = ast.parse(source)
        except SyntaxError:  # a helper that nothing has imported yet
            continue
        for node in ast.walk(parsed):
            if isinstance(node, ast.Constant) and isinstance(node.value, str):
                yield node.value


def _remedy(file: Path, entry: StrategyEntry) -> str:
    if file.suffix == ".py":
        where = "" if file.is_relative_to(entry.root) else f"put it beside {entry.file.name} and "
        return f"{where}import it by an import statement"
    if file.is_relative_to(entry.root):
        return f"declare {shown(file.relative_to(entry.root).as_posix())!r} in `assets` and read it by self.asset"
    return f"put a copy beside {entry.file.name}, declare it in `assets` and read it by self.asset"
