"""Files that a strategy declares: which names can stand there, where they lie, and what is handed out."""

from __future__ import annotations

import json
import os
import pickle
from pathlib import Path
from typing import ClassVar

import pandas as pd
import pytest

from algo_py.errors import Damaged, InvalidInput, Refused, StrategyBroken
from algo_py.settings import Workspace
from algo_py.strategy import Bars, Signals, Strategy
from algo_py.strategy.assets import ASSET_LIMIT, pin_assets
from algo_py.strategy.frozen import FrozenCode, hashes_of, read_frozen
from algo_py.strategy.loader import load_frozen, load_strategies
from algo_py.strategy.registry import StrategyRegistry

HEAD = "from typing import ClassVar\nfrom algo_py.strategy import Bars, Field, Signals, Strategy\n"
RUN = "    def run(self, bars: Bars) -> Signals:\n        return Signals(bars.close > 1, bars.close < 1)\n"


def load(folder: Path, body: str, *, file: str = "model.py", head: str = HEAD) -> type[Strategy]:
    path = folder / file
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(f"{head}\n\n{body}{RUN}", encoding="utf-8")
    return load_strategies(path, folder).classes[-1]


def freeze(folder: Path) -> FrozenCode:
    """Return a folder's files as frozen as they are now."""
    return read_frozen(folder.parent, folder.name, hashes_of(folder.parent, folder.name, refused=damage), refused=damage)


def damage(path: str, problem: str) -> Damaged:
    return Damaged(f"{path} {problem}")


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    found = tmp_path / "strategies"
    found.mkdir()
    (found / "weights.json").write_text('{"1": 0.5}', encoding="utf-8")
    return found


@pytest.mark.parametrize("declared", ['assets = ("weights.json",)', 'assets: ClassVar[tuple[str, ...]] = ("weights.json",)'])
def test_a_declared_file_is_handed_out_and_is_no_parameter(folder: Path, declared: str) -> None:
    found = load(folder, f"class Model(Strategy):\n    {declared}\n    level: float = 1.0\n")
    assert list(found.model_fields) == ["level"]
    strategy = found.from_params({"level": 2})
    assert strategy.asset("weights.json") == folder / "weights.json"
    assert json.loads(strategy.asset("weights.json").read_text()) == {"1": 0.5}
    assert strategy.model_dump() == {"level": 2.0}


def test_a_name_that_is_not_declared_gets_a_hint(folder: Path) -> None:
    found = load(folder, 'class Model(Strategy):\n    assets = ("weights.json",)\n')
    with pytest.raises(InvalidInput, match=r"model declares no asset 'weight.json' .*Did you mean 'weights.json'\?"):
        found().asset("weight.json")
    none = load(folder, "class Other(Strategy):\n", file="other.py")
    with pytest.raises(InvalidInput, match=r"no asset 'weights.json' \(it has: none\)\. Declare it in the class: assets = \("):
        none().asset("weights.json")


def test_names_are_relative_to_the_file_that_declares_them_and_classes_have_those_of_their_bases(folder: Path) -> None:
    (folder / "tools").mkdir()
    (folder / "tools" / "base.json").write_text("{}")
    (folder / "tools" / "weights.json").write_text("not this one")
    (folder / "tools" / "base.py").write_text(
        f'{HEAD}class Base(Strategy):\n    assets = ("base.json", "weights.json")\n', encoding="utf-8"
    )
    found = load(folder, 'class Model(Base):\n    assets = ("weights.json",)\n', head=f"{HEAD}from tools.base import Base\n")
    strategy = found()
    assert strategy.asset("base.json") == folder / "tools" / "base.json"
    assert strategy.asset("weights.json") == folder / "weights.json"
    assert list(pin_assets(found)) == ["weights.json", "tools/base.json"]
    inheriting = load(folder, "class Child(Base):\n", file="child.py", head=f"{HEAD}from tools.base import Base\n")
    assert inheriting().asset("weights.json") == folder / "tools" / "weights.json"


