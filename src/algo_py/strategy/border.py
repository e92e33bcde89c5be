"""The border round a strategy's code: what it changes of the process that runs it is put back, and named.

A strategy, or a library that it uses, may set the precision of decimal numbers, a signal handler, the working directory or a
time-out for all sockets. In a notebook that is its own business; here orders are counted, sent and written down by the same
process. What the code keeps for itself (its module's variables, random generators) is left alone.
"""

from __future__ import annotations

import builtins
import datetime
import decimal
import gc
import json
import locale
import math
import os
import signal
import socket
import sys
import threading
import time
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from types import ModuleType
from typing import Any, Final

import numpy as np

_SIGNALS: Final = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP, signal.SIGALRM, signal.SIGCHLD, signal.SIGUSR1, signal.SIGUSR2)
# What is patched in one of these is patched for everybody.
_SHARED_MODULES: Final[tuple[ModuleType, ...]] = (builtins, datetime, decimal, json, math, os, signal, socket, threading, time)
_CAREFUL_UMASK: Final = 0o077


@dataclass(frozen=True, slots=True)
class _Kept:
    """One thing that all code of a process shares: how it is read, and how it is put back.

    at_import: whether it is put back after the code of a module was executed, too. What libraries set up for themselves as they
    are imported, such as variables of the environment and filters of warnings, is theirs.
    """

    name: str
    read: Callable[[], Any]
    put_back: Callable[[Any], object]
    at_import: bool = True


def _context() -> tuple[Any, ...]:
    return _numbers_of(decimal.getcontext())


def _numbers_of(context: decimal.Context) -> tuple[Any, ...]:
    traps = tuple(kind for kind, is_on in context.traps.items() if is_on)
    return context.prec, context.rounding, context.Emin, context.Emax, context.capitals, context.clamp, traps


def _set_numbers(context: decimal.Context, numbers: tuple[Any, ...]) -> None:
    context.prec, context.rounding, context.Emin, context.Emax, context.capitals, context.clamp, traps = numbers
    for kind in context.traps:
        context.traps[kind] = kind in traps


def _is_main() -> bool:
    return threading.current_thread() is threading.main_thread()


def _handlers() -> tuple[Any, ...]:
    return tuple(signal.getsignal(number) for number in _SIGNALS)


def _set_handlers(handlers: tuple[Any, ...]) -> None:
    if _is_main():  # nobody else can change them
        for number, handler in zip(_SIGNALS, handlers, strict=True):
            if handler is not None and signal.getsignal(number) is not handler:
                signal.signal(number, handler)


def _folder() -> str | None:
    try:
        return os.getcwd()  # noqa: PTH109  as it is, to be gone back to
    except FileNotFoundError:
        return None


def _go_to(folder: str | None) -> None:
    if folder is not None:
        with suppress(OSError):  # it may be gone, and then nobody can be there
            os.chdir(folder)


def _umask() -> int:
    mask = os.umask(_CAREFUL_UMASK)  # it cannot be asked for without being set
    os.umask(mask)
    return mask


def _set_environment(variables: dict[str, str]) -> None:
    for name in os.environ.keys() - variables.keys():
        del os.environ[name]
    os.environ.update(variables)
    time.tzset()


def _patched(module: ModuleType) -> _Kept:
    def put_back(before: dict[str, Any]) -> None:
        now = vars(module)
        for name in now.keys() - before.keys():
            del now[name]
        for name, value in before.items():
            if now.get(name) is not value:
                now[name] = value

    return _Kept(f"the module {module.__name__}", lambda: dict(vars(module)), put_back, at_import=False)


def _streams() -> tuple[Any, ...]:
    return sys.stdout, sys.stderr, sys.excepthook, threading.excepthook


def _set_streams(streams: tuple[Any, ...]) -> None:
    sys.stdout, sys.stderr, sys.excepthook, threading.excepthook = streams


def _set_path(path: list[str]) -> None:
    sys.path[:] = path


def _set_filters(filters: list[Any]) -> None:
    warnings.filters[:] = filters  # type: ignore[index]  # the stubs call it a sequence
    warnings._filters_mutated()  # type: ignore[attr-defined]


_KEPT: Final = (
    _Kept("decimal's context", _context, lambda numbers: _set_numbers(decimal.getcontext(), numbers)),
    _Kept(
        "decimal's default context",
        lambda: _numbers_of(decimal.DefaultContext),
        lambda numbers: _set_numbers(decimal.DefaultContext, numbers),
    ),
    _Kept("signal handlers", _handlers, _set_handlers),
    _Kept("the working directory", _folder, _go_to),
    _Kept("the umask", _umask, os.umask),
    _Kept("the sockets' time-out", socket.getdefaulttimeout, socket.setdefaulttimeout),
    _Kept("numpy's handling of errors", np.geterr, lambda errors: np.seterr(**errors)),
    _Kept("the locale", lambda: locale.setlocale(locale.LC_ALL), lambda name: locale.setlocale(locale.LC_ALL, name)),
    _Kept("the recursion limit", sys.getrecursionlimit, sys.setrecursionlimit),
    _Kept("the garbage collector", gc.isenabled, lambda is_on: gc.enable() if is_on else gc.disable()),
    _Kept("the standard streams and hooks", _streams, _set_streams),
    _Kept("filters of warnings", lambda: list(warnings.filters), _set_filters, at_import=False),
    _Kept("variables of the environment", lambda: dict(os.environ), _set_environment, at_import=False),
    _Kept("the import path", lambda: list(sys.path), _set_path, at_import=False),
    *map(_patched, _SHARED_MODULES),
)


@contextmanager
def foreign_code(changed: Callable[[list[str]], object], *, is_import: bool = False) -> Iterator[None]:
    """Run code of others inside; afterwards put back what it has changed for everybody, and call `changed` with the names.

    With `is_import` libraries may set up what they need as they are loaded; so may they where a run has imported something.
    About a tenth of a millisecond.
    """
    before = [kept.read() for kept in _KEPT]
    modules = len(sys.modules)
    try:
        yield
    finally:
        has_imported = is_import or len(sys.modules) > modules
        names: list[str] = []
        for kept, value in zip(_KEPT, before, strict=True):
            if (kept.at_import or not has_imported) and kept.read() != value:
                kept.put_back(value)
                names.append(kept.name)
        if names:
            changed(names)
