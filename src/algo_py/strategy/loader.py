"""Load a strategy file so that nothing of it leaks: not into the process, not into another version of the same file.

What is compiled are bytes that were read once: of a workspace's folder those that a saved backtest will hold, of frozen code
those that have been compared with their hashes. Nothing is imported by path, and no compiled form (.pyc) is used.

A strategy may import modules that lie beside it. They are not put on sys.path: each load has its own private set of them, under
names of its own, so that the workspace's version and those of any number of snapshots can live in one process, and a helper
called `queue.py` harms no library. Imports inside a function find them too, whenever that function runs.
"""

from __future__ import annotations

import builtins
import inspect
import linecache
import secrets
import sys
import threading
import traceback
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from importlib.machinery import ModuleSpec
from pathlib import Path
from types import ModuleType
from typing import Any

from algo_py.errors import AlgoPyError, StrategyBroken
from algo_py.strategy.assets import AssetFolder, declared_assets
from algo_py.strategy.base import ASSET_FOLDER, Strategy
from algo_py.strategy.border import foreign_code
from algo_py.strategy.frozen import FrozenCode
from algo_py.strategy.reads import Reads, noticed
from algo_py.strategy.siblings import FolderTree, FrozenTree, SourceTree, reachable_sources


@dataclass(frozen=True, slots=True)
class LoadedModule:
    """A strategy file that has been executed.

    `classes` are the strategies defined in it, in their order there. `sources` are the texts of it and of every module beside it
    that it can import, by path relative to the root; the file itself comes first. `reads` is what was opened meanwhile, where
    somebody watches (see `algo_py.strategy.reads`).
    """

    classes: tuple[type[Strategy], ...]
    sources: Mapping[str, str]
    reads: Reads = field(default_factory=Reads, compare=False, repr=False)


def load_strategies(file: Path, root: Path) -> LoadedModule:
    """Execute `file`, which lies in `root`, afresh; the modules of `root` are importable for it, and for it alone.

    Whatever is wrong in it (syntax, an exception while it loads, no strategy in it) is StrategyBroken: one line with the file,
    the line and the problem. Safe to call from several threads.
    """
    assets = AssetFolder(root)
    with noticed() as reads:
        loaded = _load(file, FolderTree(root), assets)
    for found in loaded.classes:
        try:
            for path in declared_assets(found, root).values():
                assets.check(path)
        except AlgoPyError as error:
            raise StrategyBroken(f"{file.name}: {error.message}", remedy=error.remedy) from None
    return LoadedModule(loaded.classes, loaded.sources, reads)


def load_frozen(code: FrozenCode, file: str) -> LoadedModule:
    """Execute a file of verified code, `file` being its path there; it finds what was verified with it, and nothing beside that.

    Raises StrategyBroken as `load_strategies` does.
    """
    for path, content in code.sources.items():  # for tracebacks, and for whoever compiles a function from its source text
        place = str(code.root / path)
        linecache.cache[place] = (len(content), None, content.decode("utf-8", "replace").splitlines(keepends=True), place)
    return _load(code.root / file, FrozenTree(code.root, code.sources), code.assets)


def _load(file: Path, tree: SourceTree, assets: AssetFolder) -> LoadedModule:
    modules = _PrivateModules(tree, assets)
    root = tree.root
    try:
        with modules.registered(), foreign_code(list, is_import=True):
            module = modules.load(".".join(file.relative_to(root).with_suffix("").parts))
            classes = strategies_in(module)
            for strategy_class in classes:
                strategy_class.model_rebuild()
        sources = reachable_sources(file, tree, known=modules.sources)
    except StrategyBroken:
        raise
    except KeyboardInterrupt:
        raise
    except BaseException as error:  # the border to the trader's code: whatever it raises, it is that code that failed
        raise StrategyBroken(describe_failure(error, file, root), remedy="Correct the file.") from error
    if not classes:
        raise StrategyBroken(
            f"{file.name} defines no strategy{_unfinished(module)}",
            remedy="Write a class that derives from Strategy and has a run method; start the name of a helper file with _.",
        )
    return LoadedModule(classes, sources)


def strategies_in(module: ModuleType) -> tuple[type[Strategy], ...]:
    """Return the strategies that are defined in a module, not those it imports; abstract and _private classes are left out."""
    return tuple(found for found in _defined_in(module) if not inspect.isabstract(found) and not found.__name__.startswith("_"))


def describe_failure(error: BaseException, file: Path, root: Path) -> str:
    """Return `file line n: problem` for an error that the code of `file`, or of a module beside it in `root`, has raised."""
    problem = " ".join(str(error).split()) or "no message"
    if isinstance(error, SyntaxError) and error.filename:
        return f"{_shown(Path(error.filename), file, root)} line {error.lineno}: {error.msg}"
    place = file.name
    for frame in reversed(traceback.extract_tb(error.__traceback__)):
        if Path(frame.filename).is_relative_to(root) and not frame.filename.startswith("<"):
            place = f"{_shown(Path(frame.filename), file, root)} line {frame.lineno}"
            break
    if isinstance(error, AlgoPyError):
        return f"{place}: {problem}"
    return f"{place}: {type(error).__name__}: {problem}"