def test_a_base_class_of_another_package_must_be_declared_again(
    folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.syspath_prepend(str(tmp_path))
    (tmp_path / "package_of_this_test.py").write_text(f'{HEAD}class Far(Strategy):\n    assets = ("weights.json",)\n')
    head = f"{HEAD}from package_of_this_test import Far\n"
    with pytest.raises(StrategyBroken, match=r"model\.py: the asset 'weights\.json' is declared by Far, which does not lie in"):
        load(folder, "class Model(Far):\n", head=head)
    assert load(folder, 'class Model(Far):\n    assets = ("weights.json",)\n', head=head)().asset("weights.json").is_file()


@pytest.mark.parametrize(
    ("name", "problem"),
    [
        ("../weights.json", "lies outside of its folder: it must be relative to the strategy's file"),
        ("/etc/passwd", "lies outside of its folder"),
        ("", "is no path of a file"),
        (".env", "no part of it may begin with a dot"),
        ("__pycache__/x.bin", "no part of it may begin with a dot"),
        ("helper.py", "is a module: import it instead"),
        ("not_there.json", "the asset not_there.json is missing. See to"),
        ("linked.json", "the asset linked.json is a link"),
        ("linked/weights.json", "the asset linked/weights.json is a link"),
        ("inner", "the asset inner is no regular file"),
        ("large.bin", "the asset large.bin is larger than 256 MiB"),
    ],
)
def test_what_cannot_be_an_asset_breaks_the_file_by_name(folder: Path, tmp_path: Path, name: str, problem: str) -> None:
    (folder / "linked.json").symlink_to(folder / "weights.json")
    (tmp_path / "elsewhere").mkdir()
    (tmp_path / "elsewhere" / "weights.json").write_text("{}")
    (folder / "linked").symlink_to(tmp_path / "elsewhere")
    (folder / "inner").mkdir()
    with (folder / "large.bin").open("wb") as stream:
        stream.truncate(ASSET_LIMIT + 1)
    with pytest.raises(StrategyBroken) as caught:
        load(folder, f"class Model(Strategy):\n    assets = ({name!r},)\n")
    assert str(caught.value).startswith("model.py: the asset ")
    assert problem in str(caught.value)
    assert "\n" not in str(caught.value)


def test_a_text_is_no_tuple(folder: Path) -> None:
    with pytest.raises(StrategyBroken, match=r'`assets` of Model must be a tuple of file names .* Write: assets = \("model'):
        load(folder, 'class Model(Strategy):\n    assets = "weights.json"\n')
    with pytest.raises(StrategyBroken, match="at most 64 assets"):
        load(folder, "class Model(Strategy):\n    assets = tuple(f'{n}.json' for n in range(65))\n")


@pytest.mark.filterwarnings("ignore:Field name")
def test_a_strategy_may_have_a_parameter_of_that_name_as_before(folder: Path) -> None:
    found = load(folder, "class Model(Strategy):\n    assets: int = 3\n    asset: str = 'BTC'\n")
    assert found.from_params({"assets": 4}).model_dump() == {"assets": 4, "asset": "BTC"}
    assert pin_assets(found) == {}


def test_what_changes_after_it_was_read_is_refused_until_it_is_put_back(folder: Path) -> None:
    found = load(folder, 'class Model(Strategy):\n    assets = ("weights.json",)\n')
    file = folder / "weights.json"
    content, before = file.read_bytes(), file.stat()
    pinned = pin_assets(found)
    file.write_bytes(content.replace(b"0.5", b"0.6"))
    os.utime(file, ns=(before.st_atime_ns, before.st_mtime_ns))
    for look in (lambda: pin_assets(found), lambda: found().asset("weights.json")):
        with pytest.raises(Refused, match=r"the asset weights\.json is not what it was when this began\. Run it again"):
            look()
    file.unlink()
    with pytest.raises(Refused, match=r"the asset weights\.json is missing"):
        found().asset("weights.json")
    file.write_bytes(content)
    assert found().asset("weights.json") == file
    assert pin_assets(found) == pinned


def test_frozen_code_hands_out_only_what_was_compared(folder: Path) -> None:
    load(folder, 'class Model(Strategy):\n    assets = ("weights.json", "later.json")[:1]\n')
    code = freeze(folder)
    (strategy,) = (found() for found in load_frozen(code, "model.py").classes)
    assert strategy.asset("weights.json") == folder / "weights.json"
    (folder / "weights.json").write_text('{"1": 0.7}', encoding="utf-8")
    with pytest.raises(Refused, match=r"weights\.json is not what was saved\. It was frozen with the strategy: put the same"):
        strategy.asset("weights.json")


def test_frozen_code_does_not_hand_out_what_was_not_frozen(folder: Path) -> None:
    load(folder, 'class Model(Strategy):\n    assets = ("weights.json",)\n')
    hashes = hashes_of(folder.parent, folder.name, refused=damage)
    del hashes["strategies/weights.json"]
    content = (folder / "weights.json").read_bytes()
    (folder / "weights.json").unlink()
    code = read_frozen(folder.parent, folder.name, hashes, refused=damage)
    (strategy,) = (found() for found in load_frozen(code, "model.py").classes)
    (folder / "weights.json").write_bytes(content)
    with pytest.raises(Refused, match=r"weights\.json was not there when the strategy was frozen"):
        strategy.asset("weights.json")


def test_a_base_class_in_a_helper_and_an_import_inside_a_function_read_frozen_assets_too(folder: Path) -> None:
    late = f'{HEAD}class Late(Strategy):\n    assets = ("weights.json",)\n{RUN}'
    (folder / "_late.py").write_text(late, encoding="utf-8")
    body = "class Model(Strategy):\n    def late(self):\n        from _late import Late\n        return Late()\n"
    load(folder, body)
    (strategy,) = (found() for found in load_frozen(freeze(folder), "model.py").classes)
    inner: Strategy = strategy.late()  # type: ignore[attr-defined]
    assert inner.asset("weights.json") == folder / "weights.json"
    (folder / "weights.json").write_text("{}", encoding="utf-8")
    with pytest.raises(Refused):
        inner.asset("weights.json")


class Direct(Strategy):
    """A strategy of an ordinary module."""

    assets: ClassVar[tuple[str, ...]] = ("formulas.json", "test_registry.txt")

    def run(self, bars: Bars) -> Signals:
        return Signals(bars.close > 1, bars.close < 1)


def test_in_an_ordinary_module_files_lie_beside_the_module() -> None:
    with pytest.raises(StrategyBroken, match=r"the asset formulas\.json is missing"):
        Direct().asset("formulas.json")


def test_a_plug_in_s_files_are_read_anew_by_each_discovery(folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    import importlib.metadata

    monkeypatch.syspath_prepend(str(folder))
    (folder / "plug_in_of_this_test.py").write_text(f'{HEAD}class Plug(Strategy):\n    assets = ("weights.json",)\n{RUN}')
    point = importlib.metadata.EntryPoint(name="plug", value="plug_in_of_this_test", group="algo_py.strategies")
    seen = []
    for text in ("{}", '{"1": 2}'):
        (folder / "weights.json").write_text(text)
        found = StrategyRegistry.discover(Workspace(tmp_path / "none"), plugins=[point]).get("plug").usable_class()
        seen.append(found().asset("weights.json").read_text())
    assert seen == ["{}", '{"1": 2}']


def test_what_libraries_read_by_path_can_be_read(folder: Path) -> None:
    pd.DataFrame({"a": [1.0, 2.0]}).to_parquet(folder / "table.parquet")
    (folder / "model.pickle").write_bytes(pickle.dumps({"intercept": 0.5}))
    found = load(folder, 'class Model(Strategy):\n    assets = ("table.parquet", "model.pickle")\n')()
    assert pd.read_parquet(found.asset("table.parquet"))["a"].tolist() == [1.0, 2.0]
    assert pickle.loads(found.asset("model.pickle").read_bytes()) == {"intercept": 0.5}
