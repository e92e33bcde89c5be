"""Where strategies are found: the built-in library, the workspace's strategies/ folder, and installed plugins.

A file that cannot be loaded is listed with its error and hurts no other.
"""

from __future__ import annotations

import difflib
import importlib
import importlib.metadata
import inspect
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from functools import cache
from pathlib import Path
from types import ModuleType
from typing import Literal

from algo_py.errors import NotFound, StrategyBroken
from algo_py.settings import Workspace
from algo_py.strategy import library
from algo_py.strategy.assets import AssetFolder
from algo_py.strategy.base import Strategy
from algo_py.strategy.loader import describe_failure, load_strategies, strategies_in
from algo_py.strategy.reads import Reads
from algo_py.strategy.siblings import FolderTree, reachable_sources

ENTRY_POINT_GROUP = "algo_py.strategies"

Origin = Literal["built-in", "workspace", "plugin"]


@dataclass(frozen=True, slots=True, kw_only=True)
class StrategyEntry:
    """One strategy, or one file that should have held some.

    Either `strategy_class` or `error` is None. `file` lies in `root`; `sources` are the texts of it and of the modules of `root`
    that it imports, by relative path, as they were executed. `assets` are, after a backtest, the SHA-256 of the files that it
    declares, by relative path. `reads` is what loading it opened, where somebody watches.
    """

    name: str
    title: str
    origin: Origin
    file: Path
    root: Path
    strategy_class: type[Strategy] | None = None
    error: str | None = None
    sources: Mapping[str, str] = field(default_factory=dict, repr=False)
    assets: Mapping[str, str] = field(default_factory=dict, repr=False)
    reads: Reads = field(default_factory=Reads, repr=False, compare=False)

    def usable_class(self) -> type[Strategy]:
        """Return its class; a broken one is StrategyBroken."""
        if self.strategy_class is None:
            raise StrategyBroken(self.error or f"{self.name} cannot be loaded")
        return self.strategy_class


@dataclass(frozen=True, slots=True)
class StrategyRegistry:
    """All strategies of a workspace: built-in ones first, then the workspace's own, then plugins', each by name.

    A name stands twice only where the later entry has an error that says so.
    """

    entries: list[StrategyEntry]

    @classmethod
    def discover(
        cls, workspace: Workspace, *, plugins: Iterable[importlib.metadata.EntryPoint] | None = None
    ) -> StrategyRegistry:
        """Load everything that can be loaded. `plugins` stands for the installed entry points of `algo_py.strategies`."""
        if plugins is None:
            plugins = importlib.metadata.entry_points(group=ENTRY_POINT_GROUP)
        entries: list[StrategyEntry] = []
        for group in (_built_in(), _of_workspace(workspace.strategies), _of_plugins(plugins)):
            for entry in sorted(group, key=lambda entry: entry.name):
                first = next((other for other in entries if other.name == entry.name and other.error is None), None)
                entries.append(entry if first is None or entry.error else _clash(entry, first))
        return cls(entries)

    def get(self, name: str) -> StrategyEntry:
        """Return the strategy called `name`.

        StrategyBroken where its file is broken, and where two files claim the name: which one is meant would be a guess.
        """
        named = [entry for entry in self.entries if entry.name == name]
        for entry in named:
            if entry.error:
                raise StrategyBroken(entry.error)
        if named:
            return named[0]
        usable = [entry.name for entry in self.entries if entry.error is None]
        close = difflib.get_close_matches(name, usable, n=1)
        remedy = f"Did you mean {close[0]!r}?" if close else f"There are: {', '.join(usable)}."
        broken = [entry.file.name for entry in self.entries if entry.error]
        also = f" (not loaded, because broken: {', '.join(broken)})" if broken else ""
        raise NotFound(f"there is no strategy {name!r}{also}", remedy=remedy)


def _built_in() -> Iterator[StrategyEntry]:
    folder = Path(inspect.getfile(library)).resolve().parent
    for file in sorted(folder.glob("*.py")):
        if not file.name.startswith("_"):
            yield from _of_module(importlib.import_module(f"{library.__name__}.{file.stem}"), origin="built-in")


def _of_workspace(folder: Path) -> Iterator[StrategyEntry]:
    for file in sorted(folder.glob("*.py")):
        if file.name.startswith("_"):
            continue
        try:
            loaded = load_strategies(file, folder)
        except StrategyBroken as error:
            yield _broken(file.stem, "workspace", file, str(error))
            continue
        for found in loaded.classes:
            yield replace(_entry(found, "workspace", file, loaded.sources), reads=loaded.reads)


def _of_plugins(plugins: Iterable[importlib.metadata.EntryPoint]) -> Iterator[StrategyEntry]:
    for plugin in plugins:
        try:
            loaded = plugin.load()
        except Exception as error:  # noqa: BLE001 - the border to another distribution's code; its error is listed with its name
            file = Path(plugin.module.replace(".", "/") + ".py")
            yield _broken(plugin.name, "plugin", file, f"plugin {plugin.name}: {describe_failure(error, file, file.parent)}")
            continue
        if isinstance(loaded, ModuleType):
            yield from _of_module(loaded, origin="plugin")
        elif isinstance(loaded, type) and issubclass(loaded, Strategy):
            yield from _of_module(importlib.import_module(loaded.__module__), origin="plugin", only=loaded)
        else:
            message = f"plugin {plugin.name}: {plugin.value} must be a module or a Strategy (was {type(loaded).__name__})"
            yield _broken(plugin.name, "plugin", Path(plugin.module), message)


def _of_module(module: ModuleType, *, origin: Origin, only: type[Strategy] | None = None) -> Iterator[StrategyEntry]:
    file = Path(inspect.getfile(module)).resolve()
    sources = _sources_of(module)
    assets = AssetFolder(file.parent)
    for found in strategies_in(module):
        if only is None or found is only:
            found._asset_folder = assets  # a new one: what an earlier backtest of this process has read binds no later one
            yield _entry(found, origin, file, sources)


@cache
def _sources_of(module: ModuleType) -> Mapping[str, str]:
    """Read a module's sources once: what was imported stays in the process, whatever an upgrade writes into its files later."""
    file = Path(inspect.getfile(module)).resolve()
    return reachable_sources(file, FolderTree(file.parent), known={})


def _entry(found: type[Strategy], origin: Origin, file: Path, sources: Mapping[str, str]) -> StrategyEntry:
    title = inspect.cleandoc(found.__doc__ or found.__name__).splitlines()[0]
    return StrategyEntry(
        name=found.kebab_name(), title=title, origin=origin, file=file, root=file.parent, strategy_class=found, sources=sources
    )


def _broken(stem: str, origin: Origin, file: Path, error: str) -> StrategyEntry:
    return StrategyEntry(name=stem.replace("_", "-"), title="", origin=origin, file=file, root=file.parent, error=error)


def _clash(entry: StrategyEntry, first: StrategyEntry) -> StrategyEntry:
    class_name = entry.strategy_class.__name__ if entry.strategy_class else entry.name
    owner = "a built-in strategy" if first.origin == "built-in" else f"the one in {first.file.name}"
    return replace(
        entry,
        strategy_class=None,
        error=f"{entry.file.name}: the class {class_name} has the name {entry.name} of {owner}. Rename the class.",
    )
