"""Which modules lie beside a strategy, and which of them it can reach: found by reading, without executing anything."""

from __future__ import annotations

import ast
from collections.abc import Iterator, Mapping
from pathlib import Path

from algo_py.errors import StrategyBroken


def locate(root: Path, dotted: str) -> Path | None:
    """Return the file of a module of `root`, the folder of a package without __init__.py, or None where there is neither."""
    base = root.joinpath(*dotted.split("."))
    for candidate in (base / "__init__.py", base.parent / f"{base.name}.py"):
        if candidate.is_file():
            return candidate
    return base if base != root and base.is_dir() and any(base.glob("*.py")) else None


def read_source(file: Path) -> str:
    """Return the text of a Python file, byte for byte what is there; a file that is not UTF-8 is StrategyBroken."""
    try:
        return file.read_bytes().decode("utf-8")
    except UnicodeDecodeError as error:
        raise StrategyBroken(f"{file.name} is not UTF-8 (byte {error.start})", remedy="Save it as UTF-8.") from None
    except OSError as error:
        raise StrategyBroken(f"{file.name} cannot be read: {error.strerror}") from None


def reachable_sources(file: Path, root: Path, *, known: Mapping[Path, str]) -> dict[str, str]:
    """Return the texts of `file` and of every module of `root` that it imports, directly or through others, by relative path.

    Imports inside functions count: a saved backtest must hold what runs later, too. `known` are texts that have been executed;
    they stand for their files, which may have changed since.
    """
    found: dict[Path, str] = {}
    waiting = [file, *known]
    while waiting:
        place = waiting.pop(0)
        if place in found:
            continue
        found[place] = known[place] if place in known else read_source(place)
        waiting.extend(_imported(found[place], place, root))
    return {place.relative_to(root).as_posix(): text for place, text in found.items()}


def _imported(text: str, place: Path, root: Path) -> Iterator[Path]:
    try:
        tree = ast.parse(text)
    except SyntaxError:  # a helper that is imported later, and that will say so itself when it is
        return
    package = list(place.relative_to(root).parent.parts)
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            for alias in node.names:
                yield from _files(root, alias.name)
        elif isinstance(node, ast.ImportFrom):
            base = package[: len(package) - node.level + 1] if node.level else []
            dotted = ".".join([*base, *([node.module] if node.module else [])])
            for alias in node.names:
                yield from _files(root, f"{dotted}.{alias.name}".lstrip("."))


def _files(root: Path, dotted: str) -> Iterator[Path]:
    """Yield the file of each part of a dotted name that is a module of `root`; the last part may be a name inside a module."""
    parts = dotted.split(".")
    for length in range(1, len(parts) + 1):
        place = locate(root, ".".join(parts[:length]))
        if place is None:
            return
        if place.is_file():
            yield place
