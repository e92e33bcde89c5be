"""Remember indicators while a sweep asks for the same ones again and again. Outside of `remembering` nothing is kept."""

from __future__ import annotations

import dataclasses
import functools
from collections import OrderedDict
from collections.abc import Callable, Hashable, Iterator, Mapping
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Any, Final, ParamSpec, TypeVar, cast

import numpy as np
import pandas as pd

from algo_py.strategy.bars import COLUMNS, Bars

P = ParamSpec("P")
R = TypeVar("R")

_LIMIT_BYTES: Final = 32 * 1024 * 1024

_active: ContextVar[IndicatorMemory | None] = ContextVar("indicator_memory", default=None)


class OwnBars(Bars):
    """The bars of one run: frames of its own over shared values, so that what a strategy does to them stays with that run."""

    def __init__(self, shared: Bars) -> None:
        fields = {name: shared.array(name) for name in COLUMNS}
        super().__init__(shared.index, shared.symbols, fields, market=shared.market, timeframe=shared.timeframe)
        self.shared = shared

    @property
    def handed_out(self) -> Mapping[str, pd.DataFrame]:
        """The wide frames that somebody has asked for."""
        return self._wide

    def _frame(self, name: str) -> pd.DataFrame:
        if name not in self._wide:
            self._wide[name] = self.shared._frame(name).copy(deep=False)
        return self._wide[name]


class IndicatorMemory:
    """Results of indicators over one set of bars, the least recently used ones going first once they exceed `limit_bytes`.

    Only calls whose arguments are numbers, `OwnBars` of those bars, or frames of these, unchanged, are remembered. What is handed
    out is the caller's own: writing to it changes nothing here. Not safe for several threads.
    """

    def __init__(self, bars: Bars, *, limit_bytes: int = _LIMIT_BYTES) -> None:
        self._bars = bars
        self._names = {_address(bars.array(name)): name for name in COLUMNS}
        self._columns = bars.close.columns
        self._limit_bytes = limit_bytes
        self._kept: OrderedDict[Hashable, tuple[Any, int]] = OrderedDict()
        self._bytes = 0

    def call(self, function: Callable[..., R], args: tuple[Any, ...], kwargs: dict[str, Any]) -> R:
        """Return `function(*args, **kwargs)`, computed or remembered."""
        try:
            parts = [self._part(value) for value in (*args, *kwargs.values())]
        except LookupError:
            return function(*args, **kwargs)
        key = (function, len(args), tuple(kwargs), tuple(parts))
        if key in self._kept:
            self._kept.move_to_end(key)
            return cast("R", _own(self._kept[key][0]))
        result = function(*args, **kwargs)
        size = sum(_freeze(frame) for frame in _frames(result))
        if 0 < size <= self._limit_bytes:
            self._kept[key] = (_own(result), size)
            self._bytes += size
            while self._bytes > self._limit_bytes:
                _, (_, freed) = self._kept.popitem(last=False)
                self._bytes -= freed
        return result

    def _part(self, value: Any) -> Hashable:
        """Return what stands for an argument in a key; LookupError for one that cannot be told from another."""
        if isinstance(value, int | float | str | np.number):
            return type(value), value
        if isinstance(value, pd.DataFrame):
            return self._name_of(value)
        if isinstance(value, OwnBars) and value.shared is self._bars:
            for name, frame in value.handed_out.items():  # the strategy may have replaced a column of it
                self._name_of(frame, expected=name)
            return OwnBars
        raise LookupError

    def _name_of(self, frame: pd.DataFrame, *, expected: str | None = None) -> str:
        values = frame.to_numpy()
        name = self._names[_address(values)]
        is_ours = values.shape == self._bars.array(name).shape and values.strides == self._bars.array(name).strides
        if not is_ours or expected not in (None, name):
            raise LookupError
        if not (frame.index.is_(self._bars.index) and frame.columns.is_(self._columns)):
            raise LookupError
        return name


@contextmanager
def remembering(memory: IndicatorMemory) -> Iterator[None]:
    """Remember indicators in `memory` until the end of the block, in this thread alone."""
    token = _active.set(memory)
    try:
        yield
    finally:
        _active.reset(token)


def remembered(function: Callable[P, R]) -> Callable[P, R]:
    """Make an indicator one that can be remembered: its result depends on its arguments alone."""

    @functools.wraps(function)
    def call(*args: P.args, **kwargs: P.kwargs) -> R:
        memory = _active.get()
        return function(*args, **kwargs) if memory is None else memory.call(function, args, kwargs)

    return call


def _own(result: Any) -> Any:
    """Return a result whose frames share their values with the original until somebody writes to one."""
    if isinstance(result, pd.DataFrame):
        return result.copy(deep=False)
    return type(result)(*(_own(getattr(result, field.name)) for field in dataclasses.fields(result)))


def _frames(result: Any) -> list[pd.DataFrame]:
    """Return the frames of a result that can be kept; none of anything else."""
    if isinstance(result, pd.DataFrame):
        return [result]
    if not dataclasses.is_dataclass(result) or isinstance(result, type):
        return []
    values = [getattr(result, field.name) for field in dataclasses.fields(result)]
    return values if all(isinstance(value, pd.DataFrame) for value in values) else []


def _freeze(frame: pd.DataFrame) -> int:
    """Make the values of a frame read-only for whoever gets at the array itself; return their size in bytes.

    pandas copies before it writes to a frame that shares its values, so a frame can be written to as before.
    """
    values: Any = frame.to_numpy()
    size = int(values.nbytes)
    while isinstance(values, np.ndarray):
        values.flags.writeable = False
        values = values.base
    return size


def _address(values: np.ndarray) -> int:
    return int(values.__array_interface__["data"][0])
