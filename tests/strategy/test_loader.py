"""Loading strategy files: private, fresh, several versions at once, and every failure in one line."""

from __future__ import annotations

import sys
import textwrap
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from algo_py.errors import StrategyBroken
from algo_py.strategy import Bars, Strategy, evaluate
from algo_py.strategy.loader import LoadedModule, load_strategies

STRATEGY = """
    from __future__ import annotations
    from algo_py.strategy import Bars, Field, Signals, Strategy
    {imports}

    class Threshold(Strategy):
        \"\"\"Buy above a level.\"\"\"

        level: float = Field({default}, gt=0, description="Level")

        def run(self, bars: Bars) -> Signals:
            {body}
            return Signals(entries=bars.close > self.level, exits=bars.close < self.level)
"""


def write(folder: Path, name: str, text: str, **parts: str) -> Path:
    file = folder / name
    file.parent.mkdir(parents=True, exist_ok=True)
    text = textwrap.dedent(text)
    file.write_text(
        text.format(**{"imports": "", "body": "pass", "default": "5.0", **parts}) if parts else text, encoding="utf-8"
    )
    return file


def level_of(loaded: LoadedModule) -> object:
    return loaded.classes[0].from_params({}).model_dump()["level"]


def some_bars() -> Bars:
    index = pd.date_range("2025-01-01", periods=4, freq="h", tz="UTC", unit="us")
    values = np.array([4.0, 5.0, 6.0, 7.0])
    frame = pd.DataFrame(dict.fromkeys(("open", "high", "low", "close", "volume"), values), index=index)
    return Bars.from_frames({"X": frame})


def test_it_returns_the_classes_defined_there_and_the_source(tmp_path: Path) -> None:
    file = write(tmp_path, "threshold.py", STRATEGY, imports="from algo_py.strategy.library.ema_cross import EmaCross")
    loaded = load_strategies(file, tmp_path)
    assert [found.__name__ for found in loaded.classes] == ["Threshold"]
    assert issubclass(loaded.classes[0], Strategy)
    assert loaded.sources == {"threshold.py": file.read_text(encoding="utf-8")}
    assert evaluate(loaded.classes[0].from_params({"level": "5.5"}), some_bars()).entries["X"].tolist() == [
        False,
        False,
        True,
        True,
    ]


def test_modules_beside_it_are_importable_and_counted_as_sources(tmp_path: Path) -> None:
    write(tmp_path, "_levels.py", "from tools import deep\nLEVEL = deep.LEVEL\n")
    write(tmp_path, "tools/__init__.py", "")
    write(tmp_path, "tools/deep.py", "from . import deeper\nfrom .deeper import LEVEL\n")
    write(tmp_path, "tools/deeper.py", "LEVEL = 7.0\n")
    write(tmp_path, "plain/inner.py", "NAME = 'a folder without __init__'\n")
    write(tmp_path, "unused.py", "raise RuntimeError('never imported')\n")
    file = write(
        tmp_path, "mine.py", STRATEGY, imports="import _levels, tools.deep\nimport plain.inner as inner", default="_levels.LEVEL"
    )
    loaded = load_strategies(file, tmp_path)
    assert level_of(loaded) == 7.0
    assert next(iter(loaded.sources)) == "mine.py"
    assert set(loaded.sources) == {
        "mine.py",
        "_levels.py",
        "tools/__init__.py",
        "tools/deep.py",
        "tools/deeper.py",
        "plain/inner.py",
    }


def test_several_versions_live_in_one_process(tmp_path: Path) -> None:
    loaded = []
    for version in (1, 2):
        folder = tmp_path / str(version)
        write(folder, "helper.py", f"LEVEL = {version}.0\n\ndef late() -> float:\n    import later\n    return later.VALUE\n")
        write(folder, "later.py", f"VALUE = {version * 10}\n")
        body = "import helper; object.__setattr__(self, 'level', helper.late())"
        loaded.append(
            load_strategies(write(folder, "s.py", STRATEGY, imports="import helper", default="helper.LEVEL", body=body), folder)
        )
    assert [level_of(one) for one in loaded] == [1.0, 2.0]
    for one, late in zip(loaded, (10, 20), strict=True):
        strategy = one.classes[0].from_params({})
        evaluate(strategy, some_bars())
        assert strategy.model_dump()["level"] == late
        assert "later.py" in one.sources  # an import inside a function belongs to it as well


def test_an_edited_helper_is_seen_by_the_next_load_only(tmp_path: Path) -> None:
    helper = write(tmp_path, "helper.py", "LEVEL = 1.0\n")
    file = write(tmp_path, "s.py", STRATEGY, imports="from helper import LEVEL", default="LEVEL")
    before = load_strategies(file, tmp_path)
    helper.write_text("LEVEL = 2.0\n", encoding="utf-8")
    assert (level_of(before), level_of(load_strategies(file, tmp_path))) == (1.0, 2.0)


