"""Files that a strategy reads: how it declares them, and how it gets a path whose content has been verified."""

from __future__ import annotations

import difflib
import threading
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any, Final

from algo_py.errors import InvalidInput, Refused, StrategyBroken
from algo_py.strategy.plain_files import MIB, Content, NotAPlainFile, check_plain, hash_plain, path_problem
from algo_py.strategy.reads import unnoticed

ASSET_LIMIT: Final = 256 * MIB
ASSETS_MOST: Final = 64


class AssetFolder:
    """The assets of the strategies of one folder, for the life of one load of their code: a backtest, a sweep, a process.

    In a workspace, what a file holds when it is first handed out, or pinned, is what it must hold from then on: a result is of
    one content, and saving can say which. Of frozen code, `known` has each file's content as it was verified when the code was
    loaded. Safe to use from several threads.
    """

    def __init__(self, root: Path, *, known: Mapping[str, Content] | None = None) -> None:
        self.root = root
        self._is_frozen = known is not None
        self._known = dict(known or {})
        self._lock = threading.Lock()

    def hand_out(self, path: str) -> Path:
        """Return where an asset lies, `path` being relative to the folder, after a look at whether it is still the same.

        The look costs some microseconds as long as the file system says that nothing was written; else the file is hashed again.
        Raises Refused when its content is another one, StrategyBroken when a workspace's file is missing or cannot be used.
        """
        self._content(path)
        return self.root / path

    def pin(self, paths: Iterable[str]) -> dict[str, str]:
        """Return the SHA-256 of each asset; from now on each must stay as it is. Raises what `hand_out` raises."""
        return {path: self._content(path).sha256 for path in paths}

    def check(self, path: str) -> None:
        """Raise StrategyBroken unless a workspace's asset can be read; what it holds is not looked at. Frozen ones always can."""
        if not self._is_frozen:
            try:
                with unnoticed():
                    check_plain(self.root, path, limit=ASSET_LIMIT)
            except NotAPlainFile as error:
                raise self._unusable(path, error.problem) from None

    def _content(self, path: str) -> Content:
        with self._lock, unnoticed():
            before = self._known.get(path)
            if before is None and self._is_frozen:
                raise self._unusable(path, "was not there when the strategy was frozen")
            try:
                now = hash_plain(self.root, path, limit=ASSET_LIMIT, known=before)
            except NotAPlainFile as error:
                raise self._unusable(path, error.problem) from None
            if before is not None and now.sha256 != before.sha256:
                raise self._unusable(path, "is not what was saved" if self._is_frozen else "is not what it was when this began")
            self._known[path] = now
            return now

    def _unusable(self, path: str, problem: str) -> StrategyBroken | Refused:
        if self._is_frozen:
            return Refused(
                f"the asset {self.root / path} {problem}",
                remedy="It was frozen with the strategy: put the same content back, and it goes on.",
            )
        if path in self._known:
            return Refused(f"the asset {path} {problem}", remedy="Run it again, once nothing changes the file any more.")
        return StrategyBroken(
            f"the asset {path} {problem}", remedy=f"See to {self.root / path}, or take it out of the strategy's `assets`."
        )


def declared_assets(strategy_class: type[Any], root: Path) -> dict[str, str]:
    """Return all assets of a strategy class: each name as it is declared, and the path relative to `root` that it stands for.

    A class has its own and those that its base classes declare. A name is relative to the file of the class that declares it;
    where several declare one name, the class's own comes before its bases', as with any attribute. Raises InvalidInput for a
    name that cannot be an asset's, for too many, and for one of a base class that does not lie in `root`.
    """
    found: dict[str, str] = {}
    for declaring in strategy_class.__mro__:
        for name in own_assets(declaring):
            if name not in found:
                found[name] = _path_of(declaring, name, root)
    if len(found) > ASSETS_MOST:
        raise InvalidInput(f"a strategy can have at most {ASSETS_MOST} assets ({strategy_class.__name__} has {len(found)})")
    return found


def pin_assets(strategy_class: type[Any]) -> dict[str, str]:
    """Return the SHA-256 of all assets of a strategy, by path relative to the folder that was loaded, and keep them to it.

    Raises Refused when one has changed since it was first handed out or pinned, StrategyBroken when one cannot be used.
    """
    folder: AssetFolder | None = strategy_class._asset_folder
    return folder.pin(declared_assets(strategy_class, folder.root).values()) if folder is not None else {}


def own_assets(declaring: type[Any]) -> tuple[str, ...]:
    """Return what one class itself declares as `assets`; InvalidInput where that is no tuple of usable names.

    Nothing is declared where `assets` is a parameter or a method of the strategy.
    """
    names = vars(declaring).get("assets", ())
    if hasattr(names, "__get__"):
        return ()
    if not isinstance(names, (tuple, list)) or not all(isinstance(name, str) for name in names):
        raise InvalidInput(
            f"`assets` of {declaring.__name__} must be a tuple of file names (was {names!r})",
            remedy='Write: assets = ("model.joblib",)',
        )
    for name in names:
        problem = _name_problem(name)
        if problem is not None:
            raise InvalidInput(f"the asset {name!r} of {declaring.__name__} {problem}")
    return tuple(names)


def unknown_asset(name: str, known: Iterable[str], strategy_name: str) -> InvalidInput:
    """Return the refusal of a name that a strategy does not declare."""
    names = list(known)
    close = difflib.get_close_matches(name, names, n=1)
    remedy = f"Did you mean {close[0]!r}?" if close else f"Declare it in the class: assets = ({name!r},)"
    return InvalidInput(f"{strategy_name} declares no asset {name!r} (it has: {', '.join(names) or 'none'})", remedy=remedy)


def _name_problem(name: str) -> str | None:
    problem = path_problem(name)
    if problem is not None:
        return f"{problem}: it must be relative to the strategy's file, and lie beside it or below"
    if any(part.startswith(".") or part == "__pycache__" for part in name.split("/")):
        return "has a name that is never frozen: no part of it may begin with a dot"
    if name.endswith((".py", ".pyc")):
        return "is a module: import it instead, and it is frozen as well"
    return None


def _path_of(declaring: type[Any], name: str, root: Path) -> str:
    beside: Path | None = vars(declaring).get("_declared_beside")
    if beside is None or not beside.is_relative_to(root):
        raise InvalidInput(
            f"the asset {name!r} is declared by {declaring.__name__}, which does not lie in the folder {root}",
            remedy="Put a copy beside your own strategy and declare it there, too.",
        )
    return (beside.relative_to(root) / name).as_posix()
