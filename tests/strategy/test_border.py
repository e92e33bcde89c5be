"""What a strategy changes of its process is put back and named; what it raises is its own failure."""

from __future__ import annotations

import builtins
import datetime
import decimal
import gc
import json
import locale
import os
import random
import signal
import socket
import sys
import threading
import time
import warnings
from collections.abc import Callable
from decimal import Decimal
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from algo_py.errors import StrategyBroken
from algo_py.strategy import Bars, Signals, Strategy, evaluate
from algo_py.strategy.border import foreign_code
from algo_py.strategy.loader import load_strategies


def _own_context() -> None:
    decimal.setcontext(decimal.Context(prec=7, rounding=decimal.ROUND_DOWN))


def _traps() -> None:
    decimal.getcontext().traps[decimal.Inexact] = True


def _default() -> None:
    decimal.DefaultContext.prec = 5


def _patch_json() -> None:
    json.dumps = lambda *_args, **_kwargs: "{}"


def _new_builtin() -> None:
    builtins.print = lambda *_args, **_kwargs: None


def _umask() -> int:
    mask = os.umask(0o077)
    os.umask(mask)
    return mask


def _moved() -> None:
    os.chdir("/")


def _environment() -> None:
    os.environ["TZ"] = "Asia/Tokyo"
    os.environ["SOMETHING_NEW"] = "1"
    del os.environ["PATH"]


CHANGES: dict[str, tuple[Callable[[], object], Callable[[], object]]] = {
    "decimal's context": (_own_context, lambda: Decimal("49.89016989") * 1),
    "decimal's context ": (_traps, lambda: Decimal(1) / 3),
    "decimal's default context": (_default, lambda: decimal.DefaultContext.prec),
    "signal handlers": (lambda: signal.signal(signal.SIGTERM, signal.SIG_IGN), lambda: signal.getsignal(signal.SIGTERM)),
    "the working directory": (_moved, Path.cwd),
    "the umask": (lambda: os.umask(0), _umask),
    "the sockets' time-out": (lambda: socket.setdefaulttimeout(0.001), socket.getdefaulttimeout),
    "numpy's handling of errors": (lambda: np.seterr(all="raise"), lambda: np.float64(1) * np.float64(1e-320)),
    "the locale": (lambda: locale.setlocale(locale.LC_ALL, "C.UTF-8"), lambda: locale.setlocale(locale.LC_ALL)),
    "the recursion limit": (lambda: sys.setrecursionlimit(9_000), sys.getrecursionlimit),
    "the garbage collector": (gc.disable, gc.isenabled),
    "the standard streams and hooks": (lambda: setattr(sys, "excepthook", print), lambda: sys.excepthook),
    "filters of warnings": (lambda: warnings.simplefilter("ignore"), lambda: list(warnings.filters)),
    "variables of the environment": (_environment, lambda: (dict(os.environ), time.tzname)),
    "the import path": (lambda: sys.path.insert(0, "/nowhere"), lambda: list(sys.path)),
    "the module json": (_patch_json, lambda: json.dumps([1])),
    "the module builtins": (_new_builtin, lambda: builtins.print),
    "the module time": (lambda: setattr(time, "sleep", lambda _s: None), lambda: time.sleep),
    "the module datetime": (lambda: setattr(datetime, "added", 1), lambda: hasattr(datetime, "added")),
    "the module threading": (lambda: setattr(threading, "Thread", object), lambda: threading.Thread),
}


@pytest.fixture
def everything_back() -> object:
    """Whatever fails here, the tests that follow see an ordinary process."""
    with foreign_code(list):
        yield


@pytest.mark.usefixtures("everything_back")
@pytest.mark.parametrize("name", CHANGES)
@pytest.mark.parametrize("fails", [False, True])
def test_what_all_share_is_put_back_and_named(name: str, fails: bool) -> None:
    change, look = CHANGES[name]
    before, told = look(), list[str]()

    def work() -> None:
        with foreign_code(told.extend):
            change()
            if fails:
                raise ZeroDivisionError

    if fails:
        with pytest.raises(ZeroDivisionError):
            work()
    else:
        work()
    assert told == [name.strip()]
    assert look() == before


def test_what_is_a_strategys_own_is_left_alone() -> None:
    told: list[str] = []
    random.seed(1)
    with foreign_code(told.extend):
        first = random.random()
        np.random.seed(3)
        threading.Thread(target=int).start()
    assert random.random() != first
    assert told == []


def test_what_libraries_set_up_as_they_are_imported_is_theirs(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LIBRARY_THREADS", "1")
    told: list[list[str]] = []
    with foreign_code(told.append, is_import=True):
        os.environ["LIBRARY_THREADS"] = "2"
        decimal.getcontext().prec = 7
    assert told == [["decimal's context"]]
    assert (os.environ["LIBRARY_THREADS"], decimal.getcontext().prec) == ("2", 28)


class Leaves(Strategy):
    """Leaves in the way that it was told."""

    how: str = "exit"

    @property
    def warm_up_bars(self) -> int:
        return 0

    def run(self, bars: Bars) -> Signals:
        decimal.getcontext().prec = 6
        if self.how == "exit":
            sys.exit(3)
        if self.how == "generator":
            raise GeneratorExit
        if self.how == "own":
            raise type("Own", (BaseException,), {})("bye")
        if self.how == "interrupt":
            raise KeyboardInterrupt
        flags = pd.DataFrame(False, index=bars.index, columns=list(bars.symbols))
        return Signals(flags, flags)


@pytest.fixture
def bars() -> Bars:
    index = pd.date_range("2026-01-01", periods=5, freq="1h", tz="UTC", unit="us")
    return Bars.from_frames({"A": pd.DataFrame(1.0, index=index, columns=["open", "high", "low", "close", "volume"])})


@pytest.mark.parametrize(("how", "told"), [("exit", "SystemExit: 3"), ("generator", "GeneratorExit"), ("own", "Own: bye")])
def test_whatever_leaves_a_run_is_the_strategys_failure_with_its_line(bars: Bars, how: str, told: str) -> None:
    with pytest.raises(StrategyBroken, match=rf"leaves failed in test_border.py line \d+: {told}"):
        evaluate(Leaves(how=how), bars)
    assert decimal.getcontext().prec == 28


def test_a_person_who_interrupts_is_not_the_strategys_failure(bars: Bars) -> None:
    with pytest.raises(KeyboardInterrupt):
        evaluate(Leaves(how="interrupt"), bars)


def test_who_evaluates_is_told_what_was_changed(bars: Bars) -> None:
    told: list[str] = []
    evaluate(Leaves(how="not at all"), bars, changed=told.extend)
    assert told == ["decimal's context"]


def test_a_file_that_changes_numbers_as_it_is_loaded_changes_nobody_elses(tmp_path: Path) -> None:
    file = tmp_path / "rude.py"
    file.write_text(
        "import decimal, signal\nfrom algo_py.strategy import Strategy\n"
        "decimal.getcontext().prec = 4\nsignal.signal(signal.SIGTERM, signal.SIG_IGN)\n"
        "class Rude(Strategy):\n    @property\n    def warm_up_bars(self): return 0\n    def run(self, bars): ...\n"
    )
    handler = signal.getsignal(signal.SIGTERM)
    load_strategies(file, tmp_path)
    assert (decimal.getcontext().prec, signal.getsignal(signal.SIGTERM)) == (28, handler)