def test_nothing_leaks_into_the_process(tmp_path: Path) -> None:
    write(tmp_path, "helper.py", "LEVEL = 1.0\n")
    write(tmp_path, "this_is_not_json.py", "X = 1\n")
    file = write(tmp_path, "s.py", STRATEGY, imports="from helper import LEVEL")
    modules, path = set(sys.modules), list(sys.path)
    load_strategies(file, tmp_path)
    assert set(sys.modules) - modules == set()
    assert sys.path == path
    with pytest.raises(ModuleNotFoundError):
        __import__("helper")
    assert not list(tmp_path.rglob("__pycache__"))


def test_a_helper_may_have_the_name_of_a_library_without_harming_it(tmp_path: Path) -> None:
    write(tmp_path, "queue.py", "LEVEL = 3.0\n")
    file = write(tmp_path, "s.py", STRATEGY, imports="from queue import LEVEL\nimport concurrent.futures", default="LEVEL")
    assert level_of(load_strategies(file, tmp_path)) == 3.0
    import queue

    assert hasattr(queue, "SimpleQueue")


def test_annotations_are_resolved_across_private_modules(tmp_path: Path) -> None:
    write(
        tmp_path,
        "_shared.py",
        """
        from __future__ import annotations
        from enum import StrEnum
        from algo_py.strategy import Strategy

        class Mode(StrEnum):
            FAST = "fast"

        class Base(Strategy):
            mode: Mode = Mode.FAST
        """,
    )
    file = write(
        tmp_path,
        "child.py",
        """
        from __future__ import annotations
        from algo_py.strategy import Bars, Signals
        from _shared import Base

        class Child(Base):
            other: Later | None = None

            def run(self, bars: Bars) -> Signals:
                return Signals(entries=bars.close > 1, exits=bars.close < 1)

        Later = int
        """,
    )
    (child,) = load_strategies(file, tmp_path).classes
    assert str(child.from_params({"mode": "fast", "other": 3})) == "mode=<Mode.FAST: 'fast'> other=3"


def test_compiled_functions_work_after_loading(tmp_path: Path) -> None:
    write(
        tmp_path,
        "_fast.py",
        "from numba import njit\n\n@njit\ndef twice(x):\n    return half(x) * 4\n\n@njit\ndef half(x):\n    return x / 2\n",
    )
    body = "import _fast; assert _fast.twice(2.0) == 4.0"
    file = write(tmp_path, "s.py", STRATEGY, imports="from _fast import twice", body=body)
    evaluate(load_strategies(file, tmp_path).classes[0].from_params({}), some_bars())


def test_many_threads_load_at_once(tmp_path: Path) -> None:
    for number in range(4):
        write(tmp_path / str(number), "helper.py", f"LEVEL = {number + 1}.0\n")
        write(tmp_path / str(number), "s.py", STRATEGY, imports="from helper import LEVEL", default="LEVEL")

    def level(number: int) -> object:
        folder = tmp_path / str(number % 4)
        return level_of(load_strategies(folder / "s.py", folder))

    with ThreadPoolExecutor(8) as pool:
        assert list(pool.map(level, range(40))) == [number % 4 + 1.0 for number in range(40)]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("x = (\n", "bad.py line 1: '(' was never closed"),
        ("x = 1\ny = x +* 2\n", "bad.py line 2: invalid syntax"),
        ("\n\nraise ValueError('no\\nnewline')\n", "bad.py line 3: ValueError: no newline"),
        ("import not_there\n", "bad.py line 1: ModuleNotFoundError: No module named 'not_there'"),
        ("import broken_helper\n", "broken_helper.py line 2: ZeroDivisionError: division by zero"),
        ("import syntax_helper\n", "syntax_helper.py line 1: expected ':'"),
        (
            "from ..outside import x\n",
            "bad.py line 1: ImportError: a relative import of 'outside' leaves the folder of the strategies",
        ),
        ("import sys\nsys.exit(3)\n", "bad.py line 2: SystemExit: 3"),
        ("from algo_py.strategy import Strategy\n", "bad.py defines no strategy. Write a class"),
        (
            "from algo_py.strategy import Strategy\nclass Half(Strategy):\n    pass\n",
            "bad.py defines no strategy (its class Half has no run method)",
        ),
    ],
)
def test_a_broken_file_gets_one_line(tmp_path: Path, text: str, message: str) -> None:
    write(tmp_path, "broken_helper.py", "x = 1\ny = x / 0\n")
    write(tmp_path, "syntax_helper.py", "def f()\n")
    modules = set(sys.modules)
    with pytest.raises(StrategyBroken) as caught:
        load_strategies(write(tmp_path, "bad.py", text), tmp_path)
    assert str(caught.value).startswith(message)
    assert "\n" not in str(caught.value)
    assert not {name for name in set(sys.modules) - modules if name.startswith("algo_py_loaded")}


def test_a_file_that_is_not_utf8_is_named(tmp_path: Path) -> None:
    (tmp_path / "latin.py").write_bytes(b"# caf\xe9\n")
    with pytest.raises(StrategyBroken, match=r"latin.py is not UTF-8 \(byte 5\)"):
        load_strategies(tmp_path / "latin.py", tmp_path)