class _PrivateModules:
    """The modules of one folder, executed for one load and known by dotted names relative to that folder."""

    def __init__(self, tree: SourceTree, assets: AssetFolder) -> None:
        self.sources: dict[Path, bytes] = {}
        self._tree, self._assets = tree, assets
        self._lock = threading.RLock()
        self._depth = 0
        self._builtins = {**vars(builtins), "__import__": self._import}
        top = ModuleType(f"algo_py_loaded_{secrets.token_hex(6)}")
        top.__path__ = [str(tree.root)]
        self._modules = {"": top}

    @contextmanager
    def registered(self) -> Iterator[None]:
        """Keep the modules in sys.modules, where pydantic looks names up while it builds a class; none stays there afterwards."""
        with self._lock:
            self._depth += 1
            sys.modules.update({module.__name__: module for module in self._modules.values()})
            try:
                yield
            finally:
                self._depth -= 1
                if not self._depth:
                    for module in self._modules.values():
                        sys.modules.pop(module.__name__, None)

    def load(self, dotted: str) -> ModuleType:
        """Return a module of the folder; it and the packages that hold it are executed when they have not been."""
        parent, _, name = dotted.rpartition(".")
        if dotted not in self._modules:
            holder = self.load(parent)
            if dotted not in self._modules:  # its package may have imported it just now
                self._execute(dotted)
            setattr(holder, name, self._modules[dotted])
        return self._modules[dotted]

    def _execute(self, dotted: str) -> None:
        place = self._tree.locate(dotted)
        if place is None:
            raise ModuleNotFoundError(f"No module named {dotted!r}", name=dotted)
        name = f"{self._modules[''].__name__}.{dotted}"
        is_bare = place.suffix != ".py"  # a package without __init__.py
        is_package = is_bare or (place.name == "__init__.py" and not dotted.endswith("__init__"))
        module = ModuleType(name)
        module.__spec__ = ModuleSpec(name, None, origin=str(place), is_package=is_package)
        module.__package__ = module.__spec__.parent
        module.__dict__["__builtins__"] = self._builtins
        module.__dict__[ASSET_FOLDER] = self._assets
        if is_package:
            module.__path__ = [str(place if is_bare else place.parent)]
        self._modules[dotted] = sys.modules[name] = module
        if is_bare:
            return
        module.__file__ = str(place)
        try:
            content = self._tree.read(place)
            exec(compile(content, str(place), "exec", dont_inherit=True), module.__dict__)
        except BaseException:
            del self._modules[dotted], sys.modules[name]
            raise
        self.sources[place] = content

    def _import(
        self,
        name: str,
        globals: Mapping[str, Any] | None = None,  # noqa: A002 - these are the names of __import__'s parameters
        locals: Mapping[str, Any] | None = None,  # noqa: A002
        fromlist: Sequence[str] | None = (),
        level: int = 0,
    ) -> ModuleType:
        """Do what an import statement in one of these modules asks for: the folder's own modules first, then Python's."""
        dotted = self._absolute(name, level, globals or {})
        if level == 0 and self._tree.locate(name.partition(".")[0]) is None:
            return builtins.__import__(name, globals, locals, fromlist or (), level)
        with self.registered():
            module = self.load(dotted)
            for item in fromlist or ():
                inner = f"{dotted}.{item}".lstrip(".")
                if item != "*" and not hasattr(module, item) and self._tree.locate(inner) is not None:
                    self.load(inner)
            return module if fromlist else self._modules[dotted.partition(".")[0]]

    def _absolute(self, name: str, level: int, importer: Mapping[str, Any]) -> str:
        if level == 0:
            return name
        package = str(importer.get("__package__") or "").split(".")[1:]
        if level - 1 > len(package):
            raise ImportError(f"a relative import of {name!r} leaves the folder of the strategies")
        return ".".join([*package[: len(package) - level + 1], *([name] if name else [])])


def _defined_in(module: ModuleType) -> list[type[Strategy]]:
    found = {
        value: None
        for value in vars(module).values()
        if isinstance(value, type) and issubclass(value, Strategy) and value.__module__ == module.__name__
    }
    return list(found)


def _unfinished(module: ModuleType) -> str:
    lacking = [found.__name__ for found in _defined_in(module) if inspect.isabstract(found)]
    return f" (its class {lacking[0]} has no run method)" if lacking else ""


def _shown(place: Path, file: Path, root: Path) -> str:
    return place.relative_to(root).as_posix() if place.is_relative_to(root) else file.name
