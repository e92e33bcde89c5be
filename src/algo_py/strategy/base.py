"""What a strategy is: parameters with bounds, and one method from bars to signals."""

from __future__ import annotations

import difflib
import re
import sys
import traceback
from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping
from contextlib import nullcontext
from pathlib import Path
from typing import Any, ClassVar, Self

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from algo_py.errors import AlgoPyError, InvalidInput, StrategyBroken
from algo_py.settings import first_problem
from algo_py.strategy.assets import AssetFolder, declared_assets, unknown_asset
from algo_py.strategy.bars import Bars
from algo_py.strategy.border import foreign_code
from algo_py.strategy.signals import Signals

__all__ = ["ASSET_FOLDER", "Field", "Strategy", "evaluate", "kebab_case"]

# The name under which a module that was loaded from a folder of strategies knows the folder's assets.
ASSET_FOLDER = "__asset_folder__"


class Strategy(BaseModel, ABC):
    """One trading idea. Its fields are its parameters; an instance is frozen.

    A subclass declares fields with bounds and a description (the page's form and the command line are made from them) and
    implements `run`. It sees no clock, no network and no account, so that it means the same in a backtest and live.

    `assets` names the files that it reads, such as a fitted model: relative to its own file, beside it or below, no links, each
    at most 256 MiB. A saved backtest holds them, and a deployment reads that copy. A class also has those of its base classes.
    """

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)

    assets: ClassVar[tuple[str, ...]] = ()

    # Where the class's own file lies, and the folder that it was loaded from: its assets are looked for there.
    _declared_beside: ClassVar[Path | None] = None
    _asset_folder: ClassVar[AssetFolder | None] = None

    @classmethod
    def __pydantic_init_subclass__(cls, **keywords: Any) -> None:
        super().__pydantic_init_subclass__(**keywords)
        module = sys.modules.get(cls.__module__)
        file: str | None = getattr(module, "__file__", None)
        folder: AssetFolder | None = getattr(module, ASSET_FOLDER, None)
        if folder is None and file is not None:  # an ordinary module, which no strategies folder holds
            folder = AssetFolder(Path(file).resolve().parent)
            file = str(Path(file).resolve())
        cls._declared_beside = None if file is None else Path(file).parent
        cls._asset_folder = folder

    @classmethod
    def kebab_name(cls) -> str:
        """Return the name by which people call it: `EmaCross` is `ema-cross`."""
        return kebab_case(cls.__name__)

    @classmethod
    def from_params(cls, params: Mapping[str, Any]) -> Self:
        """Build it from values or from texts such as `"10"`; an unknown name or a value out of bounds is refused."""
        for name in params:
            if name not in cls.model_fields:
                close = difflib.get_close_matches(name, cls.model_fields, n=1)
                known = ", ".join(cls.model_fields) or "none"
                remedy = f"Did you mean {close[0]!r}?" if close else f"Its parameters: {known}."
                raise InvalidInput(f"{cls.kebab_name()} has no parameter {name!r}", remedy=remedy)
        try:
            return cls.model_validate(dict(params))
        except ValidationError as error:
            raise InvalidInput(f"{cls.kebab_name()}: {first_problem(error)}") from None

    @property
    def warm_up_bars(self) -> int:
        """How many bars it needs before its first valid signal."""
        return 0

    @classmethod
    def asset(cls, name: str) -> Path:
        """Return the path of a file that the class declares in `assets`, to be opened for reading now.

        It is a path and not the content, because a path is what joblib, pandas and the like take, and the content may be large.
        What lies there has just been compared: in a backtest with what it held when the run began, in a deployment with the hash
        that was taken when the backtest was saved. Ask again each time instead of keeping the path.

        Raises InvalidInput for a name that is not declared, StrategyBroken for a file that is missing or cannot be used, Refused
        when it does not hold what it should.
        """
        folder = cls._asset_folder
        if folder is None:
            raise InvalidInput(
                f"{cls.kebab_name()} was not read from a file, so no assets lie beside it",
                remedy="Write it into a file of strategies/.",
            )
        paths = declared_assets(cls, folder.root)
        if name not in paths:
            raise unknown_asset(name, paths, cls.kebab_name())
        return folder.hand_out(paths[name])

    @abstractmethod
    def run(self, bars: Bars) -> Signals:
        """Return the signals of every bar. Row t may depend on rows up to t only."""


def evaluate(
    strategy: Strategy, bars: Bars, *, changed: Callable[[list[str]], object] = list, is_guarded: bool = True
) -> Signals:
    """Run a strategy and check what it returned; its own failure becomes StrategyBroken with the line where it happened.

    What its code changes of the process is put back, and `changed` is called with the names; see `algo_py.strategy.border`. Not
    `is_guarded`: whoever calls this very often looks after that himself.
    """
    name = strategy.kebab_name()
    try:
        with foreign_code(changed) if is_guarded else nullcontext():
            signals = strategy.run(bars)
    except (AlgoPyError, KeyboardInterrupt):
        raise
    except BaseException as error:  # the border to the trader's code: whatever it raises, it is that code that failed
        raise StrategyBroken(f"{name} failed in {_place(error)}: {type(error).__name__}: {error}") from error
    if not isinstance(signals, Signals):
        raise StrategyBroken(f"run of {name} must return Signals (was {type(signals).__name__})")
    try:
        for field in ("entries", "exits", "short_entries", "short_exits"):
            signals.array(field, bars)
    except InvalidInput as error:
        raise StrategyBroken(f"the signals of {name} cannot be used: {error}") from None
    return signals


def kebab_case(class_name: str) -> str:
    """Return `ema-cross` for `EmaCross`; runs of capitals stay together (`RSIReversion` is `rsi-reversion`)."""
    return re.sub(r"(?<=[a-z0-9])(?=[A-Z])|(?<=[A-Z])(?=[A-Z][a-z])", "-", class_name).lower()


def _place(error: BaseException) -> str:
    last = traceback.extract_tb(error.__traceback__)[-1]
    for frame in reversed(traceback.extract_tb(error.__traceback__)):
        file = Path(frame.filename)
        if "site-packages" not in file.parts and (file.parent != Path(__file__).parent):
            last = frame
            break
    return f"{Path(last.filename).name} line {last.lineno}"
