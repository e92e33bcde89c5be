"""Which modules lie beside a strategy, and which of them it can reach: found by reading, without executing anything."""

from __future__ import annotations

import ast
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Final, Protocol

from algo_py.errors import StrategyBroken
from algo_py.strategy.plain_files import MIB

SOURCE_LIMIT: Final = 16 * MIB


class SourceTree(Protocol):
    """A folder of modules that belong together. Each has a place: a file, whose suffix is .py, or a bare package's folder."""

    root: Path

    def locate(self, dotted: str) -> Path | None:
        """Return the file of a module, the folder of a package without __init__.py, or None where there is neither."""

    def read(self, place: Path) -> bytes:
        """Return the content of a module's file, which is UTF-8; anything else is StrategyBroken."""


class FolderTree:
    """The modules of a folder as it is now."""

    def __init__(self, root: Path) -> None:
        self.root = root

    def locate(self, dotted: str) -> Path | None:
        base = self.root.joinpath(*dotted.split("."))
        for candidate in (base / "__init__.py", base.parent / f"{base.name}.py"):
            if candidate.is_file():
                return candidate
        return base if base != self.root and base.is_dir() and any(base.glob("*.py")) else None

    def read(self, place: Path) -> bytes:
        try:
            if place.stat().st_size > SOURCE_LIMIT:
                raise StrategyBroken(
                    f"{place.name} is larger than {SOURCE_LIMIT // MIB} MiB",
                    remedy="Put its data in a file of their own, and declare that in `assets`.",
                )
            content = place.read_bytes()
        except OSError as error:
            raise StrategyBroken(f"{place.name} cannot be read: {error.strerror}") from None
        _check_encoding(place, content)
        return content


class FrozenTree:
    """Modules whose bytes have been verified. What lies in their folder beside them, or instead of them, is not looked at."""

    def __init__(self, root: Path, sources: Mapping[str, bytes]) -> None:
        self.root = root
        self._sources = {root / path: content for path, content in sources.items()}
        self._folders = {place.parent for place in self._sources if place.parent != root}

    def locate(self, dotted: str) -> Path | None:
        base = self.root.joinpath(*dotted.split("."))
        for candidate in (base / "__init__.py", base.parent / f"{base.name}.py"):
            if candidate in self._sources:
                return candidate
        return base if base in self._folders else None

    def read(self, place: Path) -> bytes:
        if place not in self._sources:
            raise StrategyBroken(f"{place.name} is not among the files that were frozen")
        _check_encoding(place, self._sources[place])
        return self._sources[place]


def reachable_sources(file: Path, tree: SourceTree, *, known: Mapping[Path, bytes]) -> dict[str, str]:
    """Return the texts of `file` and of every module of the tree that it imports, directly or through others, by relative path.

    Imports inside functions count: a saved backtest must hold what runs later, too. `known` are contents that have been executed;
    they stand for their files, which may have changed since.
    """
    found: dict[Path, str] = {}
    waiting = [file, *known]
    while waiting:
        place = waiting.pop(0)
        if place in found:
            continue
        found[place] = (known[place] if place in known else tree.read(place)).decode()
        waiting.extend(_imported(found[place], place, tree))
    return {place.relative_to(tree.root).as_posix(): text for place, text in found.items()}


def _check_encoding(place: Path, content: bytes) -> None:
    try:
        content.decode("utf-8")
    except UnicodeDecodeError as error:
        raise StrategyBroken(f"{place.name} is not UTF-8 (byte {error.start})", remedy="Save it as UTF-8.") from None


def _imported(text: str, place: Path, tree: SourceTree) -> Iterator[Path]:
    try:
        parsed = ast.parse(text)
    except SyntaxError:  # a helper that is imported later, and that will say so itself when it is
        return
    package = list(place.relative_to(tree.root).parent.parts)
    for node in ast.walk(parsed):
        if isinstance(node, ast.Import):
            for alias in node.names:
                yield from _files(tree, alias.name)
        elif isinstance(node, ast.ImportFrom):
            base = package[: len(package) - node.level + 1] if node.level else []
            dotted = ".".join([*base, *([node.module] if node.module else [])])
            for alias in node.names:
                yield from _files(tree, f"{dotted}.{alias.name}".lstrip("."))


def _files(tree: SourceTree, dotted: str) -> Iterator[Path]:
    """Yield the file of each part of a dotted name that is a module of the tree; the last part may be a name inside a module."""
    parts = dotted.split(".")
    for length in range(1, len(parts) + 1):
        place = tree.locate(".".join(parts[:length]))
        if place is None:
            return
        if place.suffix == ".py":
            yield place
